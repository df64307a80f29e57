package teamogysim

import "time"

// quota is the tenant's request quota: a sliding minute over all callers.
// Requests over it are refused at once and not counted in.
type quota struct {
	taken []time.Time
}

// refuse takes one request's place, or tells how long it has to wait for one.
func (q *quota) refuse(now time.Time, perMinute int, timeScale float64) (time.Duration, bool) {
	if perMinute <= 0 {
		return 0, false
	}
	window := time.Duration(float64(time.Minute) / timeScale)
	first := 0
	for first < len(q.taken) && now.Sub(q.taken[first]) >= window {
		first++
	}
	q.taken = q.taken[first:]
	if len(q.taken) >= perMinute {
		return q.taken[len(q.taken)-perMinute].Add(window).Sub(now), true
	}
	q.taken = append(q.taken, now)
	return 0, false
}

// wholeSeconds rounds up to what Retry-After can say.
func wholeSeconds(d time.Duration) int {
	return max(1, int((d+time.Second-1)/time.Second))
}
