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
	"sync"
	"time"
)

// Simulator is one simulated tenant. It is safe for concurrent use.
type Simulator struct {
	unit                int
	timeScale           float64
	clock               *clock
	logger              *slog.Logger
	control             bool
	controlFromAnywhere bool
	initial             *settings
	initialToken        *token
	initialStatuses     []string
	page                page

	mu       sync.Mutex
	settings *settings
	statuses []string
	token    *token
	tenant   *tenant
	quotas   map[string]*quota // by who shares one
	counters *counters
	faults   *faults
	edits    map[int64][]edit // by document, for after it is read
	shuffles uint64           // requests so far that were answered in a shuffled order
	epoch    string
	resets   int
}

// New makes a simulator with no documents and no companies. It panics when c
// holds a switch that does not exist, which is a mistake of the program.
func New(c Config) *Simulator {
	s := &Simulator{
		unit:                c.Unit,
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
	var err error
	if s.initialToken, err = newToken(c); err == nil {
		err = s.initial.check()
	}
	if err != nil {
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
	s.token = s.initialToken
	s.tenant = newTenant(s.unit)
	s.tenant.register(s.settings)
	s.quotas = map[string]*quota{}
	s.counters = newCounters()
	if s.faults != nil {
		s.faults.clear()
	}
	s.faults = newFaults()
	s.edits, s.shuffles = map[int64][]edit{}, 0
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
