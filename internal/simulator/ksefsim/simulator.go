// Package ksefsim is an in-memory simulator of KSeF 2.0, the Polish state's
// e-invoice system, served over HTTP.
//
// It exists to test clients: strict by default, honest about time (states move
// on after delays, tokens expire, quotas run out), and awkward on request
// through the control API under /_sim/. It behaves like the TEST environment:
// self-made certificates are admitted and no document has legal effect. It
// keeps everything in memory and forgets it when the process ends.
//
// It shares no code with the project's own KSeF client, so that the two can
// disagree when one of them is wrong.
package ksefsim

import (
	"crypto/rand"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	_ "time/tzdata" // Warsaw's calendar must be known on every machine
)

// Config says how a Simulator behaves. The zero value is a simulator in real
// time with production quotas and without the control API.
type Config struct {
	// Environment is "test" (also ""), "demo" or "production".
	Environment string
	// Clock gives the time on which the simulator's own clock runs; nil means
	// time.Now. It must not go backwards.
	Clock func() time.Time
	// TimeScale divides every delay below and the windows of the quotas; 0
	// means 1. Lifetimes of tokens, challenges, sessions and links are real.
	TimeScale float64
	// Limits is "production" (also "") to enforce the production quotas,
	// "tenfold" for ten times more, or "off" to enforce none.
	Limits string
	// RateLimits replaces the quotas of single groups, by the names that
	// GET /rate-limits uses.
	RateLimits map[string]RateLimit

	// InvoiceDelay is how long a sent invoice is processed. As for all six
	// delays, 0 means the default and a negative value means none. Default 1 s.
	InvoiceDelay time.Duration
	// SessionDelay is how long a closed session whose invoices are all decided
	// needs to end and to make its UPO. Default 1 s.
	SessionDelay time.Duration
	// AuthDelay is how long an authentication stays at 100. Default 500 ms.
	AuthDelay time.Duration
	// StorageDelay lies between the KSeF number and permanent storage, from
	// which on an invoice can be queried and downloaded. Default 500 ms.
	StorageDelay time.Duration
	// HWMDelay is how far permanentStorageHwmDate lies behind now. Invoices
	// become visible in that time, not always in their order. Default 1 s.
	HWMDelay time.Duration
	// ExportDelay is how long an export is prepared. Default 1 s.
	ExportDelay time.Duration

	// FA3Schema is the path of the official FA(3) schema, against which invoices
	// are validated then (xmllint must be installed); "" means structural rules
	// only.
	FA3Schema string

	// ExportPartBytes is the size of an export's parts before encryption; 0
	// means 50 MB. UPOPageSize is the number of invoices on a page of a session's
	// UPO; 0 means 10,000.
	ExportPartBytes, UPOPageSize int
	// QueryRecords is how many invoices a query can reach and an export holds; 0
	// means KSeF's 10,000.
	QueryRecords int

	// Logger receives one line for each request at debug level; nil discards.
	Logger *slog.Logger
	// Control serves the control API under /_sim/, to loopback callers only.
	Control bool
	// PublicURL is the base of the links that the simulator hands out, for
	// example "http://127.0.0.1:8081"; "" takes the host that the request was
	// sent to.
	PublicURL string
}

// Simulator is one KSeF of its own. It is safe for concurrent use.
type Simulator struct {
	cfg    Config
	clock  *simClock
	log    *slog.Logger
	warsaw *time.Location
	secret [32]byte // signs tokens and links
	keys   *keyring
	schema *schemaChecker // nil without one
	limits *limiter

	authority *authority
	faults    faultList

	mu sync.Mutex // guards everything below
	state
}

// state is what a reset forgets.
type state struct {
	challenges  map[string]time.Time // until when; removed when used
	auths       map[string]*authentication
	tokens      map[string]*token
	permissions map[string][]string // by NIP; absent means the default
	accounts

	sessions     map[string]*session
	sessionOrder []*session
	unfinished   []*session // not yet in an end state
	pending      waitingLine
	submissions  []*sentInvoice

	store    store
	verdicts []*forcedVerdict
	held     map[string]bool // invoice numbers kept at 150

	requests        map[string]map[string]int
	tooManyRequests int
}

func newState() state {
	return state{
		challenges:  map[string]time.Time{},
		auths:       map[string]*authentication{},
		tokens:      map[string]*token{},
		permissions: map[string][]string{},
		accounts:    newAccounts(),
		sessions:    map[string]*session{},
		store:       newStore(),
		held:        map[string]bool{},
		requests:    map[string]map[string]int{},
	}
}

