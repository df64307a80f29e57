package ksefsim

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"slices"
	"time"

	"github.com/shopspring/decimal"
)

// Bounds of a metadata query.
const (
	maxQueryDays    = 100
	maxQueryRecords = 10_000
)

// Types of date that a query can range over.
const (
	dateIssue            = "Issue"
	dateInvoicing        = "Invoicing"
	datePermanentStorage = "PermanentStorage"
)

// metadataQuery is the body of POST /invoices/query/metadata.
type metadataQuery struct {
	SubjectType string `json:"subjectType"`
	DateRange   *struct {
		DateType string  `json:"dateType"`
		From     *string `json:"from"`
		To       *string `json:"to"`
		Restrict *bool   `json:"restrictToPermanentStorageHwmDate"`
	} `json:"dateRange"`
	KSeFNumber    *string `json:"ksefNumber"`
	InvoiceNumber *string `json:"invoiceNumber"`
	Amount        *struct {
		Type string           `json:"type"`
		From *decimal.Decimal `json:"from"`
		To   *decimal.Decimal `json:"to"`
	} `json:"amount"`
	SellerNIP       *string `json:"sellerNip"`
	BuyerIdentifier *struct {
		Type  string  `json:"type"`
		Value *string `json:"value"`
	} `json:"buyerIdentifier"`
	CurrencyCodes []string `json:"currencyCodes"`
	InvoicingMode *string  `json:"invoicingMode"`
	SelfInvoicing *bool    `json:"isSelfInvoicing"`
	FormType      *string  `json:"formType"`
	InvoiceTypes  []string `json:"invoiceTypes"`
	HasAttachment *bool    `json:"hasAttachment"`
}

// queryRange is the checked range of a query.
type queryRange struct {
	dateType string
	from, to time.Time
	hwm      time.Time // zero unless the range is of permanent storage
}

// queryMetadata answers POST /invoices/query/metadata.
func (s *Simulator) queryMetadata(c *call) (*reply, error) {
	var q metadataQuery
	if err := c.decode(&q); err != nil {
		return nil, err
	}
	size, err := c.queryInt("pageSize", 10, 10, 250)
	if err != nil {
		return nil, err
	}
	offset, err := c.queryInt("pageOffset", 0, 0, maxQueryRecords)
	if err != nil {
		return nil, err
	}
	if offset*size >= maxQueryRecords {
		return nil, invalid("Przekroczono techniczny limit 10 000 rekordów: należy zawęzić zakres dat.")
	}
	descending := false
	switch order := c.r.URL.Query().Get("sortOrder"); order {
	case "", "Asc":
	case "Desc":
		descending = true
	default:
		return nil, invalid("Parametr sortOrder: oczekiwano Asc albo Desc.")
	}
	if err := q.check(); err != nil {
		return nil, err
	}
	within, err := s.checkRange(&q, c.now)
	if err != nil {
		return nil, err
	}

	s.lock(c.now)
	found := s.find(c.token.auth.context.nip, &q, within, c.now)
	s.mu.Unlock()
	if descending {
		slices.Reverse(found)
	}
	total := len(found)
	reachable := min(total, maxQueryRecords)
	from := min(offset*size, reachable)
	to := min(from+size, reachable)
	doc := struct {
		HasMore   bool          `json:"hasMore"`
		Truncated bool          `json:"isTruncated"`
		HWM       *string       `json:"permanentStorageHwmDate,omitempty"`
		Invoices  []metadataDoc `json:"invoices"`
	}{HasMore: to < total, Truncated: total > maxQueryRecords && to == reachable, HWM: stampOrNil(within.hwm), Invoices: []metadataDoc{}}
	for _, r := range found[from:to] {
		doc.Invoices = append(doc.Invoices, s.metadataOf(r))
	}
	return jsonReply(http.StatusOK, doc)
}

