package integration

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
)

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
		if r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/invoices") || r.Method == http.MethodPut {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				panic(http.ErrAbortHandler)
			}
			r.Body = io.NopCloser(bytes.NewReader(body))
			c.upload(r.Method, body)
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

// upload keeps an encrypted invoice, or a part of an encrypted package.
func (c *tapped) upload(method string, body []byte) {
	var sent struct {
		Content []byte `json:"encryptedInvoiceContent"`
	}
	if method == http.MethodPut {
		c.mu.Lock()
		c.uploads = append(c.uploads, body)
		c.mu.Unlock()
		return
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
		case "upoDownloadUrl", "downloadUrl", "url":
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
