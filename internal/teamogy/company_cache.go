package teamogy

import (
	"context"
	"sync"
	"time"
)

// maxKnownCompanies bounds the cache; when it is full it begins anew.
const maxKnownCompanies = 50_000

// companyCache remembers answers by NIP, and whole views read into tables.
type companyCache struct {
	// turn lets one caller at a time read a whole view; the others find it read.
	turn turn

	mu      sync.Mutex
	answers map[string]companyAnswer
	scans   map[string]companyScan // by view
	under   map[string]*companyLookup
	singles int       // look-ups of one company since all were read last
	vain    time.Time // until when reading all is not tried before a look-up
	hiding  bool      // a company was looked up that the views do not show
}

// companyLookup is a look-up under way.
type companyLookup struct {
	done      chan struct{} // closed at its end
	match     CompanyMatch
	err       error
	cancelled bool // it ended with its caller: it says nothing to others
}

type companyAnswer struct {
	match CompanyMatch
	until time.Time
}

type companyScan struct {
	byNIP          map[string][]companyRow
	rows, numbered int // companies, and those that show a NIP
	requests       int
	until          time.Time
}

// firstScan is what reading all companies is taken to cost before it was done once, in requests.
const firstScan = 4

func newCompanyCache() companyCache {
	return companyCache{turn: newTurn(), answers: map[string]companyAnswer{}, scans: map[string]companyScan{}, under: map[string]*companyLookup{}}
}

// begin joins the look-up of a NIP that is under way or has just ended, or begins one, which is the caller's to make and
// to end.
func (k *companyCache) begin(nip string, now time.Time) (under *companyLookup, mine bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if under, ok := k.under[nip]; ok {
		return under, false
	}
	under = &companyLookup{done: make(chan struct{})}
	if a, ok := k.answers[nip]; ok && now.Before(a.until) {
		under.match = a.match
		close(under.done)
		return under, false
	}
	k.under[nip] = under
	return under, true
}

func (k *companyCache) end(nip string, under *companyLookup, match CompanyMatch, err error, cancelled bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	under.match, under.err, under.cancelled = match, err, cancelled && err != nil
	delete(k.under, nip)
	close(under.done)
}

func (k *companyCache) lookedUp() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.singles++
}

func (k *companyCache) scanInVain(until time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.vain = until
}

// scanPays tells whether the views were read lately, or cost no more to read than what was spent on single look-ups.
func (k *companyCache) scanPays(views []string, now time.Time) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	cost, fresh := 0, true
	for _, view := range views {
		cost += k.scans[view].requests
		fresh = fresh && now.Before(k.scans[view].until)
	}
	if cost == 0 {
		cost = firstScan
	}
	return !now.Before(k.vain) && (fresh || k.singles >= cost)
}

// noneCounts tells whether a company that the views do not show is not there: they were read lately, show NIPs, and
// have shown every company that was looked up otherwise.
func (k *companyCache) noneCounts(views []string, now time.Time) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	rows, numbered := 0, 0
	for _, view := range views {
		s, ok := k.scans[view]
		if !ok || !now.Before(s.until) {
			return false
		}
		rows, numbered = rows+s.rows, numbered+s.numbered
	}
	return !k.hiding && (numbered > 0 || rows == 0)
}

func (k *companyCache) known(nip string, now time.Time) (CompanyMatch, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	a, ok := k.answers[nip]
	return a.match, ok && now.Before(a.until)
}

func (k *companyCache) remember(nip string, match CompanyMatch, until time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.answers) >= maxKnownCompanies {
		clear(k.answers)
	}
	k.answers[nip] = companyAnswer{match: match, until: until}
}

func (k *companyCache) scan(view string, now time.Time) (map[string][]companyRow, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	s, ok := k.scans[view]
	return s.byNIP, ok && now.Before(s.until)
}

// keepScan keeps a view that was read, and once all are there, compares them with what was looked up otherwise.
func (k *companyCache) keepScan(view string, scan companyScan, views []string, now time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.scans[view], k.singles = scan, 0
	for _, v := range views {
		if !now.Before(k.scans[v].until) {
			return
		}
	}
	k.hiding = false
	for nip, a := range k.answers {
		if !a.match.exists() || !now.Before(a.until) {
			continue
		}
		shown := false
		for _, v := range views {
			shown = shown || len(k.scans[v].byNIP[nip]) > 0
		}
		k.hiding = k.hiding || !shown
	}
}

// turn is a lock whose wait ends with the context.
type turn chan struct{}

func newTurn() turn { return make(turn, 1) }

func (t turn) take(ctx context.Context) error {
	select {
	case t <- struct{}{}:
		return nil
	case <-ctx.Done():
		return waitCancelled(ctx.Err())
	}
}

func (t turn) give() { <-t }
