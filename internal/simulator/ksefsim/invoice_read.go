package ksefsim

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"strings"

	"github.com/shopspring/decimal"
)

// invoice is what the simulator reads from an invoice's XML.
type invoice struct {
	root          xml.Name
	form          formCode // of Naglowek/KodFormularza
	sellerNIP     string
	sellerName    string
	buyer         party
	third         []party
	authorized    *party
	number        string // P_2
	kind          string // RodzajFaktury
	issueDate     string // P_1, YYYY-MM-DD
	currency      string
	gross         string // P_15
	net, vat      decimal.Decimal
	selfInvoicing bool
	attachment    bool

	values     map[string]string // first text of each path, for the structural rules
	sections   []string          // children of the root, in order
	doctype    bool
	processing bool   // has a processing instruction
	foreign    string // an element that is not in the root's namespace

	discouraged bool // has a character that W3C advises against
}

// party is somebody on an invoice.
type party struct {
	idType string // Nip, VatUe, Other, None or InternalId
	id     string
	name   string
	role   int
}

// Bounds of what is read.
const (
	maxInvoiceDepth = 64
	maxElementName  = 256 // longer ones would make the paths of all that is in them long
	maxValuePaths   = 2000
)

var errNotWellFormed = errors.New("not well-formed")

// readInvoice reads an FA invoice leniently: what is missing stays empty. On
// an error it gives what it had read until then.
func readInvoice(data []byte) (invoice, error) {
	r := invoiceReader{out: invoice{values: map[string]string{}}}
	d := xml.NewDecoder(bytes.NewReader(data))
	for {
		at := d.InputOffset()
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			if !r.rootSeen || len(r.path) > 0 {
				return r.finish(), errNotWellFormed
			}
			return r.finish(), nil
		}
		if err != nil {
			return r.finish(), errors.Join(errNotWellFormed, err)
		}
		if declaration, is := token.(xml.ProcInst); is && strings.EqualFold(declaration.Target, "xml") && at > 0 {
			return r.finish(), errNotWellFormed // an XML declaration stands at the very beginning or nowhere
		}
		if err := r.token(token); err != nil {
			return r.finish(), err
		}
	}
}

type invoiceReader struct {
	out      invoice
	path     []string
	text     []byte
	rootSeen bool
	party    *party
	vatParts map[string]decimal.Decimal // P_14_n by n
	vatPLN   map[string]decimal.Decimal // P_14_nW by n
}

func (r *invoiceReader) token(token xml.Token) error {
	switch token := token.(type) {
	case xml.Directive:
		r.out.doctype = r.out.doctype || bytes.HasPrefix(bytes.ToUpper(token), []byte("DOCTYPE"))
	case xml.ProcInst:
		r.out.processing = r.out.processing || token.Target != "xml"
	case xml.StartElement:
		return r.start(token)
	case xml.EndElement:
		r.end()
	case xml.CharData:
		if len(r.path) == 0 && len(bytes.TrimSpace(token)) > 0 {
			return errNotWellFormed
		}
		r.text = append(r.text, token...)
	}
	return nil
}

func (r *invoiceReader) start(el xml.StartElement) error {
	if len(r.path) == 0 {
		if r.rootSeen {
			return errNotWellFormed
		}
		r.rootSeen, r.out.root = true, el.Name
	}
	if el.Name.Space != r.out.root.Space && r.out.foreign == "" {
		r.out.foreign = el.Name.Local
	}
	seen := make(map[xml.Name]bool, len(el.Attr))
	for _, a := range el.Attr {
		if seen[a.Name] {
			return errNotWellFormed
		}
		seen[a.Name] = true
	}
	if len(el.Name.Local) > maxElementName {
		return errors.New("an element's name is too long")
	}
	if len(r.path) >= maxInvoiceDepth {
		return errors.New("nested too deep")
	}
	r.path = append(r.path, el.Name.Local)
	r.text = r.text[:0]
	switch len(r.path) {
	case 2:
		r.out.sections = append(r.out.sections, el.Name.Local)
		switch el.Name.Local {
		case "Podmiot2", "Podmiot3", "PodmiotUpowazniony":
			r.party = &party{idType: "None"}
		case "Zalacznik":
			r.out.attachment = true
		}
	case 3:
		if el.Name.Local == "KodFormularza" && r.path[1] == "Naglowek" {
			for _, a := range el.Attr {
				switch a.Name.Local {
				case "kodSystemowy":
					r.out.form.SystemCode = a.Value
				case "wersjaSchemy":
					r.out.form.SchemaVersion = a.Value
				}
			}
		}
	}
	return nil
}

