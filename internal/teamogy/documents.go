package teamogy

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/shopspring/decimal"
)

// Document is what is read of a Teamogy document.
type Document struct {
	ID          int64
	Number      string // Teamogy's registration number, not that of the invoice
	Type        string
	Status      string
	CompanyID   int64
	CompanyName string
	KSeFNumber  string
	KSeFStatus  string
	// Properties are all of the document's properties as they came. They may hold the invoice's XML: not for logs.
	Properties map[string]json.RawMessage

	attachments []json.RawMessage
}

// NewPurchaseInvoice is a received invoice as it is to be created. Empty fields are not written.
type NewPurchaseInvoice struct {
	// Type is the document type; empty means that of Kind in FieldMap.Types.
	Type string
	// Kind is FA(3)'s RodzajFaktury, empty when the XML could not be read.
	Kind string
	// OwnerID is the user who owns the document.
	OwnerID int64
	// CompanyID is the supplier; 0 creates the document without a company.
	CompanyID int64
	// Status is the document's first status, as the tenant has configured it.
	Status string
	// Process is the approval process, sent as it is.
	Process        json.RawMessage
	ParticipantIDs []int64
	// Tags mark the document, for instance "check".
	Tags []string
	// Note says what a person should look at.
	Note string

	KSeFNumber            string
	InvoiceNumber         string
	CounterpartyReference string
	SellerNIP             string
	SellerName            string
	// Currency is the ISO code. Without it the amounts count as unknown and are not written, not even as zero.
	Currency     string
	ExchangeRate decimal.Decimal
	BankAccount  string
	PaymentForm  string
	// The dates are calendar days; their location does not matter.
	IssueDate    time.Time
	SupplyDate   time.Time
	DueDate      time.Time
	ReceivedDate time.Time
	Net          decimal.Decimal
	VAT          decimal.Decimal
	Gross        decimal.Decimal
	// OnlyGross says that the invoice states no net amount and no tax, as simplified invoices (UPR) may: then Net and
	// VAT are not written, not even as zero.
	OnlyGross bool
	// Items and VATSummary are written as they are.
	Items      json.RawMessage
	VATSummary json.RawMessage
	// AcquisitionDate is when KSeF accepted the invoice.
	AcquisitionDate time.Time
	// XMLSHA256 and ArchiveRef say which XML the document was made from.
	XMLSHA256  string
	ArchiveRef string
}

// documentBody is the body of POST /documents.
type documentBody struct {
	Type           string                     `json:"type,omitempty"`
	AgencyID       int                        `json:"agencyId"`
	OwnerID        int64                      `json:"ownerId,omitempty"`
	CompanyID      int64                      `json:"companyId,omitempty"`
	Status         string                     `json:"status,omitempty"`
	StatusDate     string                     `json:"statusDate,omitempty"`
	ParticipantIDs []int64                    `json:"participantIds,omitempty"`
	Process        json.RawMessage            `json:"process,omitempty"`
	Tags           []string                   `json:"tags,omitempty"`
	Properties     map[string]json.RawMessage `json:"properties,omitempty"`
}

// Document reads one document by its id. Unlike a view, which may lag behind, it is taken for the truth.
func (c *Client) Document(ctx context.Context, id int64) (Document, error) {
	operation := fmt.Sprintf("read document %d", id)
	answer, err := c.get(ctx, operation, "documents", c.idParameter(id))
	if err != nil {
		return Document{}, err
	}
	found, ok := objects(answer, c.fields.Columns.ID)
	if !ok && len(bytes.TrimSpace(answer)) == 0 {
		e := badAnswer(operation, "the answer is empty: perhaps the document was deleted in Teamogy")
		e.deleted = true
		return Document{}, e
	}
	if !ok {
		return Document{}, badAnswer(operation, "the answer is not a document")
	}
	for _, o := range found {
		if got, ok := o.id(c.fields.Columns.ID); ok && got == id {
			c.received.see(id)
			return c.document(o), nil
		}
	}
	if len(found) == 0 {
		return Document{}, &Error{Operation: operation, Kind: NotFound}
	}
	if _, named := found[0][c.fields.Columns.ID]; !named && len(found) == 1 && found[0]["type"] != nil {
		d := c.document(found[0])
		d.ID = id
		return d, nil
	}
	return Document{}, badAnswer(operation, "the answer holds other documents than the one asked for")
}

