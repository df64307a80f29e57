package integration

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	common "go.temporal.io/api/common/v1"
	querypb "go.temporal.io/api/query/v1"
	"go.temporal.io/api/workflowservice/v1"

	"teamogy-ksef/internal/flow"
	"teamogy-ksef/internal/ksef"
	"teamogy-ksef/internal/simulator/samples"
)

// The kinds of secrets that a run has.
const (
	kindKey          = "private key"
	kindPassword     = "password of the private key"
	kindAPIKey       = "API key"
	kindAccess       = "access token"
	kindRefresh      = "refresh token"
	kindLogin        = "authentication token"
	kindLink         = "UPO link"
	kindAES          = "AES key"
	kindDeployment   = "session secret"
	kindWrongInputs  = "secret in a mistaken setting"
	pauseReason      = "control text of the pause"
	wrongPassword    = "mistyped-password-7d1c55"
	misplacedAPIKey  = "misplaced-api-key-0b9e61"
	misplacedKeyPass = "misplaced-password-52aa07"
)

var kinds = []string{kindKey, kindPassword, kindAPIKey, kindAccess, kindRefresh, kindLogin, kindLink, kindAES, kindDeployment, kindWrongInputs}

// tapped overhears the KSeF simulator: the tokens and links that it gives out,
// and the encrypted invoices that it gets. It can also misbehave as real
// services do: repeat a secret in an error.
type tapped struct {
	mu       sync.Mutex
	secrets  map[string][]string
	uploads  [][]byte
	storage  int
	echoes   int
	wantEcho bool
}

func (c *tapped) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/_sim/") {
			next.ServeHTTP(w, r)
			return
		}
		if strings.HasPrefix(r.URL.Path, "/storage/") && c.brokenStorage(w, r) || c.echo(w, r) {
			return
		}
		if r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/invoices") {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				panic(http.ErrAbortHandler)
			}
			r.Body = io.NopCloser(bytes.NewReader(body))
			c.upload(body)
		}
		heard := &hearing{ResponseWriter: w}
		defer func() { c.answer(heard.body.Bytes()) }()
		next.ServeHTTP(heard, r)
	})
}

// brokenStorage answers the first link with an error that repeats the link, as
// Azure's storage does, and cuts the second one off.
func (c *tapped) brokenStorage(w http.ResponseWriter, r *http.Request) bool {
	c.mu.Lock()
	c.storage++
	n := c.storage
	c.mu.Unlock()
	switch n {
	case 1:
		w.Header().Set("Content-Type", "application/xml")
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprintf(w, "<Error><Code>AuthenticationFailed</Code><AuthenticationErrorDetail>Signature did not match: %s</AuthenticationErrorDetail></Error>", r.URL)
		return true
	case 2:
		panic(http.ErrAbortHandler)
	}
	return false
}

