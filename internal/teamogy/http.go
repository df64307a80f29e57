package teamogy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	// maxAnswer bounds what is read of an answer; Teamogy's gateway sends at most 10 MB.
	maxAnswer = 16 << 20
	// maxReadError bounds what is read of an answer that becomes an error.
	maxReadError = 64 << 10
	// requestTimeout is for an HTTP client of our own; contexts are usually shorter.
	requestTimeout = time.Minute
	maxRedirects   = 3
)

// parameter is a query parameter; their order is kept.
type parameter struct{ name, value string }

// guarded copies an HTTP client so that the bearer token never follows a redirect to another host, and a POST or
// PATCH follows none at all: it would be repeated as something else.
func (c *Client) guarded(given *http.Client) *http.Client {
	guarded := http.Client{Timeout: requestTimeout}
	if given != nil {
		guarded = *given
	}
	guarded.CheckRedirect = func(r *http.Request, via []*http.Request) error {
		if via[0].Method != http.MethodGet || !c.isTenant(r.URL) || len(via) > maxRedirects {
			return http.ErrUseLastResponse
		}
		return nil
	}
	return &guarded
}

// isTenant says whether a URL leads to the tenant: same scheme, same host, same port.
func (c *Client) isTenant(u *url.URL) bool {
	return u.Scheme == c.base.Scheme && strings.EqualFold(u.Host, c.base.Host) && u.User == nil
}

// endpoint is the URL of an entity or view in the unit. Values are escaped as the documentation shows: a space is %20.
func (c *Client) endpoint(name string, query []parameter) *url.URL {
	u := *c.base
	u.Path = path.Join("/", c.base.Path, "rest/v1", strconv.Itoa(c.unit), name)
	parts := make([]string, len(query))
	for i, p := range query {
		parts[i] = escape(p.name) + "=" + escape(p.value)
	}
	u.RawQuery = strings.Join(parts, "&")
	return &u
}

func escape(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }

func (c *Client) get(ctx context.Context, operation, name string, query []parameter) ([]byte, error) {
	return c.send(ctx, operation, http.MethodGet, c.endpoint(name, query), nil)
}

// getLate is get for a query that is made up only when the request's turn has come.
func (c *Client) getLate(ctx context.Context, operation, name string, query func() []parameter) ([]byte, error) {
	return c.sendAs(ctx, operation, http.MethodGet, func() *url.URL { return c.endpoint(name, query()) }, nil, c.authorize)
}

// write sends a POST or PATCH. documentStatus is the status that it sets, for the error when Teamogy refuses it.
func (c *Client) write(ctx context.Context, operation, method, name string, query []parameter, body any, documentStatus string) ([]byte, error) {
	answer, err := c.send(ctx, operation, method, c.endpoint(name, query), encode(body))
	if e, ok := AsError(err); ok && e.Kind == Invalid && (e.Status == http.StatusBadRequest || e.Status == http.StatusUnprocessableEntity) {
		e.Detail = refusalDetail(method, documentStatus)
		if documentStatus != "" && e.speaksOf(documentStatus) {
			e.Kind, e.DocumentStatus = UnknownStatus, documentStatus
		}
	}
	return answer, err
}

// refusalDetail lists what a refused document may be refused for. Which of them it is, only Teamogy's own words say,
// whose form is not documented.
func refusalDetail(method, documentStatus string) string {
	var reasons []string
	if documentStatus != "" {
		reasons = append(reasons, fmt.Sprintf("the status %q is not configured", documentStatus))
	}
	if method == http.MethodPost {
		reasons = append(reasons, "the type is not configured", "the owner or a participant does not exist",
			"a company is required or does not exist")
	}
	reasons = append(reasons, "a property is not configured or has another type than the field map says")
	return "Teamogy refused it; see what it said. Perhaps " + strings.Join(reasons, ", or ")
}

type notAfterKey struct{}

// notAfter lets a request made with the returned context be sent until a time at the latest, wherever it has waited.
func notAfter(ctx context.Context, until time.Time) context.Context {
	return context.WithValue(ctx, notAfterKey{}, until)
}

// send makes one request with the API key, within the quota, and judges the answer.
func (c *Client) send(ctx context.Context, operation, method string, u *url.URL, body []byte) ([]byte, error) {
	return c.sendAs(ctx, operation, method, func() *url.URL { return u }, body, c.authorize)
}