// document reads an entity or a view's row. Views may have names of their own; an entity has the documented ones.
func (c *Client) document(o object) Document {
	d := Document{
		Number:      o.text(c.fields.Columns.Number, "number", "registrationNumber"),
		Type:        o.text(c.fields.Columns.Type, "type"),
		Status:      o.text(c.fields.Columns.Status, "status"),
		CompanyName: o.text("companyName", "company"),
		Properties:  o.inner("properties"),
	}
	d.ID, _ = o.id(c.fields.Columns.ID)
	d.CompanyID, _ = o.id("companyId")
	if company := o.inner("company"); company != nil {
		if id, ok := company.id("id"); ok {
			d.CompanyID = id
		}
		if name := company.text("name"); name != "" {
			d.CompanyName = name
		}
	}
	d.KSeFNumber = c.propertyText(o, c.fields.Properties.KSeFNumber)
	d.KSeFStatus = c.propertyText(o, c.fields.Properties.KSeFStatus)
	if json.Unmarshal(o["attach"], &d.attachments) != nil {
		d.attachments = nil
	}
	return d
}

func (c *Client) propertyText(o object, p Property) string {
	if p.Key == "" {
		return ""
	}
	raw, _ := o.property(p.Key)
	return strings.TrimSpace(scalarText(raw))
}

// PreparedPurchase is a received invoice's document as it is sent to be created, byte for byte. Who keeps it can repeat
// a create of which nobody knows what came of it with the very same content.
type PreparedPurchase struct {
	KSeFNumber string
	Body       []byte // JSON
}

// PreparePurchaseInvoice makes the body of a create. It makes no request.
func (c *Client) PreparePurchaseInvoice(n NewPurchaseInvoice) (PreparedPurchase, error) {
	operation := createOperation(n.KSeFNumber)
	if n.KSeFNumber == "" {
		return PreparedPurchase{}, &Error{Operation: operation, Kind: Invalid, Detail: "the KSeF number is missing"}
	}
	if len(n.Process) > 0 && !json.Valid(n.Process) {
		return PreparedPurchase{}, &Error{Operation: operation, Kind: Invalid, Detail: "the process is not JSON: check RECEIVE_PROCESS"}
	}
	return PreparedPurchase{KSeFNumber: n.KSeFNumber, Body: encode(c.purchaseBody(n))}, nil
}

func createOperation(ksefNumber string) string { return "create the received invoice " + ksefNumber }

// CreatePurchaseInvoice is PreparePurchaseInvoice and CreatePrepared.
func (c *Client) CreatePurchaseInvoice(ctx context.Context, n NewPurchaseInvoice) (Document, error) {
	prepared, err := c.PreparePurchaseInvoice(n)
	if err != nil {
		return Document{}, err
	}
	return c.CreatePrepared(ctx, prepared, c.now())
}

// CreatePrepared creates a received invoice's document. It is not idempotent: call FindDocumentByKSeFNumber before it,
// and again before every repeat. Where the answer does not name the document, it is looked for at once. An error for
// which MayHaveHappened is true may come after the document was created. begun is when the caller recorded that it is
// about to create it: later than CreateWithin after that nothing is sent any more.
//
// The first documents are read back until one has shown that Teamogy keeps the KSeF number, because finding the
// document again depends on it. If it did not, the error is NotSaved, and the Document that comes with it was created.
func (c *Client) CreatePrepared(ctx context.Context, p PreparedPurchase, begun time.Time) (Document, error) {
	operation := createOperation(p.KSeFNumber)
	ctx = orPriority(ctx, Low)
	var body documentBody
	if err := json.Unmarshal(p.Body, &body); err != nil {
		return Document{}, &Error{Operation: operation, Kind: Invalid, Detail: "the prepared document is not JSON"}
	}
	above := c.HighestID()
	answer, err := c.write(notAfter(ctx, begun.Add(c.CreateWithin())), operation, http.MethodPost, "documents", nil, json.RawMessage(p.Body), body.Status)
	e, failed := AsError(err)
	c.creates.ended(e, c.now(), c.scale)
	if err != nil {
		if failed && e.mayHaveHappened() {
			c.RecallDoubt(p.KSeFNumber, begun, above)
		}
		return Document{}, err
	}
	created, ok := c.saved(answer)
	if !ok {
		c.RecallDoubt(p.KSeFNumber, begun, above)
		return c.createdUnnamed(ctx, operation, p.KSeFNumber)
	}
	created.Type, created.Status, created.CompanyID = body.Type, body.Status, body.CompanyID
	created.KSeFNumber = p.KSeFNumber
	c.received.created(p.KSeFNumber, created.ID)
	return created, c.proveSaved(ctx, operation, created)
}

