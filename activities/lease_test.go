package activities

import (
	"context"
	"errors"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/temporal"

	"teamogy-ksef/internal/flow"
)

// A worker that was frozen past the server's time-out must not go on where it
// stood: by then another one may have done its work.
func TestLease_isLostForEverWhenTheProcessStoodStill(t *testing.T) {
	now := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	ctx, l := withLease(t.Context(), func() time.Time { return now })
	for range 100 { // as long as it likes, with signs of life
		now = now.Add(beatEvery)
		require.NoError(t, l.beat())
		require.NoError(t, mayAct(ctx))
	}
	now = now.Add(longestSilence + time.Millisecond)
	require.ErrorIs(t, mayAct(ctx), errLeaseLost, "it acts before it was seen that time has passed")
	require.ErrorIs(t, l.beat(), errLeaseLost)
	require.ErrorIs(t, mayAct(ctx), errLeaseLost, "a later beat brought it back")
	require.ErrorIs(t, ctx.Err(), context.Canceled)
	require.ErrorIs(t, context.Cause(ctx), errLeaseLost)
}

// asleep is a time after a machine was suspended: its wall clock has gone on, its monotonic one has not.
func asleep(at time.Time, d time.Duration) time.Time {
	at = at.Add(d)
	inside := (*struct { // as package time has it
		wall      uint64
		monotonic int64
		location  *time.Location
	})(unsafe.Pointer(&at)) //nolint:gosec // there is no other way to make such a time
	inside.monotonic -= int64(d)
	return at
}

// The monotonic clock stands still while a machine sleeps, and Go reckons with that one where it can.
func TestLease_isLostAlsoWhenTheMachineWasSuspended(t *testing.T) {
	now := time.Now()
	later := asleep(now, time.Hour)
	require.Zero(t, later.Sub(now), "the test does not make the time that it means to")
	ctx, l := withLease(t.Context(), func() time.Time { return now })
	now = later
	require.ErrorIs(t, mayAct(ctx), errLeaseLost)
	require.ErrorIs(t, l.beat(), errLeaseLost)
}

// A wall clock that is set back does not make a lease longer.
func TestLease_isLostAlsoWhenTheClockWasSetBack(t *testing.T) {
	now := time.Now()
	later := asleep(now.Add(time.Minute), -time.Hour)
	ctx, _ := withLease(t.Context(), func() time.Time { return now })
	now = later
	require.ErrorIs(t, mayAct(ctx), errLeaseLost)
}

func TestLease_aLateBeatIsNoSignOfLife(t *testing.T) {
	now := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	ctx, l := withLease(t.Context(), func() time.Time { return now })
	now = now.Add(longestSilence + time.Millisecond)
	require.ErrorIs(t, l.beat(), errLeaseLost)
	require.ErrorIs(t, mayAct(ctx), errLeaseLost)
}

// Whatever the step made of its ended context, the failure is transient and says why.
func TestLease_isWhatALostAttemptFailsWith(t *testing.T) {
	now := time.Now()
	ctx, _ := withLease(t.Context(), func() time.Time { return now })
	now = now.Add(time.Minute)
	require.Error(t, mayAct(ctx))
	err := asFailure(ctx, errors.Join(errors.New("read the answer"), ctx.Err()), 1, 1)
	var failure *temporal.ApplicationError
	require.ErrorAs(t, err, &failure)
	require.Equal(t, flow.ErrTemporalBusy, failure.Type())
	require.False(t, failure.NonRetryable())
}

func TestLease_isNotNeededOutsideActivities(t *testing.T) {
	require.NoError(t, mayAct(t.Context()))
}

// A worker that runs and cannot reach Temporal does not know that another one
// has been given its work: it asks before it acts, when it was not heard of for long.
func TestLease_isConfirmedByTheServerBeforeSomethingLeavesLate(t *testing.T) {
	start := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		started time.Duration // before the activity's first step
		after   time.Duration // of work with signs of life
		answer  error
		asked   int
		want    error
	}{
		"young":                                  {after: 9 * time.Second},
		"old, and the server counts on it":       {after: time.Minute, asked: 1},
		"old, and it is asked to end":            {after: time.Minute, answer: temporal.NewCanceledError(), asked: 1},
		"old, and another one has its work":      {after: time.Minute, answer: serviceerror.NewNotFound("timed out"), asked: 1, want: errLeaseLost},
		"old, and the server is away":            {after: time.Minute, answer: serviceerror.NewUnavailable("away"), asked: 1, want: errLeaseLost},
		"the task lay in a process that slept":   {started: time.Minute, answer: serviceerror.NewNotFound("timed out"), asked: 1, want: errLeaseLost},
		"the server's clock is ahead, and young": {started: -time.Minute, asked: 1},
	} {
		t.Run(name, func(t *testing.T) {
			now, asked := start, 0
			ctx, l := withLease(t.Context(), func() time.Time { return now })
			l.asks(15*time.Second, start.Add(-c.started), func(context.Context) error { asked++; return c.answer })
			for range c.after / time.Second {
				now = now.Add(time.Second)
				require.NoError(t, l.beat())
			}
			require.ErrorIs(t, mayAct(ctx), c.want)
			require.Equal(t, c.asked, asked)
			if c.want != nil {
				require.ErrorIs(t, context.Cause(ctx), errLeaseLost)
			}
			asked = 0
			require.ErrorIs(t, mayAct(ctx), c.want)
			require.Zero(t, asked, "what is known is asked again")
		})
	}
}
