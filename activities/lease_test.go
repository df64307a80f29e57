package activities

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
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