// New makes a simulator with its own RSA-2048 keys. It fails on a
// configuration that means nothing.
func New(c Config) (*Simulator, error) {
	if c.TimeScale == 0 {
		c.TimeScale = 1
	}
	if c.TimeScale < 0 {
		return nil, fmt.Errorf("ksefsim: TimeScale %v: must be positive", c.TimeScale)
	}
	var err error
	if c.Environment, err = checkEnvironment(c.Environment); err != nil {
		return nil, err
	}
	if c.Limits == "" {
		c.Limits = LimitsProduction
	}
	limits, err := limitsNamed(c.Limits)
	if err == nil {
		limits, err = withGroups(limits, c.RateLimits)
	}
	if err != nil {
		return nil, fmt.Errorf("ksefsim: %w", err)
	}
	if c.ExportPartBytes <= 0 {
		c.ExportPartBytes = 50_000_000
	}
	if c.QueryRecords <= 0 {
		c.QueryRecords = maxQueryRecords
	}
	if c.UPOPageSize <= 0 {
		c.UPOPageSize = maxSessionInvoices
	}
	c.PublicURL = strings.TrimSuffix(c.PublicURL, "/")
	c.InvoiceDelay = scaled(c.InvoiceDelay, time.Second, c.TimeScale)
	c.SessionDelay = scaled(c.SessionDelay, time.Second, c.TimeScale)
	c.AuthDelay = scaled(c.AuthDelay, 500*time.Millisecond, c.TimeScale)
	c.StorageDelay = scaled(c.StorageDelay, 500*time.Millisecond, c.TimeScale)
	c.HWMDelay = scaled(c.HWMDelay, time.Second, c.TimeScale)
	c.ExportDelay = scaled(c.ExportDelay, time.Second, c.TimeScale)

	if c.Clock == nil {
		c.Clock = time.Now
	}
	s := &Simulator{cfg: c, clock: newSimClock(c.Clock), log: c.Logger, state: newState()}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if s.warsaw, err = time.LoadLocation("Europe/Warsaw"); err != nil {
		return nil, fmt.Errorf("ksefsim: load the Polish calendar: %w", err)
	}
	if _, err := rand.Read(s.secret[:]); err != nil {
		return nil, fmt.Errorf("ksefsim: make a secret: %w", err)
	}
	if s.keys, err = newKeyring(s.now()); err != nil {
		return nil, err
	}
	if c.FA3Schema != "" {
		if s.schema, err = newSchemaChecker(c.FA3Schema); err != nil {
			return nil, fmt.Errorf("ksefsim: %w", err)
		}
	}
	if s.authority, err = newAuthority(s.now()); err != nil {
		return nil, err
	}
	s.limits = newLimiter(c.Limits, limits, c.TimeScale)
	return s, nil
}

// scaled is a configured delay with its default applied and divided by the
// time scale.
func scaled(d, standard time.Duration, scale float64) time.Duration {
	if d < 0 {
		return 0
	}
	if d == 0 {
		d = standard
	}
	return time.Duration(float64(d) / scale)
}

// Handler serves the API under /v2, the storage links under /storage/, a page
// of text at / and, with Config.Control, the control API under /_sim/.
func (s *Simulator) Handler() http.Handler {
	mux := http.NewServeMux()
	for _, op := range s.operations() {
		method, path, _ := strings.Cut(op.name, " ")
		mux.Handle(method+" /v2"+path, s.serve(op))
	}
	mux.Handle("GET /storage/{area}/{session}/{kind}/{file}", s.serve(s.storageOperation()))
	mux.Handle("PUT /storage/{area}/{session}/{kind}/{file}", s.serve(s.uploadOperation()))
	mux.Handle("/", s.serve(&operation{name: "unknown", open: true, handle: func(c *call) (*reply, error) {
		return nil, &failure{status: http.StatusNotFound, detail: "Symulator tego nie zna: " + c.r.Method + " " + c.r.URL.Path + ". Co zna, mówi GET /."}
	}}))
	mux.HandleFunc("GET /{$}", s.index)
	if s.cfg.Control {
		s.registerControl(mux)
	}
	return mux
}

// reset forgets every invoice, session, login, counter and fault. The keys
// stay, because clients keep them for an hour.
func (s *Simulator) reset() {
	s.mu.Lock()
	s.state = newState()
	s.mu.Unlock()
	s.limits.reset()
	s.faults.reset()
	s.authority.reinstate()
	s.clock.setSkew(0)
}

// now is the present in UTC with the precision that the API shows.
func (s *Simulator) now() time.Time { return s.clock.now().UTC().Truncate(100 * time.Nanosecond) }

// lock takes the lock and brings every delayed state up to now.
func (s *Simulator) lock(now time.Time) {
	s.mu.Lock()
	s.settle(now)
}

// warsawDay is the calendar day in Poland, as YYYY-MM-DD.
func (s *Simulator) warsawDay(t time.Time) string { return t.In(s.warsaw).Format(time.DateOnly) }
