package teamogysim

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// documentTypes are the types that Teamogy documents. A tenant may have more;
// this one has not.
var documentTypes = []string{
	"INVOICE.PURCHASE", "INVOICE.PURCHASE.PROFORMA", "INVOICE.PURCHASE.PREPAYMENT", "INVOICE.PURCHASE.CORRECTION",
	"INVOICE.SALES", "INVOICE.SALES.PROFORMA", "INVOICE.SALES.PREPAYMENT", "INVOICE.SALES.CORRECTION",
	"DOCUMENT.ISSUED", "DOCUMENT.RECEIVED", "DOCUMENT.CONTRACT", "DOCUMENT.QUOTATION.SALES", "DOCUMENT.ORDER.PURCHASE",
	"HR.DOC", "ABSENCE", "GEM", "BINDER",
	"CASHBOX.CREDIT", "CASHBOX.DEBIT", "CASHBOX.DEBIT.BILL", "CASHBOX.CARD.DEBIT", "CASHBOX.CARD.DEBIT.BILL",
}

// documentBody is the body of POST and PATCH. It takes every field that GET
// gives. A field that is absent or null is left as it is.
type documentBody struct {
	ID             *int64           `json:"id"`
	Type           *string          `json:"type"`
	Status         *string          `json:"status"`
	StatusDate     *string          `json:"statusDate"`
	Number         *string          `json:"number"`
	AgencyID       *int64           `json:"agencyId"`
	OwnerID        *int64           `json:"ownerId"`
	OwnerName      *string          `json:"ownerName"`
	CompanyID      *int64           `json:"companyId"`
	CompanyName    *string          `json:"companyName"`
	PersonID       *int64           `json:"personId"`
	BinderID       *int64           `json:"binderId"`
	Category       *string          `json:"category"`
	Tags           *[]string        `json:"tags"`
	ParticipantIDs *[]int64         `json:"participantIds"`
	Attach         *[]string        `json:"attach"`
	Process        *json.RawMessage `json:"process"`
	ACL            *json.RawMessage `json:"acl"`
	Disabled       *bool            `json:"isDisabled"`
	Draft          *bool            `json:"isDraft"`
	Properties     *map[string]any  `json:"properties"`
}

type savedJSON struct {
	ID     int64  `json:"id"`
	Number string `json:"number"`
}

func (s *Simulator) serveDocuments(a *answer, r *http.Request, query map[string]string) {
	switch r.Method {
	case http.MethodGet:
		if !s.allow(a, "read documents", rightCreateReceived, rightPatchIssued) {
			return
		}
		s.mu.Lock()
		d, problem := s.pickDocument(query)
		shape := s.settings.EntityAnswer
		s.mu.Unlock()
		if problem != "" {
			a.fail(http.StatusBadRequest, "%s", problem)
			return
		}
		var found []any
		if d != nil {
			found = append(found, d.entity())
		}
		a.entity(shape, "document", found)
	case http.MethodPost:
		s.createDocument(a, r)
	case http.MethodPatch:
		s.patchDocument(a, r, query)
	default:
		a.fail(http.StatusMethodNotAllowed, "%s is not possible on documents", r.Method)
	}
}

// entity answers a GET of one object in the shape that is switched on.
func (a *answer) entity(shape, what string, found []any) {
	switch {
	case shape == AnswerArray:
		a.json(http.StatusOK, orEmpty(found))
	case len(found) == 0:
		a.fail(http.StatusNotFound, "no such %s", what)
	case len(found) > 1:
		a.json(http.StatusOK, found)
	case shape == AnswerData:
		a.json(http.StatusOK, map[string]any{"data": found[0]})
	default:
		a.json(http.StatusOK, found[0])
	}
}

// pickDocument finds the document that ?id= or ?number= names. The caller holds
// the lock.
func (s *Simulator) pickDocument(query map[string]string) (found *document, problem string) {
	var h *history
	if text, ok := query["id"]; ok {
		id, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return nil, "id is not a number"
		}
		h = s.tenant.byID[id]
	} else if number, ok := query["number"]; ok && number != "" {
		h = s.tenant.byNumber[number]
	} else {
		return nil, "which document? id or number is missing"
	}
	if h == nil {
		return nil, ""
	}
	return h.current(), ""
}

