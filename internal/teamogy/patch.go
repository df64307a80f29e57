package teamogy

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// SalesPatch is what is written to an issued invoice. Empty fields are not written and leave what is there.
type SalesPatch struct {
	// Status is the document's new status, as the tenant has configured it.
	Status string
	// KSeFNumber is the number that KSeF gave. A document that has another one is not touched (Conflict).
	KSeFNumber string
	KSeFStatus string
	// AcceptedAt is when KSeF accepted the invoice; fractions of a second are dropped.
	AcceptedAt time.Time
	// Mode is how the invoice was issued: online or offline.
	Mode string
	// VerificationLink is the public link behind the invoice's QR code.
	VerificationLink string
	// UPOReference is where the confirmation of receipt is archived; never KSeF's link to it, which needs no login.
	UPOReference string
	// SessionReference is the KSeF session's reference number.
	SessionReference string
	// Message says in plain words why the invoice was not accepted. Teamogy may shorten it.
	Message string
	// ClearMessage empties a message of an earlier attempt. It has no effect beside a Message.
	ClearMessage bool
}

// patchBody is the body of PATCH /documents.
type patchBody struct {
	Status     string                     `json:"status,omitempty"`
	StatusDate string                     `json:"statusDate,omitempty"`
	Properties map[string]json.RawMessage `json:"properties,omitempty"`
}

// patchKnowledge is what the client has learnt of the tenant's PATCH.
type patchKnowledge struct{ replaces atomic.Bool }

// PatchSalesInvoice writes KSeF's answer to an issued invoice, everything in one PATCH. It reads the document first
// and does nothing when it is right already, so it may be repeated. Then it sends all of the document's properties
// with the new ones laid over them, since it is not documented whether Teamogy merges them or replaces them; a change
// that a person makes to another property between our reading and writing is lost. With FieldMap.PatchMode "merge"
// only the new ones are sent; should that prove to have wiped others, they are put back at once and the client goes
// over to the safe way.
//
// It reads the document back: values that are not there are an error of Kind NotSaved. In Unauthorized, Forbidden,
// Invalid, UnknownStatus and Conflict nothing was changed.
func (c *Client) PatchSalesInvoice(ctx context.Context, documentID int64, patch SalesPatch) error {
	ctx = orPriority(ctx, High)
	operation := fmt.Sprintf("write KSeF's answer to document %d", documentID)
	before, err := c.Document(ctx, documentID)
	if err != nil {
		return err
	}
	if patch.KSeFNumber != "" && before.KSeFNumber != "" && before.KSeFNumber != patch.KSeFNumber {
		return &Error{
			Operation: operation, Kind: Conflict,
			Detail: fmt.Sprintf("it has the KSeF number %s and was to get %s: find out which invoice is the right one", before.KSeFNumber, patch.KSeFNumber),
		}
	}
	wanted := c.patchValues(patch, before)
	if len(unsaved(wanted, patch.Status, before)) == 0 {
		return nil
	}

	body := patchBody{Properties: wanted.object()}
	if patch.Status != "" && patch.Status != before.Status {
		body.Status = patch.Status
		body.StatusDate = c.now().In(warsaw).Format(time.DateOnly)
	}
	merge := c.fields.PatchMode == PatchMerge && !c.patching.replaces.Load()
	if !merge {
		body.Properties = overlay(before.Properties, wanted)
	}
	after, err := c.patchAndReadBack(ctx, operation, documentID, body, patch.Status)
	if e, ok := AsError(err); ok && !merge && (e.Status == http.StatusBadRequest || e.Status == http.StatusUnprocessableEntity) {
		e.Detail = e.explanation() + sentAlong(before.Properties, wanted)
	}
	if err != nil {
		return err
	}
	if lost := missing(before.Properties, after.Properties, wanted); merge && len(lost) > 0 {
		c.log.ErrorContext(ctx, "Teamogy's PATCH replaces properties although the field map says merge; putting them back",
			"document", documentID, "properties", lost)
		c.patching.replaces.Store(true)
		body = patchBody{Properties: overlay(before.Properties, wanted)}
		if after, err = c.patchAndReadBack(ctx, operation, documentID, body, ""); err != nil {
			return err
		}
	}
	differing := append(unsaved(wanted, patch.Status, after), missing(before.Properties, after.Properties, wanted)...)
	if len(differing) > 0 {
		return &Error{
			Operation: operation, Kind: NotSaved,
			Detail: fmt.Sprintf("Teamogy accepted it but reading back showed other values of %s: check that these exist in Teamogy with the type that the field map says",
				strings.Join(differing, ", ")),
		}
	}
	return nil
}

