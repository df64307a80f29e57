package ksefsim

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"

	"github.com/shopspring/decimal"
)

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

func metadataOf(r *record) metadataDoc {
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
