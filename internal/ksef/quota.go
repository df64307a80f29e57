package ksef

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"slices"
	"time"
)

// A Quota counts the requests of one taxpayer (NIP) in one environment against
// KSeF's limits. All clients of the taxpayer in a process share one, because
// KSeF counts them together. It is safe for concurrent use.
type Quota struct{ pacer *pacer }

// QuotaOptions are what a [Quota] needs.
type QuotaOptions struct {
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// TimeScale divides the windows; 0 means 1.
	TimeScale float64
	// Book is what is known beyond this process; nil: nothing.
	Book Book
	// Logger is told when the book cannot be used. Nil means no log.
	Logger *slog.Logger
}

// NewQuota returns a quota of which this process has used nothing yet.
func NewQuota(o QuotaOptions) *Quota {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.TimeScale == 0 {
		o.TimeScale = 1
	}
	p := newPacer(o.Now, o.TimeScale)
	p.book = o.Book
	if o.Logger != nil {
		p.logger = o.Logger
	}
	return &Quota{p}
}

// NewPublicQuota is the quota of what KSeF counts by IP address alone: logging
// in and public keys. All clients of a process share one for each KSeF. It uses
// half of the limit, because other workers may have the same address.
func NewPublicQuota(o QuotaOptions) *Quota {
	q := NewQuota(o)
	q.pacer.part = 2
	return q
}

// Book keeps what a quota has to know beyond one process: what KSeF has
// blocked, and the calls of the groups that allow few an hour. So a worker that
// starts, another worker, and another connection of the same taxpayer ask
// nothing that KSeF would refuse. Times are by KSeF's clock. An error of a book
// hinders no call: the process then goes by what it knows itself.
type Book interface {
	// Entries gives what was noted of a counter and not yet forgotten, by time.
	Entries(ctx context.Context, counter string) ([]Entry, error)
	// Note adds an entry, and gives it with its mark. It returns when every
	// reader sees it.
	Note(ctx context.Context, counter string, e Entry) (Entry, error)
	// Forget removes an entry.
	Forget(ctx context.Context, counter string, e Entry) error
}

// Entry is one thing known of a counter.
type Entry struct {
	At   time.Time // of a call; of a block its end
	Kind string
	Mark string // tells entries of one time apart
}

// Kinds of entries.
const (
	entryCall    = "call"
	entrySpare   = "spare" // a call that [Spare] marks
	entryBlocked = "blocked"
)

const (
	// smallGroup is up to how many calls an hour a group's calls stand in the
	// book. Those of larger groups are paced in each process alone.
	smallGroup = 200
	// bookWaits bounds the time of reading or writing the book.
	bookWaits = 5 * time.Second
	// bookMargin is added to a window, as a part of it: a call stands in the book
	// with the time before it left, and KSeF counts it when it arrives.
	bookMargin = 100
	// giveWay is the least of how long two wait that wanted the last call at once.
	giveWay = 20 * time.Millisecond
	// clockError is up to where a difference to KSeF's clock is none: its answers
	// tell the time to the second only.
	clockError = 2 * time.Second
)

type spareKey struct{}

// Spare marks calls that are made for a single invoice, beside those of the
// workflow that owns the group's quota, such as the metadata queries that
// resolve duplicates. Of a small group they may use a quarter of the hour in any
// case, and more only while a fifth is left to the owner.
func Spare(ctx context.Context) context.Context { return context.WithValue(ctx, spareKey{}, true) }

func isSpare(ctx context.Context) bool { return ctx.Value(spareKey{}) != nil }

// spareShare is how many calls of an hour are Spare's in any case.
func spareShare(perHour int) int { return max(1, perHour/4) }

// counter is the name of a lane.
func counter(group Group, endpoint string) string {
	if group == GroupOther {
		return string(group) + " " + endpoint
	}
	return string(group)
}

// claim asks the book for one call: 0 and it is noted, or how long to wait.
func (p *pacer) claim(ctx context.Context, group Group, endpoint string) time.Duration {
	if p.book == nil {
		return 0
	}
	name := counter(group, endpoint)
	p.mu.Lock()
	limit, now := p.limitOf(group), p.now().Add(p.ahead)
	p.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, bookWaits)
	defer cancel()
	entries, err := p.book.Entries(ctx, name)
	if err != nil {
		p.bookFails(ctx, "read", name, err)
		return 0
	}
	p.forget(ctx, name, entries, now)
	if wait := blocked(entries, now); wait > 0 {
		return wait
	}
	if limit.PerHour <= 0 || limit.PerHour > smallGroup {
		return 0
	}
	kind := entryCall
	if isSpare(ctx) {
		kind = entrySpare
	}
	if wait := p.room(entries, kind, limit, now); wait > 0 {
		return wait
	}
	mine, err := p.book.Note(ctx, name, Entry{At: now, Kind: kind})
	if err != nil {
		p.bookFails(ctx, "write", name, err)
		return 0
	}
	// Others may have noted theirs since the first look. Of two that do so at once
	// at least one sees the other, and gives way for a moment.
	if entries, err = p.book.Entries(ctx, name); err != nil {
		p.bookFails(ctx, "read", name, err)
		return 0
	}
	others := slices.DeleteFunc(slices.Clone(entries), func(e Entry) bool { return e.Mark == mine.Mark })
	if p.room(others, kind, limit, now) <= 0 && blocked(others, now) <= 0 {
		return 0
	}
	if err := p.book.Forget(ctx, name, mine); err != nil {
		p.bookFails(ctx, "correct", name, err)
	}
	return giveWay + rand.N(10*giveWay)
}

