package ksef

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// longestPacing is the longest that a call waits for its quota, in real time. A
// call that would have to wait longer fails instead, with the time to wait.
const longestPacing = 5 * time.Second

// pacer keeps the calls of one context below KSeF's limits, as sliding windows
// of a second, a minute and an hour, each with one call held back for others.
//
// A call counts from the moment it is allowed, and is dated when it has its
// answer: KSeF counted it at some moment between the two, so that a window that
// is clear here is clear there.
type pacer struct {
	now   func() time.Time
	sleep func(context.Context, time.Duration) error
	scale float64

	book   Book // nil: this process is all there is
	logger *slog.Logger
	part   int // divides every limit; 0: 1

	mu     sync.Mutex
	limits RateLimits
	lanes  map[string]*lane
	ahead  time.Duration // KSeF's clock minus ours
}

// lane is the record of one counter: a group, or one endpoint of "other".
type lane struct {
	finished     []time.Time // ascending, none older than the longest window
	running      int
	blockedUntil time.Time
}

func newPacer(now func() time.Time, scale float64) *pacer {
	return &pacer{
		now: now, sleep: sleepFor, scale: scale, limits: ProductionRateLimits(), lanes: map[string]*lane{},
		logger: slog.New(slog.DiscardHandler),
	}
}

func sleepFor(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// learn replaces the limits by those that KSeF reported. What KSeF says nothing
// about login keeps its published limit.
func (p *pacer) learn(limits RateLimits) {
	merged := RateLimits{GroupAnonymous: ProductionRateLimits()[GroupAnonymous]}
	for g, l := range limits {
		merged[g] = l
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.limits = merged
}

// ticket is the permission for one call.
type ticket struct {
	p     *pacer
	lanes []*lane
	own   *lane
}

// acquire waits until the call fits into its limits. It returns an *Error of
// KindRateLimited when that takes too long for the caller's deadline or for
// longestPacing. The caller must end the ticket with done.
func (p *pacer) acquire(ctx context.Context, operation string, group Group, endpoint string) (*ticket, error) {
	var waited time.Duration
	for {
		if err := ctx.Err(); err != nil {
			return nil, &Error{Operation: operation, Kind: KindNetwork, cause: err}
		}
		t, wait := p.try(group, endpoint)
		if t != nil {
			if wait = p.claim(ctx, group, endpoint); wait <= 0 {
				return t, nil
			}
			t.giveBack()
		}
		deadline, limited := ctx.Deadline()
		if waited+wait > longestPacing || limited && time.Until(deadline) < wait {
			return nil, &Error{Operation: operation, Kind: KindRateLimited, RetryAfter: wait, Local: true}
		}
		if err := p.sleep(ctx, wait); err != nil {
			return nil, &Error{Operation: operation, Kind: KindNetwork, cause: err}
		}
		waited += wait
	}
}

// try takes a ticket, or tells how long to wait before trying again.
func (p *pacer) try(group Group, endpoint string) (*ticket, time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	own := p.lane(group, endpoint)
	wait := p.wait(own, p.limitOf(group), now)
	lanes := []*lane{own}
	if group != GroupAnonymous {
		all := p.lane(GroupGlobal, "")
		wait = max(wait, p.wait(all, p.limitOf(GroupGlobal), now))
		lanes = append(lanes, all)
	}
	if wait > 0 {
		return nil, wait
	}
	for _, l := range lanes {
		l.running++
	}
	return &ticket{p: p, lanes: lanes, own: own}, 0
}

func (p *pacer) lane(group Group, endpoint string) *lane {
	key := counter(group, endpoint)
	l := p.lanes[key]
	if l == nil {
		l = &lane{}
		p.lanes[key] = l
	}
	return l
}

// wait returns how long the lane is closed, 0 when it is open.
func (p *pacer) wait(l *lane, limit Limit, now time.Time) time.Duration {
	l.forget(now.Add(-p.window(time.Hour)))
	return max(l.blockedUntil.Sub(now), p.windows(l, limit, now, 0), 0)
}

// windows returns how long until a lane's calls leave room for one more in every
// window of the limit. A margin makes the windows longer by one part of so many.
func (p *pacer) windows(l *lane, limit Limit, now time.Time, margin int) time.Duration {
	var wait time.Duration
	for _, w := range []struct {
		max    int
		length time.Duration
	}{{limit.PerSecond, time.Second}, {limit.PerMinute, time.Minute}, {limit.PerHour, time.Hour}} {
		if w.max <= 0 {
			continue
		}
		window := p.window(w.length)
		if margin > 0 {
			window += window / time.Duration(margin)
		}
		wait = max(wait, l.waitWindow(max(w.max-1, 1), window, now))
	}
	return wait
}

// waitWindow returns how long until fewer than allowed calls lie in the window.
func (l *lane) waitWindow(allowed int, window time.Duration, now time.Time) time.Duration {
	from := now.Add(-window)
	first := len(l.finished) // index of the first call that still counts
	for first > 0 && l.finished[first-1].After(from) {
		first--
	}
	counted := len(l.finished) - first
	excess := counted + l.running - allowed + 1 // how many have to leave the window
	switch {
	case excess <= 0:
		return 0
	case excess > counted:
		return window // calls under way have to end first: they may leave a whole window later
	}
	return l.finished[first+excess-1].Add(window).Sub(now)
}

func (l *lane) forget(before time.Time) {
	i := 0
	for i < len(l.finished) && !l.finished[i].After(before) {
		i++
	}
	l.finished = l.finished[i:]
}

func (p *pacer) window(d time.Duration) time.Duration {
	return time.Duration(float64(d) / p.scale)
}

// giveBack ends a ticket that was not used.
func (t *ticket) giveBack() {
	t.p.mu.Lock()
	defer t.p.mu.Unlock()
	for _, l := range t.lanes {
		l.running--
	}
}

// done ends a call. A positive blocked is how long KSeF refuses the whole group
// from now on (429).
func (t *ticket) done(blocked time.Duration) {
	t.p.mu.Lock()
	defer t.p.mu.Unlock()
	now := t.p.now()
	for _, l := range t.lanes {
		l.running--
		if n := len(l.finished); n > 0 && now.Before(l.finished[n-1]) {
			now = l.finished[n-1] // the clock was set back: keep the order
		}
		l.finished = append(l.finished, now)
	}
	if until := t.p.now().Add(blocked); blocked > 0 && until.After(t.own.blockedUntil) {
		t.own.blockedUntil = until
	}
}
