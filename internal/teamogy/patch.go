package teamogy

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
)

// SalesPatch is what is written to an issued invoice. Empty fields are not written and leave what is there.
type SalesPatch struct {
	// Status is the document's new status, as the tenant has configured it.
	Status string
	// From is the status that the document has before. Where what is written is there already, because an earlier call
	// lost its answer, Status is set over From only: what a person has set since stays. Empty: over every status.
	From string
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
	// First, if not nil, lets KSeFNumber be written in one request (FieldMap.PatchMode "merge"). It is not for documents
	// that may have a message to be cleared.
	First *FirstWrite
}

// patchBody is the body of PATCH /documents.
type patchBody struct {
	Status     string                     `json:"status,omitempty"`
	StatusDate string                     `json:"statusDate,omitempty"`
	Properties map[string]json.RawMessage `json:"properties,omitempty"`
}

// PatchSalesInvoice writes KSeF's answer to an issued invoice, everything in one PATCH. It reads the document first
// and does nothing when it is right already, so it may be repeated: after a lost answer it finds its own writing, and
// leaves a status alone that a person has set since (SalesPatch.From).
//
// It is not documented whether Teamogy's PATCH merges properties or replaces them. Until that is known, all of the
// document's properties are sent as they were read right before, with the new ones laid over them: no property is lost
// either way, but on a tenant that merges, a change that a person makes to another property between our reading and
// writing would be undone. So the client finds out (see learn), and then sends the new ones only. With
// FieldMap.PatchMode "merge" it does so from the beginning; should that prove to have wiped others, they are put back
// at once and the client goes over to the safe way. What was wiped so before a crash cannot be put back, so that mode is
// for tenants where merging was proven.
//
// With "merge" and SalesPatch.First a number costs one request instead of three, once a few documents have shown that
// what is written is kept and that nothing else is lost: see patchOnce.
//
// It reads the document back: values that are not there are an error of Kind NotSaved. In Unauthorized, Forbidden,
// Invalid, UnknownStatus, Conflict and Locked nothing was changed.
func (c *Client) PatchSalesInvoice(ctx context.Context, documentID int64, patch SalesPatch) error {
	ctx = orPriority(ctx, High)
	operation := fmt.Sprintf("write KSeF's answer to document %d", documentID)
	if patch.First == nil || patch.KSeFNumber == "" || c.fields.PatchMode != PatchMerge {
		patch.First = nil // the safe way may be gone again and again
		_, err := c.patchSafely(ctx, operation, documentID, patch)
		return err
	}
	due, err := patch.First.Due(ctx)
	if err != nil {
		return err
	}
	if !due {
		patch.First = nil
		_, err := c.patchSafely(ctx, operation, documentID, patch)
		return err
	}
	if proven, err := c.provesOnce(ctx, operation, documentID, patch); !proven {
		return err
	}
	if done, err := c.patchOnce(ctx, operation, documentID, patch); done || err != nil {
		return err
	}
	_, err = c.patchSafely(ctx, operation, documentID, patch)
	return err
}

// provesOnce tells whether writing in one request is proven to work. While it is not, it writes the safe way, one caller
// at a time, until that has proven it: then it returns false, and the error of the write.
func (c *Client) provesOnce(ctx context.Context, operation string, documentID int64, patch SalesPatch) (bool, error) {
	if _, proven := c.patching.once(); proven {
		return true, nil
	}
	if err := c.patching.single.proof.take(ctx); err != nil {
		return false, err
	}
	defer c.patching.single.proof.give()
	if _, proven := c.patching.once(); proven {
		return true, nil
	}
	others, err := c.patchSafely(ctx, operation, documentID, patch)
	if err == nil {
		c.patching.prove(documentID, others)
	}
	return false, err
}

// patchSafely reads the document, writes to it and reads it back. It counts the document's properties that are not ours.
func (c *Client) patchSafely(ctx context.Context, operation string, documentID int64, patch SalesPatch) (others int, err error) {
	before, err := c.Document(ctx, documentID)
	if err != nil {
		return 0, err
	}
	if err := otherNumber(operation, before, patch.KSeFNumber); err != nil {
		return 0, err
	}
	wanted := c.patchValues(patch, before)
	written := patch.KSeFNumber != "" && before.KSeFNumber == patch.KSeFNumber ||
		len(wanted) > 0 && len(wanted.differing(before.Properties)) == 0
	status := patch.Status
	if written && patch.From != "" && before.Status != patch.From {
		status = "" // ours was written before; this one is a person's
	}
	if patch.First != nil {
		if err := patch.First.Begin(ctx); err != nil {
			return 0, err
		}
	}
	ours := wanted.object()
	for key, raw := range before.Properties {
		if _, meant := ours[key]; !meant && !empty(raw) {
			others++
		}
	}
	return others, c.patchProperties(ctx, operation, before, wanted, status)
}