// blocked tells how long KSeF refuses the counter's calls still.
func blocked(entries []Entry, now time.Time) time.Duration {
	var wait time.Duration
	for _, e := range entries {
		if d := e.At.Sub(now); e.Kind == entryBlocked && d <= longestRetryAfter+time.Minute {
			wait = max(wait, d)
		}
	}
	return wait
}

// room tells how long until the noted calls leave room for one more.
func (p *pacer) room(entries []Entry, kind string, limit Limit, now time.Time) time.Duration {
	all, spare := p.calls(entries, now, entryCall, entrySpare), p.calls(entries, now, entrySpare)
	wait := p.windows(all, limit, now, bookMargin)
	if kind != entrySpare {
		return wait
	}
	share := Limit{PerHour: spareShare(limit.PerHour) + 1} // one is held back of each limit
	shy := Limit{PerHour: limit.PerHour - limit.PerHour/5}
	return max(wait, min(p.windows(spare, share, now, bookMargin), p.windows(all, shy, now, bookMargin)))
}

// calls picks the calls of the kinds. What a clock has dated far into the
// future says nothing.
func (p *pacer) calls(entries []Entry, now time.Time, kinds ...string) *lane {
	l := &lane{}
	for _, e := range entries {
		if slices.Contains(kinds, e.Kind) && e.At.Before(now.Add(p.window(time.Hour))) {
			l.finished = append(l.finished, e.At)
		}
	}
	return l
}

// forget removes what no longer counts.
func (p *pacer) forget(ctx context.Context, name string, entries []Entry, now time.Time) {
	hour := p.window(time.Hour)
	for _, e := range entries {
		old := now.Sub(e.At)
		if e.Kind == entryBlocked && old > 0 || old > hour+2*hour/bookMargin || old < -longestRetryAfter-time.Hour {
			if err := p.book.Forget(ctx, name, e); err != nil {
				p.bookFails(ctx, "tidy", name, err)
				return
			}
		}
	}
}

// Blocked tells which of the groups KSeF refuses at present, and for how long
// still, as this process and the [Book] know. It makes no call.
func (c *Client) Blocked(ctx context.Context, groups ...Group) map[Group]time.Duration {
	found := map[Group]time.Duration{}
	for _, g := range groups {
		if d := c.pacer.blockedFor(ctx, g); d > 0 {
			found[g] = d
		}
	}
	return found
}

func (p *pacer) blockedFor(ctx context.Context, group Group) time.Duration {
	p.mu.Lock()
	d, now := p.lane(group, "").blockedUntil.Sub(p.now()), p.now().Add(p.ahead)
	p.mu.Unlock()
	if p.book == nil {
		return d
	}
	ctx, cancel := context.WithTimeout(ctx, bookWaits)
	defer cancel()
	entries, err := p.book.Entries(ctx, counter(group, ""))
	if err != nil {
		p.bookFails(ctx, "read", string(group), err)
	}
	return max(d, blocked(entries, now))
}

// remember notes that KSeF refuses a group from now on.
func (p *pacer) remember(ctx context.Context, group Group, endpoint string, d time.Duration) {
	if p.book == nil || d <= 0 {
		return
	}
	name := counter(group, endpoint)
	p.mu.Lock()
	until := p.now().Add(p.ahead + d)
	p.mu.Unlock()
	p.logger.WarnContext(ctx, "KSeF refuses a group of requests for a time (429); nothing of it is asked before", "group", name, "for", d)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), bookWaits)
	defer cancel()
	if _, err := p.book.Note(ctx, name, Entry{At: until, Kind: entryBlocked}); err != nil {
		p.bookFails(ctx, "write", name, err)
	}
}

func (p *pacer) bookFails(ctx context.Context, what, name string, err error) {
	p.logger.WarnContext(ctx, "what other workers know of KSeF's quota cannot be used now", "action", what, "group", name, "error", err)
}

// noteClock takes over by how much KSeF's clock is ahead.
func (p *pacer) noteClock(ahead time.Duration) {
	if ahead.Abs() < clockError {
		ahead = 0
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ahead = ahead
}

// limitOf is the limit of a group as this quota uses it; p.mu is held.
func (p *pacer) limitOf(group Group) Limit {
	l := p.limits.Of(group)
	if p.part > 1 {
		for _, n := range []*int{&l.PerSecond, &l.PerMinute, &l.PerHour} {
			if *n > 0 {
				*n = max(1, *n/p.part)
			}
		}
	}
	return l
}
