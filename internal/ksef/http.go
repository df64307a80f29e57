package ksef

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Bounds of what is read from the network, in bytes.
const (
	maxJSON      = 64 << 20 // a page of 1,000 invoices is about 1 MB
	maxDocument  = 64 << 20 // an invoice has 3 MB at most, a UPO of 10,000 invoices about 10 MB
	maxErrorBody = 256 << 10
)

// authMode is what a request shows to be let in.
type authMode int

const (
	authNone   authMode = iota // nothing, or the request's own bearer
	authAccess                 // the access token, fetched when needed
)

var (
	jsonTypes = []string{"application/json"}
	xmlTypes  = []string{"application/xml", "text/xml"}
)

// request is one call of the API.
type request struct {
	operation   string // for errors and the log
	method      string
	path        string // below the base address, already escaped
	query       url.Values
	header      http.Header
	body        []byte
	contentType string
	accept      []string // content types of a good answer; none = the body does not matter
	group       Group
	endpoint    string // the counter within GroupOther
	auth        authMode
	bearer      string // for authNone: another token than the access token
	maxBody     int64
}

// answer is a good (2xx) answer.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// callJSON sends in as JSON (nothing when nil) and reads the answer into out
// (nothing when nil).
func (c *Client) callJSON(ctx context.Context, r request, in, out any) error {
	if in != nil {
		body, err := json.Marshal(in)
		if err != nil {
			return fmt.Errorf("%s: %w", r.operation, err)
		}
		r.body, r.contentType = body, "application/json"
	}
	if out != nil {
		r.accept = jsonTypes
	}
	a, err := c.call(ctx, r)
	if err != nil || out == nil {
		return err
	}
	if err := json.Unmarshal(a.body, out); err != nil {
		// The decoder's own message can quote the body: only its sort is told.
		return &Error{Operation: r.operation, Kind: KindGateway, Status: a.status, cause: errors.New("the answer is no readable JSON of the expected form")}
	}
	return nil
}

// call makes a request. When the access token is refused (401) it logs in once
// more and repeats the request once: KSeF did nothing the first time.
func (c *Client) call(ctx context.Context, r request) (*answer, error) {
	if r.auth != authAccess {
		return c.send(ctx, r, r.bearer)
	}
	token, _, err := c.accessToken(ctx)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", r.operation, err)
	}
	a, err := c.send(ctx, r, token)
	if e, ok := AsError(err); ok && e.Kind == KindUnauthorized {
		c.dropToken(token)
		if token, _, err = c.accessToken(ctx); err != nil {
			return nil, fmt.Errorf("%s: %w", r.operation, err)
		}
		a, err = c.send(ctx, r, token)
	}
	if e, ok := AsError(err); ok && e.Kind == KindForbidden {
		// Permissions are frozen in the access token: what is granted meanwhile
		// shows only in a new one.
		c.dropToken(token)
	}
	return a, err
}

// send makes one request within its quota.
func (c *Client) send(ctx context.Context, r request, bearer string) (*answer, error) {
	p := c.pacer
	if r.group == GroupAnonymous && c.public != nil {
		p = c.public
	}
	t, err := p.acquire(ctx, r.operation, r.group, r.endpoint)
	if err != nil {
		return nil, err
	}
	address := c.base.String() + r.path
	if len(r.query) > 0 {
		address += "?" + r.query.Encode()
	}
	a, err := c.exchange(ctx, r, address, bearer)
	var blocked time.Duration
	if e, ok := AsError(err); ok && e.Kind == KindRateLimited {
		blocked = e.RetryAfter
	}
	t.done(blocked)
	p.remember(ctx, r.group, r.endpoint, blocked)
	return a, err
}

