package invoice

import (
	"encoding/xml"
	"strings"
)

// Paths of the elements that the checks point at.
const (
	pathForm       = "/Naglowek/KodFormularza"
	pathSellerNIP  = "/Podmiot1/DaneIdentyfikacyjne/NIP"
	pathNumber     = "/Fa/P_2"
	pathIssueDate  = "/Fa/P_1"
	pathKind       = "/Fa/RodzajFaktury"
	pathAttachment = "/Zalacznik"
	pathCorrected  = "/Fa/DaneFaKorygowanej"
	pathPayment    = "/Fa/Platnosc"
)

// setters says for each element, by its path below Faktura, what becomes of its text. A setter reports false when it could not understand the text.
// The first occurrence of an element counts.
var setters = map[string]func(d *Document, text string) bool{
	pathForm: keep(func(d *Document) *string { return &d.Form.Value }),

	pathSellerNIP:                         keep(func(d *Document) *string { return &d.Seller.NIP }),
	"/Podmiot1/DaneIdentyfikacyjne/Nazwa": keep(func(d *Document) *string { return &d.Seller.Name }),
	"/Podmiot1/Adres/KodKraju":            keep(func(d *Document) *string { return &d.Seller.CountryCode }),
	"/Podmiot1/Adres/AdresL1":             addressLine(func(d *Document) *Party { return &d.Seller }),
	"/Podmiot1/Adres/AdresL2":             addressLine(func(d *Document) *Party { return &d.Seller }),

	"/Podmiot2/DaneIdentyfikacyjne/NIP":      keep(func(d *Document) *string { return &d.Buyer.NIP }),
	"/Podmiot2/DaneIdentyfikacyjne/Nazwa":    keep(func(d *Document) *string { return &d.Buyer.Name }),
	"/Podmiot2/DaneIdentyfikacyjne/KodUE":    buyerCountry(true),
	"/Podmiot2/DaneIdentyfikacyjne/NrVatUE":  buyerVatID,
	"/Podmiot2/DaneIdentyfikacyjne/KodKraju": buyerCountry(false),
	"/Podmiot2/DaneIdentyfikacyjne/NrID":     buyerVatID,
	"/Podmiot2/Adres/KodKraju":               replace(func(d *Document) *string { return &d.Buyer.CountryCode }),
	"/Podmiot2/Adres/AdresL1":                addressLine(func(d *Document) *Party { return &d.Buyer }),
	"/Podmiot2/Adres/AdresL2":                addressLine(func(d *Document) *Party { return &d.Buyer }),

	pathNumber:                              keep(func(d *Document) *string { return &d.Number }),
	pathKind:                                keep(func(d *Document) *string { return &d.Kind }),
	"/Fa/KodWaluty":                         keep(func(d *Document) *string { return &d.Currency }),
	pathIssueDate:                           setIssueDate,
	"/Fa/P_6":                               setSupplyDate,
	"/Fa/OkresFa/P_6_Do":                    setSupplyDate,
	"/Fa/P_15":                              setGross,
	pathCorrected:                           func(*Document, string) bool { return true },
	pathAttachment:                          func(*Document, string) bool { return true },
	pathPayment + "/FormaPlatnosci":         setPaymentForm,
	pathPayment + "/OpisPlatnosci":          keep(func(d *Document) *string { return &d.PaymentForm }),
	pathPayment + "/TerminPlatnosci/Termin": setDueDate,
	pathPayment + "/RachunekBankowy/NrRB":   keep(func(d *Document) *string { return &d.BankAccount }),
	pathPayment + "/RachunekBankowyFaktora/NrRB": replace(func(d *Document) *string { return &d.BankAccount }),

	pathCorrected + "/NrFaKorygowanej":       corrected(func(c *CorrectedRef) *string { return &c.Number }),
	pathCorrected + "/DataWystFaKorygowanej": corrected(func(c *CorrectedRef) *string { return &c.IssueDate }),
	pathCorrected + "/NrKSeFFaKorygowanej":   corrected(func(c *CorrectedRef) *string { return &c.KSeFNumber }),
}

// paymentForms are the names of the codes of TFormaPlatnosci, in the schema's own words.
var paymentForms = map[string]string{
	"1": "Gotówka", "2": "Karta", "3": "Bon", "4": "Czek", "5": "Kredyt", "6": "Przelew", "7": "Mobilna",
}

// isRead reports whether an element's text is of interest.
func isRead(path []byte) bool {
	_, ok := setters[string(path)]
	return ok || isTotal(string(path))
}

