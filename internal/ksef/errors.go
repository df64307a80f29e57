package ksef

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"
)

// Kind tells what sort of failure an [Error] is, so that a caller can decide
// what to do without knowing HTTP.
type Kind string

const (
	// KindUnauthorized is an answer 401 even after a new login.
	KindUnauthorized Kind = "unauthorized"
	// KindForbidden is an answer 403 of KSeF itself; ReasonCode and
	// MissingPermissions say why. The caller's configuration is at fault.
	KindForbidden Kind = "forbidden"
	// KindGateway is an answer that KSeF itself did not write: the web
	// application firewall, HTML, an unexpected content type, 502 or 504, a
	// body that is cut off. Transient, but a POST may have had its effect.
	KindGateway Kind = "gateway"
	// KindRateLimited is an answer 429, or a call not made because it would
	// exceed a quota (Local is true then). RetryAfter says how long to wait.
	KindRateLimited Kind = "rate limited"
	// KindGone is an answer 410: KSeF no longer keeps the state of the operation.
	KindGone Kind = "gone"
	// KindRejected is an answer 400 (or another 4xx of KSeF itself); Codes say why.
	KindRejected Kind = "rejected"
	// KindServer is an answer 5xx of KSeF itself, or a login that failed
	// inside KSeF. Transient, but a POST may have had its effect.
	KindServer Kind = "server error"
	// KindNetwork is a failure without an answer. A POST may have had its effect.
	KindNetwork Kind = "network"
	// KindHashMismatch is a document whose bytes do not have the announced
	// SHA-256. Transient when the download was damaged.
	KindHashMismatch Kind = "hash mismatch"
	// KindLoginRefused is a login that KSeF refused for good: Codes[0].Code
	// is the status of the authentication (415, 450, 460, ...), or the code
	// of the refused request (21115, 9105, ...).
	KindLoginRefused Kind = "login refused"
	// KindNotYet is something that will be there later: an invoice that
	// cannot be downloaded yet (21165), a UPO not made yet (21178), a
	// certificate that KSeF still checks.
	KindNotYet Kind = "not yet"
)

// Codes of KSeF that this package and its callers decide on. The full list is
// in the API's contract.
const (
	CodeInvoiceNotFound     = 21164 // no invoice with this KSeF number for this context
	CodeInvoiceNotYet       = 21165 // invoice exists, its content is not available yet
	CodeSessionNotFound     = 21173 // also for a moment after a session was opened
	CodeNoUPO               = 21178 // no UPO, or not yet
	CodeSessionForbids      = 21180 // the session's status forbids the operation
	CodePartSize            = 21157 // a part of a package has another size than was announced
	CodePartMissing         = 21205 // a part of a package was not uploaded, or the package is empty
	CodeUploadTooLate       = 21208 // the time to upload a package is over: its session is cancelled
	CodeExportUnknown       = 21175 // no export with this reference
	CodeTooManyExports      = 21182 // ten exports run already
	CodeBeyondHWM           = 21183 // the query begins after the high water mark
	CodeSessionUnavailable  = 21184 // temporarily; the invoice was not accepted
	CodeValidation          = 21405 // input validation, details name the field
	CodeUnknownPublicKey    = 21470 // publicKeyId unknown or withdrawn
	CodeSessionInvoiceLimit = 21155 // the session holds as many invoices as it may
)

// Code is one reason that KSeF gave.
type Code struct {
	// Code is KSeF's number of the reason.
	Code int
	// Description is KSeF's text for the code, in Polish as a rule.
	Description string
	// Details tell more, for example the field that is wrong.
	Details []string
}

// Error is a failed call. It contains no token, no link and no body.
type Error struct {
	// Operation says what was being done, such as "open online session".
	Operation string
	// Kind is the sort of failure.
	Kind Kind
	// Status is the HTTP status, 0 when there was no answer.
	Status int
	// Codes are KSeF's reasons, in its order.
	Codes []Code
	// Title and Detail are the texts of a problem document.
	Title, Detail string
	// ReasonCode tells why a 403 was given, such as "missing-permissions".
	ReasonCode string
	// MissingPermissions names the permissions one of which was needed.
	MissingPermissions []string
	// RetryAfter is how long to wait at least before the next attempt, in
	// real time (it is not scaled); 0 when nothing is known.
	RetryAfter time.Duration
	// Local is true when the call was not made, to spare the quota.
	Local bool

	cause error
}

