package activities

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"teamogy-ksef/internal/connection"
	"teamogy-ksef/internal/flow"
	"teamogy-ksef/internal/teamogy"
)

// queued is a Teamogy whose queue is as long as a test says.
type queued struct {
	TeamogyClient
	queue    func() time.Duration
	foreseen []int64
	asked    teamogy.Priority // of the queue, last
	looking  func() int
}

func (q *queued) LooksWaiting() int {
	if q.looking == nil {
		return 0
	}
	return q.looking()
}

func (q *queued) Foresee(ids ...int64) { q.foreseen = append(q.foreseen, ids...) }

func (q *queued) Queue(p teamogy.Priority) time.Duration {
	q.asked = p
	return q.queue()
}

func stepping(t *testing.T, longest time.Duration, queue func(passed time.Duration) time.Duration) (*inStep, func() time.Duration) {
	t.Helper()
	b := testBase(t, nil)
	clock := stopClock(&b)
	passed := func() time.Duration { return clock.now.Sub(someDay) }
	client := &queued{queue: func() time.Duration { return queue(passed()) }}
	return b.keepStep(client, &connection.Connection{TeamogyRequestsPerMinute: 60, TimeScale: 1}, teamogy.High, longest), passed
}

func TestInStep_letsNoMoreGoOnThanTeamogysQuotaTakes(t *testing.T) {
	step, passed := stepping(t, time.Hour, func(time.Duration) time.Duration { return 0 })
	for range 600 {
		inTime, err := step.wait(t.Context())
		require.NoError(t, err)
		require.True(t, inTime)
	}
	require.Greater(t, passed(), 10*time.Minute)
	require.Less(t, passed(), 11*time.Minute)
}

func TestInStep_waitsWhileOthersWait(t *testing.T) {
	step, passed := stepping(t, time.Hour, func(passed time.Duration) time.Duration { return 5*time.Minute - passed })
	_, err := step.wait(t.Context())
	require.NoError(t, err)
	require.GreaterOrEqual(t, passed(), 5*time.Minute-longestQueue)
	require.Less(t, passed(), 5*time.Minute)
}

// Teamogy may be blocked for an hour; what waits for a turn comes again by itself.
func TestInStep_endsInTime(t *testing.T) {
	step, passed := stepping(t, 10*time.Minute, func(time.Duration) time.Duration { return time.Hour })
	inTime, err := step.wait(t.Context())
	require.NoError(t, err)
	require.False(t, inTime)
	require.Equal(t, 10*time.Minute, passed())
}

func TestInStep_holdsNobodyWhereThePaceIsNotKnown(t *testing.T) {
	b := testBase(t, nil)
	step := b.keepStep(nil, nil, teamogy.High, time.Hour)
	for range 100 {
		inTime, err := step.wait(t.Context())
		require.NoError(t, err)
		require.True(t, inTime)
	}
}

// An answer is not kept for as long as Teamogy asks for a pause.
func TestInStep_letsAnswersGoOnWhileTeamogyIsBlocked(t *testing.T) {
	step, passed := stepping(t, 10*time.Minute, func(time.Duration) time.Duration { return time.Hour })
	step.passBlocked = true
	for range 250 {
		inTime, err := step.wait(t.Context())
		require.NoError(t, err)
		require.True(t, inTime)
	}
	require.Zero(t, passed())
}

// Each is told once, in its order, and not long before its turn.
func TestInStep_tellsWhoseTurnComesSoon(t *testing.T) {
	step, _ := stepping(t, time.Hour, func(time.Duration) time.Duration { return 0 })
	var items []flow.HandOver
	var want []int64
	for id := range int64(50) {
		items, want = append(items, flow.HandOver{DocumentID: id + 1}), append(want, id+1)
	}
	client := step.client.(*queued)
	for i := range items {
		step.foresee(items, i)
		require.Equal(t, want[:min(i+24, 50)], client.foreseen, "23 in 25 s")
	}
	client.foreseen = nil
	step.foresee(items[:3], 0)
	require.Equal(t, want[:3], client.foreseen)
	(&inStep{}).foresee(items, 0)
}
