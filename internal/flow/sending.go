package flow

import "time"

// SendInput is the input of SendInvoices. By hand {"connection":"acme"} is
// enough; State is carried over by continue-as-new.
type SendInput struct {
	Connection string     `json:"connection"`
	State      *SendState `json:"state,omitempty"`
}

// SendState is what SendInvoices remembers between its runs.
type SendState struct {
	Paused   string           `json:"paused,omitempty"`
	Held     map[int64]string `json:"held,omitempty"` // document ID -> reason
	LastPoll time.Time        `json:"lastPoll"`
	NextPoll time.Time        `json:"nextPoll,omitzero"`
	Totals   SendTotals       `json:"totals"`
}

// SendTotals count since the first start of SendInvoices.
type SendTotals struct {
	Cycles  int `json:"cycles"`
	Started int `json:"started"`
}

// SendStatus answers the Status query of SendInvoices.
type SendStatus struct {
	Connection string            `json:"connection"`
	Doing      string            `json:"doing"`
	Paused     string            `json:"paused,omitempty"`
	Held       map[int64]string  `json:"held,omitempty"`
	LastPoll   time.Time         `json:"lastPoll"`
	NextPoll   time.Time         `json:"nextPoll"`
	Last       *StartSendsResult `json:"last,omitempty"`
	Totals     SendTotals        `json:"totals"`
}

// HoldChange is the input of the update Hold.
type HoldChange struct {
	DocumentID int64  `json:"documentId"`
	Reason     string `json:"reason"` // required to hold
	Release    bool   `json:"release,omitempty"`
}

// StartSendsInput asks for a SendInvoice for each ready document.
type StartSendsInput struct {
	Connection string  `json:"connection"`
	Held       []int64 `json:"held,omitempty"`
	// NoRoom, UnderWay and Unread are those of the poll before; all are zero if a
	// person asks for this one.
	NoRoom   int `json:"noRoom,omitempty"`
	UnderWay int `json:"underWay,omitempty"`
	Unread   int `json:"unread,omitempty"`
}

// StartSendsResult counts what became of Teamogy's ready list.
type StartSendsResult struct {
	Ready int `json:"ready"` // that were looked at
	// Partly says that the list was not read to its end, because more were found than
	// may be under way.
	Partly   bool `json:"partly,omitempty"`
	Started  int  `json:"started"`
	Running  int  `json:"running"`            // or done and not yet gone from the list
	Held     int  `json:"held,omitempty"`     // by the update Hold
	Refused  int  `json:"refused,omitempty"`  // rejected or withdrawn, content unchanged
	Deferred int  `json:"deferred,omitempty"` // too many under way, or Teamogy is too busy: the next poll
	Failed   int  `json:"failed,omitempty"`   // could not be looked after; the next poll tries again
	// NoRoom is how many of the deferred were too many to be under way.
	NoRoom int `json:"noRoom,omitempty"`
	// Unread is how many polls in a row, this one included, have not read the list,
	// because so many are under way.
	Unread   int      `json:"unread,omitempty"`
	UnderWay int      `json:"underWay,omitempty"` // SendInvoice workflows that run, also those not in the list
	Settings Settings `json:"settings"`
}

// SendInvoiceInput is the input of SendInvoice. By hand
// {"connection":"acme","documentId":17} is enough.
type SendInvoiceInput struct {
	Connection string `json:"connection"`
	DocumentID int64  `json:"documentId"`
	// Listed says that it was started from Teamogy's ready list: if it is not
	// ready any more when its turn comes, it is not sent.
	Listed bool `json:"listed,omitempty"`
	// Shown is its XML in the archive, where Teamogy's list has shown it: then
	// Teamogy is not asked for it again, for a while.
	Shown *ShownXML `json:"shown,omitempty"`
}

// ShownXML is the XML of a ready document as Teamogy's list has shown it.
type ShownXML struct {
	Document Ref       `json:"document"`
	Number   string    `json:"number,omitempty"` // Teamogy's, of the document
	At       time.Time `json:"at"`
}