// echo repeats the token of one download in an error of KSeF's own form.
func (c *tapped) echo(w http.ResponseWriter, r *http.Request) bool {
	if !strings.Contains(r.URL.Path, "/invoices/ksef/") {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.wantEcho || c.echoes > 0 {
		return false
	}
	c.echoes++
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(http.StatusInternalServerError)
	_ = json.NewEncoder(w).Encode(map[string]any{"title": "Internal Server Error", "status": 500, "detail": "request was: " + r.Header.Get("Authorization")})
	return true
}

func (c *tapped) upload(body []byte) {
	var sent struct {
		Content []byte `json:"encryptedInvoiceContent"`
	}
	if json.Unmarshal(body, &sent) == nil && len(sent.Content) > 0 {
		c.mu.Lock()
		c.uploads = append(c.uploads, sent.Content)
		c.mu.Unlock()
	}
}

func (c *tapped) answer(body []byte) {
	var document any
	if json.Unmarshal(body, &document) != nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	eachField(document, func(name string, value any) {
		switch name {
		case "accessToken", "refreshToken", "authenticationToken":
			kind := map[string]string{"accessToken": kindAccess, "refreshToken": kindRefresh, "authenticationToken": kindLogin}[name]
			if t, is := value.(map[string]any); is {
				c.secrets[kind] = append(c.secrets[kind], t["token"].(string))
			}
		case "upoDownloadUrl", "downloadUrl":
			if link, is := value.(string); is {
				c.secrets[kindLink] = append(c.secrets[kindLink], link)
			}
		}
	})
}

// eachField visits every field of every object in a JSON document.
func eachField(document any, visit func(name string, value any)) {
	switch d := document.(type) {
	case map[string]any:
		for name, value := range d {
			visit(name, value)
			eachField(value, visit)
		}
	case []any:
		for _, value := range d {
			eachField(value, visit)
		}
	}
}

type hearing struct {
	http.ResponseWriter
	body bytes.Buffer
}

func (h *hearing) Write(p []byte) (int, error) {
	h.body.Write(p)
	return h.ResponseWriter.Write(p)
}

// ---- what is secret ----

func keySecrets(t *testing.T, key *ecdsa.PrivateKey, sealedPEM []byte) []secret {
	t.Helper()
	scalar, err := key.Bytes()
	require.NoError(t, err)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	sealed, _ := pem.Decode(sealedPEM)
	require.NotNil(t, sealed)
	secrets := []secret{
		{kindKey, "scalar", scalar}, {kindKey, "PKCS#8", der}, {kindKey, "file", sealed.Bytes},
		{kindKey, "decimal scalar", fmt.Append(nil, key.D)}, //nolint:staticcheck // how fmt would show it
	}
	for name, file := range map[string][]byte{"plain PEM": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), "PEM of the file": sealedPEM} {
		for i, line := range strings.Split(string(file), "\n") {
			if len(line) >= 24 && !strings.HasPrefix(line, "-----") {
				secrets = append(secrets, secret{kindKey, fmt.Sprintf("%s, line %d", name, i), []byte(line)})
			}
		}
	}
	return secrets
}

// tokenSecrets are a token and those parts of it that are nobody else's.
func tokenSecrets(kind, token string) []secret {
	parts := strings.Split(token, ".")
	return []secret{
		{kind, "whole", []byte(token)}, {kind, "signature", []byte(parts[len(parts)-1])}, {kind, "claims", []byte(parts[len(parts)-2])},
	}
}

// linkSecrets are a link and the part that opens what is behind it.
func linkSecrets(t *testing.T, link string) []secret {
	t.Helper()
	u, err := url.Parse(link)
	require.NoError(t, err)
	require.NotEmpty(t, u.Query().Get("sig"))
	return []secret{{kindLink, "whole", []byte(link)}, {kindLink, "query", []byte(u.RawQuery)}, {kindLink, "signature", []byte(u.Query().Get("sig"))}}
}

func canariesOfEachKind(t *testing.T) []secret {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	aes, deployment := make([]byte, 32), make([]byte, 32)
	_, _ = rand.Read(aes)
	_, _ = rand.Read(deployment)
	token := func() string {
		return "eyJhbGciOiJIUzI1NiJ9.eyJqdGki" + random() + random() + "." + random() + random()
	}
	secrets := slices.Concat(
		keySecrets(t, key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})),
		tokenSecrets(kindAccess, token()), tokenSecrets(kindRefresh, token()), tokenSecrets(kindLogin, token()),
		linkSecrets(t, "https://ksef.example/storage/01/a/invoice-upo/b.xml?se=2026-11-25T00%3A00%3A00Z&sig=q%2Fw%2BZ"+random()+"%3D&sk=1"),
		[]secret{
			{kindPassword, "", []byte("pass word-" + random())}, {kindAPIKey, "", []byte("ąpi-\"key\"-" + random())},
			{kindAES, "", aes}, {kindDeployment, "", deployment}, {kindWrongInputs, "", []byte(wrongPassword)},
		})
	requireEachKind(t, secrets)
	return secrets
}

func requireEachKind(t *testing.T, secrets []secret) {
	t.Helper()
	counts := map[string]int{}
	for _, s := range secrets {
		counts[s.kind]++
	}
	for _, kind := range kinds {
		require.Positive(t, counts[kind], "no %s is known, so none could be found", kind)
	}
	t.Logf("secrets searched for: %v", counts)
}

