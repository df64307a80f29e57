// Package integration proves the whole product: real workflows and activities
// on a real Temporal dev server, against both simulators over HTTP.
package integration

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/youmark/pkcs8"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/worker"

	"teamogy-ksef/activities"
	"teamogy-ksef/internal/archive"
	"teamogy-ksef/internal/connection"
	"teamogy-ksef/internal/devserver"
	"teamogy-ksef/internal/flow"
	"teamogy-ksef/internal/sessionkey"
	"teamogy-ksef/internal/simulator/ksefsim"
	"teamogy-ksef/internal/simulator/samples"
	"teamogy-ksef/internal/simulator/teamogysim"
	"teamogy-ksef/workflows"
)

// deadline is how long a test waits for anything to come about.
const deadline = 90 * time.Second

// pollEvery is how often it looks.
const pollEvery = 50 * time.Millisecond

// timeScale makes an hour under production limits a minute.
const timeScale = 60

var (
	server    *testsuite.DevServer
	serverCLI string
)

func TestMain(m *testing.M) { os.Exit(runMain(m)) }

func runMain(m *testing.M) int {
	cli, err := devserver.FindCLI(filepath.Join("..", ".."))
	if err != nil {
		if os.Getenv("CI") != "" {
			fmt.Fprintln(os.Stderr, "integration tests need the Temporal CLI:", err)
			return 1
		}
		return m.Run() // the tests skip
	}
	serverCLI = cli
	arguments := []string{}
	for _, name := range flow.SearchAttributes {
		arguments = append(arguments, "--search-attribute", name+"=Keyword")
	}
	if n := suggestAt(); n != "" {
		arguments = append(arguments, "--dynamic-config-value", "limit.historyCount.suggestContinueAsNew="+n)
	}
	server, err = testsuite.StartDevServer(context.Background(), testsuite.DevServerOptions{
		ExistingPath: cli, LogLevel: "error", ExtraArgs: arguments,
		ClientOptions: &client.Options{Logger: log.NewStructuredLogger(slog.New(slog.DiscardHandler))},
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, "start the Temporal dev server:", err)
		return 1
	}
	defer func() {
		_ = server.Stop()
		_ = os.RemoveAll(workerDir)
	}()
	return m.Run()
}

// suggestAt is after how many events the server suggests to continue as new,
// from SUGGEST_CONTINUE_AS_NEW; empty: after Temporal's own number.
func suggestAt() string { return os.Getenv("SUGGEST_CONTINUE_AS_NEW") }

// bed is one connection with all that belongs to it: simulators, archive,
// settings, and a worker on a task queue of its own.
type bed struct {
	testing.TB
	client     client.Client
	namespace  string // empty: the default one
	queue      string
	connection string
	nip        string
	dir        string
	archive    *archive.Archive
	archiveURL string
	temporal   string // host and port of its Temporal server
	options    bedOptions
	files      string // begins the names of the connection's files
	secret     sessionkey.Secret
	now        func() time.Time
	logs       *lockedBuffer

	ksefURL, teamogyURL string
	apiKey, keyPassword string
	key                 *ecdsa.PrivateKey
	wantTooMany         bool // the test asks for answers 429
}

type bedOptions struct {
	ksef        ksefsim.Config
	teamogy     teamogysim.Config
	wrapKSeF    func(http.Handler) http.Handler
	wrapTeamogy func(http.Handler) http.Handler
	settings    map[string]string
	noWorker    bool
	interceptor interceptor.WorkerInterceptor
	connection  string // a name of its own unless given
	queue       string // likewise
	// temporal gives a server of the test's own; nil: the one that all share.
	temporal func(testing.TB) *ownServer
	// store wraps what the worker keeps its archive in; the test reads past it.
	store func(archive.Store) archive.Store
	now   func() time.Time // the worker's clock; nil: time.Now
	// dated moves the days of the sample invoices; 0: up to today.
	dated time.Duration
}

var beds atomic.Int64

