package teamogysim

import (
	"net/http"
	"strconv"
	"strings"
)

// serveREST is the gateway in front of the API.
func (s *Simulator) serveREST(w http.ResponseWriter, r *http.Request) {
	s.pass(w, r, operation(r), true, func(a *answer, set *settings) { s.route(a, r, set) })
}

// serveFile is the gateway in front of attachments, on which there is no quota.
func (s *Simulator) serveFile(w http.ResponseWriter, r *http.Request) {
	s.pass(w, r, "GET /files", false, func(a *answer, set *settings) { s.giveFile(a, r, set) })
}

// pass lets a request through to what serves it: it counts, refuses over the
// quota, lets faults strike and holds back answers that are too large.
func (s *Simulator) pass(w http.ResponseWriter, r *http.Request, op string, quota bool, serve func(*answer, *settings)) {
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	a := newAnswer()

	s.mu.Lock()
	set := s.settings
	refused := quota && s.refuse(a, r)
	var f *fault
	if !refused {
		f = s.faults.take(op)
	}
	release := s.faults.release
	s.mu.Unlock()

	switch {
	case refused:
	case f.before():
		f.answer(a)
	default:
		serve(a, set)
		if a.body.Len() > set.AnswerLimitBytes {
			a.reset()
			a.fail(set.TooLargeStatus, "the answer is larger than %s; ask for fewer rows, columns or properties", size(set.AnswerLimitBytes))
		}
		if f != nil && f.kind.reach == reachAnswer {
			f.answer(a)
		}
	}

	a.shapeError(set.ErrorBody)

	label := f.label(a)
	s.mu.Lock()
	s.counters.count(op, label, refused || label == strconv.Itoa(http.StatusTooManyRequests))
	s.mu.Unlock()
	s.logger.Debug("request", "operation", op, "status", label)
	f.send(w, r, a, release)
}

// route checks where the request comes from, the API key and the unit, then
// hands the request to its entity.
func (s *Simulator) route(a *answer, r *http.Request, set *settings) {
	unit, path, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/rest/v1/"), "/")
	if !s.admit(a, r, set) || !s.inScope(a, r.Method, "/"+path, set) {
		return
	}
	if set.RequiredHeader != "" && r.Header.Get(set.RequiredHeader) == "" {
		a.fail(http.StatusBadRequest, "the header %s is missing", set.RequiredHeader)
		return
	}
	if unit != strconv.Itoa(s.unit) {
		a.fail(set.UnknownUnitStatus, "no business unit %q", unit)
		return
	}
	query, err := parseQuery(r.URL.RawQuery, set.PlusInQuery)
	if err != nil {
		a.fail(http.StatusBadRequest, "%v", err)
		return
	}
	if view, ok := strings.CutPrefix(path, "views/"); ok {
		s.serveView(a, r, view, query, set)
		return
	}
	switch path {
	case "documents":
		s.serveDocuments(a, r, query, set)
	case "companies":
		s.serveCompanies(a, r, query, set)
	case "agencies":
		s.serveNamed(a, r, query, set, agencyRows)
	case "users":
		s.serveNamed(a, r, query, set, userRows)
	default:
		a.fail(http.StatusNotFound, "no such resource: %s", path)
	}
}

// operation names a request for counters and faults: "POST /documents".
func operation(r *http.Request) string {
	_, path, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/rest/v1/"), "/")
	return r.Method + " /" + path
}

func size(bytes int) string {
	if bytes%(1<<20) == 0 {
		return strconv.Itoa(bytes>>20) + " MB"
	}
	return strconv.Itoa(bytes) + " bytes"
}
