package ksef

import (
	"context"
	"net/http"
	"net/url"
	"time"
)

// Statuses of sessions and invoices that callers decide on; KSeF's OpenAPI
// document lists all of them.
const (
	StatusOpen       = 100 // session open, or invoice accepted for processing
	StatusProcessing = 150
	StatusClosing    = 170 // session closed, its invoices are being finished
	StatusDone       = 200 // session done, or invoice accepted with a KSeF number
	StatusDuplicate  = 440 // of an invoice: its number was used before
)

// SessionStatus is the state of an online or batch session.
type SessionStatus struct {
	// Code is KSeF's status: 100 open, 170 closed and finishing, 200 done,
	// 4xx and 5xx failed. It reaches 200 or more only after all invoices did.
	Code        int
	Description string
	Details     []string
	// Created and Updated are the times of opening and of the last change.
	Created, Updated time.Time
	// InvoiceCount, Successful and Failed count the session's invoices.
	InvoiceCount, Successful, Failed int
	// UPOPages are the pages of the collective UPO, once there is one.
	UPOPages []UPOPage
}

// UPOPage is one page of a session's collective UPO.
type UPOPage struct {
	Reference   string
	DownloadURL SecretURL
	// ExpiresAt is when the link ends; each status call gives a new one.
	ExpiresAt time.Time
}

// SessionStatus reads the state of a session.
func (c *Client) SessionStatus(ctx context.Context, reference string) (SessionStatus, error) {
	var out struct {
		Status  wireStatus `json:"status"`
		Created timestamp  `json:"dateCreated"`
		Updated timestamp  `json:"dateUpdated"`
		Count   int        `json:"invoiceCount"`
		Good    int        `json:"successfulInvoiceCount"`
		Bad     int        `json:"failedInvoiceCount"`
		UPO     *struct {
			Pages []struct {
				Reference string    `json:"referenceNumber"`
				URL       SecretURL `json:"downloadUrl"`
				Expires   timestamp `json:"downloadUrlExpirationDate"`
			} `json:"pages"`
		} `json:"upo"`
	}
	r := request{
		operation: "read a session's status", method: http.MethodGet, path: "/sessions/" + url.PathEscape(reference),
		group: GroupSessionMisc, auth: authAccess,
	}
	if err := c.callJSON(ctx, r, nil, &out); err != nil {
		return SessionStatus{}, err
	}
	if out.Status.Code == 0 {
		return SessionStatus{}, noStatus(r.operation)
	}
	s := SessionStatus{
		Code: out.Status.Code, Description: out.Status.code().Description, Details: out.Status.cleanDetails(),
		Created: out.Created.Time, Updated: out.Updated.Time,
		InvoiceCount: out.Count, Successful: out.Good, Failed: out.Bad,
	}
	if out.UPO != nil {
		for _, p := range out.UPO.Pages {
			s.UPOPages = append(s.UPOPages, UPOPage{Reference: p.Reference, DownloadURL: p.URL, ExpiresAt: p.Expires.Time})
		}
	}
	return s, nil
}

// InvoiceStatus is the state of one invoice in a session.
type InvoiceStatus struct {
	// OrdinalNumber is the invoice's place in the session, from 1.
	OrdinalNumber int
	// InvoiceNumber is P_2, once KSeF has read it.
	InvoiceNumber string
	// KSeFNumber is set when the invoice is accepted.
	KSeFNumber string
	// Reference is KSeF's reference number of this sending.
	Reference string
	// InvoiceHash is the SHA-256 of the XML, Base64.
	InvoiceHash string
	// AcquisitionDate is when the KSeF number was given.
	AcquisitionDate time.Time
	// InvoicingDate is when KSeF took the invoice.
	InvoicingDate time.Time
	// PermanentStorageDate may be missing for a while after acceptance.
	PermanentStorageDate time.Time
	// InvoicingMode is "Online" or "Offline"; KSeF itself makes an invoice
	// offline when it is sent after the day P_1.
	InvoicingMode string
	// UPODownloadURL leads to the UPO without a login, for about three days.
	UPODownloadURL SecretURL
	// Code is KSeF's status: 100 and 150 wait, 200 accepted, 440 duplicate,
	// others failed.
	Code        int
	Description string
	Details     []string
	// OriginalKSeFNumber and OriginalSessionReference point at the earlier
	// invoice when this one is a duplicate (440).
	OriginalKSeFNumber, OriginalSessionReference string
}

