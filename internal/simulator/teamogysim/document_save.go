package teamogysim

import (
	"net/http"
	"slices"
)

func (s *Simulator) createDocument(a *answer, r *http.Request, rules *settings) {
	var body documentBody
	if !decodeFields(a, r, &body, rules) {
		return
	}
	if body.AgencyID == nil && rules.AgencyOptional {
		unit := int64(s.unit)
		body.AgencyID = &unit
	}
	missing := ""
	switch {
	case body.Type == nil || *body.Type == "":
		missing = "type is missing"
	case body.AgencyID == nil:
		missing = "agencyId is missing"
	case body.OwnerID == nil:
		missing = "ownerId is missing"
	case body.CompanyID == nil && rules.CompanyRequired:
		missing = "companyId is missing"
	case body.ID != nil:
		missing = "id is given by Teamogy and must not be sent"
	}
	if missing != "" {
		a.fail(rules.RefusalStatus, "%s", missing)
		return
	}
	if !s.allow(a, "create documents of this type", createRight(*body.Type)) {
		return
	}
	if rules.NumberGiven == NumberIgnored {
		body.Number = nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	d := &document{Type: *body.Type, Status: "OPEN", Properties: map[string]any{}, createdVia: "post"}
	if err := s.overlay(d, body, rules); err != nil {
		a.fail(rules.RefusalStatus, "%v", err)
		return
	}
	if other := s.tenant.withKSeFNumber(d.property(ksefNumberProperty)); other != nil && rules.DuplicateInvoices == DuplicatesRefused {
		a.fail(http.StatusConflict, "document %d has the same KSeF number", other.ID)
		return
	}
	if d.Number == "" && rules.Numbering == NumberAtOnce {
		d.Number = s.tenant.nextNumber(d.Type, s.clock.now())
	}
	if err := s.tenant.store(d, s.clock.now()); err != nil {
		a.fail(rules.RefusalStatus, "%v", err)
		return
	}
	a.savedDocument(rules.CreateStatus, d, rules)
}

// createRight: nobody was given the right to create issued invoices.
func createRight(documentType string) right {
	if isReceived(documentType) || !slices.Contains(documentTypes, documentType) {
		return rightCreateReceived
	}
	return ""
}

func (s *Simulator) patchDocument(a *answer, r *http.Request, query map[string]string, rules *settings) {
	var body documentBody
	if !decodeFields(a, r, &body, rules) {
		return
	}
	s.mu.Lock()
	old, problem := s.pickDocument(query)
	s.mu.Unlock()
	switch {
	case problem != "":
		a.fail(http.StatusBadRequest, "%s", problem)
		return
	case old == nil:
		a.fail(http.StatusNotFound, "no such document")
		return
	}
	if !s.allow(a, "change documents of type "+old.Type, rightForType(old.Type)) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.tenant.byID[old.ID]
	if h == nil {
		a.fail(http.StatusNotFound, "no such document")
		return
	}
	d := h.current().clone()
	switch {
	case body.ID != nil && *body.ID != d.ID:
		a.fail(http.StatusBadRequest, "the body is about document %d, the request about %d", *body.ID, d.ID)
		return
	case body.Type != nil && *body.Type != d.Type:
		a.fail(http.StatusBadRequest, "the type of a document cannot be changed")
		return
	case rules.DocumentVersion == VersionChecked && body.Version != nil && *body.Version != d.version:
		a.fail(http.StatusConflict, "document %d was changed: it has version %d, not %d", d.ID, d.version, *body.Version)
		return
	case rules.AcceptedLocked && isIssued(d.Type) && d.property("ksefNumber") != "":
		a.fail(http.StatusConflict, "document %d was sent to KSeF and cannot be changed any more", d.ID)
		return
	}
	if err := s.overlay(d, body, rules); err != nil {
		a.fail(rules.RefusalStatus, "%v", err)
		return
	}
	d.patched++
	if err := s.tenant.store(d, s.clock.now()); err != nil {
		a.fail(rules.RefusalStatus, "%v", err)
		return
	}
	a.savedDocument(http.StatusOK, d, rules)
}
