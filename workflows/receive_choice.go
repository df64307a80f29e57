package workflows

import (
	"fmt"

	"teamogy-ksef/internal/flow"
)

// way is how the invoices of a window are brought.
type way int

const (
	nothingNew way = iota // all have their document
	oneByOne              // each is downloaded by its import
	byPackage             // an export package brings them all
	byList                // an export of the list alone tells which are new
)

// fewInvoices is up to how many new invoices are downloaded one by one: an
// export takes about as long, and a download costs a 64th of the hour's quota,
// an export a 20th.
const fewInvoices = 10

// supplies is what may be spent now.
type supplies struct {
	downloads  int  // within this minute and hour
	exports    int  // within this minute and hour
	inHour     int  // exports within this hour
	perHour    int  // exports an hour, less the reserve; 0: no limit
	noPackages bool // export packages could not be had of late
	oneByOne   int  // so many new invoices are few; 0: fewInvoices, as far as they may be downloaded now
}

// few is how many new invoices are downloaded one by one.
func (s supplies) few() int {
	if s.oneByOne > 0 {
		return s.oneByOne
	}
	return min(fewInvoices, s.downloads)
}

// left says in words how many exports are left once the next one is ordered.
func (s supplies) left() string {
	if s.perHour <= 0 {
		return "exports have no limit"
	}
	return fmt.Sprintf("%d of %d exports left this hour", max(0, s.inHour-1), s.perHour)
}

// choose decides by the first page of a window how its invoices are brought,
// and says why. A page that holds mostly what is known, and the look back at the
// last days (lookingBack), want to know only what is new among many.
func choose(page flow.Found, s supplies, lookingBack bool) (way, string) {
	count := fmt.Sprint(page.List.Count - page.Known)
	fresh, more := page.List.Count-page.Known, page.HasMore || page.Truncated
	if more {
		count += " or more"
	}
	switch {
	case fresh == 0 && !more:
		return nothingNew, "nothing new"
	case s.noPackages:
		return oneByOne, count + " new invoices: one by one, because export packages cannot be had at present"
	case !more && fresh <= s.few():
		return oneByOne, count + " new invoices: one by one"
	case s.exports <= 0 && !more && fresh <= s.downloads:
		return oneByOne, count + " new invoices: one by one, because the exports of this hour are used up"
	case more && (lookingBack || 2*fresh <= page.List.Count):
		return byList, fmt.Sprintf("%d of the first %d invoices are known: an export of the list alone; %s", page.Known, page.List.Count, s.left())
	}
	return byPackage, count + " new invoices: an export package; " + s.left()
}
