package workflows

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// Whenever it was last asked, it is asked again after about an interval, and
// then at each interval, as long as a cycle takes less than three quarters of it.
func TestNextTurn_comesOnceInEachInterval(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		id := rapid.String().Draw(t, "id")
		interval := time.Duration(rapid.Int64Range(int64(time.Second), int64(24*time.Hour)).Draw(t, "interval"))
		now := start.Add(time.Duration(rapid.Int64Range(0, int64(48*time.Hour)).Draw(t, "since")))
		first := nextTurn(id, now, interval)
		require.GreaterOrEqual(t, first.Sub(now), interval/4)
		require.Less(t, first.Sub(now), interval+interval/4)
		cycle := time.Duration(rapid.Int64Range(0, int64(interval*3/4)).Draw(t, "cycle"))
		require.Equal(t, first.Add(interval), nextTurn(id, first.Add(cycle), interval))
	})
	require.Equal(t, start, nextTurn("x", start, 0))
}

// Two hundred connections that all polled in the same moment are spread over the
// interval right after.
func TestNextTurn_spreadsConnectionsThatWereStartedTogether(t *testing.T) {
	perMinute := map[int]int{}
	for i := range 200 {
		next := nextTurn(fmt.Sprintf("acme-%d/receive", i), start, time.Hour)
		perMinute[int(next.Sub(start)/time.Minute)]++
	}
	require.Greater(t, len(perMinute), 50)
	for minute, n := range perMinute {
		require.LessOrEqual(t, n, 12, "minute %d", minute)
	}
}
