package activities

import (
	"context"
	"fmt"
	"sync"

	"teamogy-ksef/internal/archive"
	"teamogy-ksef/internal/connection"
	"teamogy-ksef/internal/ksef"
)

// quotas are KSeF's request quotas as this process counts them: one for each
// taxpayer in an environment, whichever connections use it, and one for each
// KSeF of what it counts by address. What must be known beyond the process lies
// in the archive.
type quotas struct {
	mu   sync.Mutex
	made map[string]*ksef.Quota
}

// of gives the quotas that a connection's client counts with.
func (q *quotas) of(c *Clients, s *connection.Connection) (own, public *ksef.Quota) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.made == nil {
		q.made = map[string]*ksef.Quota{}
	}
	get := func(holder string, build func(ksef.QuotaOptions) *ksef.Quota) *ksef.Quota {
		key := fmt.Sprint(ksefAddress(s), " ", holder, " ", s.TimeScale)
		if q.made[key] == nil {
			q.made[key] = build(ksef.QuotaOptions{
				Now: c.now, TimeScale: s.TimeScale, Logger: c.logger.With("quotaOf", holder), Book: &quotaBook{c.archive, holder},
			})
		}
		return q.made[key]
	}
	return get(s.KSeFEnvironment+"-"+s.NIP, ksef.NewQuota), get(s.KSeFEnvironment+"-public", ksef.NewPublicQuota)
}

// quotaBook keeps a taxpayer's ksef.Book in the archive.
type quotaBook struct {
	archive *archive.Archive
	holder  string
}

// Entries implements ksef.Book.
func (b *quotaBook) Entries(ctx context.Context, counter string) ([]ksef.Entry, error) {
	there, err := b.archive.Quota(ctx, b.holder, counter)
	entries := make([]ksef.Entry, 0, len(there))
	for _, e := range there {
		entries = append(entries, ksef.Entry(e))
	}
	return entries, err
}

// Note implements ksef.Book.
func (b *quotaBook) Note(ctx context.Context, counter string, e ksef.Entry) (ksef.Entry, error) {
	noted, err := b.archive.NoteQuota(ctx, b.holder, counter, archive.QuotaEntry(e))
	return ksef.Entry(noted), err
}

// Forget implements ksef.Book.
func (b *quotaBook) Forget(ctx context.Context, counter string, e ksef.Entry) error {
	return b.archive.ForgetQuota(ctx, b.holder, counter, archive.QuotaEntry(e))
}
