package workflows

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"teamogy-ksef/internal/flow"
)

var start = time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)

// Whatever is asked of a ledger at whatever times: if one spends only what is
// allowed, no window of a minute or an hour ever holds more than its limit.
func TestLedger_neverExceedsItsLimits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := ledger{
			perMinute: rapid.IntRange(1, 30).Draw(t, "per minute"),
			perHour:   rapid.IntRange(1, 200).Draw(t, "per hour"),
			timeScale: rapid.SampledFrom([]float64{0, 1, 60}).Draw(t, "time scale"),
		}
		var all []flow.Spent
		now := start
		for range rapid.IntRange(1, 60).Draw(t, "requests") {
			now = now.Add(rapid.Custom(func(t *rapid.T) time.Duration {
				return time.Duration(rapid.Int64Range(0, int64(l.minute())).Draw(t, "pause"))
			}).Draw(t, "pause"))
			if wait := l.waitFor(now, 1); wait > 0 {
				require.Zero(t, l.allowed(now), "it waits although something is allowed")
				now = now.Add(wait)
			}
			count := rapid.IntRange(1, 40).Draw(t, "count")
			count = min(count, l.allowed(now))
			require.Positive(t, count, "nothing is allowed after the wait")
			l.spend(now, count)
			all = append(all, flow.Spent{At: now, Count: count})
		}
		for _, from := range all {
			require.LessOrEqual(t, spentIn(all, from.At, l.minute()), l.perMinute)
			require.LessOrEqual(t, spentIn(all, from.At, l.hour()), l.perHour)
		}
	})
}

func spentIn(all []flow.Spent, from time.Time, window time.Duration) int {
	sum := 0
	for _, s := range all {
		if !s.At.Before(from) && s.At.Before(from.Add(window)) {
			sum += s.Count
		}
	}
	return sum
}

func TestReserved_leavesATenth(t *testing.T) {
	for limit, want := range map[int]int{0: 0, 1: 1, 2: 1, 8: 7, 16: 15, 20: 18, 30: 27, 64: 58, 120: 108, 180: 162} {
		require.Equal(t, want, reserved(limit), "limit %d", limit)
	}
}

func TestWindow_staysBelowKSeFsLongestRange(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cursor := start.Add(-time.Duration(rapid.Int64Range(0, int64(400*24*time.Hour)).Draw(t, "age")))
		w := nextWindow(cursor, start)
		end := w.to
		if end.IsZero() {
			end = start
		}
		require.Less(t, end.Sub(w.from), 100*24*time.Hour)
		require.Equal(t, cursor, w.from)
	})
}

// However many windows and pages it takes: the cursor reaches the high-water
// mark, never goes backwards, and every record is in one of the pages asked
// for.
func TestWindow_sweepSeesEveryRecordAndNeverGoesBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		// Many records share a date, and a page is small.
		days := rapid.SliceOfN(rapid.IntRange(0, 200), 0, 60).Draw(t, "days before")
		pageSize := rapid.IntRange(1, 10).Draw(t, "page size")
		cursor := start.Add(-210 * 24 * time.Hour)
		hwm := start.Add(-time.Minute)
		var stored []time.Time
		for _, d := range days {
			stored = append(stored, hwm.Add(-time.Duration(d)*24*time.Hour))
		}
		seen := map[int]bool{}
		for {
			w := nextWindow(cursor, start)
			var page flow.Found
			for steps := 0; ; steps++ {
				require.Less(t, steps, 500, "the sweep does not end")
				page = query(stored, w, hwm, pageSize, seen)
				next, more := w.nextPage(page)
				if !more {
					break
				}
				w = next
			}
			next := w.advance(cursor, page, true)
			require.False(t, next.Before(cursor), "the cursor went backwards")
			cursor = next
			if w.to.IsZero() {
				break
			}
		}
		require.Equal(t, hwm, cursor)
		require.Len(t, seen, len(stored))
	})
}

// query answers as KSeF does: inclusive at both ends, ascending, by pages.
func query(stored []time.Time, w window, hwm time.Time, pageSize int, seen map[int]bool) flow.Found {
	end := w.to
	if end.IsZero() || end.After(hwm) {
		end = hwm
	}
	var in []int
	for i, at := range stored {
		if !at.Before(w.from) && !at.After(end) {
			in = append(in, i)
		}
	}
	for i := range in { // sorted by date
		for j := i + 1; j < len(in); j++ {
			if stored[in[j]].Before(stored[in[i]]) {
				in[i], in[j] = in[j], in[i]
			}
		}
	}
	first := min(w.offset*pageSize, len(in))
	last := min(first+pageSize, len(in))
	found := flow.Found{HWM: end, HasMore: last < len(in)}
	for _, i := range in[first:last] {
		seen[i] = true
		found.LastDate = stored[i]
	}
	found.List.Count = last - first
	return found
}

// KSeF may name no limit at all: then there is none, and nobody waits for
// ever, or spins without a wait because nothing is ever allowed.
func TestLedger_withoutALimitAllowsEverything(t *testing.T) {
	for _, l := range []ledger{{}, {perMinute: 10}, {perHour: 10}} {
		want := max(l.perMinute, l.perHour)
		if want == 0 {
			want = 1000
		}
		require.GreaterOrEqual(t, l.allowed(start), want)
		l.spend(start, want)
		require.Equal(t, l.perMinute == 0 && l.perHour == 0, l.waitFor(start, 1) == 0)
	}
}

// What KSeF has blocked is not asked before its time, however much of the quota
// is left, and what is blocked is known by the group.
func TestLedger_waitsOutABlock(t *testing.T) {
	blocks := []flow.Block{{Group: flow.GroupExports, Until: start.Add(40 * time.Minute)}}
	l := ledger{perMinute: 10, perHour: 18, timeScale: 60, notBefore: flow.BlockedUntil(blocks, flow.GroupExports)}
	require.Zero(t, l.allowed(start))
	require.Equal(t, 40*time.Minute, l.waitFor(start, 1), "KSeF's time is not scaled")
	require.Equal(t, 10, l.allowed(start.Add(40*time.Minute)))
	require.Zero(t, l.waitFor(start.Add(40*time.Minute), 1))
	other := ledger{perHour: 18, notBefore: flow.BlockedUntil(blocks, flow.GroupDownloads)}
	require.Zero(t, other.waitFor(start, 1))
	without := ledger{notBefore: start.Add(time.Minute)}
	require.Equal(t, time.Minute, without.waitFor(start, 1), "also where there is no limit")
}
