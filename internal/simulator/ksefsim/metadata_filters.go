package ksefsim

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/shopspring/decimal"
)

// maxQueryDays is the longest range of a query, counted in UTC.
const maxQueryDays = 100

// Types of date that a query can range over.
const (
	dateIssue            = "Issue"
	dateInvoicing        = "Invoicing"
	datePermanentStorage = "PermanentStorage"
)

// invoiceFilters say which invoices somebody asks for, in a query of metadata
// and in an export.
type invoiceFilters struct {
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

// Values that filters know.
var (
	subjectTypes    = []string{subjectSeller, subjectBuyer, subjectThird, subjectAuthorized}
	dateTypes       = []string{dateIssue, dateInvoicing, datePermanentStorage}
	amountTypes     = []string{"Brutto", "Netto", "Vat"}
	buyerTypes      = []string{"Nip", "VatUe", "Other", "None"}
	formTypes       = []string{"FA", "PEF", "FA_RR"}
	invoicingModes  = []string{modeOnline, modeOffline}
	typesOfInvoices = []string{"Vat", "Zal", "Kor", "Roz", "Upr", "KorZal", "KorRoz", "VatPef", "VatPefSp", "KorPef", "VatRr", "KorVatRr"}

	// currencies are those of ISO 4217, past ones among them, with which 2.8.1 works.
	currencies = strings.Fields(`AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BOV BRL BSD BTN BWP
		BYN BZD CAD CDF CHE CHF CHW CLF CLP CNH CNY COP COU CRC CUC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL
		GGP GHS GIP GMD GNF GTQ GYD HKD HNL HRK HTG HUF IDR ILS IMP INR IQD IRR ISK JEP JMD JOD JPY KES KGS KHR KMF KPW KRW KWD
		KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD OMR
		PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SLL SOS SRD SSP STN SVC SYP SZL THB TJS
		TMT TND TOP TRY TTD TWD TZS UAH UGX USD USN UYI UYU UYW UZS VED VES VND VUV WST XAF XAG XAU XBA XBB XBC XBD XCD XCG XDR
		XOF XPD XPF XPT XSU XTS XUA XXX YER ZAR ZMW ZWG ZWL`)
)

// check refuses values that the contract does not know.
func (q *invoiceFilters) check() error {
	oneOf := func(field string, values []string, given ...string) error {
		for _, value := range given {
			if !slices.Contains(values, value) {
				return invalid(fmt.Sprintf("%s: nieznana wartość %q.", field, value))
			}
		}
		return nil
	}
	optional := func(value *string) []string {
		if value == nil {
			return nil
		}
		return []string{*value}
	}
	if q.DateRange == nil || q.DateRange.From == nil {
		return invalid("dateRange: dateType i from są obowiązkowe.")
	}
	for _, err := range []error{
		oneOf("subjectType", subjectTypes, q.SubjectType), oneOf("dateRange.dateType", dateTypes, q.DateRange.DateType),
		oneOf("invoicingMode", invoicingModes, optional(q.InvoicingMode)...), oneOf("formType", formTypes, optional(q.FormType)...),
		oneOf("invoiceTypes", typesOfInvoices, q.InvoiceTypes...), oneOf("currencyCodes", currencies, q.CurrencyCodes...),
	} {
		if err != nil {
			return err
		}
	}
	if q.Amount != nil {
		if err := oneOf("amount.type", amountTypes, q.Amount.Type); err != nil {
			return err
		}
	}
	if b := q.BuyerIdentifier; b != nil {
		if err := oneOf("buyerIdentifier.type", buyerTypes, b.Type); err != nil {
			return err
		}
		if b.Value != nil && utf8.RuneCountInString(*b.Value) > 50 {
			return invalid("buyerIdentifier.value: najwyżej 50 znaków.")
		}
	}
	switch {
	case q.KSeFNumber != nil && !ksefNumberPattern.MatchString(*q.KSeFNumber):
		return invalid("ksefNumber: to nie jest numer KSeF.")
	case q.InvoiceNumber != nil && utf8.RuneCountInString(*q.InvoiceNumber) > 256:
		return invalid("invoiceNumber: najwyżej 256 znaków.")
	case q.SellerNIP != nil && !nipPattern.MatchString(*q.SellerNIP):
		return invalid("sellerNip: to nie jest NIP.")
	}
	return nil
}

// matches applies the filters other than the range.
func (q *invoiceFilters) matches(r *record) bool {
	v := &r.invoice
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
		(len(q.CurrencyCodes) == 0 || slices.Contains(q.CurrencyCodes, currencyOf(*v))) &&
		(len(q.InvoiceTypes) == 0 || slices.Contains(q.InvoiceTypes, typeOf(*v)))
}

// is says whether an optional filter lets a value pass.
func is[T comparable](wanted *T, got T) bool { return wanted == nil || *wanted == got }

// queryRange is the checked range of a query.
type queryRange struct {
	dateType          string
	from, to          time.Time
	firstDay, lastDay string    // the same as Polish calendar days
	hwm               time.Time // zero unless the range is of permanent storage
	beyond            bool      // restricted to the high-water mark, but begins after it
}

// checkRange reads the range of dates: both ends inclusive, at most 100 days,
// with the high-water mark of that moment.
func (s *Simulator) checkRange(q *invoiceFilters, now, hwm time.Time) (queryRange, error) {
	out := queryRange{dateType: q.DateRange.DateType, to: now}
	var err error
	if out.from, err = s.parseTime(*q.DateRange.From); err != nil {
		return out, invalid("dateRange.from: to nie jest data z godziną według ISO 8601.")
	}
	if q.DateRange.To != nil {
		if out.to, err = s.parseTime(*q.DateRange.To); err != nil {
			return out, invalid("dateRange.to: to nie jest data z godziną według ISO 8601.")
		}
	}
	storage := out.dateType == datePermanentStorage
	restricted := storage && q.DateRange.Restrict != nil && *q.DateRange.Restrict
	switch {
	case out.to.Sub(out.from) > maxQueryDays*24*time.Hour:
		return out, invalid(fmt.Sprintf("dateRange: najwyżej %d dni.", maxQueryDays))
	case out.from.After(out.to) && (q.DateRange.To != nil || !restricted):
		return out, invalid("dateRange: from jest po to.")
	}
	if restricted {
		out.beyond = out.from.After(hwm)
		out.to = earlier(out.to, hwm)
	}
	if storage {
		out.hwm = earlier(hwm, out.to)
	}
	out.firstDay, out.lastDay = s.warsawDay(out.from), s.warsawDay(out.to)
	return out, nil
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// parseTime reads a time of ISO 8601; one without offset is Polish time.
func (s *Simulator) parseTime(text string) (time.Time, error) {
	t, err := time.Parse(time.RFC3339Nano, text)
	if err == nil {
		return t.UTC(), nil
	}
	for _, layout := range []string{"2006-01-02T15:04:05.999999999", "2006-01-02T15:04", time.DateOnly} {
		if wall, other := time.Parse(layout, text); other == nil {
			return s.polish(wall), nil
		}
	}
	return time.Time{}, err
}

// polish is the moment at which clocks in Poland show a time. The hour that
// comes twice in autumn means the second time (winter time), and the hour that
// does not come in spring is counted in winter time too, as .NET does.
func (s *Simulator) polish(wall time.Time) time.Time {
	winter, summer := wall.Add(-time.Hour), wall.Add(-2*time.Hour)
	shows := func(t time.Time) bool { return t.In(s.warsaw).Format(time.DateTime) == wall.Format(time.DateTime) }
	if shows(summer) && !shows(winter) {
		return summer
	}
	return winter
}