// check refuses values that the contract does not know.
func (q *metadataQuery) check() error {
	if !slices.Contains([]string{subjectSeller, subjectBuyer, subjectThird, subjectAuthorized}, q.SubjectType) {
		return invalid("subjectType: oczekiwano Subject1, Subject2, Subject3 albo SubjectAuthorized.")
	}
	if q.KSeFNumber != nil && !ksefNumberPattern.MatchString(*q.KSeFNumber) {
		return invalid("ksefNumber: niepoprawny numer KSeF.")
	}
	if q.SellerNIP != nil && !nipPattern.MatchString(*q.SellerNIP) {
		return invalid("sellerNip: niepoprawny NIP.")
	}
	if q.Amount != nil && !slices.Contains([]string{"Brutto", "Netto", "Vat"}, q.Amount.Type) {
		return invalid("amount.type: oczekiwano Brutto, Netto albo Vat.")
	}
	if q.BuyerIdentifier != nil && !slices.Contains([]string{"Nip", "VatUe", "Other", "None"}, q.BuyerIdentifier.Type) {
		return invalid("buyerIdentifier.type: oczekiwano Nip, VatUe, Other albo None.")
	}
	if q.InvoicingMode != nil && *q.InvoicingMode != modeOnline && *q.InvoicingMode != modeOffline {
		return invalid("invoicingMode: oczekiwano Online albo Offline.")
	}
	if q.FormType != nil && !slices.Contains([]string{"FA", "PEF", "FA_RR"}, *q.FormType) {
		return invalid("formType: oczekiwano FA, PEF albo FA_RR.")
	}
	return nil
}

// checkRange reads the range of dates: both ends inclusive, at most 100 days.
func (s *Simulator) checkRange(q *metadataQuery, now time.Time) (queryRange, error) {
	var out queryRange
	if q.DateRange == nil || q.DateRange.From == nil {
		return out, invalid("dateRange: pola dateType i from są wymagane.")
	}
	out.dateType = q.DateRange.DateType
	if !slices.Contains([]string{dateIssue, dateInvoicing, datePermanentStorage}, out.dateType) {
		return out, invalid("dateRange.dateType: oczekiwano Issue, Invoicing albo PermanentStorage.")
	}
	var err error
	if out.from, err = s.parseTime(*q.DateRange.From); err != nil {
		return out, invalid("dateRange.from: oczekiwano daty i godziny w ISO 8601.")
	}
	out.to = now
	if q.DateRange.To != nil {
		if out.to, err = s.parseTime(*q.DateRange.To); err != nil {
			return out, invalid("dateRange.to: oczekiwano daty i godziny w ISO 8601.")
		}
	}
	if out.dateType == datePermanentStorage {
		hwm := now.Add(-s.cfg.HWMDelay)
		if q.DateRange.Restrict != nil && *q.DateRange.Restrict {
			if out.from.After(hwm) {
				return out, refuse(21183, "dateRange.from wypada po PermanentStorageHwmDate.")
			}
			if out.to.After(hwm) {
				out.to = hwm
			}
		}
		if out.hwm = hwm; out.to.Before(hwm) {
			out.hwm = out.to
		}
	}
	switch {
	case out.from.After(out.to):
		return out, invalid("dateRange: from jest późniejsze niż to.")
	case out.to.Sub(out.from) > maxQueryDays*24*time.Hour:
		return out, invalid("dateRange: zakres nie może przekraczać 100 dni.")
	}
	return out, nil
}

// parseTime reads a time of ISO 8601; one without offset is Polish time.
func (s *Simulator) parseTime(text string) (time.Time, error) {
	t, err := time.Parse(time.RFC3339Nano, text)
	if err == nil {
		return t.UTC(), nil
	}
	for _, layout := range []string{"2006-01-02T15:04:05.999999999", "2006-01-02T15:04", time.DateOnly} {
		if t, other := time.ParseInLocation(layout, text, s.warsaw); other == nil {
			return t.UTC(), nil
		}
	}
	return time.Time{}, err
}

