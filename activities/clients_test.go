package activities

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"fmt"
	"log/slog"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/testsuite"

	"teamogy-ksef/internal/archive"
	"teamogy-ksef/internal/connection"
	"teamogy-ksef/internal/flow"
)

const someNIP = "5265877635"

func activityEnvironment(t *testing.T) *testsuite.TestActivityEnvironment {
	t.Helper()
	var suite testsuite.WorkflowTestSuite
	suite.SetLogger(log.NewStructuredLogger(slog.New(slog.DiscardHandler)))
	return suite.NewTestActivityEnvironment()
}

// files is a CONNECTIONS_DIR with real certificates.
type files struct {
	*testing.T
	dir string
}

func newFiles(t *testing.T) *files {
	t.Helper()
	f := &files{t, t.TempDir()}
	f.write("apikey", "the-api-key")
	f.certificate(nil)
	return f
}

func (f *files) write(name, content string) {
	f.Helper()
	require.NoError(f, os.WriteFile(filepath.Join(f.dir, name), []byte(content), 0o600))
}

// certificate puts a new certificate with its key in place.
func (f *files) certificate(change func(*x509.Certificate)) {
	f.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(f, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()),
		Subject: pkix.Name{CommonName: "A company", ExtraNames: []pkix.AttributeTypeAndValue{
			{Type: asn1.ObjectIdentifier{2, 5, 4, 97}, Value: "VATPL-" + someNIP},
		}},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(1, 0, 0), KeyUsage: x509.KeyUsageDigitalSignature,
	}
	if change != nil {
		change(template)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(f, err)
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(f, err)
	f.write("key.pem", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw})))
	f.write("cert.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
}

// connect writes a connection's file.
func (f *files) connect(name string, change map[string]string) {
	f.Helper()
	settings := map[string]string{
		"NIP": someNIP, "KSEF_ENVIRONMENT": "test", "KSEF_CERTIFICATE_FILE": "cert.pem", "KSEF_PRIVATE_KEY_FILE": "key.pem",
		"TEAMOGY_URL": "https://acme.teamogy.com", "TEAMOGY_UNIT": "1", "TEAMOGY_API_KEY_FILE": "apikey",
		"RECEIVE": "on", "RECEIVE_FROM": "2026-02-01", "RECEIVE_OWNER": "7",
		"SEND": "on", "SEND_READY_STATUS": "READY", "SEND_SENT_STATUS": "SENT", "SEND_REJECTED_STATUS": "REJECTED",
	}
	maps.Copy(settings, change)
	var text bytes.Buffer
	for k, v := range settings {
		if v != "" {
			fmt.Fprintf(&text, "%s=%s\n", k, v)
		}
	}
	f.write(name+".env", text.String())
}

// clients are those of a worker.
func (f *files) clients(a *archive.Archive, logs *lockedLog) *Clients {
	f.Helper()
	logger := slog.New(slog.NewTextHandler(logs, nil))
	return NewClients(connection.NewStore(f.dir, logger, CheckSettings(time.Now)), a, time.Now, logger)
}

func memoryArchive(t *testing.T) *archive.Archive {
	t.Helper()
	a, err := archive.Open(t.Context(), "mem://")
	require.NoError(t, err)
	return a
}

// changedConnection is the connection acme with a fingerprint.
func changedConnection(t *testing.T) *connection.Connection {
	t.Helper()
	f := newFiles(t)
	f.connect("acme", nil)
	c, err := connection.NewStore(f.dir, slog.New(slog.DiscardHandler)).Get("acme")
	require.NoError(t, err)
	return c
}

// counting is a server that must not be asked.
func counting(t *testing.T) (url string, requests *atomic.Int64) {
	t.Helper()
	requests = &atomic.Int64{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		requests.Add(1)
		w.WriteHeader(http.StatusTeapot)
	}))
	t.Cleanup(server.Close)
	return server.URL, requests
}

