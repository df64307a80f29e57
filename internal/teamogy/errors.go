package teamogy

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"
)

// Kind says what went wrong in a call, as far as a caller decides on it.
type Kind string

// The kinds of failure. Where nothing else is said, nothing was changed in Teamogy.
const (
	// Unauthorized is HTTP 401: the API key is unknown, revoked, or not valid for the address that we call from.
	Unauthorized Kind = "Unauthorized"
	// Forbidden is HTTP 403: the programmatic user or its API key lacks a right.
	Forbidden Kind = "Forbidden"
	// RateLimited is HTTP 429, a 403 that speaks of a quota, or any other 4xx with Retry-After. The bucket is closed until Error.RetryAfter has passed.
	RateLimited Kind = "RateLimited"
	// QuotaLocal means that our own bucket would have kept the call waiting longer than its context (or 20 s)
	// allows. No request was made; come back after Error.RetryAfter.
	QuotaLocal Kind = "QuotaLocal"
	// Invalid is HTTP 400, 409, 413 or 422, or a value that we refuse to send: Teamogy will not take it as it stands.
	Invalid Kind = "Invalid"
	// UnknownStatus is an HTTP 400 or 422 to a create or patch that set a status, with an answer that speaks of it.
	// Teamogy's error bodies are not documented, so it may be something else all the same; Error.Detail lists what, and
	// Error.DocumentStatus and Error.Body tell a person where to look.
	UnknownStatus Kind = "UnknownStatus"
	// NotFound is HTTP 404, or an answer that holds no object.
	NotFound Kind = "NotFound"
	// Server is HTTP 5xx. A POST or PATCH may have been carried out all the same.
	Server Kind = "Server"
	// Network is a request without an answer; Unwrap gives the cause. A POST or PATCH may have been carried out.
	Network Kind = "Network"
	// Gateway is an answer that does not come from the API: HTML, or a redirect. A POST or PATCH may have been carried out.
	Gateway Kind = "Gateway"
	// BadAnswer is a successful answer that cannot be understood. A POST or PATCH was carried out.
	BadAnswer Kind = "BadAnswer"
	// NotSaved means that Teamogy answered with success, but reading back showed other values.
	NotSaved Kind = "NotSaved"
	// Conflict means that the document already carries a different KSeF number: a person must decide.
	Conflict Kind = "Conflict"
	// NotSearchable means that a view cannot tell what was asked: it has more rows than FieldMap.ScanLimit and Teamogy
	// does not filter by property, or it does not show a column or property that the answer depends on. Never take it for
	// "not found": it is the field map that must be corrected.
	NotSearchable Kind = "NotSearchable"
	// Unsettled means that a create was lost a moment ago and its document, if there is one, need not be visible in
	// the view yet. Look again after Error.RetryAfter; never take it for "not found".
	Unsettled Kind = "Unsettled"
	// OutcomeUnknown means that a create may or may not have been carried out and that, as the field map says, nobody but
	// a person can find out (FieldMap.ReceivedSearch "none"). It must not be repeated.
	OutcomeUnknown Kind = "OutcomeUnknown"
	// Locked means that the document has its KSeF number and that Teamogy lets nobody change it any more.
	Locked Kind = "Locked"
	// XMLMissing means that the document has no invoice XML where the FieldMap says it is.
	XMLMissing Kind = "XMLMissing"
)

// Error is what every method of Client and Bucket fails with. It never holds the API key, even when the server
// repeats it in its answer.
type Error struct {
	// Operation is what was being done, and to what.
	Operation string
	// Kind is what a caller decides on.
	Kind Kind
	// Status is the HTTP status, 0 when there was none.
	Status int
	// Body is the beginning of the server's answer, at most 2 KiB, without the API key.
	Body string
	// Detail is our own explanation and says what to do.
	Detail string
	// DocumentStatus is the status that a refused create or patch tried to set (Kind UnknownStatus).
	DocumentStatus string
	// RetryAfter is how long to stay away, 0 when nobody said.
	RetryAfter time.Duration

	cause   error
	unsent  bool // nothing left this machine
	deleted bool // it is how some gateways answer for an object that was deleted
}

