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
	scans   map[string]companyScan
}

type companyAnswer struct {
	match CompanyMatch
	until time.Time
}

type companyScan struct {
	byNIP map[string][]companyRow
	until time.Time
}

func newCompanyCache() companyCache {
	return companyCache{turn: newTurn(), answers: map[string]companyAnswer{}, scans: map[string]companyScan{}}
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

func (k *companyCache) keepScan(view string, byNIP map[string][]companyRow, until time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.scans[view] = companyScan{byNIP: byNIP, until: until}
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
