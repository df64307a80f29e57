package ksef

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/shopspring/decimal"
)

// The roles in which a context can ask for invoices.
const (
	SubjectSeller     = "Subject1"
	SubjectBuyer      = "Subject2"
	SubjectThird      = "Subject3"
	SubjectAuthorized = "SubjectAuthorized"
)

// The dates by which invoices can be sought.
const (
	DatePermanentStorage = "PermanentStorage" // the one to follow new invoices by
	DateInvoicing        = "Invoicing"
	DateIssue            = "Issue"
)

// Sizes of a page of metadata that KSeF accepts.
const (
	minMetadataPage = 10
	maxMetadataPage = 250
)

// MetadataQuery asks for a page of invoices.
type MetadataQuery struct {
	// SubjectType is the role of the context: SubjectSeller, SubjectBuyer, ...
	SubjectType string
	// From and To bound the date, both inclusive; at most 100 days apart
	// (counted in UTC). A zero To means now.
	From, To time.Time
	// RestrictToHWM leaves out what lies after the high water mark, up to which
	// KSeF's answer is surely complete. Only with DatePermanentStorage.
	RestrictToHWM bool
	// KSeFNumber limits the answer to one invoice; may be empty.
	KSeFNumber string
	// PageOffset is the index of the page, from 0.
	PageOffset int
	// PageSize is 10 to 250; 0 means 250.
	PageSize int
	// DateType is the date that From, To and the order mean; empty means
	// DatePermanentStorage.
	DateType string
	// Descending puts the newest first.
	Descending bool
}

// MetadataPage is a page of invoices.
type MetadataPage struct {
	// HasMore tells that there is another page.
	HasMore bool
	// Truncated tells that the query reached 10,000 invoices: go on with From
	// set to the date of the last one, from page 0.
	Truncated bool
	// HWM is the high water mark: up to it the answer is complete for ever.
	// Zero when KSeF named none. The same on all pages of a query.
	HWM time.Time
	// NothingNew tells that the query begins after the high water mark (21183):
	// there is nothing yet.
	NothingNew bool
	// Invoices in the order asked for.
	Invoices []Metadata
}

// Metadata is what KSeF tells of an invoice without its XML. It can be encoded
// as JSON and back without loss.
type Metadata struct {
	KSeFNumber    string `json:"ksefNumber"`
	InvoiceNumber string `json:"invoiceNumber"`
	// IssueDate is P_1 as YYYY-MM-DD.
	IssueDate            string    `json:"issueDate"`
	InvoicingDate        time.Time `json:"invoicingDate"`
	AcquisitionDate      time.Time `json:"acquisitionDate"`
	PermanentStorageDate time.Time `json:"permanentStorageDate"`
	SellerNIP            string    `json:"sellerNip"`
	SellerName           string    `json:"sellerName"`
	// BuyerType is Nip, VatUe, Other or None; BuyerID the value that goes with it.
	BuyerType string `json:"buyerType"`
	BuyerID   string `json:"buyerId"`
	BuyerName string `json:"buyerName"`
	// Net and Gross are in Currency, VAT is in PLN. An unreadable amount is zero.
	Net           decimal.Decimal `json:"net"`
	Gross         decimal.Decimal `json:"gross"`
	VAT           decimal.Decimal `json:"vat"`
	Currency      string          `json:"currency"`
	InvoicingMode string          `json:"invoicingMode"`
	// InvoiceType is Vat, Zal, Kor, Roz, Upr, KorZal, KorRoz or a newer one.
	InvoiceType   string   `json:"invoiceType"`
	FormCode      FormCode `json:"formCode"`
	SelfInvoicing bool     `json:"selfInvoicing"`
	HasAttachment bool     `json:"hasAttachment"`
	// InvoiceHash is the SHA-256 of the XML, Base64.
	InvoiceHash            string `json:"invoiceHash"`
	HashOfCorrectedInvoice string `json:"hashOfCorrectedInvoice,omitempty"`
}

type wireParty struct {
	NIP        string `json:"nip"`
	Name       string `json:"name"`
	Identifier struct {
		Type  string `json:"type"`
		Value string `json:"value"`
	} `json:"identifier"`
}

type wireMetadata struct {
	KSeFNumber             string    `json:"ksefNumber"`
	InvoiceNumber          string    `json:"invoiceNumber"`
	IssueDate              string    `json:"issueDate"`
	InvoicingDate          timestamp `json:"invoicingDate"`
	AcquisitionDate        timestamp `json:"acquisitionDate"`
	PermanentStorageDate   timestamp `json:"permanentStorageDate"`
	Seller                 wireParty `json:"seller"`
	Buyer                  wireParty `json:"buyer"`
	Net                    amount    `json:"netAmount"`
	Gross                  amount    `json:"grossAmount"`
	VAT                    amount    `json:"vatAmount"`
	Currency               string    `json:"currency"`
	InvoicingMode          string    `json:"invoicingMode"`
	InvoiceType            string    `json:"invoiceType"`
	FormCode               FormCode  `json:"formCode"`
	SelfInvoicing          bool      `json:"isSelfInvoicing"`
	HasAttachment          bool      `json:"hasAttachment"`
	InvoiceHash            string    `json:"invoiceHash"`
	HashOfCorrectedInvoice string    `json:"hashOfCorrectedInvoice"`
}

