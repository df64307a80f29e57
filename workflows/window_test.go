package workflows

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"teamogy-ksef/internal/flow"
)

// shownByKSeF answers a query as KSeF does: inclusive at both ends, ascending,
// by pages, up to the high-water mark and so many records of one query. It
// notes which records it has shown. Records are sorted by their times.
type shownByKSeF struct {
	stored   []time.Time
	hwm      time.Time
	pageSize int
	seen     map[int]bool
	queries  int
}

func (k *shownByKSeF) query(t require.TestingT, w window) flow.Found {
	k.queries++
	require.LessOrEqual(t, w.offset, lastPage, "KSeF refuses to go further")
	if !w.to.IsZero() {
		require.False(t, w.to.Before(w.from), "the range ends before it begins")
		require.Less(t, w.to.Sub(w.from), 100*24*time.Hour)
	}
	if w.from.After(k.hwm) {
		return flow.Found{} // 21183: nothing new
	}
	end := k.hwm
	if !w.to.IsZero() && w.to.Before(end) {
		end = w.to
	}
	var in []int
	for i, at := range k.stored {
		if !at.Before(w.from) && !at.After(end) {
			in = append(in, i)
		}
	}
	first := min(w.offset*k.pageSize, len(in))
	last := min(first+k.pageSize, len(in))
	found := flow.Found{HWM: end, HasMore: last < len(in)}
	found.Truncated = found.HasMore && w.offset == lastPage
	for _, i := range in[first:last] {
		k.seen[i] = true
		found.LastDate = k.stored[i]
	}
	found.List.Count = last - first
	return found
}

// sweepTo goes on from a cursor as ReceiveInvoices does, with everything found
// started at once. It gives the new cursor and where it got stuck.
func (k *shownByKSeF) sweepTo(t require.TestingT, cursor, now time.Time) (time.Time, []time.Time) {
	from, moves := cursor, true
	var stuck []time.Time
	for {
		w := nextWindow(from, now)
		position := w
		for more := true; more; {
			require.Less(t, k.queries, 20_000, "the sweep does not end")
			page := k.query(t, position)
			if position.stuck(page) {
				stuck, moves = append(stuck, position.from), false
			}
			var next window
			next, more = position.nextPage(page)
			if moves {
				at := position.advance(cursor, page, !more)
				require.False(t, at.Before(cursor), "the cursor went backwards")
				cursor = at
			}
			position = next
		}
		switch {
		case w.to.IsZero():
			return cursor, stuck
		case !moves:
			from = w.to
		case !cursor.After(from):
			return cursor, stuck
		default:
			from = cursor
		}
	}
}

// moments are sorted times of storage of which many may share one.
func moments(t *rapid.T, mostAtOnce int) []time.Time {
	var stored []time.Time
	for range rapid.IntRange(0, 8).Draw(t, "moments") {
		at := start.Add(-time.Duration(rapid.IntRange(60, 150*86400).Draw(t, "seconds ago")) * time.Second).Add(
			time.Duration(rapid.IntRange(0, 3).Draw(t, "ticks")) * tick)
		for range rapid.IntRange(1, mostAtOnce).Draw(t, "at once") {
			stored = append(stored, at)
		}
	}
	slices.SortFunc(stored, time.Time.Compare)
	return stored
}