// secrets are all secrets of a bed's run. The AES keys are derived again from
// the salts that its histories hold.
func (b *bed) secrets(tap *tapped, histories []found) []secret {
	b.Helper()
	file, err := os.ReadFile(filepath.Join(b.connectionsDir(), "key.pem"))
	require.NoError(b, err)
	deployment, err := os.ReadFile(filepath.Join(b.dir, "session.secret"))
	require.NoError(b, err)
	raw, err := hex.DecodeString(strings.TrimSpace(string(deployment)))
	require.NoError(b, err)
	secrets := append(keySecrets(b.T, b.key, file),
		secret{kindPassword, "", []byte(b.keyPassword)}, secret{kindAPIKey, "", []byte(b.apiKey)}, secret{kindDeployment, "", raw},
		secret{kindWrongInputs, "wrong password", []byte(wrongPassword)}, secret{kindWrongInputs, "password set twice", []byte(misplacedKeyPass)},
		secret{kindWrongInputs, "API key set twice", []byte(misplacedAPIKey)})
	tap.mu.Lock()
	defer tap.mu.Unlock()
	for _, kind := range []string{kindAccess, kindRefresh, kindLogin} {
		for _, token := range tap.secrets[kind] {
			secrets = append(secrets, tokenSecrets(kind, token)...)
		}
	}
	for _, link := range tap.secrets[kindLink] {
		secrets = append(secrets, linkSecrets(b.T, link)...)
	}
	keys := b.sessionKeys(histories)
	for _, key := range keys {
		secrets = append(secrets, secret{kindAES, "", key.Key[:]})
	}
	// They are the right keys: each invoice that went over the wire opens with
	// one of them.
	require.NotEmpty(b, tap.uploads)
	for _, upload := range tap.uploads {
		require.True(b, slices.ContainsFunc(keys, func(k ksef.SymmetricKey) bool {
			plain, err := ksef.Decrypt(k, upload)
			return err == nil && bytes.Contains(plain, []byte("<Faktura"))
		}), "an invoice was sent under a key that the salts in history do not give")
	}
	requireEachKind(b.T, secrets)
	return secrets
}

func (b *bed) sessionKeys(histories []found) []ksef.SymmetricKey {
	b.Helper()
	salts := map[string]bool{}
	for _, text := range histories {
		var document any
		if json.Unmarshal(text.text, &document) != nil {
			continue
		}
		eachField(document, func(name string, value any) {
			if salt, is := value.(string); is && name == "salt" {
				salts[salt] = true
			}
		})
	}
	var keys []ksef.SymmetricKey
	for salt := range salts {
		var key ksef.SymmetricKey
		var err error
		key.Key, key.IV, err = b.secret.Derive(salt, b.connection)
		require.NoError(b, err)
		keys = append(keys, key)
	}
	return keys
}

// ---- what is collected ----

const namespace = "default"

// runs lists every run of the connection's workflows by their IDs, as soon as
// visibility knows all of those that must be there.
func (b *bed) runs(connection string, mustBe ...string) []*common.WorkflowExecution {
	b.Helper()
	var executions []*common.WorkflowExecution
	b.eventually("visibility knows all workflows", func() bool {
		executions = nil
		listed := map[string]bool{}
		request := &workflowservice.ListWorkflowExecutionsRequest{Namespace: namespace, Query: fmt.Sprintf("WorkflowId STARTS_WITH '%s/'", connection)}
		for {
			page, err := b.client.ListWorkflow(b.within(), request)
			require.NoError(b, err)
			for _, e := range page.GetExecutions() {
				executions = append(executions, e.GetExecution())
				listed[e.GetExecution().GetWorkflowId()] = true
			}
			if request.NextPageToken = page.GetNextPageToken(); len(request.NextPageToken) == 0 {
				break
			}
		}
		return !slices.ContainsFunc(mustBe, func(id string) bool { return !listed[id] })
	})
	return executions
}

// history collects the complete history of a run.
func (b *bed) history(run *common.WorkflowExecution) []found {
	b.Helper()
	var texts []found
	request := &workflowservice.GetWorkflowExecutionHistoryRequest{Namespace: namespace, Execution: run}
	for {
		page, err := b.client.WorkflowService().GetWorkflowExecutionHistory(b.within(), request)
		require.NoError(b, err)
		for _, e := range page.GetHistory().GetEvents() {
			texts = append(texts, textsOf(b.T, fmt.Sprintf("history of %s, event %d %s", run.GetWorkflowId(), e.GetEventId(), e.GetEventType()), e)...)
		}
		if request.NextPageToken = page.GetNextPageToken(); len(request.NextPageToken) == 0 {
			return texts
		}
	}
}

