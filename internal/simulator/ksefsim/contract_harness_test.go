package ksefsim

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"
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
	// Several official examples are refused by their own schemas, beginning with
	// ExceptionResponse's, whose timestamp has no offset; so everything but the
	// examples is validated.
	require.NoError(t, doc.Validate(t.Context(), openapi3.DisableExamplesValidation()))
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
