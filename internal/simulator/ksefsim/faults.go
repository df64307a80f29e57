package ksefsim

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"
)

// anyOperation in a fault stands for every operation.
const anyOperation = "*"

// faultForEver as Times of a fault or verdict means without end.
const faultForEver = -1

// Fault is one disturbance that somebody ordered: by the control API
// (POST /_sim/faults) or with Simulator.Order.
type Fault struct {
	ID int `json:"id"`
	// Name is one of FaultNames. Action is the same under its older name; one
	// of the two is enough.
	Name   string `json:"name"`
	Action string `json:"action,omitempty"`
	// Operation is what it strikes, for example "POST /sessions/online", or "*"
	// for everything. Path parameters may be called anything. Empty takes what
	// the name stands for; some names have nothing of their own.
	Operation string `json:"operation,omitempty"`
	// Times is how often it strikes: 0 means the name's own number, mostly
	// once, and -1 for ever.
	Times int `json:"times"`
	// Skip is how many occasions pass first.
	Skip int `json:"skip"`
	// Probability makes it strike by chance: 0 and 1 mean always. The same Seed
	// gives the same choice for the same sequence of occasions.
	Probability float64 `json:"probability,omitempty"`
	Seed        uint64  `json:"seed,omitempty"`

	Status      int     `json:"status,omitempty"` // HTTP status, or the code of an invoice, session or login
	Code        int     `json:"code,omitempty"`   // of the API, for "api-error"
	Body        string  `json:"body,omitempty"`
	ContentType string  `json:"contentType,omitempty"`
	RetryAfter  int     `json:"retryAfter,omitempty"` // seconds
	Seconds     float64 `json:"seconds,omitempty"`    // how long or how far, by the name

	Fired int `json:"fired"`

	kind   *faultKind
	passed int
	chance *rand.Rand
}

// faultList holds the faults in the order in which they were ordered.
type faultList struct {
	mu    sync.Mutex
	next  int
	list  []*Fault
	total map[string]int // fired, by name, whether the fault is still there or not
}

// sameOperation compares two operations whatever their path parameters are
// called. It runs for each request and fault.
func sameOperation(a, b string) bool {
	for {
		at, bt := strings.IndexByte(a, '{'), strings.IndexByte(b, '{')
		if at < 0 || bt < 0 || a[:at] != b[:bt] {
			return a == b
		}
		ae, be := strings.IndexByte(a, '}'), strings.IndexByte(b, '}')
		if ae < at || be < bt {
			return a == b
		}
		a, b = a[ae+1:], b[be+1:]
	}
}

// prepare checks an order and fills in what its name stands for.
func (f *Fault) prepare() error {
	if f.Name == "" {
		f.Name = f.Action
	}
	f.kind = findFaultKind(f.Name)
	if f.kind == nil {
		return fmt.Errorf("name %q: must be one of %q", f.Name, FaultNames())
	}
	f.Name = f.kind.name
	if f.Operation == "" && len(f.kind.operations) == 0 {
		return fmt.Errorf("operation is missing, for example %q, or %q for every one", "POST /sessions/online", anyOperation)
	}
	if f.Operation != "" && f.Operation != anyOperation && !slices.ContainsFunc(operationNames(), func(name string) bool {
		return sameOperation(name, f.Operation)
	}) {
		return fmt.Errorf("operation %q: must be %q for every one, or a method and a path without /v2 such as %q; GET /_sim/faults/names lists them",
			f.Operation, anyOperation, opSend)
	}
	if f.kind.phase == phaseInside && !f.kind.anywhere && f.Operation != "" && f.Operation != anyOperation &&
		!slices.ContainsFunc(f.kind.operations, func(name string) bool { return sameOperation(name, f.Operation) }) {
		return fmt.Errorf("operation %q: the fault %s has an effect on %q only", f.Operation, f.Name, f.kind.operations)
	}
	if f.Probability < 0 || f.Probability > 1 {
		return fmt.Errorf("probability %v: must be 0 to 1", f.Probability)
	}
	if f.Times == 0 {
		f.Times = max(f.kind.times, 1)
		if f.kind.times == faultForEver {
			f.Times = faultForEver
		}
	}
	if f.Times < faultForEver || f.Skip < 0 {
		return fmt.Errorf("times must be at least -1 (for ever) and skip at least 0")
	}
	if f.Seconds == 0 {
		f.Seconds = f.kind.seconds
	}
	if f.Status == 0 {
		f.Status = f.kind.status
	}
	switch {
	case f.kind.name == faultStatus && (f.Status < 200 || f.Status > 599):
		return fmt.Errorf("status %d: must be 200 to 599", f.Status)
	case f.kind.status != 0 && (f.Status < 400 || f.Status > 599):
		return fmt.Errorf("status %d: must be 400 to 599, a code that something ends with", f.Status)
	case f.kind.name == faultAPIError && (f.Code < 1000 || f.Code > 99999):
		return fmt.Errorf("code %d: must be one of the API's, for example 21184", f.Code)
	}
	f.Fired, f.passed = 0, 0
	if f.Probability > 0 && f.Probability < 1 {
		f.chance = rand.New(rand.NewPCG(f.Seed, 0)) //nolint:gosec // a repeatable choice is wanted
	}
	return nil
}