// find gives the invoices of a query in ascending order of its date. The lock
// must be held.
func (s *Simulator) find(nip string, q *metadataQuery, within queryRange, now time.Time) []*record {
	view := s.store.views[nip][q.SubjectType]
	visible, _ := slices.BinarySearchFunc(view, now, func(r *record, t time.Time) int {
		if r.stored.After(t) {
			return 1
		}
		return -1
	})
	view = view[:visible]
	firstDay, lastDay := s.warsawDay(within.from), s.warsawDay(within.to)
	inRange := func(r *record) bool {
		at := r.stored
		switch within.dateType {
		case dateIssue:
			return r.invoice.issueDate >= firstDay && r.invoice.issueDate <= lastDay
		case dateInvoicing:
			at = r.invoicing
		}
		return !at.Before(within.from) && !at.After(within.to)
	}
	var found []*record
	for _, r := range view {
		if inRange(r) && s.matches(r, q) {
			found = append(found, r)
		}
	}
	switch within.dateType {
	case dateIssue:
		slices.SortStableFunc(found, func(a, b *record) int {
			switch {
			case a.invoice.issueDate < b.invoice.issueDate:
				return -1
			case a.invoice.issueDate > b.invoice.issueDate:
				return 1
			}
			return 0
		})
	case dateInvoicing:
		slices.SortStableFunc(found, func(a, b *record) int { return a.invoicing.Compare(b.invoicing) })
	}
	return found
}

// matches applies the filters other than the range.
func (s *Simulator) matches(r *record, q *metadataQuery) bool {
	v := r.invoice
	if q.Amount != nil {
		amount := v.vat
		switch q.Amount.Type {
		case "Brutto":
			amount = number(v.gross)
		case "Netto":
			amount = v.net
		}
		if (q.Amount.From != nil && amount.LessThan(*q.Amount.From)) || (q.Amount.To != nil && amount.GreaterThan(*q.Amount.To)) {
			return false
		}
	}
	if b := q.BuyerIdentifier; b != nil && (b.Type != buyerType(v.buyer) || (b.Value != nil && *b.Value != v.buyer.id)) {
		return false
	}
	return is(q.KSeFNumber, r.number) && is(q.InvoiceNumber, v.number) && is(q.SellerNIP, v.sellerNIP) &&
		is(q.InvoicingMode, r.mode) && is(q.FormType, r.form.Value) && is(q.SelfInvoicing, v.selfInvoicing) &&
		is(q.HasAttachment, v.attachment) &&
		(len(q.CurrencyCodes) == 0 || slices.Contains(q.CurrencyCodes, currencyOf(v))) &&
		(len(q.InvoiceTypes) == 0 || slices.Contains(q.InvoiceTypes, typeOf(v)))
}

// is says whether an optional filter lets a value pass.
func is[T comparable](wanted *T, got T) bool { return wanted == nil || *wanted == got }

// metadataDoc is one invoice in the answer to a query.
type metadataDoc struct {
	KSeFNumber           string           `json:"ksefNumber"`
	InvoiceNumber        string           `json:"invoiceNumber"`
	IssueDate            string           `json:"issueDate"`
	InvoicingDate        string           `json:"invoicingDate"`
	AcquisitionDate      string           `json:"acquisitionDate"`
	PermanentStorageDate string           `json:"permanentStorageDate"`
	Seller               map[string]any   `json:"seller"`
	Buyer                map[string]any   `json:"buyer"`
	NetAmount            json.Number      `json:"netAmount"`
	GrossAmount          json.Number      `json:"grossAmount"`
	VATAmount            json.Number      `json:"vatAmount"`
	Currency             string           `json:"currency"`
	InvoicingMode        string           `json:"invoicingMode"`
	InvoiceType          string           `json:"invoiceType"`
	FormCode             formCode         `json:"formCode"`
	SelfInvoicing        bool             `json:"isSelfInvoicing"`
	HasAttachment        bool             `json:"hasAttachment"`
	InvoiceHash          string           `json:"invoiceHash"`
	HashOfCorrected      string           `json:"hashOfCorrectedInvoice,omitempty"`
	ThirdSubjects        []map[string]any `json:"thirdSubjects"`
	AuthorizedSubject    map[string]any   `json:"authorizedSubject,omitempty"`
}