// IssuedInvoice is the result of FetchIssuedXML.
type IssuedInvoice struct {
	Document Ref    `json:"document"`
	Number   string `json:"number,omitempty"` // P_2
	Buyer    string `json:"buyer,omitempty"`
	Gross    string `json:"gross,omitempty"`
	Currency string `json:"currency,omitempty"`
	// Accepted is set when the record knows that KSeF has accepted the
	// document before: there is nothing to send.
	Accepted *Transmitted `json:"accepted,omitempty"`
}

// ValidateInput asks for the local check of an invoice.
type ValidateInput struct {
	Connection string `json:"connection"`
	DocumentID int64  `json:"documentId"`
	Document   Ref    `json:"document"`
}

// Validated is the result of ValidateInvoice.
type Validated struct {
	Form      string  `json:"form"` // "FA (3) 1-0E": the sessions' grouping
	TimeScale float64 `json:"timeScale,omitempty"`
	// Attachment says that the invoice has a structured attachment: KSeF takes it
	// in a batch session only.
	Attachment bool `json:"attachment,omitempty"`
}

// TransmitInput is the input of the activity Transmit.
type TransmitInput struct {
	Connection string `json:"connection"`
	DocumentID int64  `json:"documentId"`
	Document   Ref    `json:"document"`
	Form       string `json:"form"`
	Attachment bool   `json:"attachment,omitempty"`
}

// Transmitted is KSeF's answer about an accepted invoice.
type Transmitted struct {
	DocumentID       int64     `json:"documentId"`
	SHA256           string    `json:"sha256"` // of the bytes that KSeF holds
	KSeFNumber       string    `json:"ksefNumber"`
	AcquisitionDate  time.Time `json:"acquisitionDate"` // zero: KSeF does not say
	Mode             string    `json:"mode,omitempty"`  // Online or Offline
	SessionReference string    `json:"sessionReference"`
	InvoiceReference string    `json:"invoiceReference,omitempty"`
	// Adopted says that KSeF called the invoice a duplicate of one whose bytes
	// we have sent: our own earlier success.
	Adopted bool `json:"adopted,omitempty"`
	// HandedOver is the hash that was handed over, if that is another than KSeF
	// holds: the same invoice, rendered at another time.
	HandedOver string `json:"handedOver,omitempty"`
}

// Answers tells whether this is the answer to a hand-over of these bytes.
func (t *Transmitted) Answers(sha256 string) bool {
	return t.SHA256 == sha256 || t.HandedOver != "" && t.HandedOver == sha256
}

// RecordNumberInput asks to write the KSeF number back.
type RecordNumberInput struct {
	Connection string      `json:"connection"`
	DocumentID int64       `json:"documentId"`
	Answer     Transmitted `json:"answer"`
}

// RecordRejectionInput asks to write a rejection to the document.
type RecordRejectionInput struct {
	Connection string `json:"connection"`
	DocumentID int64  `json:"documentId"`
	SHA256     string `json:"sha256,omitempty"`
	Type       string `json:"type"`
	Reason     string `json:"reason"`
}

// WithdrawalInput asks to note that a document was withdrawn before it was sent.
type WithdrawalInput struct {
	Connection string `json:"connection"`
	DocumentID int64  `json:"documentId"`
	SHA256     string `json:"sha256,omitempty"`
}

// Written is the result of RecordKSeFNumber.
type Written struct {
	Gone bool `json:"gone,omitempty"` // the document was deleted in Teamogy; the record has the number
}

// Nothing is the result of activities that have none.
type Nothing struct{}

// UPO is the result of FetchUPO.
type UPO struct {
	Document  Ref    `json:"document"`
	Available bool   `json:"available"`
	Reason    string `json:"reason,omitempty"` // why it is not available
}

// SendResult is the result of SendInvoice.
type SendResult struct {
	KSeFNumber string `json:"ksefNumber"`
	Adopted    bool   `json:"adopted,omitempty"`
	Gone       bool   `json:"gone,omitempty"` // the document was deleted in Teamogy
	UPO        UPO    `json:"upo"`
}