func (c *Client) patchAndReadBack(ctx context.Context, operation string, id int64, body patchBody, status string) (Document, error) {
	if body.Status == "" {
		status = ""
	}
	if _, err := c.write(ctx, operation, http.MethodPatch, "documents", c.idParameter(id), body, status); err != nil {
		return Document{}, c.hiddenOrGone(ctx, id, err)
	}
	return c.Document(ctx, id)
}

// hiddenOrGone tells a document that was deleted after we read it from a PATCH that is not allowed and answered with
// 404, as some gateways do.
func (c *Client) hiddenOrGone(ctx context.Context, id int64, err error) error {
	e, ok := AsError(err)
	if !ok || e.Kind != NotFound {
		return err
	}
	if _, failure := c.Document(ctx, id); failure != nil {
		return failure
	}
	e.Kind = Forbidden
	return e
}

// sentAlong names the properties that are not ours and went with a PATCH that was refused.
func sentAlong(present map[string]json.RawMessage, wanted propertyValues) string {
	ours := wanted.object()
	var names []string
	for key := range present {
		if _, meant := ours[key]; !meant {
			names = append(names, key)
		}
	}
	if len(names) == 0 {
		return ""
	}
	slices.Sort(names)
	return fmt.Sprintf(". The document's other properties were sent along (%s); if Teamogy refuses one of those, and its PATCH is known to merge, set patchMode to merge in the field map",
		cut(strings.Join(names, ", "), 300))
}

// patchValues are the properties that the patch sets.
func (c *Client) patchValues(patch SalesPatch, before Document) propertyValues {
	p := c.fields.Properties
	var v propertyValues
	v.text(p.KSeFNumber, patch.KSeFNumber)
	v.text(p.KSeFStatus, patch.KSeFStatus)
	v.time(p.KSeFAcceptedAt, patch.AcceptedAt)
	v.text(p.KSeFMode, patch.Mode)
	v.text(p.KSeFVerificationLink, patch.VerificationLink)
	v.text(p.KSeFUPO, patch.UPOReference)
	v.text(p.KSeFReferenceNumber, patch.SessionReference)
	v.explanation(p.KSeFMessage, patch.Message)
	if patch.ClearMessage && patch.Message == "" && scalarText(before.Properties[p.KSeFMessage.Key]) != "" {
		v.add(p.KSeFMessage, encode(""))
	}
	return v
}

// unsaved names what is not in the document as it should be.
func unsaved(wanted propertyValues, status string, d Document) []string {
	names := wanted.differing(d.Properties)
	if status != "" && d.Status != status {
		names = append(names, "status")
	}
	return names
}

// overlay lays the wanted values over the present ones, which stay byte for byte as they are.
func overlay(present map[string]json.RawMessage, wanted propertyValues) map[string]json.RawMessage {
	all := map[string]json.RawMessage{}
	maps.Copy(all, present)
	maps.Copy(all, wanted.object())
	return all
}

// missing names properties that had a value and are gone, apart from those that were to change.
func missing(before, after map[string]json.RawMessage, wanted propertyValues) []string {
	changed := wanted.object()
	var names []string
	for key, raw := range before {
		if _, meant := changed[key]; !meant && !empty(raw) && empty(after[key]) {
			names = append(names, key)
		}
	}
	slices.Sort(names)
	return names
}

func empty(raw json.RawMessage) bool {
	switch strings.TrimSpace(string(raw)) {
	case "", "null", `""`, "[]", "{}":
		return true
	}
	return false
}
