package workflows

import (
	"time"

	"teamogy-ksef/internal/flow"
)

// longestWindow stays below KSeF's 100 days, which are counted in UTC.
const longestWindow = 99 * 24 * time.Hour

// window is where a sweep of metadata queries stands.
type window struct {
	from   time.Time
	to     time.Time // zero: up to now, restricted to the high-water mark
	offset int       // page
}

// nextWindow is the query window from a cursor on: at most 99 days, and open
// at its end if that reaches the present.
func nextWindow(cursor, now time.Time) window {
	end := cursor.Add(longestWindow)
	if !end.Before(now) {
		end = time.Time{}
	}
	return window{from: cursor.UTC(), to: end}
}

// nextPage tells where to go on within a window after a page, and whether
// there is more. Both ends of a range are inclusive, so that going on from the
// last record's date repeats records, which are known by then; only where a
// whole page shares one date the page number has to grow. Where it cannot grow
// any more (see stuck) it goes on behind that date.
func (w window) nextPage(page flow.Found) (window, bool) {
	if !page.HasMore && !page.Truncated {
		return w, false
	}
	if page.LastDate.After(w.from) {
		return window{from: page.LastDate, to: w.to}, true
	}
	if w.stuck(page) {
		behind := window{from: w.behind(page.LastDate), to: w.to}
		return behind, w.to.IsZero() || !behind.from.After(w.to)
	}
	w.offset++
	return w, true
}

const (
	// lastPage is the last page of a query: KSeF shows 10,000 records of one,
	// 250 on a page, and refuses to go further (21405).
	lastPage = 39
	// tick is the unit of KSeF's times of storage.
	tick = 100 * time.Nanosecond
)

// shownAs is how long a moment lasts that KSeF shows, by its digits: it may keep
// times more finely than it shows them.
func shownAs(at time.Time) time.Duration {
	for _, unit := range []time.Duration{time.Millisecond, time.Microsecond} {
		if at.Truncate(unit).Equal(at) {
			return unit
		}
	}
	return tick
}

// behind is the first time behind the moment that the window begins with and the
// last record shows. If that shows an earlier time, KSeF shows times less finely
// than it keeps them, and the moment ends only where it would show another one.
func (w window) behind(last time.Time) time.Time {
	at := w.from.Truncate(tick).Add(tick)
	if end := last.Add(shownAs(last)); last.Before(w.from) && end.After(at) {
		return end
	}
	return at
}

// momentEnd is up to where the moment may reach; what else lies there comes
// twice, which is harmless.
func (w window) momentEnd(last time.Time) time.Time {
	end := w.from.Add(shownAs(w.from))
	if other := last.Add(shownAs(last)); last.Before(w.from) && other.After(w.from) {
		end = other
	}
	return end
}

// stuck tells that more records share one time of storage, that of the window's
// beginning, than KSeF shows of one query: no query brings the rest of them. The
// cursor must not go past that time.
func (w window) stuck(page flow.Found) bool {
	return (page.Truncated || page.HasMore && w.offset >= lastPage) && !page.LastDate.After(w.from)
}

// advance is the cursor after a page of which everything is started: the
// last record's date, and the high-water mark once the window is through. For
// a window in the past KSeF's mark is the window's end. It never goes beyond
// the window, and never backwards.
func (w window) advance(cursor time.Time, page flow.Found, through bool) time.Time {
	to := page.LastDate
	if through && !page.HWM.IsZero() {
		to = page.HWM
	}
	if !page.HWM.IsZero() && to.After(page.HWM) {
		to = page.HWM
	}
	if !w.to.IsZero() && to.After(w.to) {
		to = w.to
	}
	if to.After(cursor) {
		return to.UTC()
	}
	return cursor
}

const (
	// recheckEvery is how often the last days are queried once more, against
	// records that KSeF shows late (observed in January 2026).
	recheckEvery = 24 * time.Hour
	// recheckOverlap is how late KSeF may show a record: one that it shows within
	// two days of its time of storage is found by the next look.
	recheckOverlap = 2 * 24 * time.Hour
)

// overlap is what is queried once more up to a cursor: what was stored since
// some days before the last look. So nothing is left out after a pause, or when
// no worker ran for weeks, and in between it is the last three days.
// Nothing before the day from which on invoices are wanted.
func overlap(cursor, lastLook, wantedFrom time.Time) []window {
	from := cursor
	if lastLook.Before(from) {
		from = lastLook
	}
	if from = from.Add(-recheckOverlap); from.Before(wantedFrom) {
		from = wantedFrom
	}
	var windows []window
	for from.Before(cursor) {
		to := from.Add(longestWindow)
		if to.After(cursor) {
			to = cursor
		}
		windows = append(windows, window{from: from.UTC(), to: to.UTC()})
		from = to
	}
	return windows
}
