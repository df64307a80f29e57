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
	clock               *clock
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
	faults   *faults
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
	now := c.Now
	if now == nil {
		now = time.Now
	}
	s.clock = newClock(now)
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
	if s.faults != nil {
		s.faults.clear()
	}
	s.faults = newFaults()
	s.clock.reset()
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
