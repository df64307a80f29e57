package activities

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestComparisons_areHourlyOnTheFirstDayAndDailyAfterwards(t *testing.T) {
	for _, scale := range []float64{1, 60} {
		now := someDay
		unit := time.Duration(float64(time.Minute) / scale)
		c := newComparisons(func() time.Time { return now })
		compared := map[int]int{} // day -> comparisons
		for minute := range 7 * 24 * 60 {
			now = someDay.Add(time.Duration(minute) * unit)
			if minute%5 == 0 && c.due("acme", 17, scale) {
				c.note("acme", 17)
				compared[minute/(24*60)]++
			}
		}
		require.Equal(t, map[int]int{0: 24, 1: 1, 2: 1, 3: 1, 4: 1, 5: 1, 6: 1}, compared, "scale %v", scale)
	}
}

func TestComparisons_knowDocumentsApart(t *testing.T) {
	c := newComparisons(func() time.Time { return someDay })
	c.note("acme", 17)
	require.False(t, c.due("acme", 17, 1))
	require.True(t, c.due("acme", 18, 1))
	require.True(t, c.due("beta", 17, 1))
}

// A document that left the ready list and comes back was worked on: it is
// compared at once.
func TestComparisons_forgetWhatIsNotReadyAnyMore(t *testing.T) {
	c := newComparisons(func() time.Time { return someDay })
	c.note("acme", 17)
	c.note("acme", 18)
	c.note("beta", 17)
	c.keep("acme", func(id int64) bool { return id == 18 })
	require.True(t, c.due("acme", 17, 1))
	require.False(t, c.due("acme", 18, 1))
	require.False(t, c.due("beta", 17, 1), "the other connection's was forgotten")
}

// However often it is asked: two comparisons are an hour apart at least, and a
// day at most passes without one.
func TestComparisons_neitherOftenNorNever(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now := someDay
		c := newComparisons(func() time.Time { return now })
		var last time.Time
		for range rapid.IntRange(1, 200).Draw(t, "polls") {
			now = now.Add(time.Duration(rapid.Int64Range(0, int64(3*time.Hour)).Draw(t, "pause")))
			due := c.due("acme", 17, 1)
			switch since := now.Sub(last); {
			case last.IsZero() || since >= 24*time.Hour:
				require.True(t, due)
			case since < time.Hour:
				require.False(t, due)
			}
			if due {
				c.note("acme", 17)
				last = now
			}
		}
	})
}