// createdUnnamed looks for a document that was created by an answer without its id. One that the view does not show yet
// stays in doubt: a repeat will look again before it creates.
func (c *Client) createdUnnamed(ctx context.Context, operation, ksefNumber string) (Document, error) {
	d, found, err := c.FindDocumentByKSeFNumber(ctx, ksefNumber)
	if err != nil || !found {
		return Document{}, badAnswer(operation, "the document was created, but the answer does not name its id, and it cannot be found yet")
	}
	c.received.created(ksefNumber, d.ID)
	return d, nil
}

// saved reads the answer to a POST or PATCH: the id, alone or with the number.
func (c *Client) saved(answer []byte) (Document, bool) {
	found, ok := objects(answer, c.fields.Columns.ID)
	if !ok || len(found) != 1 {
		return Document{}, false
	}
	d := c.document(found[0])
	if d.ID == 0 {
		d.ID, _ = found[0].id("documentId")
	}
	return d, d.ID != 0
}

// proveSaved reads a created document back, until one has shown that the KSeF number is kept. A failure to read says
// nothing about the create, so it is left to the next document. Of many that are created at the same time one is read
// at a time: mostly the first one shows it for all.
func (c *Client) proveSaved(ctx context.Context, operation string, created Document) error {
	if c.received.savingProven() {
		return nil
	}
	if err := c.received.proof.take(ctx); err != nil {
		return nil //nolint:nilerr // the document was created; only its proof is missing
	}
	defer c.received.proof.give()
	if c.received.savingProven() {
		return nil
	}
	back, err := c.Document(ctx, created.ID)
	switch {
	case err != nil:
		return nil //nolint:nilerr // the document was created; only its proof is missing
	case back.KSeFNumber != created.KSeFNumber:
		return &Error{
			Operation: operation, Kind: NotSaved,
			Detail: fmt.Sprintf("document %d was created, but Teamogy did not keep the KSeF number: check the property %q in Teamogy and in the field map",
				created.ID, c.fields.Properties.KSeFNumber.Key),
		}
	}
	c.received.proveSaving()
	return nil
}

func (c *Client) purchaseBody(n NewPurchaseInvoice) documentBody {
	kind := n.Type
	if kind == "" {
		kind = c.fields.DocumentType(n.Kind)
	}
	p := c.fields.Properties
	var v propertyValues
	v.text(p.KSeFNumber, n.KSeFNumber)
	v.time(p.KSeFAcceptedAt, n.AcquisitionDate)
	v.text(p.KSeFNote, n.Note)
	v.text(p.KSeFHash, n.XMLSHA256)
	v.text(p.KSeFArchive, n.ArchiveRef)
	v.text(p.CounterpartyNumber, n.InvoiceNumber)
	v.text(p.CounterpartyReference, n.CounterpartyReference)
	v.text(p.SellerNIP, n.SellerNIP)
	v.text(p.SellerName, n.SellerName)
	v.date(p.IssueDate, n.IssueDate)
	v.date(p.SupplyDate, n.SupplyDate)
	v.date(p.DueDate, n.DueDate)
	v.date(p.ReceiptDate, n.ReceivedDate)
	v.text(p.PaymentCondition, n.PaymentForm)
	v.text(p.BankAccount, n.BankAccount)
	v.json(p.Items, n.Items)
	v.json(p.VATSummary, n.VATSummary)
	if n.Currency != "" {
		v.text(p.Currency, n.Currency)
		if !n.OnlyGross {
			v.amount(p.TotalNet, n.Net)
			v.amount(p.TotalVAT, n.VAT)
		}
		v.amount(p.TotalGross, n.Gross)
		if !n.ExchangeRate.IsZero() {
			v.amount(p.ExchangeRate, n.ExchangeRate)
		}
	}
	body := documentBody{
		Type:           kind,
		AgencyID:       c.unit,
		OwnerID:        n.OwnerID,
		CompanyID:      n.CompanyID,
		Status:         n.Status,
		ParticipantIDs: n.ParticipantIDs,
		Process:        n.Process,
		Tags:           n.Tags,
		Properties:     v.object(),
	}
	if n.Status != "" {
		body.StatusDate = c.now().In(warsaw).Format(time.DateOnly)
	}
	return body
}

// readOrGone reads a document; one that does not exist is no error.
func (c *Client) readOrGone(ctx context.Context, id int64) (Document, bool, error) {
	d, err := c.Document(ctx, id)
	if isKind(err, NotFound) {
		return Document{}, false, nil
	}
	return d, err == nil, err
}