func (s *Simulator) createDocument(a *answer, r *http.Request) {
	var body documentBody
	if !decodeJSON(a, r, &body) {
		return
	}
	switch {
	case body.Type == nil || *body.Type == "":
		a.fail(http.StatusBadRequest, "type is missing")
		return
	case body.AgencyID == nil:
		a.fail(http.StatusBadRequest, "agencyId is missing")
		return
	case body.OwnerID == nil:
		a.fail(http.StatusBadRequest, "ownerId is missing")
		return
	case body.ID != nil:
		a.fail(http.StatusBadRequest, "id is given by Teamogy and must not be sent")
		return
	}
	if !s.allow(a, "create documents of this type", createRight(*body.Type)) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	d := &document{Type: *body.Type, Status: "OPEN", Properties: map[string]any{}, createdVia: "post"}
	if err := s.overlay(d, body, true); err != nil {
		a.fail(http.StatusBadRequest, "%v", err)
		return
	}
	if err := s.tenant.store(d, s.clock.now()); err != nil {
		a.fail(http.StatusBadRequest, "%v", err)
		return
	}
	a.json(http.StatusCreated, savedJSON{ID: d.ID, Number: d.Number})
}

// createRight: nobody was given the right to create issued invoices.
func createRight(documentType string) right {
	if isReceived(documentType) || !slices.Contains(documentTypes, documentType) {
		return rightCreateReceived
	}
	return ""
}

func (s *Simulator) patchDocument(a *answer, r *http.Request, query map[string]string) {
	var body documentBody
	if !decodeJSON(a, r, &body) {
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
	if body.ID != nil && *body.ID != d.ID {
		a.fail(http.StatusBadRequest, "the body is about document %d, the request about %d", *body.ID, d.ID)
		return
	}
	if body.Type != nil && *body.Type != d.Type {
		a.fail(http.StatusBadRequest, "the type of a document cannot be changed")
		return
	}
	if err := s.overlay(d, body, s.settings.PatchReplaces); err != nil {
		a.fail(http.StatusBadRequest, "%v", err)
		return
	}
	d.patched++
	if err := s.tenant.store(d, s.clock.now()); err != nil {
		a.fail(http.StatusBadRequest, "%v", err)
		return
	}
	a.json(http.StatusOK, savedJSON{ID: d.ID, Number: d.Number})
}

// overlay writes a body's fields into d after checking them against the tenant.
// A merged property of null is removed. The caller holds the lock.
func (s *Simulator) overlay(d *document, b documentBody, replaceProperties bool) error {
	t := s.tenant
	if !slices.Contains(documentTypes, d.Type) {
		return fmt.Errorf("type %q is not configured", d.Type)
	}
	if b.Status != nil && !slices.Contains(s.statuses, *b.Status) {
		return fmt.Errorf("status %q is not configured", *b.Status)
	}
	if b.StatusDate != nil {
		if _, err := time.Parse(time.DateOnly, *b.StatusDate); err != nil {
			return fmt.Errorf("statusDate %q is not a date (YYYY-MM-DD)", *b.StatusDate)
		}
	}
	if b.AgencyID != nil && *b.AgencyID != int64(t.unit) {
		return fmt.Errorf("agencyId %d does not exist", *b.AgencyID)
	}
	if b.OwnerID != nil && !t.user(*b.OwnerID) {
		return fmt.Errorf("ownerId %d does not exist", *b.OwnerID)
	}
	if b.ParticipantIDs != nil {
		for _, id := range *b.ParticipantIDs {
			if !t.user(id) {
				return fmt.Errorf("participantIds: user %d does not exist", id)
			}
		}
	}
	if b.CompanyID != nil {
		c := t.company(*b.CompanyID)
		if c == nil {
			return fmt.Errorf("companyId %d does not exist", *b.CompanyID)
		}
		d.CompanyName = c.Name
	} else if b.CompanyName != nil {
		d.CompanyName = *b.CompanyName
	}
	for name, raw := range map[string]*json.RawMessage{"process": b.Process, "acl": b.ACL} {
		if raw != nil && !strings.HasPrefix(strings.TrimSpace(string(*raw)), "{") {
			return fmt.Errorf("%s is not an object", name)
		}
	}
	set(&d.Status, b.Status)
	set(&d.StatusDate, b.StatusDate)
	set(&d.Number, b.Number)
	set(&d.AgencyID, b.AgencyID)
	set(&d.OwnerID, b.OwnerID)
	set(&d.OwnerName, b.OwnerName)
	set(&d.CompanyID, b.CompanyID)
	set(&d.PersonID, b.PersonID)
	set(&d.BinderID, b.BinderID)
	set(&d.Category, b.Category)
	set(&d.Tags, b.Tags)
	set(&d.ParticipantIDs, b.ParticipantIDs)
	set(&d.Attach, b.Attach)
	set(&d.Process, b.Process)
	set(&d.ACL, b.ACL)
	set(&d.Disabled, b.Disabled)
	set(&d.Draft, b.Draft)
	if b.Properties != nil {
		if replaceProperties {
			d.Properties = map[string]any{}
		}
		maps.Copy(d.Properties, *b.Properties)
		maps.DeleteFunc(d.Properties, func(_ string, v any) bool { return v == nil })
	}
	return nil
}

func set[T any](into *T, from *T) {
	if from != nil {
		*into = *from
	}
}
