package activities

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"teamogy-ksef/internal/archive"
	"teamogy-ksef/internal/connection"
	"teamogy-ksef/internal/flow"
)

// Gates keep a configuration error from being met by each invoice on its own.
// One refusal that concerns all closes the gate of its connection and scope;
// so do several in a row that could be the invoices' own. While it is closed
// an activity returns at once without any call, and now and then one is let
// through as a probe, whose success opens the gate for all.
//
// That a gate is closed is written in the archive, so all workers know it, one
// of them raises the alert, and a worker that starts meanwhile asks nothing.
// When to probe, and with which invoice, each worker decides for itself.
// A nil *Gates is always open.
type Gates struct {
	archive *archive.Archive
	now     func() time.Time
	logger  *slog.Logger

	mu          sync.Mutex
	connections map[string]*connectionGates
}

const (
	firstProbe   = time.Minute     // after a gate was closed; the pauses double
	longestProbe = 5 * time.Minute // until this
	// gateSpread is over how long those who wait come back, so that hundreds
	// do not come in the same second.
	gateSpread = time.Minute
	// gateLook is how often a worker looks what the others have closed or opened.
	gateLook = 30 * time.Second
	// inARow is how many different invoices must be refused in a row.
	inARow = 3
	// gateWriting bounds the time of writing a gate to the archive.
	gateWriting = 10 * time.Second
)

// connectionGates are the gates of one connection.
type connectionGates struct {
	looking sync.Mutex // held by the one who looks into the archive

	mu     sync.Mutex
	looked time.Time
	damage string // what was logged of gates that cannot be read
	scale  float64
	gates  map[string]*gate
}

// gate is what this worker knows of one gate.
type gate struct {
	closed bool
	what   archive.Gate // why, while it is closed
	saved  time.Time    // since when the archive knows; zero: not yet
	told   bool         // the alert is out although the archive could not be told

	learnt      time.Time // when this worker learnt that it is closed
	nextProbe   time.Time
	probes      int
	probing     bool
	fingerprint string          // of the settings that were refused
	tried       map[string]bool // who was refused since it is closed

	opened   time.Time       // when it was opened last
	refused  []string        // different callers that were refused in a row, the gate being open
	suspects map[string]bool // whose refusals closed it although others' calls then succeeded
}

// NewGates returns the gates of all connections, as the archive has them.
func NewGates(a *archive.Archive, now func() time.Time, logger *slog.Logger) *Gates {
	return &Gates{archive: a, now: now, logger: logger, connections: map[string]*connectionGates{}}
}

func (g *Gates) of(name string) *connectionGates {
	g.mu.Lock()
	defer g.mu.Unlock()
	c := g.connections[name]
	if c == nil {
		c = &connectionGates{scale: 1, gates: map[string]*gate{}}
		g.connections[name] = c
	}
	return c
}

// at gives a scope's gate; c.mu is held.
func (c *connectionGates) at(scope string) *gate {
	w := c.gates[scope]
	if w == nil {
		w = &gate{suspects: map[string]bool{}}
		c.gates[scope] = w
	}
	return w
}

// scaleOf is the time scale that a connection had when its settings could be
// read last.
func (g *Gates) scaleOf(name string) float64 {
	if g == nil {
		return 1
	}
	c := g.of(name)
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.scale
}

// enter lets a caller pass the gates of the scopes, or gives the error with
// which it waits. The tickets name those that are closed and that the caller
// is to probe.
func (g *Gates) enter(ctx context.Context, settings *connection.Connection, who string, scopes ...string) (tickets []string, err error) {
	if g == nil {
		return nil, nil
	}
	c := g.of(settings.Name)
	g.look(ctx, c, settings)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.scale = settings.TimeScale
	now := g.now()
	for _, scope := range scopes {
		w := c.at(scope)
		if w.closed && !w.due(now, who, settings) {
			return nil, w.waiting(now, settings.TimeScale)
		}
	}
	for _, scope := range scopes {
		if w := c.at(scope); w.closed {
			w.giveTicket(now, who, settings)
			tickets = append(tickets, scope)
		}
	}
	return tickets, nil
}

// stillOpen is asked before each call of an activity that has entered.
func (g *Gates) stillOpen(name string, scale float64, scope string) error {
	if g == nil || scope == "" {
		return nil
	}
	c := g.of(name)
	c.mu.Lock()
	defer c.mu.Unlock()
	if w := c.at(scope); w.closed {
		return w.waiting(g.now(), scale)
	}
	return nil
}