func newBed(t testing.TB, change ...func(*bedOptions)) *bed {
	t.Helper()
	if server == nil {
		t.Skip("no Temporal CLI: run `make tools`, or put one on PATH")
	}
	if parallel, is := t.(*testing.T); is && !strings.HasPrefix(t.Name(), "TestReliability/") { // which are so already
		parallel.Parallel() // a bed shares nothing with another one but the server, and mostly waits
	}
	o := bedOptions{
		ksef:    ksefsim.Config{TimeScale: timeScale, Control: true},
		teamogy: teamogysim.DefaultConfig(),
	}
	o.teamogy.TimeScale = timeScale
	o.settings = map[string]string{}
	for _, c := range change {
		c(&o)
	}
	n := beds.Add(1)
	b := &bed{
		TB: t, client: server.Client(), dir: t.TempDir(), logs: &lockedBuffer{},
		connection: fmt.Sprintf("bed%d", n), queue: fmt.Sprintf("bed%d", n), nip: samples.NIP(1000 + int(n)),
		apiKey: "api-key-" + random(), keyPassword: "password-" + random(),
		temporal: server.FrontendHostPort(), options: o,
	}
	if o.temporal != nil {
		own := o.temporal(t)
		b.client, b.temporal = own.client, own.address
	}
	o.teamogy.APIKey = b.apiKey
	if b.now = o.now; b.now == nil {
		b.now = time.Now
	}
	if o.connection != "" {
		b.connection = o.connection
	}
	if o.queue != "" {
		b.queue = o.queue
	}

	ksef, err := ksefsim.New(o.ksef)
	require.NoError(t, err)
	b.ksefURL = b.serve(ksef.Handler(), o.wrapKSeF)
	b.teamogyURL = b.serve(teamogysim.New(o.teamogy).Handler(), o.wrapTeamogy)
	b.writeConnection(o.settings)

	b.archiveURL, err = archive.FileURL(filepath.Join(b.dir, "archive"))
	require.NoError(t, err)
	b.archive, err = archive.Open(t.Context(), b.archiveURL)
	require.NoError(t, err)
	b.secret, err = sessionkey.LoadOrCreateSecret(b.secretFile())
	require.NoError(t, err)
	if !o.noWorker {
		b.startWorker(o.interceptor)
	}
	t.Cleanup(b.finish)
	return b
}

func (b *bed) serve(h http.Handler, wrap func(http.Handler) http.Handler) string {
	if wrap != nil {
		h = wrap(h)
	}
	s := httptest.NewServer(h)
	b.Cleanup(s.Close)
	return s.URL
}

// startWorker starts a worker that runs until the test's end, or until it is
// stopped.
func (b *bed) startWorker(more interceptor.WorkerInterceptor) (stop func()) {
	interceptors := []interceptor.WorkerInterceptor{&activities.Shares{}, &activities.Heartbeats{}}
	if more != nil {
		interceptors = append(interceptors, more)
	}
	logger := slog.New(slog.NewTextHandler(b.logs, &slog.HandlerOptions{Level: slog.LevelDebug}))
	c, err := client.Dial(client.Options{HostPort: b.temporal, Namespace: b.namespace, Logger: log.NewStructuredLogger(logger)})
	require.NoError(b, err)
	w := worker.New(c, b.queue, worker.Options{
		WorkflowTaskPollerBehavior:   worker.NewPollerBehaviorAutoscaling(worker.PollerBehaviorAutoscalingOptions{}),
		Interceptors:                 interceptors,
		WorkerStopTimeout:            time.Second,
		MaxHeartbeatThrottleInterval: 5 * time.Second,
	})
	workflows.Register(w)
	now, kept := b.now, b.archive
	if b.options.store != nil {
		store, err := archive.OpenStore(b.Context(), b.archiveURL)
		require.NoError(b, err)
		kept = archive.New(b.options.store(store))
	}
	store := connection.NewStore(b.connectionsDir(), logger, activities.CheckSettings(now))
	activities.Register(w, activities.Dependencies{
		Connections: activities.NewClients(store, kept, now, logger),
		Archive:     kept, Secret: b.secret, Now: now, Logger: logger,
	})
	require.NoError(b, w.Start())
	stop = sync.OnceFunc(func() {
		w.Stop()
		c.Close()
	})
	b.Cleanup(stop)
	return stop
}

// finish looks at what every test must leave behind.
func (b *bed) finish() {
	if b.Failed() {
		b.Logf("worker log (end):\n%s", b.logs.end(6000))
	}
	if !b.wantTooMany && !b.Failed() {
		require.Zero(b, b.tooMany(b.ksefURL), "KSeF answered 429")
		require.Zero(b, b.tooMany(b.teamogyURL), "Teamogy answered 429")
	}
	for _, id := range []string{flow.ReceiveID(b.connection), flow.SendID(b.connection), flow.TransmitID(b.connection)} {
		_ = b.client.TerminateWorkflow(context.Background(), id, "", "the test is over")
	}
}

func (b *bed) secretFile() string { return filepath.Join(b.dir, "session.secret") }

func (b *bed) connectionsDir() string { return filepath.Join(b.dir, "connections") }

func (b *bed) writeConnection(more map[string]string) {
	var err error
	b.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(b, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()),
		Subject: pkix.Name{
			Country: []string{"PL"}, Organization: []string{"Próba Sp. z o.o."}, CommonName: "Próba Sp. z o.o.",
			ExtraNames: []pkix.AttributeTypeAndValue{{Type: asn1.ObjectIdentifier{2, 5, 4, 97}, Value: "VATPL-" + b.nip}},
		},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(2, 0, 0), KeyUsage: x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, b.key.Public(), b.key)
	require.NoError(b, err)
	sealed, err := pkcs8.MarshalPrivateKey(b.key, []byte(b.keyPassword), pkcs8.DefaultOpts)
	require.NoError(b, err)
	dir := b.connectionsDir()
	require.NoError(b, os.MkdirAll(dir, 0o700))
	for name, content := range map[string][]byte{
		"cert.pem": pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		"key.pem":  pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: sealed}),
		"password": []byte(b.keyPassword), "apikey": []byte(b.apiKey),
	} {
		require.NoError(b, os.WriteFile(filepath.Join(dir, b.files+name), content, 0o600))
	}
	b.writeSettings(more)
}

