package ksefsim

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// reference gives a path in the official reference files, which are not part
// of this repository.
func reference(t *testing.T, path ...string) string {
	t.Helper()
	root := os.Getenv("KSEF_REFERENCE")
	if root == "" {
		root = filepath.Join("..", "..", "..", "..", "shared", "ksef")
	}
	full := filepath.Join(append([]string{root}, path...)...)
	if _, err := os.Stat(full); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("the KSeF reference files are not at KSEF_REFERENCE: %v", err)
		}
		t.Skip("the KSeF reference files are not at KSEF_REFERENCE (default ../shared/ksef beside the module): skipped")
	}
	return full
}

var pathParameter = regexp.MustCompile(`\{[^}]*\}`)

// contract checks every exchange that passes through it against the official
// OpenAPI document.
type contract struct {
	router routers.Router
	next   http.RoundTripper

	mu         sync.Mutex
	violations []string
	driven     map[string]map[string]bool // operation -> "good" and "bad"
	loose      bool                       // requests may be wrong on purpose
}

func newContract(t *testing.T, w *world) *contract {
	t.Helper()
	loader := openapi3.NewLoader()
	doc, err := loader.LoadFromFile(reference(t, "openapi", "open-api-2.7.0-te.json"))
	require.NoError(t, err)
	doc.Servers = openapi3.Servers{{URL: w.server.URL + "/v2"}}
	router, err := gorillamux.NewRouter(doc)
	require.NoError(t, err)
	openapi3filter.RegisterBodyDecoder("application/xml", openapi3filter.FileBodyDecoder)
	c := &contract{router: router, next: w.http.Transport, driven: map[string]map[string]bool{}}
	w.http.Transport = c
	return c
}

// RoundTrip sends a request and checks it and its answer.
func (c *contract) RoundTrip(r *http.Request) (*http.Response, error) {
	var body []byte
	if r.Body != nil {
		body, _ = io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(body))
	}
	resp, err := c.next.RoundTrip(r)
	if err != nil || !strings.HasPrefix(r.URL.Path, "/v2/") {
		return resp, err
	}
	answer, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	resp.Body = io.NopCloser(bytes.NewReader(answer))
	if err != nil {
		return resp, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	report := func(err error) {
		if err != nil {
			c.violations = append(c.violations, r.Method+" "+r.URL.Path+": "+err.Error())
		}
	}
	copied := r.Clone(r.Context())
	copied.Body = io.NopCloser(bytes.NewReader(body))
	route, params, err := c.router.FindRoute(copied)
	if err != nil {
		report(err)
		return resp, nil
	}
	options := &openapi3filter.Options{
		AuthenticationFunc: openapi3filter.NoopAuthenticationFunc, IncludeResponseStatus: true,
	}
	input := &openapi3filter.RequestValidationInput{Request: copied, PathParams: params, Route: route, Options: options}
	if !c.loose {
		report(openapi3filter.ValidateRequest(r.Context(), input))
	}
	output := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: input, Status: resp.StatusCode, Header: resp.Header, Options: options,
	}
	output.SetBodyBytes(answer)
	report(openapi3filter.ValidateResponse(r.Context(), output))
	name := r.Method + " " + pathParameter.ReplaceAllString(route.Path, "{}")
	if c.driven[name] == nil {
		c.driven[name] = map[string]bool{}
	}
	if resp.StatusCode < 300 {
		c.driven[name]["good"] = true
	} else {
		c.driven[name]["bad"] = true
	}
	return resp, nil
}