// due tells whether a caller is to probe: the first one after the pause, and
// rather one that was not refused before, so that an invoice that is wrong by
// itself cannot keep the gate closed. Changed settings are tried at once.
func (w *gate) due(now time.Time, who string, settings *connection.Connection) bool {
	switch {
	case w.probing:
		return false
	case w.fingerprint != settings.Fingerprint():
		return true
	case now.Before(w.nextProbe):
		return false
	case !w.tried[who]:
		return true
	}
	return !now.Before(w.nextProbe.Add(flow.Scaled(gateSpread, settings.TimeScale)))
}

func (w *gate) giveTicket(now time.Time, who string, settings *connection.Connection) {
	if w.fingerprint != settings.Fingerprint() {
		w.fingerprint, w.probes, w.tried = settings.Fingerprint(), 0, nil
	}
	if w.tried == nil || w.tried[who] {
		w.tried = map[string]bool{}
	}
	w.tried[who] = true
	w.probes++
	w.nextProbe = now.Add(probePause(w.probes, settings.TimeScale))
}

// probePause doubles from a minute to five.
func probePause(probes int, scale float64) time.Duration {
	return flow.Scaled(min(firstProbe<<min(probes, 8), longestProbe), scale)
}

// waiting is the error of whoever meets the gate closed: that of the cause, to
// be tried again after the next probe.
func (w *gate) waiting(now time.Time, scale float64) *problem {
	spread := flow.Scaled(gateSpread, scale)
	next := w.nextProbe
	if !next.After(now) {
		next = now // somebody else's probe is under way or overdue
	}
	return &problem{
		Type: w.what.ErrorType, gate: true,
		After: next.Sub(now) + time.Duration(rand.Int64N(int64(max(spread, 1)))) + 10*time.Millisecond,
		Text: fmt.Sprintf("the gate %q of the connection %s is closed since %s, nothing is asked until one call succeeds again, which is tried every few minutes; the cause: %s",
			w.what.Scope, w.what.Connection, w.what.Since.UTC().Format(time.RFC3339), w.what.Text),
	}
}

// shut notes that the gate is closed; c.mu is held.
func (w *gate) shut(what archive.Gate, now time.Time, settings *connection.Connection, refused ...string) {
	*w = gate{
		closed: true, what: what, learnt: now, nextProbe: now.Add(probePause(0, settings.TimeScale)),
		fingerprint: settings.Fingerprint(), tried: map[string]bool{}, opened: w.opened, suspects: w.suspects,
	}
	for _, who := range refused {
		w.tried[who] = true
	}
}

// release notes that the gate is open; c.mu is held. Whoever was refused is
// suspected from now on: others succeed.
func (w *gate) release(now time.Time) {
	suspects := w.suspects
	for who := range w.tried {
		suspects[who] = true
	}
	*w = gate{opened: now, suspects: suspects}
}

// succeeded notes that a call was answered well: it opens its gate.
func (g *Gates) succeeded(ctx context.Context, settings *connection.Connection, who, call, scope string, began time.Time) {
	if g == nil || scope == "" {
		return
	}
	c := g.of(settings.Name)
	c.mu.Lock()
	w := c.at(scope)
	w.refused = nil
	delete(w.suspects, who)
	delete(w.tried, who)
	opens := w.closed && !began.Before(w.learnt) && (scope == gateTeamogy || w.what.Call == call)
	c.mu.Unlock()
	if opens {
		g.open(ctx, settings.Name, scope)
	}
}

// refuse notes a refusal: of all it closes the gate, of one it does so when it
// is the last of several in a row. What began before the gate was opened last
// says nothing about now.
func (g *Gates) refuse(ctx context.Context, settings *connection.Connection, who, call, scope string, began time.Time, all bool, err error) {
	if g == nil || scope == "" {
		return
	}
	c := g.of(settings.Name)
	c.mu.Lock()
	w := c.at(scope)
	if w.closed {
		w.tried[who] = true
		c.mu.Unlock()
		return
	}
	if began.Before(w.opened) {
		c.mu.Unlock()
		return
	}
	if !slices.Contains(w.refused, who) {
		w.refused = append(w.refused, who)
	}
	if (!all || w.suspects[who]) && len(w.refused) < inARow {
		c.mu.Unlock()
		return
	}
	p := classify(err)
	row := flow.LookupError(p.Type)
	w.shut(archive.Gate{
		Connection: settings.Name, Scope: scope, Since: g.now(), ErrorType: row.Type, Text: p.Text, Remedy: row.Remedy, Call: call,
	}, g.now(), settings, w.refused...)
	c.mu.Unlock()
	g.save(ctx, c, scope)
}