// Edge case (d): more records share one time of storage than a page holds, and
// than a query shows. Each that KSeF shows at all is seen; where it shows no
// more, the cursor stays at that time and it is reported, and what lies behind
// is seen all the same.
func TestEdgeD_windowsSkipNoRecordHoweverManyShareOneMoment(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pageSize := rapid.IntRange(1, 4).Draw(t, "page size")
		shown := pageSize * (lastPage + 1)
		k := &shownByKSeF{stored: moments(t, 2*shown), hwm: start.Add(-30 * time.Second), pageSize: pageSize, seen: map[int]bool{}}
		count := map[time.Time]int{}
		for _, at := range k.stored {
			count[at]++
		}
		cursor, stuck := k.sweepTo(t, start.Add(-200*24*time.Hour), start)

		seen := map[time.Time]int{}
		for i := range k.seen {
			seen[k.stored[i]]++
		}
		for at, n := range count {
			require.Equal(t, min(n, shown), seen[at], "of %d records at %s", n, at)
			if n != shown { // as many as are shown, and others behind, look like more
				require.Equal(t, n > shown, slices.ContainsFunc(stuck, at.Equal), "reported: %d at %s", n, at)
			}
		}
		if len(stuck) == 0 {
			require.Equal(t, k.hwm, cursor)
			return
		}
		require.Equal(t, slices.MinFunc(stuck, time.Time.Compare), cursor, "the cursor stays where records are missing")
	})
}

// Edge case (c): the high-water mark may go back. The cursor does not, and
// nothing below a cursor is left out that had been stored by then.
func TestEdgeC_theCursorStaysWhenTheHighWaterMarkGoesBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		k := &shownByKSeF{stored: moments(t, 12), pageSize: rapid.IntRange(1, 10).Draw(t, "page size"), seen: map[int]bool{}}
		cursor := start.Add(-200 * 24 * time.Hour)
		highest := cursor
		for range rapid.IntRange(1, 6).Draw(t, "cycles") {
			k.hwm = start.Add(-time.Duration(rapid.IntRange(1, 160*24).Draw(t, "mark: hours ago")) * time.Hour)
			if k.hwm.After(highest) {
				highest = k.hwm
			}
			cursor, _ = k.sweepTo(t, cursor, start)
			require.False(t, cursor.After(highest), "the cursor is beyond every mark")
		}
		require.Equal(t, highest, cursor)
		for i, at := range k.stored {
			require.Equal(t, !at.After(highest), k.seen[i], "stored at %s, mark %s", at, highest)
		}
	})
}

// A record that KSeF shows late, up to two days after its time of storage, is
// seen by the sweep or by the next look back, however long nobody looked.
func TestOverlap_findsEveryRecordThatIsShownLate(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		wantedFrom := start.AddDate(-1, 0, 0)
		lastLook := start.Add(-time.Duration(rapid.IntRange(1, 200*24).Draw(t, "last look: hours ago")) * time.Hour)
		cursor := start.Add(-time.Duration(rapid.IntRange(0, 3*24).Draw(t, "cursor: hours ago")) * time.Hour)
		shown := lastLook.Add(time.Duration(rapid.Int64Range(1, int64(start.Sub(lastLook))).Draw(t, "shown")))
		stored := shown.Add(-time.Duration(rapid.Int64Range(0, int64(recheckOverlap)).Draw(t, "late")))
		windows := overlap(cursor, lastLook, wantedFrom)
		covered := stored.After(cursor) || slices.ContainsFunc(windows, func(w window) bool {
			return !stored.Before(w.from) && !stored.After(w.to)
		})
		require.True(t, covered, "stored %s, shown %s, last look %s, cursor %s: %v", stored, shown, lastLook, cursor, windows)
		for _, w := range windows {
			require.LessOrEqual(t, w.to.Sub(w.from), longestWindow)
		}
	})
	require.Empty(t, overlap(start, start, start), "nothing is wanted before RECEIVE_FROM")
	usual := overlap(start, start.Add(-24*time.Hour), start.AddDate(-1, 0, 0))
	require.Equal(t, []window{{from: start.Add(-3 * 24 * time.Hour), to: start}}, usual)
}

func TestShownAs_goesByTheDigitsOfATime(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"2026-11-13T10:00:00Z": time.Millisecond, "2026-11-13T10:00:00.345Z": time.Millisecond,
		"2026-11-13T10:00:00.345678Z": time.Microsecond, "2026-11-13T10:00:00.3456789Z": tick,
	} {
		at, err := time.Parse(time.RFC3339Nano, text)
		require.NoError(t, err)
		require.Equal(t, want, shownAs(at), text)
	}
}
