package activities

import (
	"context"
	"sync"
	"time"

	"teamogy-ksef/internal/flow"
)

// A lease is what entitles an attempt of an activity to act on the outside. It
// is lost when the process stood still for so long (a frozen machine, a
// suspended container) that the server may have taken the attempt for dead and
// given its work to another worker: a POST that leaves after that could be a
// second one. Once lost it stays lost; the server knows how to go on.
type lease struct {
	now     func() time.Time
	longest time.Duration // between two beats
	lost    context.CancelCauseFunc

	mu   sync.Mutex
	last time.Time
	over bool
}

// longestSilence is how long an attempt may stand still: the server's time-out
// of 15 s less what the SDK holds heartbeats back.
const longestSilence = 2 * beatEvery

var errLeaseLost = newProblem(flow.ErrTemporalBusy,
	"the worker stood still for longer than the server waits for a sign of life; another one may have taken this step over")

// check tells whether the attempt may still act.
func (l *lease) check() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.over && elapsed(l.last, l.now()) > l.longest {
		l.over = true
		l.lost(errLeaseLost)
	}
	if l.over {
		return errLeaseLost
	}
	return nil
}

// elapsed is the time between two readings of a clock. Of a process's two clocks
// the monotonic one stands still while the machine is suspended, and the wall
// clock may be set: what is more counts.
func elapsed(from, to time.Time) time.Duration {
	return max(to.Sub(from), to.Round(0).Sub(from.Round(0)))
}

// beat notes a sign of life, unless it comes too late.
func (l *lease) beat() error {
	if err := l.check(); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last = l.now()
	return nil
}

type leaseKey struct{}

// withLease gives the context of an attempt, which ends when its lease is lost.
func withLease(ctx context.Context, now func() time.Time) (context.Context, *lease) {
	ctx, lost := context.WithCancelCause(ctx)
	l := &lease{now: now, longest: longestSilence, lost: lost, last: now()}
	return context.WithValue(ctx, leaseKey{}, l), l
}

// mayAct is asked by the clients right before a POST or PATCH leaves, when all
// waiting for quotas is over: the lease may be lost by then, and a gate closed.
func mayAct(ctx context.Context) error {
	if l, is := ctx.Value(leaseKey{}).(*lease); is {
		if err := l.check(); err != nil {
			return err
		}
	}
	if open, is := ctx.Value(gateKey{}).(func() error); is {
		return open()
	}
	return nil
}
