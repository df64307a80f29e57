// Package invoice reads structured invoices (FA(3), the Polish Ministry of Finance's schema) and checks them before they are sent to KSeF.
//
// Reading is tolerant: what KSeF accepted must never stop here. Checking before sending is strict: what KSeF would refuse anyway is refused locally, with a text
// that says what is wrong, where, and what to do. Neither changes a byte: an invoice's bytes are evidence and its SHA-256 is its identity in KSeF.
package invoice

import (
	"time"

	"github.com/shopspring/decimal"
)

// Namespace is the XML namespace of FA(3), the only form of invoices that is sent.
const Namespace = "http://crd.gov.pl/wzor/2025/06/25/13775/"

// FA3 is the form code that FA(3) invoices carry in Naglowek/KodFormularza and that a KSeF session is opened with.
var FA3 = Form{SystemCode: "FA (3)", SchemaVersion: "1-0E", Value: "FA"}

// Form names the logical structure of an invoice, as in Naglowek/KodFormularza.
type Form struct {
	SystemCode    string // attribute kodSystemowy, "FA (3)"
	SchemaVersion string // attribute wersjaSchemy, "1-0E"
	Value         string // text, "FA"
}

// Party is the seller (Podmiot1) or the buyer (Podmiot2).
type Party struct {
	NIP         string // Polish tax number; empty for a buyer without one
	Name        string // Nazwa
	CountryCode string // of the address, else of the foreign tax number
	VatID       string // foreign buyers: KodUE and NrVatUE together, or NrID; empty otherwise
	Address     string // AdresL1 and AdresL2, joined by a comma
}

// CorrectedRef is one DaneFaKorygowanej: an invoice that this one corrects.
type CorrectedRef struct {
	Number     string // NrFaKorygowanej
	IssueDate  string // DataWystFaKorygowanej, YYYY-MM-DD
	KSeFNumber string // NrKSeFFaKorygowanej; empty when the corrected invoice was issued outside KSeF
}

// Document is what the product needs to know of an invoice. Elements that are absent leave their field empty or zero. Dates are midnight UTC of the calendar day.
type Document struct {
	Form      Form
	Namespace string // of the root element
	Seller    Party  // Podmiot1
	Buyer     Party  // Podmiot2

	Number   string // P_2, the issuer's own number
	Kind     string // RodzajFaktury: VAT KOR ZAL ROZ UPR KOR_ZAL KOR_ROZ
	Currency string // KodWaluty, ISO 4217

	IssueDate  time.Time // P_1
	SupplyDate time.Time // P_6, else P_6_Do, the end of the period
	DueDate    time.Time // the earliest Platnosc/TerminPlatnosci/Termin

	Gross     decimal.Decimal // P_15, in Currency. Negative or zero on corrections; on final invoices (ROZ) what is left to pay
	Net       decimal.Decimal // sum of all P_13_*
	VAT       decimal.Decimal // sum of all P_14_*, without the P_14_*W, which repeat the tax in PLN
	HasTotals bool            // at least one P_13_* is there. Simplified invoices (UPR) and some corrections have none; Net and VAT then say nothing

	HasAttachment bool   // Zalacznik, a structured attachment
	BankAccount   string // Platnosc: the factor's account (RachunekBankowyFaktora) when there is one, else the first RachunekBankowy
	PaymentForm   string // FormaPlatnosci as its Polish name, e.g. "Przelew"; an unknown code as it stands; OpisPlatnosci for other forms
	Corrected     []CorrectedRef

	// Unread names the elements (with their line) that are there and could not be understood, such as an amount that is no number. At most 20.
	Unread []string
}

// Read reads an invoice as far as it can be understood: unknown elements, other namespace prefixes, processing instructions and a byte order mark do not
// disturb it, and an amount or date that makes no sense is named in Document.Unread. It reads every FA form (FA(1) to FA(3) differ little in what is read here).
//
// The error is a *Problem: the XML is empty, not well formed, in another encoding than UTF-8, has a DOCTYPE (never expanded), or its root is not Faktura. What was
// read until then is returned with it. Memory is bounded by a small multiple of the invoice's size.
func Read(xml []byte) (Document, error) {
	if isBlank(xml) {
		return Document{}, emptyProblem()
	}
	if encoding, ok := declaredEncoding(xml); ok && !isUTF8(encoding) {
		return Document{}, encodingProblem(encoding)
	}
	r, problem := read(xml)
	if problem == nil && r.doctype > 0 {
		problem = doctypeProblem(r.doctype)
	}
	if problem == nil && r.root != "Faktura" {
		problem = newProblem(RuleFormUnknown, "The root element is %s, not Faktura: this is no FA invoice. Look at the original in KSeF.", quoted(r.root))
	}
	if problem != nil {
		return r.document, problem
	}
	return r.document, nil
}
