package activities

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"

	"teamogy-ksef/internal/archive"
	"teamogy-ksef/internal/connection"
	"teamogy-ksef/internal/flow"
	"teamogy-ksef/internal/ksef"
	"teamogy-ksef/internal/sessionkey"
)

var someDay = time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)

// fakeKSeF is a KSeF whose sessions a test scripts. What it does not script,
// it must not need.
type fakeKSeF struct {
	KSeFClient // nil: a call that is not overridden below fails the test

	mu       sync.Mutex
	send     func(n int, xml string) (string, error) // the n-th POST, from 0
	posts    []string                                // the XML of each POST
	lists    map[string][]ksef.InvoiceStatus
	listErr  map[string]error
	asked    map[string]int // how often each list was asked
	status   map[string]ksef.SessionStatus
	closed   []string
	closeErr error
	metadata func(ksef.MetadataQuery) (ksef.MetadataPage, error)
	download map[string]string // XML by KSeF number
	forgot   int               // the public keys
	states   int               // requests for a session's status
	onState  func(n int, session string) (ksef.SessionStatus, error)
	onList   func(n int, session string) []ksef.InvoiceStatus
	queries  int // metadata queries

	batches  []ksef.BatchFile // opened batch sessions: "batch-1" and so on
	offline  []bool
	openErr  func(n int) error // of the n-th open, from 0
	onUpload func(n int, session string) error
	uploads  int
	parts    map[string]int // parts that arrived, by session
	closedB  []string       // batch sessions
	closeB   func(n int) error
}

func (f *fakeKSeF) OpenBatchSession(_ context.Context, _ ksef.FormCode, _ ksef.SymmetricKey, file ksef.BatchFile, offline bool) (ksef.OpenedBatch, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := len(f.batches)
	f.batches, f.offline = append(f.batches, file), append(f.offline, offline)
	if f.openErr != nil {
		if err := f.openErr(n); err != nil {
			return ksef.OpenedBatch{}, err
		}
	}
	opened := ksef.OpenedBatch{Reference: fmt.Sprintf("batch-%d", n+1)}
	for i := range file.Parts {
		opened.Uploads = append(opened.Uploads, ksef.UploadRequest{Ordinal: i + 1, URL: ksef.SecretURL("https://storage/" + opened.Reference)})
	}
	return opened, nil
}

func (f *fakeKSeF) UploadPart(_ context.Context, to ksef.UploadRequest, encrypted io.Reader, size int64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	n, err := io.Copy(io.Discard, encrypted)
	if err != nil || n != size {
		return fmt.Errorf("%d of %d bytes: %w", n, size, err)
	}
	f.uploads++
	session := strings.TrimPrefix(to.URL.Reveal(), "https://storage/")
	if f.onUpload != nil {
		if err := f.onUpload(f.uploads-1, session); err != nil {
			return err
		}
	}
	if f.parts == nil {
		f.parts = map[string]int{}
	}
	f.parts[session]++
	return nil
}

func (f *fakeKSeF) CloseBatchSession(_ context.Context, session string) error {
	f.closedB = append(f.closedB, session)
	if f.closeB != nil {
		return f.closeB(len(f.closedB) - 1)
	}
	return nil
}

func (f *fakeKSeF) ForgetPublicKeys() { f.forgot++ }

func (f *fakeKSeF) SendInvoice(_ context.Context, _ string, _ ksef.SymmetricKey, i ksef.InvoiceToSend) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := len(f.posts)
	f.posts = append(f.posts, string(i.XML))
	if f.send == nil {
		return fmt.Sprintf("invoice-%d", n), nil
	}
	return f.send(n, string(i.XML))
}

func (f *fakeKSeF) SessionInvoices(_ context.Context, session string) ([]ksef.InvoiceStatus, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.asked == nil {
		f.asked = map[string]int{}
	}
	f.asked[session]++
	if f.onList != nil {
		return f.onList(f.asked[session]-1, session), f.listErr[session]
	}
	return f.lists[session], f.listErr[session]
}

func (f *fakeKSeF) SessionStatus(_ context.Context, session string) (ksef.SessionStatus, error) {
	f.states++
	if f.onState != nil {
		return f.onState(f.states-1, session)
	}
	return f.status[session], nil
}

func (f *fakeKSeF) CloseOnlineSession(_ context.Context, session string) error {
	f.closed = append(f.closed, session)
	return f.closeErr
}

