package ksef

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Without a Retry-After, or with an unreadable one, a 429 blocks for this long.
const defaultRetryAfter = time.Minute

// failureBody is every form of KSeF's error bodies at once: the problem
// document, the older list of exceptions, and the status of an old 429.
type failureBody struct {
	Title      any    `json:"title"`
	Detail     any    `json:"detail"`
	ReasonCode string `json:"reasonCode"`
	Errors     []struct {
		Code        int    `json:"code"`
		Description string `json:"description"`
		Details     texts  `json:"details"`
	} `json:"errors"`
	Security struct {
		RequiredAnyOfPermissions texts `json:"requiredAnyOfPermissions"`
		IncidentID               any   `json:"incidentId"`
	} `json:"security"`
	Exception struct {
		List []struct {
			Code        int    `json:"exceptionCode"`
			Description string `json:"exceptionDescription"`
			Details     texts  `json:"details"`
		} `json:"exceptionDetailList"`
	} `json:"exception"`
}

// failure turns an answer that is not 2xx into an error.
func (c *Client) failure(operation string, resp *http.Response, data []byte) *Error {
	e := &Error{Operation: operation, Status: resp.StatusCode}
	own, firewall := e.readBody(resp, data)
	e.RetryAfter = c.retryAfter(resp)
	switch s := resp.StatusCode; {
	case s == http.StatusTooManyRequests:
		e.Kind = KindRateLimited
	case firewall, s < 400, !own:
		e.Kind = KindGateway
	case s == http.StatusUnauthorized:
		e.Kind = KindUnauthorized
	case s == http.StatusForbidden:
		e.Kind = KindForbidden
	case s == http.StatusGone:
		e.Kind = KindGone
	case s == http.StatusBadGateway, s == http.StatusGatewayTimeout:
		e.Kind = KindGateway
	case s >= 500:
		e.Kind = KindServer
	case e.Has(CodeInvoiceNotYet), e.Has(CodeNoUPO):
		e.Kind = KindNotYet
	default:
		e.Kind = KindRejected
	}
	return e
}

// mostPermissions and mostDetails are how many an error tells at most, of those
// permissions one of which was needed, and of the details of one code.
const (
	mostPermissions = 20
	mostDetails     = 50
)

// readBody fills the error from the body. It tells whether the answer is KSeF's
// own, and whether it is the web application firewall's.
func (e *Error) readBody(resp *http.Response, data []byte) (own, firewall bool) {
	switch mediaType(resp.Header) {
	case "application/json", "application/problem+json":
	case "":
		return len(data) == 0, false // a bare status, as from a proxied KSeF
	default:
		return false, false
	}
	var b failureBody
	if err := json.Unmarshal(data, &b); err != nil {
		// A field of another type than expected leaves the others readable.
		if _, other := err.(*json.UnmarshalTypeError); !other { //nolint:errorlint // documented to be of this very type
			return false, false
		}
	}
	if s, ok := b.Title.(string); ok {
		e.Title = clean(s)
	}
	if s, ok := b.Detail.(string); ok {
		e.Detail = clean(s)
	}
	e.ReasonCode = clean(b.ReasonCode)
	for _, p := range b.Security.RequiredAnyOfPermissions {
		if len(e.MissingPermissions) == mostPermissions {
			break
		}
		e.MissingPermissions = append(e.MissingPermissions, clean(p))
	}
	for _, x := range b.Errors {
		e.addCode(x.Code, x.Description, x.Details)
	}
	for _, x := range b.Exception.List {
		e.addCode(x.Code, x.Description, x.Details)
	}
	firewall = resp.StatusCode == http.StatusForbidden &&
		(b.ReasonCode == "security-service-blocked" || b.Security.IncidentID != nil)
	return true, firewall
}

func (e *Error) addCode(code int, description string, details []string) {
	c := Code{Code: code, Description: clean(description)}
	for _, d := range details {
		if len(c.Details) == mostDetails {
			break
		}
		c.Details = append(c.Details, clean(d))
	}
	e.Codes = append(e.Codes, c)
}

// longestRetryAfter bounds what a server may ask for.
const longestRetryAfter = 7 * 24 * time.Hour

// retryAfter reads Retry-After: seconds, or a date by the server's own clock. A
// second is added, because KSeF's header and its text are known to differ by one.
func (c *Client) retryAfter(resp *http.Response) time.Duration {
	v := strings.TrimSpace(resp.Header.Get("Retry-After"))
	var d time.Duration
	if seconds, err := strconv.ParseInt(v, 10, 64); err == nil {
		d = time.Duration(min(max(seconds, 0), int64(longestRetryAfter/time.Second))) * time.Second
	} else if at, err := http.ParseTime(v); err == nil {
		from := c.ServerTime()
		if date, err := http.ParseTime(resp.Header.Get("Date")); err == nil {
			from = date
		}
		d = min(max(at.Sub(from), 0), longestRetryAfter)
	} else if resp.StatusCode == http.StatusTooManyRequests {
		d = c.pacer.window(defaultRetryAfter)
	} else {
		return 0
	}
	return d + time.Second
}
