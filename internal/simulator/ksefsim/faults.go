package ksefsim

import (
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"sync"
	"time"
)

// Actions of a fault.
const (
	faultDropAfter   = "drop-after"  // handle and commit, then cut the connection
	faultDropBefore  = "drop-before" // cut the connection, do nothing
	fault502After    = "502-after"   // handle and commit, then answer 502 with HTML
	fault502Before   = "502-before"  // answer 502 with HTML, do nothing
	faultHTML        = "html"        // answer 200 with an HTML page, do nothing
	faultTooMany     = "429"         // answer 429 with Retry-After, do nothing
	faultStatus      = "status"      // answer the given status and body, do nothing
	badGatewayPage   = "<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>"
	blockedPage      = "<html><head><title>Request unsuccessful</title></head><body>Request unsuccessful. Incapsula incident ID: 0-0</body></html>"
	anyOperation     = "*"
	faultForEver     = -1
	defaultRetrySecs = 1
)

// fault is one disturbance that somebody asked for.
type fault struct {
	ID          int    `json:"id"`
	Operation   string `json:"operation"`
	Action      string `json:"action"`
	Times       int    `json:"times"` // 0 means once, -1 means for ever
	Skip        int    `json:"skip"`  // matching requests to let pass first
	Status      int    `json:"status,omitempty"`
	Body        string `json:"body,omitempty"`
	ContentType string `json:"contentType,omitempty"`
	RetryAfter  int    `json:"retryAfter,omitempty"` // seconds
	Fired       int    `json:"fired"`

	passed int
}

// before says whether the fault strikes before the operation does anything.
func (f *fault) before() bool { return f.Action != faultDropAfter && f.Action != fault502After }

// reply is what the caller sees; nil means a cut connection.
func (f *fault) reply(r *http.Request, now time.Time) *reply {
	switch f.Action {
	case fault502After, fault502Before:
		return &reply{status: http.StatusBadGateway, contentType: "text/html", body: []byte(badGatewayPage)}
	case faultHTML:
		return &reply{status: http.StatusOK, contentType: "text/html", body: []byte(blockedPage)}
	case faultTooMany:
		return (&failure{
			status: http.StatusTooManyRequests, retryAfter: max(f.RetryAfter, defaultRetrySecs),
			detail: "Za dużo żądań (na życzenie testu).",
		}).reply(r, now)
	case faultStatus:
		contentType := f.ContentType
		if contentType == "" {
			contentType = "application/json"
			if len(f.Body) > 0 && f.Body[0] == '<' {
				contentType = "text/html"
			}
		}
		out := &reply{status: f.Status, contentType: contentType, body: []byte(f.Body), header: http.Header{}}
		if f.RetryAfter > 0 {
			out.header.Set("Retry-After", fmt.Sprint(f.RetryAfter))
		}
		return out
	}
	return nil
}

// faultList holds the faults in the order in which they were asked for.
type faultList struct {
	mu   sync.Mutex
	next int
	list []*fault
}

var pathParameter = regexp.MustCompile(`\{[^}]*\}`)

// sameOperation compares two operations whatever their path parameters are
// called.
func sameOperation(a, b string) bool {
	return pathParameter.ReplaceAllString(a, "{}") == pathParameter.ReplaceAllString(b, "{}")
}

// add puts a fault in place.
func (l *faultList) add(f fault) (fault, error) {
	known := []string{faultDropAfter, faultDropBefore, fault502After, fault502Before, faultHTML, faultTooMany, faultStatus}
	if !slices.Contains(known, f.Action) {
		return f, fmt.Errorf("action %q: must be one of %q", f.Action, known)
	}
	if f.Operation == "" {
		return f, fmt.Errorf("operation is missing, for example %q, or %q for every one", "POST /sessions/online", anyOperation)
	}
	if f.Action == faultStatus && (f.Status < 200 || f.Status > 599) {
		return f, fmt.Errorf("status %d: must be 200 to 599", f.Status)
	}
	if f.Times == 0 {
		f.Times = 1
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.next++
	f.ID, f.Fired, f.passed = l.next, 0, 0
	l.list = append(l.list, &f)
	return f, nil
}

// take gives the fault that strikes this request, or nil. Of several that fit,
// the oldest strikes.
func (l *faultList) take(operation string) *fault {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, f := range l.list {
		if f.Operation != anyOperation && !sameOperation(f.Operation, operation) {
			continue
		}
		if f.Times != faultForEver && f.Fired >= f.Times {
			continue
		}
		if f.passed < f.Skip {
			f.passed++
			continue
		}
		f.Fired++
		taken := *f
		return &taken
	}
	return nil
}

func (l *faultList) all() []fault {
	l.mu.Lock()
	defer l.mu.Unlock()
	list := make([]fault, 0, len(l.list))
	for _, f := range l.list {
		list = append(list, *f)
	}
	return list
}

func (l *faultList) reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.list = nil
}
