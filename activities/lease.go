package activities

import (
	"context"
	"errors"
	"sync"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"

	"teamogy-ksef/internal/flow"
)

// A lease is what entitles an attempt of an activity to act on the outside. It
// is lost when the process stood still for so long (a frozen machine, a
// suspended container) that the server may have taken the attempt for dead and
// given its work to another worker: a POST that leaves after that could be a
// second one. The same is so of a process that runs and cannot reach the server:
// when that has not heard of the attempt for long, it is asked before anything leaves. Once
// lost it stays lost; the server knows how to go on. What remains is a process
// that stands still between this question and its request.
type lease struct {
	now     func() time.Time
	longest time.Duration // between two beats
	lost    context.CancelCauseFunc

	believed time.Duration               // how long the server's last word holds
	ask      func(context.Context) error // asks the server whether the attempt still counts; nil: nobody

	mu    sync.Mutex
	last  time.Time
	heard time.Time // when the server counted the attempt for sure; zero: not known
	over  bool
}

// longestSilence is how long an attempt may stand still: the server's time-out
// of 15 s less what the SDK holds heartbeats back.
const longestSilence = 2 * beatEvery

var errLeaseLost = newProblem(flow.ErrTemporalBusy,
	"the worker stood still, or could not reach Temporal, for longer than the server waits for a sign of life; another one may have taken this step over")

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

// asks has the lease ask the server when its last word is older than two
// thirds of the time after which it gives an attempt up. An attempt counts from the
// server's start of it on, which may lie long before the activity's first step: a task
// can wait in a process that stands still. A clock that is behind the server's
// only leads to one question more.
func (l *lease) asks(timeout time.Duration, started time.Time, ask func(context.Context) error) {
	l.believed, l.ask = timeout*2/3, ask
	now := l.now()
	if age := now.Round(0).Sub(started.Round(0)); age >= 0 {
		l.heard = now.Add(-age)
	}
}

// counts tells whether the server still counts on the attempt, and asks if that
// is not certain. A server that cannot be reached counts on nobody: it may
// have given the work to another worker.
func (l *lease) counts(ctx context.Context) error {
	for l.ask != nil {
		asked := l.now()
		if l.hears(asked) {
			break
		}
		err := l.ask(ctx)
		var canceled *temporal.CanceledError
		if err != nil && !errors.As(err, &canceled) && !errors.Is(err, activity.ErrActivityPaused) {
			l.mu.Lock()
			l.over = true
			l.mu.Unlock()
			l.lost(errLeaseLost)
			return errLeaseLost
		}
		l.mu.Lock()
		l.heard = asked
		l.mu.Unlock()
	}
	return l.check()
}

// hears tells whether the server's last word still holds. The clock on the wall
// is looked at as well, because the other one stands still while a machine sleeps.
func (l *lease) hears(now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.heard.IsZero() && max(now.Sub(l.heard), now.Round(0).Sub(l.heard.Round(0))) < l.believed
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
		if err := l.counts(ctx); err != nil {
			return err
		}
	}
	if open, is := ctx.Value(gateKey{}).(func() error); is {
		return open()
	}
	return nil
}
