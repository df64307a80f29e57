package activities

import (
	"context"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/temporal"

	"teamogy-ksef/internal/flow"
)

func TestShares_oneConnectionLeavesTheOthersTheirSlots(t *testing.T) {
	s := &Shares{slots: 10}
	for range 2 {
		_, free := s.take("acme")
		require.True(t, free)
	}
	after, free := s.take("acme")
	require.False(t, free)
	require.GreaterOrEqual(t, after, firstTurn)
	_, free = s.take("beta")
	require.True(t, free, "another connection's single invoice goes on")
	s.leave("acme")
	_, free = s.take("acme")
	require.True(t, free)

	for range 5 {
		_, free = s.take(waits)
		require.True(t, free)
	}
	_, free = s.take(waits)
	require.False(t, free, "what only waits leaves half of the slots to work")
	for range 2 {
		s.leave("acme")
	}
	s.leave("beta")
	for range 5 {
		s.leave(waits)
	}
	require.Empty(t, s.taken)
	require.Empty(t, s.turn)
}

// Thousands that are over their share come again one after the other.
func TestShares_whoIsRefusedComesAgainByTurns(t *testing.T) {
	now := someDay
	s := &Shares{slots: 5, now: func() time.Time { return now }}
	_, free := s.take("acme")
	require.True(t, free)
	perSecond := map[int]int{}
	for range 5000 {
		after, free := s.take("acme")
		require.False(t, free)
		require.LessOrEqual(t, after, longestTurn)
		perSecond[int(after/time.Second)]++
	}
	for second, n := range perSecond {
		require.LessOrEqual(t, n, 3*int(time.Second/turnApart)+20, "second %d: %v", second, perSecond)
	}
}

// Every activity tells its connection, and so has its share.
func TestConnectionOf_knowsTheInputOfEachActivity(t *testing.T) {
	for _, activities := range []any{&KSeF{}, &Session{}, &Teamogy{}, &Starts{}} {
		of := reflect.TypeOf(activities)
		for i := range of.NumMethod() {
			method := of.Method(i)
			if method.Type.NumIn() != 3 {
				continue // not an activity
			}
			input := reflect.New(method.Type.In(2)).Elem()
			input.FieldByName("Connection").SetString("acme")
			require.Equal(t, "acme", connectionOf([]any{input.Interface()}), "%s.%s", of, method.Name)
		}
	}
	require.Empty(t, connectionOf(nil))
	require.Empty(t, connectionOf([]any{17}))
}

// One that is over its share fails in a way that Temporal takes for no failure,
// tries again by itself, and counts as no attempt.
func TestShares_overTheShareIsNoFailure(t *testing.T) {
	env := activityEnvironment(t)
	s := &Shares{slots: 5}
	_, free := s.take("acme")
	require.True(t, free)
	refused := func(ctx context.Context, in flow.ConnectionInput) (string, error) {
		i := &sharedActivity{shares: s}
		_, err := i.ExecuteActivity(ctx, &interceptor.ExecuteActivityInput{Args: []any{in}})
		return fmt.Sprint(triesOf(ctx)), err
	}
	env.RegisterActivity(refused)
	_, err := env.ExecuteActivity(refused, flow.ConnectionInput{Connection: "acme"})
	var failure *temporal.ApplicationError
	require.ErrorAs(t, err, &failure)
	require.Equal(t, flow.ErrWorkerBusy, failure.Type())
	require.False(t, failure.NonRetryable())
	require.Equal(t, temporal.ApplicationErrorCategoryBenign, failure.Category())
	require.GreaterOrEqual(t, failure.NextRetryDelay(), firstTurn)
}
