package integration

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/youmark/pkcs8"

	"teamogy-ksef/internal/flow"
	"teamogy-ksef/internal/simulator/samples"
)

// newCertificate puts another certificate in place; without a key of its own
// the old key stays.
func (b *bed) newCertificate(nip string, withKey bool, change func(*x509.Certificate)) {
	b.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(b, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()),
		Subject: pkix.Name{Country: []string{"PL"}, Organization: []string{"New"}, CommonName: "New", ExtraNames: []pkix.AttributeTypeAndValue{
			{Type: asn1.ObjectIdentifier{2, 5, 4, 97}, Value: "VATPL-" + nip},
		}},
		NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().AddDate(1, 0, 0), KeyUsage: x509.KeyUsageDigitalSignature,
	}
	if change != nil {
		change(template)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(b, err)
	if withKey {
		sealed, err := pkcs8.MarshalPrivateKey(key, []byte(b.keyPassword), pkcs8.DefaultOpts)
		require.NoError(b, err)
		b.replaceFile("key.pem", pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: sealed}))
	}
	b.replaceFile("cert.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

func (b *bed) replaceFile(name string, content []byte) {
	b.Helper()
	path := filepath.Join(b.connectionsDir(), name)
	require.NoError(b, os.WriteFile(path+".new", content, 0o600))
	require.NoError(b, os.Rename(path+".new", path))
}

// logInAgain makes KSeF refuse the tokens that it has given out, so that the
// next call logs in.
func (b *bed) logInAgain() {
	b.Helper()
	b.control("POST", b.ksefURL+"/_sim/permissions", map[string]any{"nip": b.nip, "permissions": nil, "dropTokens": true}, nil)
}

// lines counts the lines of the worker's log that have all of the words.
func (b *bed) lines(words ...string) int {
	n := 0
	for line := range strings.Lines(b.logs.String()) {
		if !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(line, w) }) {
			n++
		}
	}
	return n
}

const lastGood = "the last good ones stay at work"

// A new certificate that is no good is put in place while a session is open:
// the old one stays in use, also for logging in anew, and it is said once. A
// good one takes over without a restart.
func TestEdgeF_certificateSwappedWhileASessionIsOpen_theOldOneStaysInUse(t *testing.T) {
	cases := map[string]struct {
		swap func(b *bed)
		said []string // words of the log line
	}{
		"expired": {func(b *bed) {
			b.newCertificate(b.nip, true, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-24 * time.Hour) })
		}, []string{lastGood, "ended on"}},
		"of another key": {func(b *bed) { b.newCertificate(b.nip, false, nil) }, []string{lastGood, "does not belong to the certificate"}},
		"of type Offline": {func(b *bed) {
			b.newCertificate(b.nip, true, func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageContentCommitment })
		}, []string{lastGood, "is of type Offline"}},
		"without permission": {
			func(b *bed) { b.newCertificate(samples.NIP(4711), true, nil) },
			[]string{"level=ERROR", "new KSeF credentials are refused: the old ones stay in use"},
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			b := newBed(t)
			b.hold("SWAP/1")
			first := b.seedReady("SWAP/1", b.issued("SWAP/1"))
			b.startSend(first.ID)
			b.eventually("its session is open at KSeF", func() bool { return b.submissions(first.SHA256) == 1 })

			c.swap(b)
			second := b.seedReady("SWAP/2", b.issued("SWAP/2"))
			b.startSend(second.ID)
			b.eventually("the new certificate was looked at", func() bool { return b.lines(c.said...) > 0 })
			b.logInAgain()
			b.release("SWAP/1")
			b.requireSent(first, 1)
			b.requireSent(second, 1)
			require.Equal(t, 1, b.lines(c.said...), "it is said once")
			require.Zero(t, b.logged(gateClosed))

			b.newCertificate(b.nip, true, nil)
			third := b.seedReady("SWAP/3", b.issued("SWAP/3"))
			b.startSend(third.ID)
			b.requireSent(third, 1)
			require.Equal(t, 1, b.logged("the new KSeF credentials are in use"))
			b.logInAgain()
			fourth := b.seedReady("SWAP/4", b.issued("SWAP/4"))
			b.startSend(fourth.ID)
			b.requireSent(fourth, 1)
		})
	}
}

// attempts is how often a workflow's pending activity was tried; 0 without one.
func (b *bed) attempts(id string) int {
	b.Helper()
	description, err := b.client.DescribeWorkflowExecution(b.within(), id, "")
	require.NoError(b, err)
	for _, a := range description.GetPendingActivities() {
		return int(a.GetAttempt())
	}
	return 0
}