type wireInvoiceStatus struct {
	Ordinal              int        `json:"ordinalNumber"`
	InvoiceNumber        string     `json:"invoiceNumber"`
	KSeFNumber           string     `json:"ksefNumber"`
	Reference            string     `json:"referenceNumber"`
	InvoiceHash          string     `json:"invoiceHash"`
	AcquisitionDate      timestamp  `json:"acquisitionDate"`
	InvoicingDate        timestamp  `json:"invoicingDate"`
	PermanentStorageDate timestamp  `json:"permanentStorageDate"`
	InvoicingMode        string     `json:"invoicingMode"`
	UPODownloadURL       SecretURL  `json:"upoDownloadUrl"`
	Status               wireStatus `json:"status"`
}

func (w wireInvoiceStatus) read() InvoiceStatus {
	return InvoiceStatus{
		OrdinalNumber: w.Ordinal, InvoiceNumber: w.InvoiceNumber, KSeFNumber: w.KSeFNumber,
		Reference: w.Reference, InvoiceHash: w.InvoiceHash,
		AcquisitionDate: w.AcquisitionDate.Time, InvoicingDate: w.InvoicingDate.Time, PermanentStorageDate: w.PermanentStorageDate.Time,
		InvoicingMode: w.InvoicingMode, UPODownloadURL: w.UPODownloadURL,
		Code: w.Status.Code, Description: w.Status.code().Description, Details: w.Status.cleanDetails(),
		OriginalKSeFNumber:       w.Status.extension("originalKsefNumber"),
		OriginalSessionReference: w.Status.extension("originalSessionReferenceNumber"),
	}
}

// InvoiceStatus reads the state of one invoice that was sent.
func (c *Client) InvoiceStatus(ctx context.Context, sessionReference, invoiceReference string) (InvoiceStatus, error) {
	var out wireInvoiceStatus
	r := request{
		operation: "read an invoice's status", method: http.MethodGet,
		path:  "/sessions/" + url.PathEscape(sessionReference) + "/invoices/" + url.PathEscape(invoiceReference),
		group: GroupInvoiceStatus, auth: authAccess,
	}
	if err := c.callJSON(ctx, r, nil, &out); err != nil {
		return InvoiceStatus{}, err
	}
	if out.Status.Code == 0 {
		return InvoiceStatus{}, noStatus(r.operation)
	}
	return out.read(), nil
}

// SessionInvoices lists all invoices of a session with their states. The list
// follows a sending with a short delay.
func (c *Client) SessionInvoices(ctx context.Context, reference string) ([]InvoiceStatus, error) {
	const mostPages = 200 // a session has at most 10,000 invoices, a test context 100,000
	r := request{
		operation: "list a session's invoices", method: http.MethodGet,
		path:  "/sessions/" + url.PathEscape(reference) + "/invoices",
		query: url.Values{"pageSize": {"1000"}},
		group: GroupSessionInvoiceList, auth: authAccess,
	}
	var all []InvoiceStatus
	seen := map[string]bool{}
	for range mostPages {
		var out struct {
			ContinuationToken string              `json:"continuationToken"`
			Invoices          []wireInvoiceStatus `json:"invoices"`
		}
		if err := c.callJSON(ctx, r, nil, &out); err != nil {
			return nil, err
		}
		for _, w := range out.Invoices {
			all = append(all, w.read())
		}
		if out.ContinuationToken == "" {
			return all, nil
		}
		if seen[out.ContinuationToken] {
			break
		}
		seen[out.ContinuationToken] = true
		r.header = http.Header{"X-Continuation-Token": {out.ContinuationToken}}
	}
	return nil, &Error{Operation: r.operation, Kind: KindGateway, Status: http.StatusOK, Detail: "the list does not end"}
}

func noStatus(operation string) *Error {
	return &Error{Operation: operation, Kind: KindGateway, Status: http.StatusOK, Detail: "the answer has no status"}
}
