package workflows

import (
	"time"

	"teamogy-ksef/internal/flow"
)

// A ledger remembers what was spent of a quota in sliding windows of a minute
// and an hour, and tells how much may be spent now. A limit of zero or less is
// none. It is a pure value: the caller gives the time. Windows are divided by timeScale, as the KSeF
// simulator does.
type ledger struct {
	perMinute int
	perHour   int
	timeScale float64
	spent     []flow.Spent
	notBefore time.Time // until then KSeF refuses these requests; zero: it does not
}

// reserved leaves a small reserve of a limit for what is started by hand and
// for requests whose answer was lost: a tenth, at least one.
func reserved(limit int) int {
	if limit <= 1 {
		return limit
	}
	return max(1, limit-max(1, limit/10))
}

// reservedForDuplicates leaves 30 % of a limit, 6 of KSeF's 20 metadata queries
// an hour, to the resolution of duplicates and to imports that need the metadata
// of one invoice.
func reservedForDuplicates(limit int) int {
	if limit <= 1 {
		return limit
	}
	return max(1, limit-max(1, limit*3/10))
}

func (l *ledger) minute() time.Duration { return flow.Scaled(time.Minute, l.timeScale) }
func (l *ledger) hour() time.Duration   { return flow.Scaled(time.Hour, l.timeScale) }

// withoutLimit is more than anyone asks for at once.
const withoutLimit = 1_000_000

// allowed tells how many may be spent now.
func (l *ledger) allowed(now time.Time) int {
	if now.Before(l.notBefore) {
		return 0
	}
	allowed := withoutLimit
	if l.perMinute > 0 {
		allowed = min(allowed, l.perMinute-l.since(now.Add(-l.minute())))
	}
	return max(0, min(allowed, l.allowedInHour(now)))
}

// allowedInHour tells how many may be spent now as far as the hour goes.
func (l *ledger) allowedInHour(now time.Time) int {
	if l.perHour <= 0 {
		return withoutLimit
	}
	return max(0, l.perHour-l.since(now.Add(-l.hour())))
}

// waitFor tells how long to wait until count may be spent at once; zero if
// now. A count above the limits waits for an empty window.
func (l *ledger) waitFor(now time.Time, count int) time.Duration {
	return max(l.waitIn(now, count, l.perMinute, l.minute()), l.waitIn(now, count, l.perHour, l.hour()), l.notBefore.Sub(now))
}

func (l *ledger) waitIn(now time.Time, count, limit int, window time.Duration) time.Duration {
	if limit <= 0 {
		return 0
	}
	count = min(count, limit)
	used := l.since(now.Add(-window))
	for _, s := range l.spent {
		if used+count <= limit {
			break
		}
		if ends := s.At.Add(window); ends.After(now) {
			used -= s.Count
			if used+count <= limit {
				return ends.Sub(now)
			}
		}
	}
	return 0
}

// spend notes that count was spent, and forgets what is older than an hour.
func (l *ledger) spend(now time.Time, count int) {
	kept := l.spent[:0]
	for _, s := range l.spent {
		if s.At.After(now.Add(-l.hour())) {
			kept = append(kept, s)
		}
	}
	l.spent = kept
	if count > 0 {
		l.spent = append(l.spent, flow.Spent{At: now, Count: count})
	}
}

func (l *ledger) since(from time.Time) int {
	sum := 0
	for _, s := range l.spent {
		if s.At.After(from) {
			sum += s.Count
		}
	}
	return sum
}
