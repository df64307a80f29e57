package teamogysim

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// Actions of a fault. "after" means that the request did its work and only the
// answer is lost or spoilt; "before" that it never reached the application.
const (
	actionDropAfter  = "drop-after"
	actionDropBefore = "drop-before"
	action502After   = "502-after"
	action502Before  = "502-before"
	actionHTML       = "html"
	action429        = "429"
	actionStatus     = "status"
)

// fault is one ordered misbehaviour. Operation is as in the counters; a
// trailing * matches any rest ("GET /views/*"), and * alone everything.
type fault struct {
	Operation  string `json:"operation"`
	Action     string `json:"action"`
	Times      int    `json:"times"` // 0 in an order means 1; -1 means for ever
	Skip       int    `json:"skip"`  // so many matching requests pass first
	Status     int    `json:"status,omitempty"`
	Body       string `json:"body,omitempty"`
	RetryAfter int    `json:"retryAfter,omitempty"` // whole seconds
	Fired      int    `json:"fired"`
}

func (f *fault) check() error {
	switch f.Action {
	case actionDropAfter, actionDropBefore, action502After, action502Before, actionHTML, action429:
	case actionStatus:
		if f.Status < 200 || f.Status > 599 {
			return fmt.Errorf("action status wants a status of 200 to 599, not %d", f.Status)
		}
	default:
		return fmt.Errorf("unknown action %q", f.Action)
	}
	if f.Operation == "" {
		return fmt.Errorf("operation is missing")
	}
	return nil
}

func (f *fault) matches(op string) bool {
	if prefix, ok := strings.CutSuffix(f.Operation, "*"); ok {
		return strings.HasPrefix(op, prefix)
	}
	return f.Operation == op
}

// before reports whether the fault keeps the request from the application.
func (f *fault) before() bool {
	return f != nil && f.Action != actionDropAfter && f.Action != action502After
}

// answer writes what the caller gets instead of the truth. A dropped answer is
// dropped by the gateway.
func (f *fault) answer(a *answer) {
	switch f.Action {
	case action502After, action502Before:
		a.text(http.StatusBadGateway, "text/html; charset=utf-8", "<html><body><h1>502 Bad Gateway</h1></body></html>")
	case actionHTML:
		a.text(http.StatusOK, "text/html; charset=utf-8", "<!doctype html><html><body><h1>Please sign in</h1></body></html>")
	case action429:
		a.fail(http.StatusTooManyRequests, "too many requests")
		a.Header().Set("Retry-After", strconv.Itoa(max(1, f.RetryAfter)))
	case actionStatus:
		if f.Body != "" {
			a.text(f.Status, "application/json; charset=utf-8", f.Body)
		} else {
			a.fail(f.Status, "fault ordered at the simulator")
		}
		if f.RetryAfter > 0 {
			a.Header().Set("Retry-After", strconv.Itoa(f.RetryAfter))
		}
	}
}

// faults are the ordered misbehaviours; the first that matches and is not used
// up fires. Used up ones stay, so that one can see how often they fired.
type faults []*fault

func (fs faults) take(op string) *fault {
	for _, f := range fs {
		if !f.matches(op) || (f.Times >= 0 && f.Fired >= f.Times) {
			continue
		}
		if f.Skip > 0 {
			f.Skip--
			continue
		}
		f.Fired++
		return f
	}
	return nil
}