func (s *Simulator) metadataOf(r *record) metadataDoc {
	v := r.invoice
	seller := v.sellerNIP
	if !nipPattern.MatchString(seller) {
		seller = r.number[:10]
	}
	doc := metadataDoc{
		KSeFNumber: r.number, InvoiceNumber: v.number, IssueDate: v.issueDate,
		InvoicingDate: stamp(r.invoicing), AcquisitionDate: stamp(r.acquired), PermanentStorageDate: stamp(r.stored),
		Seller: named(map[string]any{"nip": seller}, v.sellerName),
		Buyer:  named(map[string]any{"identifier": identifier(buyerType(v.buyer), v.buyer.id)}, v.buyer.name),
		// The amounts are in the invoice's currency, the tax in PLN.
		NetAmount: json.Number(v.net.String()), GrossAmount: json.Number(number(v.gross).String()), VATAmount: json.Number(v.vat.String()),
		Currency: currencyOf(v), InvoicingMode: r.mode, InvoiceType: typeOf(v), FormCode: r.form,
		SelfInvoicing: v.selfInvoicing, HasAttachment: v.attachment,
		InvoiceHash: hexToBase64(r.hash), HashOfCorrected: r.correctedHash, ThirdSubjects: []map[string]any{},
	}
	if _, err := time.Parse(time.DateOnly, doc.IssueDate); err != nil {
		doc.IssueDate = s.warsawDay(r.invoicing)
	}
	for _, third := range v.third {
		item := named(map[string]any{"identifier": identifier(third.idType, third.id)}, third.name)
		item["role"] = third.role
		doc.ThirdSubjects = append(doc.ThirdSubjects, item)
	}
	if a := v.authorized; a != nil && nipPattern.MatchString(a.id) {
		doc.AuthorizedSubject = named(map[string]any{"nip": a.id, "role": a.role}, a.name)
	}
	return doc
}

func named(doc map[string]any, name string) map[string]any {
	if name != "" {
		doc["name"] = name
	}
	return doc
}

func identifier(kind, value string) map[string]any {
	doc := map[string]any{"type": kind}
	if value != "" {
		doc["value"] = value
	}
	return doc
}

// buyerType is the kind of a buyer's identifier; "" counts as none.
func buyerType(p party) string {
	if p.idType == "" {
		return "None"
	}
	return p.idType
}

// number reads an amount; what is none counts as 0.
func number(text string) decimal.Decimal {
	d, err := decimal.NewFromString(text)
	if err != nil {
		return decimal.Zero
	}
	return d
}

func currencyOf(v invoice) string {
	if currencyPattern.MatchString(v.currency) {
		return v.currency
	}
	return "PLN"
}

func typeOf(v invoice) string {
	if t := invoiceTypes[v.kind]; t != "" {
		return t
	}
	return "Vat"
}

func hexToBase64(h string) string {
	sum, err := hex.DecodeString(h)
	if err != nil {
		return ""
	}
	return base64.StdEncoding.EncodeToString(sum)
}

// download answers GET /invoices/ksef/{ksefNumber} with the bytes as issued.
func (s *Simulator) download(c *call) (*reply, error) {
	name := c.r.PathValue("ksefNumber")
	if !ksefNumberPattern.MatchString(name) {
		return nil, invalid("ksefNumber: niepoprawny numer KSeF.")
	}
	s.lock(c.now)
	defer s.mu.Unlock()
	r := s.store.byNumber[name]
	switch {
	case r == nil || !s.visibleTo(r, c.token.auth.context.nip):
		return nil, refuse(21164, "Faktury "+name+" nie ma.")
	case r.stored.After(c.now):
		return nil, refuse(21165, "Faktura "+name+" jest przyjęta, pobrać będzie ją można za chwilę.")
	}
	return xmlReply(r.xml), nil
}