// described collects what describe shows: memo, search attributes, pending
// activities with their last failures and heartbeats.
func (b *bed) described(id string) []found {
	b.Helper()
	description, err := b.client.DescribeWorkflowExecution(b.within(), id, "")
	require.NoError(b, err)
	return textsOf(b.T, "describe "+id, description)
}

// queried collects the answers of the queries that a workflow has.
func (b *bed) queried(run *common.WorkflowExecution, queries ...string) []found {
	b.Helper()
	var texts []found
	for _, name := range queries {
		answer, err := b.client.WorkflowService().QueryWorkflow(b.within(), &workflowservice.QueryWorkflowRequest{
			Namespace: namespace, Execution: run, Query: &querypb.WorkflowQuery{QueryType: name},
		})
		require.NoError(b, err, "%s of %s", name, run.GetWorkflowId())
		texts = append(texts, textsOf(b.T, "query "+name+" of "+run.GetWorkflowId(), answer)...)
	}
	return texts
}

// awaitFailure waits until a workflow's pending activity shows a failure of a
// type, and collects it as an operator would see it.
func (b *bed) awaitFailure(id, errorType string) []found {
	b.Helper()
	b.eventually(errorType+" of "+id, func() bool { return b.exists(id) && strings.HasPrefix(b.pendingFailure(id), errorType+": ") })
	return b.described(id)
}

// No secret is in any history, log, answer or file of the archive after a run
// with everything in it: invoices received, sent and rejected, answers lost,
// and set-ups that were wrong for a while.
func TestSecrets_areInNoHistoryLogOrArchive(t *testing.T) {
	tap := &tapped{secrets: map[string][]string{}, wantEcho: true}
	b := newBed(t, func(o *bedOptions) { o.wrapKSeF = tap.wrap })
	texts := b.eventfulRun()
	require.Equal(t, 1, tap.echoes, "KSeF has repeated no token")
	require.GreaterOrEqual(t, tap.storage, 2, "no link has failed")
	ids := b.sessions()
	require.NotEmpty(t, ids)

	runs := b.runs(b.connection, append(ids, flow.ReceiveID(b.connection), flow.SendID(b.connection), flow.TransmitID(b.connection))...)
	var histories []found
	for _, run := range runs {
		histories = append(histories, b.history(run)...)
		texts = append(texts, b.described(run.GetWorkflowId())...)
		texts = append(texts, b.queried(run, "__stack_trace", "__temporal_workflow_metadata")...)
	}
	for _, id := range []string{flow.ReceiveID(b.connection), flow.SendID(b.connection), flow.TransmitID(b.connection)} {
		texts = append(texts, b.queried(&common.WorkflowExecution{WorkflowId: id}, flow.QueryStatus)...)
	}
	broken := b.connection + "-broken"
	for _, run := range b.runs(broken, flow.ReceiveID(broken)) {
		histories = append(histories, b.history(run)...)
	}
	texts = append(texts, histories...)
	texts = append(texts, found{"log", []byte(b.logs.String())})
	for _, file := range filesOf(t, filepath.Join(b.dir, "archive")) {
		texts = append(texts, found{"archive: " + file.place, file.text})
	}
	documents, err := json.Marshal(b.documents())
	require.NoError(t, err)
	texts = append(texts, found{"Teamogy", documents})

	size := 0
	for _, text := range texts {
		size += len(text.text)
	}
	t.Logf("%d texts of %d workflow runs and the archive, %d bytes", len(texts), len(runs), size)
	b.requireReach(texts)

	s := newSearch(t, b.secrets(tap, histories)...)
	seen := map[hit]bool{}
	for _, text := range texts {
		for _, h := range s.in(text.place, text.text) {
			if seen[h] {
				continue
			}
			seen[h] = true
			t.Errorf("a secret is in %s: %s (%s) as %s", h.place, h.kind, h.name, h.form)
		}
	}
}

