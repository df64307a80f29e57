// Package teamogysim simulates a Teamogy tenant for clients of its REST API: in
// memory, over HTTP, with companies, documents, views, a quota and everything
// that is unknown about the real system as a switch. It also serves one web page
// at / on which one can watch invoices travel between Teamogy and KSeF, and a
// control API under /_sim/ for seeding, inspection and faults.
//
// It is a witness for the connector's Teamogy client and shares no code with it.
// It holds sample data only and must never be taken for a place to keep invoices.
package teamogysim

import (
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Simulator is one simulated tenant. It is safe for concurrent use.
type Simulator struct {
	unit                int
	apiKey              string
	timeScale           float64
	now                 func() time.Time
	logger              *slog.Logger
	control             bool
	controlFromAnywhere bool
	initial             settings
	initialStatuses     []string
	page                page

	mu       sync.Mutex
	settings settings
	statuses []string
	rights   rightSet
	tenant   *tenant
	quota    quota
	counters *counters
	faults   faults
	epoch    string
	resets   int
}

// New makes a simulator with no documents and no companies. It panics when c
// holds a switch that does not exist, which is a mistake of the program.
func New(c Config) *Simulator {
	s := &Simulator{
		unit:                c.Unit,
		apiKey:              c.APIKey,
		timeScale:           c.TimeScale,
		now:                 c.Now,
		logger:              c.Logger,
		control:             c.Control,
		controlFromAnywhere: c.ControlFromAnywhere,
		initial:             newSettings(c),
		initialStatuses:     slices.Clone(c.Statuses),
		page:                newPage(),
	}
	if s.unit == 0 {
		s.unit = 1
	}
	if s.timeScale <= 0 {
		s.timeScale = 1
	}
	if s.now == nil {
		s.now = time.Now
	}
	if s.logger == nil {
		s.logger = slog.New(slog.DiscardHandler)
	}
	if s.initialStatuses == nil {
		s.initialStatuses = DefaultStatuses()
	}
	if err := s.initial.check(); err != nil {
		// Only tests get here: the program that is shipped takes DefaultConfig,
		// and of what check looks at it sets RequestsPerMinute, to a constant.
		panic("teamogysim: " + err.Error())
	}
	s.Reset()
	return s
}

// Reset empties the tenant and puts every switch back to what New was given.
func (s *Simulator) Reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settings = s.initial
	s.statuses = slices.Clone(s.initialStatuses)
	s.rights = allRights()
	s.tenant = newTenant(s.unit)
	s.quota = quota{}
	s.counters = newCounters()
	s.faults = nil
	s.resets++
	// The page tells a tenant from the one before it by the epoch.
	s.epoch = strconv.FormatInt(time.Now().UnixNano(), 36) + "-" + strconv.Itoa(s.resets)
}

// Handler serves the REST API under /rest/v1/{unit}/, attachments under /files/,
// the web page at / and, when Config.Control is set, the control API under
// /_sim/.
func (s *Simulator) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/rest/v1/", s.serveREST)
	mux.HandleFunc("GET /files/{id}/{name}", s.serveFile)
	mux.HandleFunc("GET /{$}", s.servePage)
	mux.HandleFunc("GET /page.json", s.servePageRows)
	if s.control {
		mux.Handle("/_sim/", s.controlHandler())
	}
	return mux
}

// serveREST is the gateway in front of the API: it counts, refuses over the
// quota, injects faults and holds back answers that are too large.
func (s *Simulator) serveREST(w http.ResponseWriter, r *http.Request) {
	op := operation(r)
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	a := newAnswer()

	s.mu.Lock()
	wait, refused := s.quota.refuse(s.now(), s.settings.RequestsPerMinute, s.timeScale)
	var fault *fault
	if !refused {
		fault = s.faults.take(op)
	}
	set := s.settings
	s.mu.Unlock()

	switch {
	case refused:
		if set.QuotaRetryAfter {
			a.Header().Set("Retry-After", strconv.Itoa(wholeSeconds(wait)))
		}
		a.fail(set.QuotaStatus, "too many requests: the quota is %d a minute", set.RequestsPerMinute)
	case fault.before():
		fault.answer(a)
	default:
		s.route(a, r)
		if a.body.Len() > maxAnswer {
			a.reset()
			a.fail(http.StatusRequestEntityTooLarge, "the answer is larger than 10 MB; ask for fewer rows, columns or properties")
		}
		if fault != nil && fault.Action != actionDropAfter {
			fault.answer(a)
		}
	}

	label := strconv.Itoa(a.status)
	dropped := fault != nil && (fault.Action == actionDropAfter || fault.Action == actionDropBefore)
	if dropped {
		label = "dropped"
	}
	s.mu.Lock()
	s.counters.count(op, label, refused || (a.status == http.StatusTooManyRequests && !dropped))
	s.mu.Unlock()
	s.logger.Debug("request", "operation", op, "status", label)
	if dropped {
		panic(http.ErrAbortHandler)
	}
	a.writeTo(w)
}

// route checks the unit and the token, then hands the request to its entity.
func (s *Simulator) route(a *answer, r *http.Request) {
	unit, path, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/rest/v1/"), "/")
	if !s.authenticated(r) {
		a.Header().Set("WWW-Authenticate", "Bearer")
		a.fail(http.StatusUnauthorized, "missing or unknown API key")
		return
	}
	if unit != strconv.Itoa(s.unit) {
		a.fail(http.StatusNotFound, "no business unit %q", unit)
		return
	}
	query, err := parseQuery(r.URL.RawQuery)
	if err != nil {
		a.fail(http.StatusBadRequest, "%v", err)
		return
	}
	if view, ok := strings.CutPrefix(path, "views/"); ok {
		s.serveView(a, r, view, query)
		return
	}
	switch path {
	case "documents":
		s.serveDocuments(a, r, query)
	case "companies":
		s.serveCompanies(a, r, query)
	case "agencies":
		s.serveNamed(a, r, query, agencyRows)
	case "users":
		s.serveNamed(a, r, query, userRows)
	default:
		a.fail(http.StatusNotFound, "no such resource: %s", path)
	}
}

func (s *Simulator) authenticated(r *http.Request) bool {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	s.mu.Lock()
	defer s.mu.Unlock()
	return ok && token != "" && (s.apiKey == "" || token == s.apiKey)
}

// operation names a request for counters and faults: "POST /documents".
func operation(r *http.Request) string {
	_, path, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/rest/v1/"), "/")
	return r.Method + " /" + path
}
