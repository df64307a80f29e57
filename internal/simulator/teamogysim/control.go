package teamogysim

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// controlHandler serves /_sim/: what tests and the demo use to prepare, to look
// behind the API and to order misbehaviour.
func (s *Simulator) controlHandler() http.Handler {
	mux := http.NewServeMux()
	var known []string
	handle := func(pattern string, serve func(a *answer, r *http.Request)) {
		known = append(known, pattern)
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			a := newAnswer()
			if s.controlFromAnywhere || fromLoopback(r) {
				serve(a, r)
			} else {
				a.fail(http.StatusForbidden, "the control API is for callers on the loopback interface only")
			}
			a.writeTo(w)
		})
	}
	handle("GET /_sim/health", func(a *answer, _ *http.Request) { a.json(http.StatusOK, map[string]string{"status": "ok"}) })
	handle("POST /_sim/seed", s.controlSeed)
	handle("POST /_sim/reset", func(a *answer, _ *http.Request) {
		s.Reset()
		a.json(http.StatusOK, struct{}{})
	})
	handle("GET /_sim/documents", s.controlDocuments)
	handle("GET /_sim/documents/{id}", s.controlDocument)
	handle("PATCH /_sim/documents/{id}", s.controlEdit)
	handle("GET /_sim/documents/{id}/xml", s.controlXML)
	handle("GET /_sim/counters", func(a *answer, _ *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		a.json(http.StatusOK, s.counters.snapshot())
	})
	handle("GET /_sim/faults", s.controlFaults)
	handle("POST /_sim/faults", s.controlOrderFault)
	handle("DELETE /_sim/faults", s.controlClearFaults)
	handle("GET /_sim/faults/names", s.controlFaultNames)
	handle("GET /_sim/clock", func(a *answer, _ *http.Request) { a.json(http.StatusOK, s.clock.json()) })
	handle("POST /_sim/clock", s.controlClock)
	handle("GET /_sim/token", func(a *answer, _ *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		a.json(http.StatusOK, s.token.json())
	})
	handle("POST /_sim/token", s.controlToken)
	handle("GET /_sim/statuses", func(a *answer, _ *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		a.json(http.StatusOK, map[string]any{"statuses": s.statuses})
	})
	handle("POST /_sim/statuses", s.controlStatuses)
	handle("GET /_sim/settings", func(a *answer, _ *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		a.json(http.StatusOK, s.settings)
	})
	handle("POST /_sim/settings", s.controlSettings)
	handle("GET /_sim/settings/names", s.controlSettingNames)
	handle("/_sim/", func(a *answer, r *http.Request) {
		a.fail(http.StatusBadRequest, "%s %s: there are %s", r.Method, r.URL.Path, strings.Join(known[:len(known)-1], ", "))
	})
	return mux
}

func fromLoopback(r *http.Request) bool { return callerIP(r).IsLoopback() }

// documentJSON is a document as the control API shows it.
type documentJSON struct {
	ID             int64          `json:"id"`
	Type           string         `json:"type"`
	Status         string         `json:"status"`
	StatusDate     string         `json:"statusDate"`
	Number         string         `json:"number"`
	OwnerID        int64          `json:"ownerId"`
	CompanyID      int64          `json:"companyId"`
	CompanyName    string         `json:"companyName"`
	Tags           []string       `json:"tags"`
	ParticipantIDs []int64        `json:"participantIds"`
	Attach         []string       `json:"attach"`
	Process        any            `json:"process"`
	Properties     map[string]any `json:"properties"` // the XML as ksefXmlSha256 and ksefXmlSize
	KSeFState      string         `json:"ksefState"`  // as on the web page
	Created        time.Time      `json:"created"`
	Changed        time.Time      `json:"changed"`
	Patched        int            `json:"patched"`
	CreatedVia     string         `json:"createdVia"`
}

func inspect(d *document) documentJSON {
	return documentJSON{
		ID: d.ID, Type: d.Type, Status: d.Status, StatusDate: d.StatusDate, Number: d.Number, OwnerID: d.OwnerID,
		CompanyID: d.CompanyID, CompanyName: d.CompanyName, Tags: orEmpty(d.Tags), ParticipantIDs: orEmpty(d.ParticipantIDs),
		Attach: orEmpty(d.Attach), Process: orNullJSON(d.Process), Properties: inspectProperties(d), KSeFState: d.summary.state,
		Created: d.created, Changed: d.changed, Patched: d.patched, CreatedVia: d.createdVia,
	}
}

func inspectProperties(d *document) map[string]any {
	out := make(map[string]any, len(d.Properties)+2)
	for name, v := range d.Properties {
		if name != xmlProperty {
			out[name] = v
		}
	}
	if data := d.xml(); data != nil {
		out["ksefXmlSha256"] = sha256Hex(data)
		out["ksefXmlSize"] = len(data)
	}
	return out
}

func (s *Simulator) controlDocuments(a *answer, _ *http.Request) {
	s.mu.Lock()
	current := make([]*document, 0, len(s.tenant.documents))
	for _, h := range s.tenant.documents {
		current = append(current, h.current())
	}
	s.mu.Unlock()
	out := make([]documentJSON, 0, len(current))
	for _, d := range current {
		out = append(out, inspect(d))
	}
	a.json(http.StatusOK, map[string]any{"documents": out})
}

// named is the document in a control request's path; it answers 404 otherwise.
func (s *Simulator) named(a *answer, r *http.Request) *document {
	id, _ := strconv.ParseInt(r.PathValue("id"), 10, 64)
	s.mu.Lock()
	defer s.mu.Unlock()
	if h := s.tenant.byID[id]; h != nil {
		return h.current()
	}
	a.fail(http.StatusNotFound, "no such document")
	return nil
}

func (s *Simulator) controlDocument(a *answer, r *http.Request) {
	if d := s.named(a, r); d != nil {
		a.json(http.StatusOK, inspect(d))
	}
}

func (s *Simulator) controlXML(a *answer, r *http.Request) {
	d := s.named(a, r)
	if d == nil {
		return
	}
	data := d.xml()
	if data == nil {
		a.fail(http.StatusNotFound, "the document holds no XML")
		return
	}
	a.text(http.StatusOK, "application/octet-stream", string(data))
}

func (s *Simulator) controlStatuses(a *answer, r *http.Request) {
	var body struct {
		Statuses []string `json:"statuses"` // null: those of New
	}
	if !decodeControl(a, r, &body) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if body.Statuses == nil {
		body.Statuses = slices.Clone(s.initialStatuses)
	}
	s.statuses = body.Statuses
	a.json(http.StatusOK, map[string]any{"statuses": s.statuses})
}