// sendAs is send with another Authorization, or with none. The URL is asked for when the request's turn has come.
func (c *Client) sendAs(ctx context.Context, operation, method string, address func() *url.URL, body []byte, authorization string) ([]byte, error) {
	g, err := c.takeTurn(ctx, operation)
	if err != nil {
		return nil, err
	}
	defer g.answered()
	// By either clock: the monotonic one stands still while the machine is suspended.
	if until, ok := ctx.Value(notAfterKey{}).(time.Time); ok && (c.now().After(until) || c.now().Round(0).After(until)) {
		return nil, &Error{
			Operation: operation, Kind: QuotaLocal, RetryAfter: scaled(time.Second, c.scale),
			Detail: "its turn came too late, so it was not sent",
		}
	}

	u := address()
	var content io.Reader
	if body != nil {
		content = bytes.NewReader(body)
	}
	request, err := http.NewRequestWithContext(ctx, method, u.String(), content)
	if err != nil {
		return nil, &Error{Operation: operation, Kind: Invalid, Detail: "the request cannot be built"}
	}
	for name, value := range c.fields.Headers {
		request.Header.Set(name, value)
	}
	if authorization != "" {
		request.Header.Set("Authorization", authorization)
	}
	request.Header.Set("Accept", "application/json")
	request.Header.Set("Content-Type", "application/json")

	if c.beforeWrite != nil && method != http.MethodGet {
		if err := c.beforeWrite(ctx); err != nil {
			return nil, &Error{Operation: operation, Kind: Network, Detail: "it was not sent", cause: err, unsent: true}
		}
	}
	started := c.now()
	response, err := c.http.Do(request)
	if err != nil {
		return nil, c.noAnswer(ctx, operation, err)
	}
	defer func() { _ = response.Body.Close() }()
	c.log.DebugContext(ctx, "teamogy request", "method", method, "path", u.Path,
		"status", response.StatusCode, "took", c.now().Sub(started))
	return c.judge(ctx, operation, response)
}

func (c *Client) noAnswer(ctx context.Context, operation string, err error) *Error {
	cause := c.redact.cause(err)
	if ctx.Err() != nil && !errors.Is(cause, ctx.Err()) {
		cause = ctx.Err()
	}
	var dialling *net.OpError
	unsent := errors.As(err, &dialling) && dialling.Op == "dial"
	return &Error{Operation: operation, Kind: Network, cause: cause, unsent: unsent}
}

// judge reads the answer or makes an error of it.
func (c *Client) judge(ctx context.Context, operation string, r *http.Response) ([]byte, error) {
	html := isHTML(r.Header.Get("Content-Type"))
	if r.StatusCode >= 200 && r.StatusCode < 300 && !html {
		answer, err := io.ReadAll(io.LimitReader(r.Body, maxAnswer+1))
		if err != nil {
			return nil, c.noAnswer(ctx, operation, err)
		}
		if len(answer) > maxAnswer {
			return nil, &Error{
				Operation: operation, Kind: BadAnswer, Status: r.StatusCode,
				Detail: fmt.Sprintf("the answer is larger than %d bytes", maxAnswer),
			}
		}
		return answer, nil
	}

	e := &Error{Operation: operation, Status: r.StatusCode, RetryAfter: c.retryAfter(r.Header.Get("Retry-After"))}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxReadError))
	e.Body = c.redact.body(body, err != nil || len(body) == maxReadError)
	e.Kind = kindOf(r, html, e.Body)
	e.deleted = e.Kind == Gateway && r.StatusCode == http.StatusNotFound
	switch {
	case e.Kind == Gateway && r.StatusCode >= 300 && r.StatusCode < 400:
		e.Detail = "the server redirects elsewhere, which is not followed because of the API key: check TEAMOGY_URL"
	case e.Kind == RateLimited:
		if e.RetryAfter == 0 {
			e.RetryAfter = scaled(time.Minute, c.scale)
		}
		c.bucket.Block(e.RetryAfter)
	}
	return nil, e
}

func kindOf(r *http.Response, html bool, body string) Kind {
	switch status := r.StatusCode; {
	case status == http.StatusTooManyRequests:
		return RateLimited
	case status == http.StatusUnauthorized:
		return Unauthorized
	case status == http.StatusForbidden && isQuota(r.Header, body):
		return RateLimited
	case status >= 400 && status < 500 && r.Header.Get("Retry-After") != "":
		return RateLimited
	case status >= 500 || status == http.StatusRequestTimeout || status == http.StatusTooEarly:
		return Server
	case status < 400 || html:
		return Gateway
	case status == http.StatusForbidden:
		return Forbidden
	case status == http.StatusNotFound:
		return NotFound
	}
	return Invalid
}

// isQuota recognises a quota behind a 403, which some gateways answer with. It decides only how long to stay away.
func isQuota(h http.Header, body string) bool {
	if h.Get("Retry-After") != "" || h.Get("X-RateLimit-Remaining") == "0" {
		return true
	}
	body = strings.ToLower(body)
	return slices.ContainsFunc([]string{"quota", "rate limit", "ratelimit", "too many requests", "throttl", "limit exceeded"},
		func(word string) bool { return strings.Contains(body, word) })
}

// retryAfter reads seconds or an HTTP date; what is not understood, past or absurd counts as 0 or an hour.
func (c *Client) retryAfter(text string) time.Duration {
	text = strings.TrimSpace(text)
	if text == "" {
		return 0
	}
	if seconds, err := strconv.ParseFloat(text, 64); err == nil {
		if !(seconds > 0) {
			return 0
		}
		if seconds >= longestBlock.Seconds() {
			return longestBlock
		}
		return time.Duration(seconds * float64(time.Second))
	}
	if at, err := http.ParseTime(text); err == nil {
		return min(longestBlock, max(0, at.Sub(c.now())))
	}
	return 0
}

func isHTML(contentType string) bool {
	media, _, err := mime.ParseMediaType(contentType)
	if err != nil {
		media = contentType
	}
	return strings.Contains(strings.ToLower(media), "html")
}

// badAnswer is for a successful answer that makes no sense.
func badAnswer(operation, format string, args ...any) *Error {
	return &Error{Operation: operation, Kind: BadAnswer, Detail: fmt.Sprintf(format, args...)}
}