func (r *invoiceReader) end() {
	text := strings.TrimSpace(string(r.text))
	r.text = r.text[:0]
	path := strings.Join(r.path[1:], "/")
	if len(r.path) <= 5 && len(r.out.values) < maxValuePaths {
		if _, seen := r.out.values[path]; !seen {
			r.out.values[path] = text
		}
	}
	if r.party != nil {
		r.partyField(text)
	}
	if len(r.path) == 3 && r.path[1] == "Fa" {
		r.amount(r.path[2], text)
	}
	r.path = r.path[:len(r.path)-1]
}

// partyField reads what lies in Podmiot2, Podmiot3 or PodmiotUpowazniony.
func (r *invoiceReader) partyField(text string) {
	p := r.party
	switch len(r.path) {
	case 4:
		if r.path[2] != "DaneIdentyfikacyjne" {
			return
		}
		switch r.path[3] {
		case "NIP":
			p.idType, p.id = "Nip", text
		case "KodUE":
			p.idType, p.id = "VatUe", text+p.id
		case "NrVatUE":
			p.idType, p.id = "VatUe", p.id+text
		case "NrID":
			p.idType, p.id = "Other", text
		case "IDWew":
			p.idType, p.id = "InternalId", text
		case "Nazwa":
			p.name = text
		}
	case 3:
		if r.path[2] == "Rola" || r.path[2] == "RolaPU" {
			if n, err := decimal.NewFromString(text); err == nil {
				p.role = int(n.IntPart())
			}
		}
	case 2:
		switch r.path[1] {
		case "Podmiot2":
			r.out.buyer = *p
		case "Podmiot3":
			r.out.third = append(r.out.third, *p)
		default:
			r.out.authorized = p
		}
		r.party = nil
	}
}

// amount sums the net amounts of all rates and the tax, the latter in PLN
// where the invoice gives it.
func (r *invoiceReader) amount(name, text string) {
	if !strings.HasPrefix(name, "P_13_") && !strings.HasPrefix(name, "P_14_") {
		return
	}
	value, err := decimal.NewFromString(text)
	if err != nil || !amountPattern.MatchString(text) {
		return
	}
	switch {
	case strings.HasPrefix(name, "P_13_"):
		r.out.net = r.out.net.Add(value)
	case strings.HasSuffix(name, "W"):
		if r.vatPLN == nil {
			r.vatPLN = map[string]decimal.Decimal{}
		}
		r.vatPLN[strings.TrimSuffix(name, "W")] = value
	default:
		if r.vatParts == nil {
			r.vatParts = map[string]decimal.Decimal{}
		}
		r.vatParts[name] = value
	}
}

func (r *invoiceReader) finish() invoice {
	v := r.out.values
	r.out.form.Value = v["Naglowek/KodFormularza"]
	r.out.sellerNIP = v["Podmiot1/DaneIdentyfikacyjne/NIP"]
	r.out.sellerName = v["Podmiot1/DaneIdentyfikacyjne/Nazwa"]
	r.out.number = v["Fa/P_2"]
	r.out.kind = v["Fa/RodzajFaktury"]
	r.out.issueDate = v["Fa/P_1"]
	r.out.currency = v["Fa/KodWaluty"]
	r.out.gross = v["Fa/P_15"]
	r.out.selfInvoicing = v["Fa/Adnotacje/P_17"] == "1"
	for name, value := range r.vatParts {
		if pln, given := r.vatPLN[name]; given {
			value = pln
		}
		r.out.vat = r.out.vat.Add(value)
	}
	return r.out
}
