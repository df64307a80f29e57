package teamogysim

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
)

const forEver = -1

// fault is one ordered misbehaviour. Operation is as in the counters; a
// trailing * matches any rest ("GET /views/*"), and * alone everything.
type fault struct {
	ID        int    `json:"id"`
	Operation string `json:"operation"`
	Action    string `json:"action"` // as it was ordered; an alias stays one
	Name      string `json:"name"`   // in an order, a synonym of action
	Times     int    `json:"times"`  // 0 in an order means 1; -1 means for ever
	Skip      int    `json:"skip"`   // so many matching requests pass first
	// Probability, 0 to 1, lets a matching request be struck or not, by a random
	// number of Seed: the same seed strikes the same requests. Absent means 1.
	Probability *float64 `json:"probability,omitempty"`
	Seed        uint64   `json:"seed,omitempty"`
	Status      int      `json:"status,omitempty"`
	Body        string   `json:"body,omitempty"`
	RetryAfter  int      `json:"retryAfter,omitempty"` // whole seconds; -1: no header
	Seconds     float64  `json:"seconds,omitempty"`    // how long an answer is held; 0: as long as the caller waits
	Fired       int      `json:"fired"`

	kind   faultKind
	passed int
	random *rand.Rand
}

// prepare checks an order and fills in what it leaves out.
func (f *fault) prepare() error {
	if f.Action == "" {
		f.Action = f.Name
	}
	kind, err := faultKindOf(f.Action)
	if err != nil {
		return err
	}
	if other, err := faultKindOf(f.Name); f.Name != "" && (err != nil || other.Name != kind.Name) {
		return fmt.Errorf("action %q and name %q are two different faults: give one of them", f.Action, f.Name)
	}
	switch {
	case f.Operation == "":
		return fmt.Errorf(`operation is missing: want one such as "POST /documents" or "GET /views/*", or "*" for every one`)
	case !isOperation(f.Operation):
		return fmt.Errorf(`operation %q: want a method, a space and a path below /rest/v1/{unit}, such as "POST /documents" or "GET /views/*", or "*" for every one`, f.Operation)
	case f.Times < forEver:
		return fmt.Errorf("times %d: want 1 or more, or -1 for ever", f.Times)
	case f.Skip < 0:
		return fmt.Errorf("skip %d: want 0 or more", f.Skip)
	case f.Probability != nil && (*f.Probability < 0 || *f.Probability > 1):
		return fmt.Errorf("probability %v: want 0 to 1", *f.Probability)
	case kind.Name == faultStatus && (f.Status < 200 || f.Status > 599):
		return fmt.Errorf("status %d: action status wants a status of 200 to 599", f.Status)
	case f.Seconds < 0 || f.Seconds > 0 && kind.reach != reachHeld:
		return fmt.Errorf("seconds %v: want 0 or more, and only with timeout or timeout-after", f.Seconds)
	case f.RetryAfter < -1:
		return fmt.Errorf("retryAfter %d: want whole seconds, or -1 for no such header", f.RetryAfter)
	}
	if f.Times == 0 {
		f.Times = 1
	}
	f.kind, f.Name, f.Fired = kind, kind.Name, 0
	f.random = rand.New(rand.NewPCG(f.Seed, 0))
	return nil
}

func isOperation(text string) bool {
	if text == "*" {
		return true
	}
	method, path, ok := strings.Cut(text, " ")
	return ok && slices.Contains([]string{"GET", "POST", "PATCH", "PUT", "DELETE"}, method) && (path == "*" || strings.HasPrefix(path, "/"))
}

func matches(pattern, text string) bool {
	if prefix, ok := strings.CutSuffix(pattern, "*"); ok {
		return strings.HasPrefix(text, prefix)
	}
	return pattern == text
}

// strikes decides about a request that matches and counts it.
func (f *fault) strikes() bool {
	if f.Times != forEver && f.Fired >= f.Times {
		return false
	}
	if f.passed < f.Skip {
		f.passed++
		return false
	}
	if f.Probability != nil && f.random.Float64() >= *f.Probability {
		return false
	}
	f.Fired++
	return true
}

// faults are the ordered misbehaviours; the first that matches and is not used
// up strikes. Used up ones stay, so that one can see how often they struck.
type faults struct {
	ordered []*fault
	totals  map[string]int // by name, also of faults that were removed
	lastID  int
	release chan struct{} // closed to let go of answers that are held
}

func newFaults() *faults {
	return &faults{totals: map[string]int{}, release: make(chan struct{})}
}

func (fs *faults) take(op string) *fault {
	for _, f := range fs.ordered {
		if matches(f.Operation, op) && f.strikes() {
			fs.totals[f.Name]++
			return f
		}
	}
	return nil
}

// clear removes all orders and lets go of what they hold.
func (fs *faults) clear() {
	fs.ordered = nil
	close(fs.release)
	fs.release = make(chan struct{})
}

func (s *Simulator) controlFaults(a *answer, _ *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a.json(http.StatusOK, map[string]any{"faults": orEmpty(s.faults.ordered), "totals": maps.Clone(s.faults.totals)})
}

func (s *Simulator) controlOrderFault(a *answer, r *http.Request) {
	var f fault
	if !decodeControl(a, r, &f) {
		return
	}
	if err := f.prepare(); err != nil {
		a.fail(http.StatusBadRequest, "%v", err)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults.lastID++
	f.ID = s.faults.lastID
	s.faults.ordered = append(s.faults.ordered, &f)
	a.json(http.StatusCreated, f)
}

func (s *Simulator) controlClearFaults(a *answer, _ *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults.clear()
	a.json(http.StatusOK, struct{}{})
}

func (s *Simulator) controlFaultNames(a *answer, _ *http.Request) {
	a.json(http.StatusOK, map[string]any{"names": faultKinds})
}