// otherNumber is an error if the document carries another KSeF number than it is to get.
func otherNumber(operation string, d Document, ksefNumber string) error {
	if ksefNumber == "" || d.KSeFNumber == "" || d.KSeFNumber == ksefNumber {
		return nil
	}
	return &Error{
		Operation: operation, Kind: Conflict,
		Detail: fmt.Sprintf("it has the KSeF number %s and was to get %s: find out which invoice is the right one", d.KSeFNumber, ksefNumber),
	}
}

// patchProperties writes the wanted values, and a status unless it is empty, to a document that was just read.
func (c *Client) patchProperties(ctx context.Context, operation string, before Document, wanted propertyValues, status string) error {
	if len(unsaved(wanted, status, before)) == 0 {
		return nil
	}
	body := patchBody{Properties: wanted.object()}
	if status != "" && status != before.Status {
		body.Status = status
		body.StatusDate = c.now().In(warsaw).Format(time.DateOnly)
	}
	merge := c.merges()
	if !merge {
		body.Properties = overlay(before.Properties, wanted)
	}
	after, err := c.patchAndReadBack(ctx, operation, before.ID, body, status)
	if e, ok := AsError(err); ok {
		switch {
		case before.KSeFNumber != "" && (e.Status == http.StatusConflict || e.Status == http.StatusLocked):
			e.Kind = Locked
			e.Detail = "the invoice has its KSeF number, and Teamogy does not let it be changed any more"
		case !merge && (e.Status == http.StatusBadRequest || e.Status == http.StatusUnprocessableEntity):
			e.Detail = e.explanation() + sentAlong(before.Properties, wanted)
		}
	}
	if err != nil {
		return err
	}
	lost := missing(before.Properties, after.Properties, wanted)
	if merge && len(lost) > 0 {
		if !replaced(before.Properties, lost, wanted) {
			lost = nil // others are there, so PATCH merges: a person took these away
		} else if after, err = c.putBack(ctx, operation, before, wanted, lost); err != nil {
			return err
		} else {
			lost = missing(before.Properties, after.Properties, wanted)
		}
	}
	if differing := append(unsaved(wanted, status, after), lost...); len(differing) > 0 {
		return &Error{
			Operation: operation, Kind: NotSaved,
			Detail: fmt.Sprintf("Teamogy accepted it but reading back showed other values of %s: check that these exist in Teamogy with the type that the field map says",
				strings.Join(differing, ", ")),
		}
	}
	return c.learn(ctx, operation, after, wanted)
}

// putBack restores what a PATCH of some properties has wiped although it was believed to merge.
func (c *Client) putBack(ctx context.Context, operation string, before Document, wanted propertyValues, lost []string) (Document, error) {
	c.log.ErrorContext(ctx, "Teamogy's PATCH replaces properties although it was believed to merge them; putting them back",
		"document", before.ID, "properties", lost, "patchMode", c.fields.PatchMode)
	c.patching.learnt(patchReplaces)
	return c.patchAndReadBack(ctx, operation, before.ID, patchBody{Properties: overlay(before.Properties, wanted)}, "")
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

// replaced tells whether what is missing after a PATCH of the wanted values alone was wiped by it. A PATCH that
// replaces wipes everything that was not sent; where anything else is left, somebody took the missing ones away.
func replaced(before map[string]json.RawMessage, lost []string, wanted propertyValues) bool {
	ours := wanted.object()
	for key, raw := range before {
		if _, meant := ours[key]; !meant && !empty(raw) && !slices.Contains(lost, key) {
			return false
		}
	}
	return true
}

func empty(raw json.RawMessage) bool {
	switch strings.TrimSpace(string(raw)) {
	case "", "null", `""`, "[]", "{}":
		return true
	}
	return false
}