func (f *fakeKSeF) QueryMetadata(_ context.Context, q ksef.MetadataQuery) (ksef.MetadataPage, error) {
	f.queries++
	return f.metadata(q)
}

func (f *fakeKSeF) DownloadInvoice(_ context.Context, number, _ string) ([]byte, error) {
	if xml, there := f.download[number]; there {
		return []byte(xml), nil
	}
	return nil, &ksef.Error{Operation: "download", Kind: ksef.KindNotYet, Codes: []ksef.Code{{Code: ksef.CodeInvoiceNotYet}}}
}

// movableClock is a clock that moves only when somebody waits.
type movableClock struct {
	now    time.Time
	pauses []time.Duration
}

// stopClock gives activities a clock that moves only when they wait.
func stopClock(b *base) *movableClock {
	c := &movableClock{now: someDay}
	b.Now = func() time.Time { return c.now }
	b.wait = func(_ context.Context, d time.Duration) error {
		c.pauses = append(c.pauses, d)
		c.now = c.now.Add(d)
		return nil
	}
	return c
}

// fakeConnections is one connection with fakes behind it.
type fakeConnections struct {
	settings *connection.Connection
	ksef     KSeFClient
	teamogy  TeamogyClient
}

func (f *fakeConnections) Settings(context.Context, string) (*connection.Connection, error) {
	return f.settings, nil
}

func (f *fakeConnections) KSeF(context.Context, string) (KSeFClient, *connection.Connection, error) {
	return f.ksef, f.settings, nil
}

func (f *fakeConnections) Teamogy(context.Context, string) (TeamogyClient, *connection.Connection, error) {
	return f.teamogy, f.settings, nil
}

// testBase is what activities share, on a fresh archive in memory. Waits are a
// thousandth.
func testBase(t *testing.T, client KSeFClient) base {
	t.Helper()
	a, err := archive.Open(t.Context(), "mem://")
	require.NoError(t, err)
	secret, err := sessionkey.LoadOrCreateSecret(t.TempDir() + "/secret")
	require.NoError(t, err)
	return base{Dependencies{
		Connections: &fakeConnections{settings: &connection.Connection{Name: "acme", NIP: "5265877635", TimeScale: 1000}, ksef: client},
		Archive:     a, Secret: secret, Now: func() time.Time { return someDay }, Logger: slog.New(slog.DiscardHandler),
	}}
}

// ran runs an activity as Temporal does and decodes its result.
func ran[A, R any](t *testing.T, activity func(context.Context, A) (R, error), argument A) (R, error) {
	t.Helper()
	var suite testsuite.WorkflowTestSuite
	suite.SetLogger(log.NewStructuredLogger(slog.New(slog.DiscardHandler)))
	env := suite.NewTestActivityEnvironment()
	env.RegisterActivity(activity)
	var result R
	value, err := env.ExecuteActivity(activity, argument)
	if err == nil {
		require.NoError(t, value.Get(&result))
	}
	return result, err
}

func typeOfFailure(t *testing.T, err error) string {
	t.Helper()
	var failure *temporal.ApplicationError
	require.ErrorAs(t, err, &failure)
	return failure.Type()
}

// sent makes a session's plan of contents: one document each, from 1 on.
func sent(t *testing.T, b base, contents ...string) (plan flow.ListRef, items []planItem) {
	t.Helper()
	for i, xml := range contents {
		ref, err := b.Archive.PutDocument(t.Context(), []byte(xml))
		require.NoError(t, err)
		items = append(items, planItem{HandOver: flow.HandOver{
			WorkflowID: fmt.Sprintf("acme/send/%d", i+1), RunID: "run1", ActivityID: "17", DocumentID: int64(i + 1), SHA256: ref.SHA256, Form: "FA (3) 1-0E",
		}})
	}
	list, err := b.Archive.PutList(t.Context(), items, len(items))
	require.NoError(t, err)
	return flow.ListRef(list), items
}

// listed is a session's list entry of an XML.
func listed(xml string, code int) ksef.InvoiceStatus {
	status := ksef.InvoiceStatus{
		Reference: fmt.Sprintf("reference of %s at %d", xml, code), InvoiceHash: base64Hash(xml), Code: code, Description: "a description",
	}
	if code == ksef.StatusDone {
		status.KSeFNumber = "number of " + xml
	}
	return status
}

func base64Hash(xml string) string {
	raw, _ := hex.DecodeString(hashHex([]byte(xml)))
	return base64.StdEncoding.EncodeToString(raw)
}