// save writes a closed gate to the archive. Whoever creates it raises the one
// alert. If the archive cannot be written this worker raises its own, and
// tries again when it looks next.
func (g *Gates) save(ctx context.Context, c *connectionGates, scope string) {
	c.mu.Lock()
	w := c.at(scope)
	if !w.closed || !w.saved.IsZero() {
		c.mu.Unlock()
		return
	}
	what, told := w.what, w.told
	c.mu.Unlock()

	writing, cancel := context.WithTimeout(context.WithoutCancel(ctx), gateWriting)
	defer cancel()
	mine, there, err := g.archive.CloseGate(writing, what)
	if (mine || err != nil) && !told {
		g.logger.ErrorContext(ctx, "gate closed: a configuration error stops these steps for all invoices until it is mended",
			"connection", what.Connection, "scope", scope, "errorType", what.ErrorType, "error", what.Text, "remedy", what.Remedy)
	}
	if err != nil {
		g.logger.WarnContext(ctx, "a closed gate could not be written to the archive; the other workers do not know of it yet",
			"connection", what.Connection, "scope", scope, "error", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if w := c.at(scope); w.closed && w.saved.IsZero() {
		if w.told = true; err == nil {
			w.saved, w.what.Mark, w.what.Since = g.now(), there.Mark, there.Since
		}
	}
}

// open opens a gate, here and in the archive.
func (g *Gates) open(ctx context.Context, name, scope string) {
	c := g.of(name)
	c.mu.Lock()
	w := c.at(scope)
	if !w.closed {
		c.mu.Unlock()
		return
	}
	what, saved := w.what, !w.saved.IsZero()
	w.release(g.now())
	c.mu.Unlock()

	opened := true
	if saved {
		var err error
		writing, cancel := context.WithTimeout(context.WithoutCancel(ctx), gateWriting)
		defer cancel()
		if opened, err = g.archive.OpenGate(writing, what); err != nil {
			// The next look finds it closed still, and the next probe tries again.
			g.logger.WarnContext(ctx, "an open gate could not be taken out of the archive", "connection", name, "scope", scope, "error", err)
			return
		}
	}
	if opened {
		g.logger.InfoContext(ctx, "gate open again", "connection", name, "scope", scope,
			"errorType", what.ErrorType, "closedFor", g.now().Sub(what.Since).Round(time.Second).String())
	}
}

// probeBegins and probeEnds bracket a probe that makes calls of its own, so
// that there is one at a time.
func (g *Gates) probeBegins(name, scope string) { g.setProbing(name, scope, true) }

func (g *Gates) probeEnds(name, scope string) { g.setProbing(name, scope, false) }

func (g *Gates) setProbing(name, scope string, probing bool) {
	c := g.of(name)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at(scope).probing = probing
}

// look brings this worker's gates up to date with the archive, every half
// minute. Only the first look is waited for.
func (g *Gates) look(ctx context.Context, c *connectionGates, settings *connection.Connection) {
	fresh := func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return !c.looked.IsZero() && g.now().Sub(c.looked) < flow.Scaled(gateLook, settings.TimeScale)
	}
	if fresh() {
		return
	}
	c.mu.Lock()
	first := c.looked.IsZero()
	c.mu.Unlock()
	if first {
		c.looking.Lock()
	} else if !c.looking.TryLock() {
		return
	}
	defer c.looking.Unlock()
	if fresh() {
		return
	}
	began := g.now()
	reading, cancel := context.WithTimeout(ctx, gateWriting)
	defer cancel()
	there, err := g.archive.Gates(reading, settings.Name)
	for _, scope := range g.compare(ctx, c, settings, there, err, began) {
		g.save(ctx, c, scope)
	}
}

// compare takes over what the archive says. It gives the gates that could not
// be written yet.
func (g *Gates) compare(ctx context.Context, c *connectionGates, settings *connection.Connection, there []archive.Gate, err error, began time.Time) (unsaved []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.looked = began; c.looked.IsZero() {
		c.looked = time.Unix(0, 0)
	}
	var corrupt *archive.CorruptError
	if damage := ""; err != nil {
		if errors.As(err, &corrupt) {
			damage = err.Error()
		}
		if damage != c.damage || damage == "" {
			g.logger.ErrorContext(ctx, "closed gates cannot be read from the archive", "connection", settings.Name, "error", err)
		}
		c.damage = damage
		if corrupt == nil {
			return nil
		}
	}
	for _, what := range there {
		switch w := c.at(what.Scope); {
		case !w.closed && !began.After(w.opened): // the archive was read before that
		case !w.closed:
			w.shut(what, began, settings)
			w.saved = began
		case !w.saved.IsZero():
			w.what = what
		}
	}
	for scope, w := range c.gates {
		known := slices.ContainsFunc(there, func(what archive.Gate) bool { return what.Scope == scope })
		switch {
		case !w.closed || known:
		case w.saved.IsZero():
			unsaved = append(unsaved, scope)
		case w.saved.Before(began) && corrupt == nil:
			w.release(began) // another worker has opened it
		}
	}
	slices.SortFunc(unsaved, cmp.Compare[string])
	return unsaved
}