// requireReach proves that the collected texts are what they should be: what
// is no secret and must stand there is found by the same search.
func (b *bed) requireReach(texts []found) {
	b.Helper()
	sent := b.atKSeF()
	require.NotEmpty(b, sent)
	number := slices.MaxFunc(sent, func(x, y ksefInvoice) int { return strings.Compare(x.KSeFNumber, y.KSeFNumber) }).KSeFNumber
	require.NotEmpty(b, number)
	var places []string
	for _, file := range []struct{ name, text string }{
		{"number", number}, {"pause", pauseReason}, {"permission", flow.ErrTeamogyPermission}, {"credentials", "What to do: "},
		{"rejection", "P_13_1 does not fit"}, {"form", "http://crd.gov.pl/wzor/"}, {"connection", "connection=" + b.connection},
	} {
		s := newSearch(b.T, secret{"control", file.name, []byte(file.text)})
		for _, text := range texts {
			for _, h := range s.in(text.place, text.text) {
				places = append(places, h.name+" in "+h.place)
			}
		}
	}
	for _, want := range [][2]string{
		{"number in history of ", "(JSON)"},
		{"number in history of ", "ActivityTaskCompleted.activity_task_completed_event_attributes.result.payloads[0].data"},
		{"number in history of ", "ActivityTaskScheduled.activity_task_scheduled_event_attributes.input.payloads[0].data"},
		{"number in history of ", "user_metadata.summary.data"},
		{"number in history of ", "search_attributes.indexed_fields[KsefNumber].data"},
		{"number in describe ", "KsefNumber"},
		{"number in query __temporal_workflow_metadata of ", ".data"},
		{"pause in history of ", "accepted_request.input.args.payloads[0].data"},
		{"pause in query Status of ", ".data"},
		{"permission in history of ", "last_failure.application_failure_info.type"},
		{"credentials in history of ", "last_failure.message"},
		{"credentials in describe ", "pending_activities[0].last_failure.message"},
		{"rejection in history of ", "failure.message"},
		{"rejection in archive: records/", "rejected"},
		{"number in archive: records/", "accepted"},
		{"number in archive: name of upo/", ""},
		{"number in archive: upo/", ""},
		{"form in archive: documents/", ""},
		{"number in Teamogy", ""},
		{"connection in log", ""},
	} {
		require.True(b, slices.ContainsFunc(places, func(p string) bool { return strings.HasPrefix(p, want[0]) && strings.Contains(p, want[1]) }),
			"the search does not reach %q ... %q", want[0], want[1])
	}
}

