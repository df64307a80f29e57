package teamogysim

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
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
	Version        *int64           `json:"version"`
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

func (s *Simulator) serveDocuments(a *answer, r *http.Request, query map[string]string, set *settings) {
	switch r.Method {
	case http.MethodGet:
		s.readDocument(a, query, set)
	case http.MethodPost:
		s.createDocument(a, r, set)
	case http.MethodPatch:
		s.patchDocument(a, r, query, set)
	default:
		a.fail(http.StatusMethodNotAllowed, "%s is not possible on documents", r.Method)
	}
}

func (s *Simulator) readDocument(a *answer, query map[string]string, set *settings) {
	if !s.allow(a, "read documents", rightCreateReceived, rightPatchIssued) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	d, problem := s.pickDocument(query)
	if problem != "" {
		a.fail(http.StatusBadRequest, "%s", problem)
		return
	}
	var found []any
	if d != nil {
		found = append(found, d.entity(set))
	}
	a.entity(set, "document", found)
	if d != nil {
		s.changeBehindReader(d.ID)
	}
}

// pickDocument finds the document that ?id= names, or the parameter for its
// number. The caller holds the lock.
func (s *Simulator) pickDocument(query map[string]string) (found *document, problem string) {
	var h *history
	if text, ok := query["id"]; ok {
		id, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return nil, "id is not a number"
		}
		h = s.tenant.byID[id]
	} else {
		number := ""
		for parameter, positions := range map[string][]string{
			"number":       {LookupNumber, LookupBoth},
			"registration": {LookupRegistration, LookupBoth},
		} {
			if slices.Contains(positions, s.settings.DocumentLookup) && query[parameter] != "" {
				number = query[parameter]
			}
		}
		if number == "" {
			return nil, "which document? id or number is missing"
		}
		h = s.tenant.byNumber[number]
	}
	if h == nil {
		return nil, ""
	}
	return h.current(), ""
}