// mayRepeat reports whether every occurrence of an element is read, not only the first.
func mayRepeat(path string) bool {
	return strings.HasPrefix(path, pathCorrected) || strings.HasPrefix(path, pathPayment)
}

// isTotal reports whether path is one of the sums by rate: P_13_* (net) and P_14_* (tax, without the amounts repeated in PLN, P_14_*W).
func isTotal(path string) bool {
	return strings.HasPrefix(path, "/Fa/P_13_") && strings.Count(path, "/") == 2 ||
		strings.HasPrefix(path, "/Fa/P_14_") && strings.Count(path, "/") == 2 && !strings.HasSuffix(path, "W")
}

// open is called at an element's start tag, take at its end with its text.
func (d *Document) open(path string, attributes []xml.Attr) {
	switch path {
	case pathForm:
		for _, a := range attributes {
			switch {
			case a.Name.Local == "kodSystemowy" && d.Form.SystemCode == "":
				d.Form.SystemCode = cut(a.Value, 64)
			case a.Name.Local == "wersjaSchemy" && d.Form.SchemaVersion == "":
				d.Form.SchemaVersion = cut(a.Value, 64)
			}
		}
	case pathAttachment:
		d.HasAttachment = true
	case pathCorrected:
		d.Corrected = append(d.Corrected, CorrectedRef{})
	}
}

func (d *Document) take(path, text string) bool {
	if set, ok := setters[path]; ok {
		return set(d, text)
	}
	amount, ok := parseAmount(text)
	if !ok {
		return false
	}
	if strings.HasPrefix(path, "/Fa/P_13_") {
		d.Net, d.HasTotals = d.Net.Add(amount), true
	} else {
		d.VAT = d.VAT.Add(amount)
	}
	return true
}

// keep keeps the first non-empty text of an element.
func keep(field func(*Document) *string) func(*Document, string) bool {
	return func(d *Document, text string) bool {
		if f := field(d); *f == "" {
			*f = text
		}
		return true
	}
}

// replace lets an element win over what another element has set before.
func replace(field func(*Document) *string) func(*Document, string) bool {
	return func(d *Document, text string) bool {
		if text != "" {
			*field(d) = text
		}
		return true
	}
}

func addressLine(party func(*Document) *Party) func(*Document, string) bool {
	return func(d *Document, text string) bool {
		p := party(d)
		switch {
		case text == "" || len(p.Address) > maxText:
		case p.Address == "":
			p.Address = text
		default:
			p.Address += ", " + text
		}
		return true
	}
}

// buyerCountry takes the country of a foreign tax number. Of an EU number (KodUE) it is part of the number.
func buyerCountry(partOfNumber bool) func(*Document, string) bool {
	return func(d *Document, text string) bool {
		if d.Buyer.CountryCode == "" {
			d.Buyer.CountryCode = text
		}
		if partOfNumber && d.Buyer.VatID == "" {
			d.Buyer.VatID = text
		}
		return true
	}
}

func buyerVatID(d *Document, text string) bool {
	if len(d.Buyer.VatID) <= 2 {
		d.Buyer.VatID += text
	}
	return true
}

func corrected(field func(*CorrectedRef) *string) func(*Document, string) bool {
	return func(d *Document, text string) bool {
		if len(d.Corrected) > 0 {
			*field(&d.Corrected[len(d.Corrected)-1]) = text
		}
		return true
	}
}

func setIssueDate(d *Document, text string) bool {
	date, ok := parseDate(text)
	if ok && d.IssueDate.IsZero() {
		d.IssueDate = date
	}
	return ok
}

func setSupplyDate(d *Document, text string) bool {
	date, ok := parseDate(text)
	if ok && d.SupplyDate.IsZero() {
		d.SupplyDate = date
	}
	return ok
}

func setDueDate(d *Document, text string) bool {
	date, ok := parseDate(text)
	if ok && (d.DueDate.IsZero() || date.Before(d.DueDate)) {
		d.DueDate = date
	}
	return ok
}

func setGross(d *Document, text string) bool {
	amount, ok := parseAmount(text)
	if ok {
		d.Gross = amount
	}
	return ok
}

func setPaymentForm(d *Document, text string) bool {
	if d.PaymentForm != "" {
		return true
	}
	if name, ok := paymentForms[text]; ok {
		d.PaymentForm = name
		return true
	}
	d.PaymentForm = text
	return text != ""
}