// Error tells what was done, what came of it and what to do, in one line.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("teamogy: ")
	b.WriteString(e.Operation)
	b.WriteString(": ")
	b.WriteString(e.explanation())
	if e.Status != 0 {
		fmt.Fprintf(&b, " (HTTP %d)", e.Status)
	}
	if e.RetryAfter > 0 {
		fmt.Fprintf(&b, "; try again in %s", e.RetryAfter.Round(time.Millisecond))
	}
	if e.cause != nil {
		b.WriteString(": ")
		b.WriteString(e.cause.Error())
	}
	if text := strings.Join(strings.Fields(e.said()), " "); text != "" {
		b.WriteString("; Teamogy said: ")
		b.WriteString(cut(text, 300))
	}
	return b.String()
}

var htmlMarkup = regexp.MustCompile(`(?is)<(script|style)\b.*?(</(script|style)>|$)|<[^>]*(>|$)`)

// said is the server's answer; of a page that came with an error only its words, and of any other page nothing.
func (e *Error) said() string {
	switch {
	case e.Kind != Gateway:
		return e.Body
	case e.Status < 400:
		return ""
	}
	return htmlMarkup.ReplaceAllString(e.Body, " ")
}

// Unwrap gives the cause of a Network error, for instance context.DeadlineExceeded.
func (e *Error) Unwrap() error { return e.cause }

func (e *Error) explanation() string {
	if e.Detail != "" {
		return e.Detail
	}
	switch e.Kind {
	case Unauthorized:
		return "the API key was not accepted: check the key and the addresses it is allowed from"
	case Forbidden:
		return "the API key's user lacks a right: check its groups, and the key's limits of addresses, methods and URLs"
	case RateLimited:
		return "Teamogy's request quota is used up"
	case QuotaLocal:
		return "our own request quota is used up for now, no request was made"
	case NotFound:
		return "there is no such object in this unit"
	case Server:
		return "the server failed"
	case Network:
		return "no answer came"
	case Gateway:
		return "the answer does not come from the API: check TEAMOGY_URL"
	}
	return "Teamogy refused it"
}

// refused says whether the server would not take the request as it stands: a 4xx that is about neither key nor quota,
// also one whose body is a page. Of a page one cannot tell whether it comes from the API, so this may lead to another
// way of asking, and never to the belief that something does not exist.
func (e *Error) refused() bool {
	return e.Kind == Invalid || e.Kind == Gateway && e.Status >= 400 && e.Status < 500
}

// speaksOf says whether the server's answer names a status or the word. It decides only on the words of the error.
func (e *Error) speaksOf(documentStatus string) bool {
	body := strings.ToLower(e.Body)
	return strings.Contains(body, "status") || strings.Contains(body, strings.ToLower(documentStatus))
}

// mayHaveHappened says whether a POST or PATCH that failed so may have been carried out.
func (e *Error) mayHaveHappened() bool {
	switch e.Kind {
	case Network, Server, Gateway, BadAnswer:
		return !e.unsent
	}
	return false
}

// MayHaveHappened says whether the create or patch that failed so may have been carried out all the same. Of an error
// that says no, nothing was changed in Teamogy.
func (e *Error) MayHaveHappened() bool { return e.mayHaveHappened() || e.Kind == NotSaved }

// MayBeDeleted says whether reading an object failed in a way in which some gateways answer for one that was deleted: a
// page with status 404, or success without a body. One such answer is no proof, since any proxy may send it.
func (e *Error) MayBeDeleted() bool { return e.Kind == NotFound || e.deleted }

// AsError finds the *Error in err's chain.
func AsError(err error) (*Error, bool) {
	var e *Error
	ok := errors.As(err, &e)
	return e, ok
}

// isKind says whether err is an *Error of one of the kinds.
func isKind(err error, kinds ...Kind) bool {
	e, ok := AsError(err)
	if !ok {
		return false
	}
	for _, k := range kinds {
		if e.Kind == k {
			return true
		}
	}
	return false
}

func isRefused(err error) bool {
	e, ok := AsError(err)
	return ok && e.refused()
}

// cut shortens s to at most n bytes without splitting a character.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "…"
}

// forCaller is an error of a shared request as one caller's own, which may be changed, or that of a context which ended
// before a request was made.
func forCaller(err error) error {
	if e, ok := AsError(err); ok {
		own := *e
		return &own
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return waitCancelled(err)
	}
	return err
}