// A connection's file is taken away while everything runs: nothing is asked of
// anybody any more and nothing fails; put back it goes on; pointing elsewhere,
// test to demo, it is refused in the same way (edge case l).
func TestEdgeKL_aConnectionsFileIsRemovedOrFlippedWhileWorkflowsRun(t *testing.T) {
	b := newBed(t)
	b.hold("GONE/1")
	atKSeF := b.seedReady("GONE/1", b.issued("GONE/1"))
	b.start(flow.ReceiveInvoices, flow.ReceiveID(b.connection), flow.ReceiveInput{Connection: b.connection})
	b.startSends()
	b.eventually("one is at KSeF", func() bool { return b.submissions(atKSeF.SHA256) == 1 })
	b.eventually("both have polled", func() bool { return b.receiveStatus().Totals.Cycles > 0 && b.sendStatus().Totals.Cycles > 0 })
	session := b.sessions()[0]
	file := filepath.Join(b.connectionsDir(), b.connection+".env")
	original, err := os.ReadFile(file)
	require.NoError(t, err)

	number := 1
	for _, c := range []struct {
		errorType string
		spoil     func()
	}{
		{flow.ErrConnectionUnknown, func() { require.NoError(t, os.Remove(file)) }},
		{flow.ErrBindingChanged, func() {
			b.replaceFile(b.connection+".env", []byte(strings.Replace(string(original), "KSEF_ENVIRONMENT=test", "KSEF_ENVIRONMENT=demo", 1)))
		}},
	} {
		c.spoil()
		number++
		next := b.seedReady("GONE/"+itoa(int64(number)), b.issued("GONE/"+itoa(int64(number))))
		received := b.seedKSeF(b.nip, xmlOf(samples.GenerateReceived(b.sampleOptions(), 4)[number-2].XML))[0]
		ids := []string{flow.ReceiveID(b.connection), flow.SendID(b.connection), session}
		for _, id := range ids[:2] {
			require.NoError(t, b.update(id, flow.UpdatePollNow))
		}
		shows := map[string]int{}
		b.eventually("all three show "+c.errorType, func() bool {
			for _, id := range ids {
				if shows[id] == 0 && strings.HasPrefix(b.pendingFailure(id), c.errorType+": ") {
					shows[id] = b.attempts(id)
				}
			}
			return len(shows) == len(ids)
		})
		ofKSeF, ofTeamogy := -1, -1
		b.eventually("what was under way has ended", func() bool {
			before := [2]int{ofKSeF, ofTeamogy}
			ofKSeF, ofTeamogy = b.total(b.ksefURL), b.total(b.teamogyURL)
			return before == [2]int{ofKSeF, ofTeamogy}
		})
		b.eventually("they were tried again", func() bool {
			for _, id := range ids {
				if b.attempts(id) < shows[id]+2 {
					return false
				}
			}
			return true
		})
		require.Equal(t, ofKSeF, b.total(b.ksefURL), "KSeF was asked")
		require.Equal(t, ofTeamogy, b.total(b.teamogyURL), "Teamogy was asked")

		b.replaceFile(b.connection+".env", original)
		b.eventually("it goes on", func() bool {
			return b.document(next.ID).property("ksefNumber") != "" && len(b.received(received.KSeFNumber)) == 1
		})
		b.requireSent(next, 1)
	}
	b.release("GONE/1")
	b.requireSent(atKSeF, 1)
	require.Zero(t, b.logged(gateClosed), "what is found before any call is no matter of a gate")
}

// Two connections of one company in one environment: the second one may not
// receive, and is told which one does; the first one goes on.
func TestEdgeG_theSameCompanyTwice_secondReceiverIsRefusedByName(t *testing.T) {
	b := newBed(t)
	b.start(flow.ReceiveInvoices, flow.ReceiveID(b.connection), flow.ReceiveInput{Connection: b.connection})
	b.eventually("the first one has polled", func() bool { return b.receiveStatus().Totals.Cycles > 0 })

	first := b.connection
	second := first + "-again"
	text, err := os.ReadFile(filepath.Join(b.connectionsDir(), first+".env"))
	require.NoError(t, err)
	b.replaceFile(second+".env", text)
	b.start(flow.ReceiveInvoices, flow.ReceiveID(second), flow.ReceiveInput{Connection: second})
	t.Cleanup(func() {
		_ = b.client.TerminateWorkflow(context.Background(), flow.ReceiveID(second), "", "the test is over")
	})
	b.eventually("the second one is refused", func() bool { return b.pendingFailure(flow.ReceiveID(second)) != "" })
	shown := b.pendingFailure(flow.ReceiveID(second))
	require.True(t, strings.HasPrefix(shown, flow.ErrReceiverTaken+": "), shown)
	require.Contains(t, shown, "the connection "+first+" already receives the invoices of NIP "+b.nip)
	before := b.attempts(flow.ReceiveID(second))
	b.eventually("it is tried again", func() bool { return b.attempts(flow.ReceiveID(second)) >= before+2 })

	received := b.seedKSeF(b.nip, xmlOf(samples.GenerateReceived(b.sampleOptions(), 2)[0].XML))[0]
	require.NoError(t, b.update(flow.ReceiveID(first), flow.UpdatePollNow))
	b.eventually("the first one goes on", func() bool { return len(b.received(received.KSeFNumber)) == 1 })
	require.True(t, b.running(flow.ReceiveID(second)))
}
