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
// whole page shares one date the page number has to grow.
func (w window) nextPage(page flow.Found) (window, bool) {
	if !page.HasMore && !page.Truncated {
		return w, false
	}
	if page.LastDate.After(w.from) {
		return window{from: page.LastDate, to: w.to}, true
	}
	w.offset++
	return w, true
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