func TestContract_everyOperationFitsTheOfficialDocumentInGoodAndBad(t *testing.T) {
	w := newWorld(t, nil)
	c := newContract(t, w)
	access, refresh := w.loginWith(rsaSealOf(t, testNIP), testNIP)
	s := w.open(access)
	ref := s.send(fa3{}.xml())
	s.send(fa3{}.xml()) // a duplicate
	s.invoice(ref)
	w.seed(testNIP, fa3{seller: otherNIP, number: "S"})
	w.clock.Advance(time.Second)
	s.close()
	w.clock.Advance(3 * time.Second)
	number := s.invoice(ref)["ksefNumber"].(string)
	upoRef := s.session()["upo"].(map[string]any)["pages"].([]any)[0].(map[string]any)["referenceNumber"].(string)
	get := func(path string) { w.do(http.MethodGet, path, access, nil) }
	for _, path := range []string{
		"/sessions?sessionType=Online", "/sessions/" + s.ref + "/invoices", "/sessions/" + s.ref + "/invoices/failed",
		"/sessions/" + s.ref + "/invoices/" + ref + "/upo", "/sessions/" + s.ref + "/invoices/ksef/" + number + "/upo",
		"/sessions/" + s.ref + "/upo/" + upoRef, "/invoices/ksef/" + number, "/rate-limits", "/limits/context", "/limits/subject",
	} {
		get(path)
	}
	for _, subject := range []string{"Subject1", "Subject2"} {
		v := w.query(access, subject, "2026-11-01T00:00:00Z", nil, "?pageSize=50&sortOrder=Asc").json(t)
		assert.NotEmpty(t, v["invoices"])
	}
	w.control("permissions", map[string]any{"nip": otherNIP, "permissions": []string{"InvoiceRead"}})
	reader := w.login(otherNIP)
	w.do(http.MethodPost, "/permissions/query/personal/grants", reader, map[string]any{})
	w.do(http.MethodPost, "/auth/token/refresh", refresh, nil)
	w.do(http.MethodPost, "/sessions/online", reader, w.openBody(s.key, s.iv)) // 403
	w.do(http.MethodDelete, "/auth/sessions/current", reader, nil)
	w.driveAccounts(access)

	// The same with what must be refused, in both formats of errors.
	c.loose = true
	unknown := newReference(kindSession, w.clock.Now())
	for _, format := range []string{"", "problem-details"} {
		bad := func(method, path, bearer string, body any) {
			w.do(method, path, bearer, body, "X-Error-Format", format)
		}
		pending, _ := w.authenticate(signing{credentials: sealOf(t, testNIP), nip: testNIP})
		w.control("faults", map[string]any{"operation": "POST /auth/challenge", "action": "429"})
		w.control("faults", map[string]any{"operation": "GET /security/public-key-certificates", "action": "429"})
		bad(http.MethodPost, "/auth/challenge", "", nil)
		bad(http.MethodGet, "/security/public-key-certificates", "", nil)
		bad(http.MethodPost, "/auth/xades-signature", "", []byte("junk"))
		bad(http.MethodGet, "/auth/"+unknown, pending, nil)
		bad(http.MethodPost, "/auth/token/redeem", pending, nil)
		bad(http.MethodPost, "/auth/token/refresh", "junk", nil)
		bad(http.MethodDelete, "/auth/sessions/current", "junk", nil)
		for _, path := range []string{
			"/sessions", "/sessions/" + unknown, "/sessions/" + unknown + "/invoices", "/sessions/" + unknown + "/invoices/failed",
			"/sessions/" + unknown + "/invoices/" + ref, "/sessions/" + unknown + "/invoices/" + ref + "/upo",
			"/sessions/" + s.ref + "/invoices/ksef/" + newKSeFNumber(testNIP, w.clock.Now()) + "/upo",
			"/sessions/" + s.ref + "/upo/" + unknown, "/invoices/ksef/" + newKSeFNumber(testNIP, w.clock.Now()),
		} {
			bad(http.MethodGet, path, access, nil)
		}
		for _, path := range []string{"/rate-limits", "/limits/context", "/limits/subject"} {
			bad(http.MethodGet, path, "junk", nil)
		}
		for _, path := range []string{"/sessions/online", "/sessions/online/" + s.ref + "/invoices", "/invoices/query/metadata"} {
			bad(http.MethodPost, path, access, map[string]any{})
		}
		bad(http.MethodPost, "/sessions/online/"+s.ref+"/close", access, nil)
		bad(http.MethodPost, "/permissions/query/personal/grants?pageSize=1", access, map[string]any{})
		w.driveAccountsBadly(access, format)
	}
	assert.Empty(t, c.violations)
	for _, op := range w.sim.operations() {
		name := pathParameter.ReplaceAllString(op.name, "{}")
		assert.True(t, c.driven[name]["good"], "no good request of %s", name)
		assert.True(t, c.driven[name]["bad"], "no bad request of %s", name)
	}
}

func TestOfficialInvoices_areHeldByteForByteAndAccepted(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(reference(t, "invoices", "official"), "*.xml"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	w := newWorld(t, nil)
	seeds := []any{}
	for _, file := range files {
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		seeds = append(seeds, map[string]any{"xml": data})
	}
	held := w.control("seed", map[string]any{"buyerNip": testNIP, "invoices": seeds}).json(t)["invoices"].([]any)
	require.Len(t, held, len(files))
	w.clock.Advance(time.Minute)
	access := w.login(testNIP)
	c := newContract(t, w)
	found := w.query(access, "Subject2", "2026-11-01T00:00:00Z", nil, "?pageSize=100").json(t)["invoices"].([]any)
	assert.Len(t, found, len(files))
	assert.Empty(t, c.violations, "metadata of real invoices fit the contract")
	for i, h := range held {
		data := seeds[i].(map[string]any)["xml"].([]byte)
		number := h.(map[string]any)["ksefNumber"].(string)
		assert.Equal(t, data, w.do(http.MethodGet, "/invoices/ksef/"+number, access, nil).body)
	}

	s := w.open(access)
	refs := map[string]string{}
	seller := regexp.MustCompile(`(<Podmiot1>(?s:.*?)<NIP>)\d{10}`)
	numberElement := regexp.MustCompile(`<P_2>[^<]*`)
	attachments := []string{}
	for i, file := range files {
		data := seeds[i].(map[string]any)["xml"].([]byte)
		data = seller.ReplaceAll(data, []byte("${1}"+testNIP))
		data = numberElement.ReplaceAll(data, []byte("<P_2>official/"+itoa(i)))
		refs[file] = s.send(data)
		if bytes.Contains(data, []byte("<Zalacznik>")) {
			attachments = append(attachments, file)
		}
	}
	w.clock.Advance(time.Second)
	assert.Len(t, attachments, 2)
	for file, ref := range refs {
		want := 200
		if slices.Contains(attachments, file) {
			want = 415
		}
		assert.Equal(t, want, statusCode(s.invoice(ref)), "%s: %v", filepath.Base(file), s.invoice(ref))
	}
}