// Error describes the failure in one line, with what to do where it is known.
func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "KSeF: %s: %s", e.Operation, e.Kind)
	if e.Status != 0 {
		fmt.Fprintf(&b, " (HTTP %d)", e.Status)
	}
	for i, c := range e.Codes {
		if i == 3 {
			fmt.Fprintf(&b, "; and %d more", len(e.Codes)-i)
			break
		}
		fmt.Fprintf(&b, "; %d", c.Code)
		if c.Description != "" {
			b.WriteString(" " + c.Description)
		}
		if len(c.Details) > 0 {
			b.WriteString(" [" + shorten(strings.Join(c.Details, " | "), 600) + "]")
		}
	}
	if e.Title != "" && len(e.Codes) == 0 {
		b.WriteString("; " + e.Title)
	}
	if e.Detail != "" {
		b.WriteString("; " + e.Detail)
	}
	if e.ReasonCode != "" {
		b.WriteString("; reason " + e.ReasonCode)
	}
	if e.cause != nil {
		b.WriteString("; " + e.cause.Error())
	}
	if hint := e.remedy(); hint != "" {
		b.WriteString(" - " + hint)
	}
	return b.String()
}

// Unwrap returns the cause of a network failure or of an unreadable answer.
func (e *Error) Unwrap() error { return e.cause }

// Has tells whether KSeF gave this code as a reason.
func (e *Error) Has(code int) bool {
	for _, c := range e.Codes {
		if c.Code == code {
			return true
		}
	}
	return false
}

// AsError returns the *Error in err's chain.
func AsError(err error) (*Error, bool) {
	var e *Error
	ok := errors.As(err, &e)
	return e, ok
}

func (e *Error) remedy() string {
	switch e.Kind {
	case KindForbidden:
		switch {
		case len(e.MissingPermissions) > 0:
			return "the taxpayer has to grant one of these permissions in KSeF: " + strings.Join(e.MissingPermissions, ", ")
		case e.ReasonCode == "ip-not-allowed":
			return "the login is limited to other IP addresses"
		}
	case KindRateLimited:
		wait := e.RetryAfter.Round(time.Second)
		if e.Local {
			return fmt.Sprintf("not called, the request quota is used up; free again in %s", wait)
		}
		return fmt.Sprintf("other software may share the quota; free again in %s", wait)
	case KindLoginRefused:
		if len(e.Codes) == 0 {
			return ""
		}
		switch e.Codes[0].Code {
		case 415:
			return "the certificate's owner has no permission for this NIP: the taxpayer has to grant it in KSeF"
		case 460, 21115:
			return "replace the certificate: KSeF does not accept it (revoked, suspended, expired, or of another environment)"
		case 480:
			return "KSeF blocked this context as a suspected security incident: contact the Ministry of Finance"
		}
	case KindUnauthorized:
		return "KSeF refused a token that it had just issued: check the certificate and the clock"
	}
	return ""
}

var (
	tokenPattern = regexp.MustCompile(`eyJ[A-Za-z0-9_-]{6,}(\.[A-Za-z0-9_-]+)*`)
	linkPattern  = regexp.MustCompile(`https?://[^\s"'<>]*`)
)

// clean makes a text of the server fit for an error: no token, no link, no
// control characters, and of bounded length.
func clean(s string) string {
	s = tokenPattern.ReplaceAllString(s, redacted)
	s = linkPattern.ReplaceAllString(s, "[link]")
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s)
	return shorten(strings.TrimSpace(s), 500)
}

// shorten cuts s after max bytes at the boundary of a character.
func shorten(s string, max int) string {
	if len(s) <= max {
		return s
	}
	for max > 0 && s[max]&0xC0 == 0x80 {
		max--
	}
	return s[:max] + "..."
}