// eventfulRun lets happen what can happen, and collects what is only to be
// seen while it happens.
func (b *bed) eventfulRun() []found {
	b.Helper()
	var texts []found
	received := samples.GenerateReceived(b.sampleOptions(), 3)
	b.seedCompanies(map[string]any{"name": received[0].SellerName, "nip": received[0].SellerNIP, "supplier": true})
	invoices := b.seedKSeF(b.nip, xmlOf(received[0].XML), xmlOf(received[2].XML), map[string]any{
		"xml": []byte("\x00\x01 this is no XML <"), "invoiceNumber": "BROKEN/1", "sellerNip": received[0].SellerNIP, "sellerName": "X", "gross": "1.00", "currency": "PLN",
	})

	// A file with both forms of two secrets: it is refused, and may not quote.
	broken := b.connection + "-broken"
	file, err := os.ReadFile(filepath.Join(b.connectionsDir(), b.connection+".env"))
	require.NoError(b, err)
	file = append(file, "TEAMOGY_API_KEY="+misplacedAPIKey+"\nKSEF_PRIVATE_KEY_PASSWORD="+misplacedKeyPass+"\nSEND_INTERVAL="+misplacedAPIKey+"\n"+misplacedKeyPass+"\n"...)
	require.NoError(b, os.WriteFile(filepath.Join(b.connectionsDir(), broken+".env"), file, 0o600))
	b.start(flow.ReceiveInvoices, flow.ReceiveID(broken), flow.ReceiveInput{Connection: broken})
	texts = append(texts, b.awaitFailure(flow.ReceiveID(broken), flow.ErrConnectionInvalid)...)
	require.NoError(b, b.client.TerminateWorkflow(context.Background(), flow.ReceiveID(broken), "", "seen"))

	// The password is wrong, then KSeF knows no permission, then Teamogy none.
	password := filepath.Join(b.connectionsDir(), "password")
	require.NoError(b, os.WriteFile(password, []byte(wrongPassword), 0o600))
	b.rights("none")
	b.permissions([]string{})
	b.start(flow.ReceiveInvoices, flow.ReceiveID(b.connection), flow.ReceiveInput{Connection: b.connection})
	b.eventually("the password is refused", func() bool { return b.pendingFailure(flow.ReceiveID(b.connection)) != "" })
	texts = append(texts, b.described(flow.ReceiveID(b.connection))...)
	require.NoError(b, os.WriteFile(password, []byte(b.keyPassword), 0o600))
	texts = append(texts, b.awaitFailure(flow.ReceiveID(b.connection), flow.ErrKSeFLoginRefused)...)
	b.permissions(nil)
	texts = append(texts, b.awaitFailure(flow.ImportID(b.connection, invoices[0].KSeFNumber), flow.ErrTeamogyPermission)...)
	// Teamogy's own answers may repeat the key.
	b.fault(b.teamogyURL, map[string]any{"operation": "POST /documents", "action": "status", "status": 403, "body": `{"error":"the key ` + b.apiKey + ` may not"}`, "times": 1})
	b.fault(b.teamogyURL, map[string]any{"operation": "POST /documents", "action": "drop-after", "times": 1})
	b.rights("all")
	for _, invoice := range invoices {
		b.eventually("the invoice is imported", func() bool { return len(b.received(invoice.KSeFNumber)) == 1 })
		require.NoError(b, b.client.GetWorkflow(b.within(), flow.ImportID(b.connection, invoice.KSeFNumber), "").Get(b.within(), nil))
	}

	require.NoError(b, b.update(flow.ReceiveID(b.connection), flow.UpdatePause, flow.Reason{Reason: pauseReason}))

	for _, fault := range []map[string]any{
		{"operation": "POST /sessions/online", "action": "drop-after"},
		{"operation": "POST /sessions/online/{ref}/invoices", "action": "drop-after"},
		{"operation": "POST /sessions/online/{ref}/close", "action": "502-after"},
		{"operation": "GET /sessions/{ref}", "action": "html"},
		{"operation": "GET /sessions/{ref}/invoices", "action": "drop-before"},
	} {
		fault["times"] = 1
		b.fault(b.ksefURL, fault)
	}
	b.fault(b.teamogyURL, map[string]any{"operation": "PATCH /documents", "action": "drop-after", "times": 1})
	b.control("POST", b.ksefURL+"/_sim/verdict", map[string]any{"invoiceNumber": "Z/3", "code": 450, "details": []string{"P_13_1 does not fit"}, "times": 1}, nil)
	good, better := b.seedReady("Z/1", b.issued("Z/1")), b.seedReady("Z/2", b.issued("Z/2"))
	third := b.seedReady("Z/5", b.issued("Z/5"))
	rejected, taken := b.seedReady("Z/3", b.issued("Z/3")), b.seedReady("Z/4", b.blocked("Z/4"))
	unreadable := b.seedReady("Z/6", []byte("no XML"))
	b.start(flow.SendInvoices, flow.SendID(b.connection), flow.SendInput{Connection: b.connection})
	for _, d := range []issuedDocument{good, better, third, rejected, taken, unreadable} {
		id := flow.SendInvoiceID(b.connection, d.ID)
		b.eventually(id+" runs", func() bool { return b.exists(id) })
		err := b.client.GetWorkflow(b.within(), id, "").Get(b.within(), nil)
		require.Equal(b, slices.Contains([]issuedDocument{rejected, taken, unreadable}, d), err != nil, "document %d: %v", d.ID, err)
	}
	require.Error(b, b.update(flow.SendID(b.connection), flow.UpdateHold, flow.HoldChange{DocumentID: 99}))
	require.NoError(b, b.update(flow.SendID(b.connection), flow.UpdateHold, flow.HoldChange{DocumentID: 99, Reason: "disputed"}))
	return texts
}