// writeSettings writes the connection's file; it is read again by itself.
func (b *bed) writeSettings(more map[string]string) {
	settings := map[string]string{
		"NIP": b.nip, "KSEF_ENVIRONMENT": "test", "KSEF_URL": b.ksefURL + "/v2",
		"KSEF_CERTIFICATE_FILE": b.files + "cert.pem", "KSEF_PRIVATE_KEY_FILE": b.files + "key.pem", "KSEF_PRIVATE_KEY_PASSWORD_FILE": b.files + "password",
		"TEAMOGY_URL": b.teamogyURL, "TEAMOGY_UNIT": "1", "TEAMOGY_API_KEY_FILE": b.files + "apikey",
		"RECEIVE": "on", "RECEIVE_INTERVAL": "15m", "RECEIVE_FROM": time.Now().AddDate(0, 0, -20).Format(time.DateOnly),
		"RECEIVE_OWNER": "2", "SEND": "on", "SEND_INTERVAL": "5m",
		"SEND_READY_STATUS": "READY.FOR.KSEF", "SEND_SENT_STATUS": "SENT.TO.KSEF", "SEND_REJECTED_STATUS": "REJECTED.BY.KSEF",
		"TIME_SCALE": fmt.Sprint(timeScale),
	}
	for k, v := range more {
		settings[k] = v
	}
	var file strings.Builder
	for k, v := range settings {
		fmt.Fprintf(&file, "%s=%s\n", k, v)
	}
	require.NoError(b, os.WriteFile(filepath.Join(b.connectionsDir(), b.connection+".env"), []byte(file.String()), 0o600))
}

func (b *bed) sampleOptions() samples.Options {
	warsaw, err := time.LoadLocation("Europe/Warsaw")
	require.NoError(b, err)
	return samples.Options{Seed: 1, OurNIP: b.nip, OurName: "Próba Sp. z o.o.", Today: time.Now().Add(b.options.dated).In(warsaw)}
}

// ---- Temporal ----

func (b *bed) start(workflowType, id string, input any) client.WorkflowRun {
	b.Helper()
	run, err := b.client.ExecuteWorkflow(context.Background(), client.StartWorkflowOptions{ID: id, TaskQueue: b.queue}, workflowType, input)
	require.NoError(b, err)
	return run
}

// within gives a context that ends with the test's patience.
func (b *bed) within() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	b.Cleanup(cancel)
	return ctx
}

// importOne starts an ImportInvoice by hand and waits for its end.
func (b *bed) importOne(ksefNumber string) (flow.ImportResult, error) {
	b.Helper()
	run := b.start(flow.ImportInvoice, flow.ImportID(b.connection, ksefNumber), flow.ImportInput{Connection: b.connection, KSeFNumber: ksefNumber})
	var result flow.ImportResult
	err := run.Get(b.within(), &result)
	return result, err
}

func (b *bed) startSend(documentID int64) client.WorkflowRun {
	b.Helper()
	return b.start(flow.SendInvoice, flow.SendInvoiceID(b.connection, documentID), flow.SendInvoiceInput{Connection: b.connection, DocumentID: documentID})
}

// sendOne starts a SendInvoice by hand and waits for its end.
func (b *bed) sendOne(documentID int64) (flow.SendResult, error) {
	b.Helper()
	var result flow.SendResult
	err := b.startSend(documentID).Get(b.within(), &result)
	return result, err
}

// eventually waits for a condition, looking again and again until the
// deadline.
func (b *bed) eventually(what string, condition func() bool) {
	b.Helper()
	timeout, look := time.After(deadline), time.NewTicker(pollEvery)
	defer look.Stop()
	for !condition() {
		select {
		case <-timeout:
			require.FailNow(b, "it did not come about: "+what)
		case <-look.C:
		}
	}
}

// query asks a workflow for its status. A query that overtakes a workflow task
// may be refused by the SDK with TMPRL1100, which has nothing to do with the
// workflow (temporalio/sdk-go issue 755): it is asked again.
func (b *bed) query(id string, status any) {
	b.Helper()
	b.eventually(id+" answers", func() bool {
		value, err := b.client.QueryWorkflow(b.within(), id, "", flow.QueryStatus)
		var refused *serviceerror.QueryFailed
		if errors.As(err, &refused) && strings.Contains(err.Error(), "TMPRL1100") {
			b.Logf("asked again: %v", err)
			return false
		}
		require.NoError(b, err)
		require.NoError(b, value.Get(status))
		return true
	})
}

// ---- small things ----

func random() string {
	raw := make([]byte, 12)
	_, _ = rand.Read(raw)
	return hex.EncodeToString(raw)
}

// lockedBuffer collects the worker's log.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (l *lockedBuffer) end(n int) string {
	s := l.String()
	return s[max(0, len(s)-n):]
}