// exchange makes one request and judges its answer.
func (c *Client) exchange(ctx context.Context, r request, address, bearer string) (*answer, error) {
	var body io.Reader
	if r.body != nil {
		body = bytes.NewReader(r.body)
	}
	q, err := http.NewRequestWithContext(ctx, r.method, address, body)
	if err != nil {
		return nil, &Error{Operation: r.operation, Kind: KindNetwork, cause: errors.New("malformed address")}
	}
	for k, v := range r.header {
		q.Header[k] = v
	}
	q.Header.Set("User-Agent", "teamogy-ksef")
	q.Header.Set("X-Error-Format", "problem-details")
	if r.contentType != "" {
		q.Header.Set("Content-Type", r.contentType)
	}
	if len(r.accept) > 0 {
		q.Header.Set("Accept", strings.Join(r.accept, ", ")+", application/problem+json;q=0.9, application/json;q=0.8")
	}
	if bearer != "" {
		q.Header.Set("Authorization", "Bearer "+bearer)
	}
	if c.beforePost != nil && r.method == http.MethodPost {
		if err := c.beforePost(ctx); err != nil {
			return nil, fmt.Errorf("%s: it was not sent: %w", r.operation, err)
		}
	}
	started := time.Now()
	resp, err := c.http.Do(q)
	if err != nil {
		return nil, &Error{Operation: r.operation, Kind: KindNetwork, cause: withoutAddress(err)}
	}
	defer func() { _ = resp.Body.Close() }()
	c.noteHeaders(resp.Header)
	c.logger.LogAttrs(ctx, slog.LevelDebug, "KSeF request",
		slog.String("operation", r.operation), slog.Int("status", resp.StatusCode), slog.Duration("took", time.Since(started)))

	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		data, _ := io.ReadAll(io.LimitReader(resp.Body, maxErrorBody))
		return nil, c.failure(r.operation, resp, data)
	}
	limit := r.maxBody
	if limit == 0 {
		limit = maxJSON
	}
	data, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	if err != nil {
		return nil, &Error{Operation: r.operation, Kind: KindNetwork, Status: resp.StatusCode, cause: fmt.Errorf("the answer broke off: %w", withoutAddress(err))}
	}
	if int64(len(data)) > limit {
		return nil, &Error{Operation: r.operation, Kind: KindGateway, Status: resp.StatusCode, Detail: fmt.Sprintf("the answer is larger than %d bytes", limit)}
	}
	if got := mediaType(resp.Header); len(r.accept) > 0 && !slices.Contains(r.accept, got) {
		return nil, &Error{Operation: r.operation, Kind: KindGateway, Status: resp.StatusCode, Detail: fmt.Sprintf("the answer is %q instead of %s", shorten(clean(got), 80), r.accept[0])}
	} else if len(r.accept) == 0 && got == "text/html" {
		return nil, &Error{Operation: r.operation, Kind: KindGateway, Status: resp.StatusCode, Detail: "the answer is an HTML page"}
	}
	return &answer{status: resp.StatusCode, header: resp.Header, body: data}, nil
}

func mediaType(h http.Header) string {
	t, _, err := mime.ParseMediaType(h.Get("Content-Type"))
	if err != nil {
		t, _, _ = strings.Cut(h.Get("Content-Type"), ";")
	}
	return strings.ToLower(strings.TrimSpace(t))
}

// withoutAddress takes the address off a transport error: it may be a secret.
func withoutAddress(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

var warningPattern = regexp.MustCompile(`\[\s*([^\]\s]{1,40})\s*\]\s*:?\s*([^|]*)`)

// noteHeaders learns the server's clock and counts its warnings; the first
// warning of a code is logged.
func (c *Client) noteHeaders(h http.Header) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if d, err := http.ParseTime(h.Get("Date")); err == nil {
		c.clockOffset = d.Sub(c.now()).Round(time.Second)
		c.pacer.noteClock(c.clockOffset)
		if c.public != nil {
			c.public.noteClock(c.clockOffset)
		}
	}
	for _, line := range h.Values("X-System-Warning") {
		found := warningPattern.FindAllStringSubmatch(line, 20)
		if found == nil && strings.TrimSpace(line) != "" {
			found = [][]string{{"", "unknown", line}}
		}
		for _, w := range found {
			if len(c.warnings) >= 100 && c.warnings[w[1]] == 0 {
				continue // a server gone mad must not fill the memory
			}
			c.warnings[w[1]]++
			if c.warnings[w[1]] == 1 {
				c.logger.Warn("KSeF sent a system warning (told once)", "code", w[1], "text", clean(w[2]))
			}
		}
	}
}

// pause waits between two polls; the wait is divided by the time scale.
func (c *Client) pause(ctx context.Context, d time.Duration) error {
	return c.pacer.sleep(ctx, time.Duration(float64(d)/c.scale))
}