func (w wireMetadata) read() Metadata {
	issued := w.IssueDate
	if len(issued) > len(time.DateOnly) {
		issued = strings.ToValidUTF8(issued[:len(time.DateOnly)], "") // which is what JSON can hold
	}
	m := Metadata{
		KSeFNumber: w.KSeFNumber, InvoiceNumber: w.InvoiceNumber, IssueDate: issued,
		InvoicingDate: w.InvoicingDate.Time, AcquisitionDate: w.AcquisitionDate.Time, PermanentStorageDate: w.PermanentStorageDate.Time,
		SellerNIP: w.Seller.NIP, SellerName: w.Seller.Name,
		BuyerType: w.Buyer.Identifier.Type, BuyerID: w.Buyer.Identifier.Value, BuyerName: w.Buyer.Name,
		Net: w.Net.Decimal, Gross: w.Gross.Decimal, VAT: w.VAT.Decimal,
		Currency: w.Currency, InvoicingMode: w.InvoicingMode, InvoiceType: w.InvoiceType, FormCode: w.FormCode,
		SelfInvoicing: w.SelfInvoicing, HasAttachment: w.HasAttachment,
		InvoiceHash: w.InvoiceHash, HashOfCorrectedInvoice: w.HashOfCorrectedInvoice,
	}
	if m.SellerNIP == "" {
		m.SellerNIP = w.Seller.Identifier.Value
	}
	return m
}

// amount reads a number of JSON exactly, without going through a float.
type amount struct{ decimal.Decimal }

// Amounts have at most 18 digits; a bound on the exponent keeps a mad one from
// filling the memory.
var amountPattern = regexp.MustCompile(`^"?(-?[0-9]{1,30}(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,2})?)"?$`)

func (a *amount) UnmarshalJSON(b []byte) error {
	a.Decimal = decimal.Decimal{}
	if m := amountPattern.FindSubmatch(b); m != nil {
		if d, err := decimal.NewFromString(string(m[1])); err == nil {
			a.Decimal = d
		}
	}
	return nil
}

// QueryMetadata asks for one page of invoices that the context appears on
// (POST /invoices/query/metadata, 20 an hour in production). A query that begins
// after the high water mark gives an empty page with NothingNew.
func (c *Client) QueryMetadata(ctx context.Context, q MetadataQuery) (MetadataPage, error) {
	const operation = "query invoice metadata"
	if q.DateType == "" {
		q.DateType = DatePermanentStorage
	}
	if q.PageSize == 0 {
		q.PageSize = maxMetadataPage
	}
	if err := q.check(); err != nil {
		return MetadataPage{}, err
	}
	type dateRange struct {
		DateType string `json:"dateType"`
		From     string `json:"from"`
		To       string `json:"to,omitempty"`
		Restrict bool   `json:"restrictToPermanentStorageHwmDate,omitempty"`
	}
	in := struct {
		SubjectType string    `json:"subjectType"`
		DateRange   dateRange `json:"dateRange"`
		KSeFNumber  string    `json:"ksefNumber,omitempty"`
	}{q.SubjectType, dateRange{DateType: q.DateType, From: formatTime(q.From), Restrict: q.RestrictToHWM}, q.KSeFNumber}
	if !q.To.IsZero() {
		in.DateRange.To = formatTime(q.To)
	}
	order := "Asc"
	if q.Descending {
		order = "Desc"
	}
	r := request{
		operation: operation, method: http.MethodPost, path: "/invoices/query/metadata",
		query: url.Values{
			"sortOrder": {order}, "pageOffset": {strconv.Itoa(q.PageOffset)}, "pageSize": {strconv.Itoa(q.PageSize)},
		},
		group: GroupInvoiceMetadata, auth: authAccess,
	}
	var out struct {
		HasMore   bool           `json:"hasMore"`
		Truncated bool           `json:"isTruncated"`
		HWM       timestamp      `json:"permanentStorageHwmDate"`
		Invoices  []wireMetadata `json:"invoices"`
	}
	err := c.callJSON(ctx, r, in, &out)
	if e, ok := AsError(err); ok && e.Has(CodeBeyondHWM) {
		return MetadataPage{NothingNew: true}, nil
	}
	if err != nil {
		return MetadataPage{}, err
	}
	page := MetadataPage{HasMore: out.HasMore, Truncated: out.Truncated, HWM: out.HWM.Time}
	for _, w := range out.Invoices {
		page.Invoices = append(page.Invoices, w.read())
	}
	return page, nil
}

// check refuses a query that KSeF would refuse, without spending quota on it.
func (q MetadataQuery) check() error {
	switch {
	case q.SubjectType == "":
		return errors.New("query invoice metadata: the subject type is missing")
	case q.From.IsZero():
		return errors.New("query invoice metadata: the beginning of the range is missing")
	case !q.To.IsZero() && q.To.Before(q.From):
		return errors.New("query invoice metadata: the range ends before it begins")
	case q.PageSize < minMetadataPage || q.PageSize > maxMetadataPage:
		return errors.New("query invoice metadata: the page size has to be 10 to 250")
	case q.PageOffset < 0:
		return errors.New("query invoice metadata: the page index is negative")
	case q.RestrictToHWM && q.DateType != DatePermanentStorage:
		return errors.New("query invoice metadata: the high water mark goes with PermanentStorage only")
	}
	return nil
}