// Every way of pointing a connection elsewhere is refused before any request,
// in every worker, and undoing it is enough.
func TestEdgeL_flippedEnvironmentIsRefusedBeforeAnyRequest(t *testing.T) {
	url, requests := counting(t)
	for name, c := range map[string]struct{ from, to map[string]string }{
		"demo to production": {map[string]string{"KSEF_ENVIRONMENT": "demo"}, map[string]string{"KSEF_ENVIRONMENT": "production"}},
		"production to demo": {map[string]string{"KSEF_ENVIRONMENT": "production"}, map[string]string{"KSEF_ENVIRONMENT": "demo"}},
		"demo to production, on this machine": {
			map[string]string{"KSEF_ENVIRONMENT": "demo", "KSEF_URL": url + "/v2"}, map[string]string{"KSEF_ENVIRONMENT": "production", "KSEF_URL": url + "/v2"},
		},
		"test to demo, on this machine": {
			map[string]string{"KSEF_URL": url + "/v2"}, map[string]string{"KSEF_ENVIRONMENT": "demo", "KSEF_URL": url + "/v2"},
		},
		"another company": {nil, map[string]string{"NIP": "1111111111"}},
		"another unit":    {nil, map[string]string{"TEAMOGY_UNIT": "2"}},
		"another Teamogy": {nil, map[string]string{"TEAMOGY_URL": "https://beta.teamogy.com"}},
	} {
		t.Run(name, func(t *testing.T) {
			before := requests.Load()
			f, a, logs := newFiles(t), memoryArchive(t), &lockedLog{}
			f.connect("acme", c.from)
			running := f.clients(a, logs)
			client, _, err := running.KSeF(t.Context(), "acme")
			require.NoError(t, err)
			gates := NewGates(a, time.Now, slog.New(slog.NewTextHandler(logs, nil)))
			inUse, settings, err := (&gatedConnections{running, gates}).KSeF(t.Context(), "acme")
			require.NoError(t, err)

			f.connect("acme", c.to)
			for _, worker := range []*Clients{running, f.clients(a, logs)} {
				for _, get := range []func() error{
					func() error { _, _, err := worker.KSeF(t.Context(), "acme"); return err },
					func() error { _, _, err := worker.Teamogy(t.Context(), "acme"); return err },
					func() error { _, err := worker.TryLogin(t.Context(), "acme"); return err },
				} {
					err := get()
					require.Equal(t, flow.ErrBindingChanged, classify(err).Type)
					require.ErrorContains(t, err, "acme joins something else")
				}
			}
			// Nor by an activity that has begun before.
			_, err = inUse.Login(t.Context())
			require.Equal(t, flow.ErrBindingChanged, classify(err).Type)
			require.Equal(t, before, requests.Load(), "it was asked")
			require.Zero(t, logs.count(alertLine))

			f.connect("acme", c.from)
			again, back, err := running.KSeF(t.Context(), "acme")
			require.NoError(t, err)
			require.Same(t, client, again, "what was remembered of the quota is lost")
			require.Equal(t, settings.NIP, back.NIP)
		})
	}
}

// The second connection that wants to receive for the same company is refused
// by the name of the first one, which goes on.
func TestEdgeG_secondReceiverOfTheSameNIPIsRefusedByName(t *testing.T) {
	url, requests := counting(t)
	f, a, logs := newFiles(t), memoryArchive(t), &lockedLog{}
	f.connect("acme", map[string]string{"KSEF_URL": url + "/v2"})
	f.connect("beta", map[string]string{"KSEF_URL": url + "/v2"})
	k := &KSeF{base{Dependencies{Connections: f.clients(a, logs), Archive: a, Now: time.Now, Logger: slog.New(slog.NewTextHandler(logs, nil))}}}
	require.NoError(t, a.ClaimReceiver(t.Context(), "test", someNIP, "acme"))

	_, err := ran(t, k.Authenticate, flow.ConnectionInput{Connection: "beta"})
	require.Equal(t, flow.ErrReceiverTaken, typeOfFailure(t, err))
	require.ErrorContains(t, err, "the connection acme already receives")
	require.Zero(t, requests.Load(), "KSeF was asked for a connection that may not receive")

	f.connect("beta", map[string]string{"KSEF_URL": url + "/v2", "RECEIVE": "off", "RECEIVE_FROM": "", "RECEIVE_OWNER": ""})
	out, err := ran(t, k.Authenticate, flow.ConnectionInput{Connection: "beta"})
	require.NoError(t, err, "it may send")
	require.Equal(t, connection.ReceiveOff, out.Settings.Receive)
	require.NoError(t, a.ClaimReceiver(t.Context(), "test", someNIP, "acme"), "the first one has lost its place")
}

// A file that is taken away ends the calls of activities that have begun, too.
func TestEdgeK_aRemovedFileEndsCallsUnderWay(t *testing.T) {
	url, requests := counting(t)
	f, a, logs := newFiles(t), memoryArchive(t), &lockedLog{}
	f.connect("acme", map[string]string{"KSEF_URL": url + "/v2", "TEAMOGY_URL": url})
	connections := &gatedConnections{f.clients(a, logs), NewGates(a, time.Now, slog.New(slog.NewTextHandler(logs, nil)))}
	ofKSeF, _, err := connections.KSeF(t.Context(), "acme")
	require.NoError(t, err)
	ofTeamogy, _, err := connections.Teamogy(t.Context(), "acme")
	require.NoError(t, err)
	require.NoError(t, os.Rename(filepath.Join(f.dir, "acme.env"), filepath.Join(f.dir, "acme.env.away")))
	calls := []func(context.Context) error{
		func(ctx context.Context) error { _, err := ofKSeF.Login(ctx); return err },
		func(ctx context.Context) error { _, err := ofKSeF.SessionStatus(ctx, "session"); return err },
		func(ctx context.Context) error { _, _, err := ofTeamogy.ReadInvoiceXML(ctx, 17); return err },
	}
	for _, call := range calls {
		require.Equal(t, flow.ErrConnectionUnknown, classify(call(t.Context())).Type)
	}
	require.Zero(t, requests.Load())
	require.NoError(t, os.Rename(filepath.Join(f.dir, "acme.env.away"), filepath.Join(f.dir, "acme.env")))
	for _, call := range calls {
		require.NotEqual(t, flow.ErrConnectionUnknown, classify(call(t.Context())).Type)
	}
	require.Positive(t, requests.Load())
}
