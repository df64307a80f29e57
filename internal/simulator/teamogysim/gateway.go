package teamogysim

import (
	"net/http"
	"strconv"
)

// serveREST is the gateway in front of the API.
func (s *Simulator) serveREST(w http.ResponseWriter, r *http.Request) {
	s.pass(w, r, operation(r), true, func(a *answer) { s.route(a, r) })
}

// serveFile is the gateway in front of attachments, on which there is no quota.
func (s *Simulator) serveFile(w http.ResponseWriter, r *http.Request) {
	s.pass(w, r, "GET /files", false, func(a *answer) { s.giveFile(a, r) })
}

// pass lets a request through to what serves it: it counts, refuses over the
// quota, lets faults strike and holds back answers that are too large.
func (s *Simulator) pass(w http.ResponseWriter, r *http.Request, op string, quota bool, serve func(*answer)) {
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	a := newAnswer()

	s.mu.Lock()
	set := s.settings
	refused := quota && s.refuse(a)
	var f *fault
	if !refused {
		f = s.faults.take(op)
	}
	release := s.faults.release
	s.mu.Unlock()
	_ = set

	switch {
	case refused:
	case f.before():
		f.answer(a)
	default:
		serve(a)
		if a.body.Len() > maxAnswer {
			a.reset()
			a.fail(http.StatusRequestEntityTooLarge, "the answer is larger than 10 MB; ask for fewer rows, columns or properties")
		}
		if f != nil && f.kind.reach == reachAnswer {
			f.answer(a)
		}
	}

	label := f.label(a)
	s.mu.Lock()
	s.counters.count(op, label, refused || label == strconv.Itoa(http.StatusTooManyRequests))
	s.mu.Unlock()
	s.logger.Debug("request", "operation", op, "status", label)
	f.send(w, r, a, release)
}

// refuse answers a request that is over the quota. The caller holds the lock.
func (s *Simulator) refuse(a *answer) bool {
	set := s.settings
	wait, refused := s.quota.refuse(s.clock.now(), set.RequestsPerMinute, s.timeScale)
	if !refused {
		return false
	}
	a.fail(set.QuotaStatus, "too many requests: the quota is %d a minute", set.RequestsPerMinute)
	if set.QuotaRetryAfter {
		a.Header().Set("Retry-After", strconv.Itoa(wholeSeconds(s.clock.forCaller(wait))))
	}
	return true
}