// add puts a fault in place.
func (l *faultList) add(f Fault) (Fault, error) {
	if err := f.prepare(); err != nil {
		return f, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.next++
	f.ID = l.next
	l.list = append(l.list, &f)
	return f, nil
}

// duration is Seconds as they are.
func (f *Fault) duration() time.Duration { return time.Duration(f.Seconds * float64(time.Second)) }

// delay is Seconds divided by TimeScale, as every delay is.
func (s *Simulator) delay(f *Fault) time.Duration {
	return time.Duration(float64(f.duration()) / s.cfg.TimeScale)
}

func (f *Fault) covers(operation string) bool {
	switch f.Operation {
	case anyOperation:
		return true
	case "":
		return slices.ContainsFunc(f.kind.operations, func(o string) bool {
			return o == anyOperation || sameOperation(o, operation)
		})
	}
	return sameOperation(f.Operation, operation)
}

// occurs counts an occasion and says whether the fault strikes.
func (f *Fault) occurs() bool {
	if f.Times != faultForEver && f.Fired >= f.Times {
		return false
	}
	if f.passed < f.Skip {
		f.passed++
		return false
	}
	if f.chance != nil && f.chance.Float64() >= f.Probability {
		return false
	}
	f.Fired++
	return true
}

// first gives a copy of the oldest fault that strikes, or nil.
func (l *faultList) first(fits func(*Fault) bool) *Fault {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, f := range l.list {
		if fits(f) && f.occurs() {
			if l.total == nil {
				l.total = map[string]int{}
			}
			l.total[f.Name]++
			taken := *f
			taken.chance = nil
			return &taken
		}
	}
	return nil
}

// instead gives the fault that strikes instead of an operation, or nil.
func (l *faultList) instead(operation string) *Fault {
	return l.first(func(f *Fault) bool { return f.kind.phase == phaseBefore && f.covers(operation) })
}

// afterwards gives the fault that takes an operation's answer away, or nil.
func (l *faultList) afterwards(operation string, out *reply) *Fault {
	return l.first(func(f *Fault) bool { return f.kind.phase == phaseAfter && f.covers(operation) && f.suits(out) })
}

// changes gives the faults that change an operation's answer: all that strike.
func (l *faultList) changes(operation string, out *reply) []*Fault {
	var struck []*Fault
	for _, kind := range faultKinds {
		if kind.phase != phaseChange {
			continue
		}
		if f := l.first(func(f *Fault) bool { return f.Name == kind.name && f.covers(operation) && f.suits(out) }); f != nil {
			struck = append(struck, f)
		}
	}
	return struck
}

// strike gives the fault of a name that strikes inside an operation, or nil.
func (l *faultList) strike(name, operation string) *Fault {
	return l.first(func(f *Fault) bool { return f.Name == name && f.kind.phase == phaseInside && f.covers(operation) })
}

// ordered says whether there is a fault of a name, so that what only it needs
// to know is not worked out for every call.
func (l *faultList) ordered(name string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.ContainsFunc(l.list, func(f *Fault) bool { return f.Name == name })
}

// strike gives the fault of a name that strikes inside the call, or nil.
func (c *call) strike(name string) *Fault { return c.faults.strike(name, c.op.name) }

func (l *faultList) all() (list []Fault, fired map[string]int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	list = make([]Fault, 0, len(l.list))
	for _, f := range l.list {
		list = append(list, *f)
	}
	fired = map[string]int{}
	for name, n := range l.total {
		fired[name] = n
	}
	return list, fired
}

// clear removes the faults; reset forgets also how often they struck.
func (l *faultList) clear() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.list = nil
}

func (l *faultList) reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.list, l.total = nil, nil
}

// Order puts a fault in place, as POST /_sim/faults does. It fails on a name,
// operation or number that means nothing.
func (s *Simulator) Order(f Fault) error {
	_, err := s.faults.add(f)
	return err
}
