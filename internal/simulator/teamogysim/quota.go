package teamogysim

import (
	"net/http"
	"strconv"
	"time"
)

// quota is a request quota: a minute over all callers that share it. Unless
// countsRefused is set, requests over it are refused at once and not counted in.
type quota struct {
	taken         []time.Time
	fixed         bool // the minute of the clock counts, not the last 60 seconds
	countsRefused bool
}

// refuse takes one request's place, or tells how long it has to wait for one.
func (q *quota) refuse(now time.Time, perMinute int, timeScale float64) (time.Duration, bool) {
	if perMinute <= 0 {
		return 0, false
	}
	window := time.Duration(float64(time.Minute) / timeScale)
	q.forget(now, window)
	if len(q.taken) < perMinute {
		q.taken = append(q.taken, now)
		return 0, false
	}
	if q.countsRefused {
		q.taken = append(q.taken[1:], now)
	}
	if q.fixed {
		return now.Truncate(window).Add(window).Sub(now), true
	}
	return q.taken[len(q.taken)-perMinute].Add(window).Sub(now), true
}

func (q *quota) forget(now time.Time, window time.Duration) {
	first := 0
	for first < len(q.taken) {
		at := q.taken[first]
		if q.fixed && at.Truncate(window).Equal(now.Truncate(window)) || !q.fixed && now.Sub(at) < window {
			break
		}
		first++
	}
	q.taken = q.taken[first:]
}

// wholeSeconds rounds up to what Retry-After can say.
func wholeSeconds(d time.Duration) int {
	return max(1, int((d+time.Second-1)/time.Second))
}

// refuse answers a request that is over the quota. The caller holds the lock.
func (s *Simulator) refuse(a *answer, r *http.Request) bool {
	set := s.settings
	sharers := ""
	switch set.QuotaScope {
	case QuotaHost:
		sharers = r.Host
	case QuotaKey:
		sharers = bearer(r)
	}
	q := s.quotas[sharers]
	if q == nil {
		q = &quota{}
		s.quotas[sharers] = q
	}
	q.fixed, q.countsRefused = set.QuotaWindow == WindowFixed, set.QuotaCountsRefused
	wait, refused := q.refuse(s.clock.now(), set.RequestsPerMinute, s.timeScale)
	if !refused {
		return false
	}
	a.fail(set.QuotaStatus, "too many requests: the quota is %d a minute", set.RequestsPerMinute)
	if set.QuotaRetryAfter {
		wait = s.clock.forCaller(wait)
		text := strconv.Itoa(wholeSeconds(wait))
		if set.RetryAfterForm == RetryAfterDate {
			text = s.clock.base().Add(wait + time.Second - 1).UTC().Format(http.TimeFormat)
		}
		a.Header().Set("Retry-After", text)
	}
	return true
}
