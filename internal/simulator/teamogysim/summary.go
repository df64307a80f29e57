package teamogysim

import (
	"bytes"
	"encoding/xml"
	"strings"
)

// States of an invoice with regard to KSeF, as the web page shows them.
const (
	stateImported   = "imported"    // received and in order
	stateNeedsCheck = "needs-check" // received, a person should look
	stateManual     = "manual"      // received, not through KSeF
	stateDraft      = "not-ready"   // issued, not marked as ready
	stateWaiting    = "waiting"     // issued, marked as ready
	stateSent       = "sent"        // issued, sent, no number yet
	stateAccepted   = "accepted"    // issued, KSeF number is there
	stateRejected   = "rejected"    // issued, refused with a message
)

// summary is what the web page shows of an invoice.
type summary struct {
	direction  string // "received", "issued" or "" for other documents
	state      string
	number     string // the number on the invoice
	company    string
	date       string
	gross      string
	currency   string
	ksefNumber string
	note       string
}

// summarise reads a summary out of a document's properties and, for what they
// lack, its XML.
func summarise(d *document, t *tenant) summary {
	s := summary{
		company:    d.CompanyName,
		date:       d.property("issueDate"),
		gross:      d.property("totalGross"),
		currency:   d.property("currency"),
		ksefNumber: d.property("ksefNumber"),
		number:     d.Number,
	}
	s.note = firstOf(d.property("ksefMessage"), d.property("ksefNote"))
	switch {
	case isReceived(d.Type):
		s.direction = "received"
		s.number = firstOf(d.property("counterpartyNumber"), d.Number)
		s.state = receivedState(d, s)
	case isIssued(d.Type):
		s.direction = "issued"
		s.state = issuedState(d, s)
	default:
		return s
	}
	if s.company == "" || s.date == "" || s.gross == "" {
		x := glance(d, t)
		if s.direction == "issued" {
			s.company = firstOf(s.company, x.buyer)
		} else {
			s.company = firstOf(s.company, x.seller)
		}
		s.date = firstOf(s.date, x.date)
		if s.gross == "" {
			s.gross, s.currency = x.gross, firstOf(s.currency, x.currency)
		}
	}
	s.company = firstOf(s.company, d.property("sellerName"))
	return s
}

func receivedState(d *document, s summary) string {
	switch {
	case d.tagged("check") || d.property("ksefNote") != "":
		return stateNeedsCheck
	case s.ksefNumber == "":
		return stateManual
	}
	return stateImported
}

func issuedState(d *document, s summary) string {
	said := strings.ToUpper(d.property("ksefStatus") + " " + d.Status)
	switch {
	case s.ksefNumber != "":
		return stateAccepted
	case strings.Contains(said, "REJECT"):
		return stateRejected
	case strings.Contains(said, "READY"):
		return stateWaiting
	case strings.Contains(said, "SENT"):
		return stateSent
	}
	return stateDraft
}

func firstOf(texts ...string) string {
	for _, text := range texts {
		if text != "" {
			return text
		}
	}
	return ""
}

// glanced is what the page takes from an FA(3) XML.
type glanced struct {
	seller, buyer, date, gross, currency string
}

// glance reads a document's XML, or takes what was read of the version before
// when the XML is the same.
func glance(d *document, t *tenant) glanced {
	if h := t.byID[d.ID]; h != nil && len(h.versions) > 0 {
		old := h.current()
		if old.property(xmlProperty) == d.property(xmlProperty) && bytes.Equal(old.attachment, d.attachment) {
			o := old.summary
			return glanced{seller: o.company, buyer: o.company, date: o.date, gross: o.gross, currency: o.currency}
		}
	}
	return glanceXML(d.xml())
}

// glanceXML reads as far as the invoice's lines and keeps what it has when the
// XML is broken. A party without a name is called by its NIP.
func glanceXML(data []byte) (g glanced) {
	var sellerNIP, buyerNIP string
	fields := map[string]*string{
		"Faktura/Podmiot1/DaneIdentyfikacyjne/NIP":   &sellerNIP,
		"Faktura/Podmiot1/DaneIdentyfikacyjne/Nazwa": &g.seller,
		"Faktura/Podmiot2/DaneIdentyfikacyjne/NIP":   &buyerNIP,
		"Faktura/Podmiot2/DaneIdentyfikacyjne/Nazwa": &g.buyer,
		"Faktura/Fa/P_1":       &g.date,
		"Faktura/Fa/P_15":      &g.gross,
		"Faktura/Fa/KodWaluty": &g.currency,
	}
	defer func() {
		for _, field := range fields {
			*field = strings.TrimSpace(*field)
		}
		if g.seller == "" && sellerNIP != "" {
			g.seller = "NIP " + sellerNIP
		}
		if g.buyer == "" && buyerNIP != "" {
			g.buyer = "NIP " + buyerNIP
		}
	}()
	d := xml.NewDecoder(bytes.NewReader(bytes.TrimPrefix(data, []byte("\ufeff"))))
	d.Strict = false
	var path []string
	for {
		token, err := d.Token()
		if err != nil {
			return g
		}
		switch token := token.(type) {
		case xml.StartElement:
			path = append(path, token.Name.Local)
			if len(path) == 3 && token.Name.Local == "FaWiersz" || len(path) > 20 {
				return g
			}
		case xml.EndElement:
			if len(path) > 0 {
				path = path[:len(path)-1]
			}
		case xml.CharData:
			if len(path) < 3 || len(path) > 4 {
				continue
			}
			if field := fields[strings.Join(path, "/")]; field != nil {
				*field += string(token)
			}
		}
	}
}
