package demo

import (
	"bytes"
	"cmp"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"teamogy-ksef/internal/flow"
	"teamogy-ksef/internal/simulator/samples"
)

// company is a name and a NIP.
type company struct{ name, nip string }

// received is an invoice that KSeF holds for the demo company.
type received struct {
	xml           []byte
	number, label string
	seller        company
	supplierKnown bool // Teamogy has a company with the seller's NIP
}

// issued is an invoice that Teamogy holds as ready for KSeF.
type issued struct {
	xml           []byte
	number, label string
	kind          string // RodzajFaktury
	buyer         company
	rejected      rejection // "": to be accepted
	attachment    bool      // a structured one
	blocker       []byte    // what KSeF holds already under the same number
	blockerBuyer  string    // NIP
}

// rejection is the reason for which an invoice is to be rejected.
type rejection string

const (
	numberTaken rejection = "its number is taken in KSeF (440)"
)

// invoices are what the demo works with.
type invoices struct {
	us        company
	suppliers []company // known to Teamogy
	received  []received
	issued    []issued
}

// warsaw is the calendar that invoice dates follow.
func warsaw() *time.Location {
	if l, err := time.LoadLocation("Europe/Warsaw"); err == nil {
		return l
	}
	return time.FixedZone("CET", 3600)
}

func generatorOptions(seed int64, now time.Time) samples.Options {
	return samples.Options{Seed: seed, OurNIP: samples.NIP(1), OurName: "Demo Sp. z o.o.", Today: now.In(warsaw())}
}

// generated makes sample invoices.
func generated(seed int64, nReceived, nSent int, now time.Time) invoices {
	o := generatorOptions(seed, now)
	in := invoices{us: company{o.OurName, o.OurNIP}}
	for _, s := range samples.Suppliers(o) {
		in.suppliers = append(in.suppliers, company{s.Name, s.NIP})
	}
	if nReceived > 0 {
		for _, r := range samples.GenerateReceived(o, nReceived) {
			in.received = append(in.received, received{
				xml: r.XML, number: r.Number, seller: company{r.SellerName, r.SellerNIP}, supplierKnown: r.SupplierKnown,
				label: fmt.Sprintf("%s from %s, %s %s", r.Number, r.SellerName, flow.Amount(r.Gross), r.Currency),
			})
		}
	}
	if nSent > 0 {
		for _, s := range samples.GenerateIssued(o, nSent) {
			i := issued{
				xml: s.XML, number: s.Number, kind: s.Kind, buyer: company{s.BuyerName, s.BuyerNIP},
				label: fmt.Sprintf("%s to %s, %s %s", s.Number, s.BuyerName, flow.Amount(s.Gross), s.Currency),
			}
			if s.Expect == samples.Duplicate {
				i.rejected, i.blocker, i.blockerBuyer = numberTaken, s.Blocker, cmp.Or(s.BuyerNIP, samples.NIP(2))
			}
			in.issued = append(in.issued, i)
		}
	}
	return in
}

// fromFolder takes the FA(3) files of a folder: received with their bytes
// untouched, issued with only the seller's NIP and the number adapted. A generated
// invoice whose number is taken joins them, so that a rejection is always seen.
func fromFolder(folder string, seed int64, now time.Time) (invoices, error) {
	o := generatorOptions(seed, now)
	in := invoices{us: company{o.OurName, o.OurNIP}}
	paths, err := filepath.Glob(filepath.Join(folder, "*.xml"))
	if err != nil {
		return in, fmt.Errorf("list the invoices of %s: %w", folder, err)
	}
	if len(paths) == 0 {
		return in, fmt.Errorf("there is no *.xml file in %s: name a folder with FA(3) invoices", folder)
	}
	slices.SortFunc(paths, naturally)
	for n, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			return in, fmt.Errorf("read an invoice: %w", err)
		}
		name := filepath.Base(path)
		head, err := readHead(data)
		if err != nil {
			return in, fmt.Errorf("read the invoice %s: %w", path, err)
		}
		known := head.Seller.NIP != ""
		if known && !slices.ContainsFunc(in.suppliers, func(c company) bool { return c.nip == head.Seller.NIP }) {
			in.suppliers = append(in.suppliers, company{cmp.Or(head.Seller.Name, "NIP "+head.Seller.NIP), head.Seller.NIP})
		}
		in.received = append(in.received, received{
			xml: data, number: head.Number, seller: company{head.Seller.Name, head.Seller.NIP}, supplierKnown: known,
			label: labelled(head.Number, "from", head.Seller.Name, name),
		})

		number := fmt.Sprintf("DEMO/%s/%03d", now.In(warsaw()).Format("2006/01"), n+1)
		adapted, err := samples.Adapt(data, o.OurNIP, number)
		if err != nil {
			return in, fmt.Errorf("adapt the invoice %s to the demo company: %w", path, err)
		}
		i := issued{
			xml: adapted, number: number, kind: head.Kind, buyer: company{head.Buyer.Name, head.Buyer.NIP},
			label: labelled(number, "to", head.Buyer.Name, name), attachment: bytes.Contains(data, []byte("<Zalacznik>")),
		}
		in.issued = append(in.issued, i)
	}
	extra := generated(seed, 0, 2, now).issued
	in.issued = append(in.issued, extra[len(extra)-1])
	return in, nil
}

// labelled names an invoice of a file.
func labelled(number, preposition, party, file string) string {
	if party == "" {
		return fmt.Sprintf("%s (%s)", number, file)
	}
	return fmt.Sprintf("%s %s %s (%s)", number, preposition, party, file)
}

// head is what the demo shows of an invoice. It is read without the product's
// own reader, because the demo is a witness.
type head struct {
	Seller struct {
		NIP  string `xml:"NIP"`
		Name string `xml:"Nazwa"`
	} `xml:"Podmiot1>DaneIdentyfikacyjne"`
	Buyer struct {
		NIP  string `xml:"NIP"`
		Name string `xml:"Nazwa"`
	} `xml:"Podmiot2>DaneIdentyfikacyjne"`
	Number string `xml:"Fa>P_2"`
	Kind   string `xml:"Fa>RodzajFaktury"`
}

func readHead(data []byte) (head, error) {
	var h head
	d := xml.NewDecoder(bytes.NewReader(data))
	d.CharsetReader = func(string, io.Reader) (io.Reader, error) { return nil, errors.New("only UTF-8 is read") }
	if err := d.Decode(&h); err != nil {
		return h, err
	}
	return h, nil
}

// salesType is the Teamogy document type for a kind of issued invoice.
func salesType(kind string) string {
	switch {
	case strings.HasPrefix(kind, "KOR"):
		return "INVOICE.SALES.CORRECTION"
	case kind == "ZAL":
		return "INVOICE.SALES.PREPAYMENT"
	}
	return "INVOICE.SALES"
}

// naturally compares names as people sort them: _2 before _10.
func naturally(a, b string) int {
	for a != "" && b != "" {
		na, nb := digits(a), digits(b)
		if na > 0 && nb > 0 {
			x, y := strings.TrimLeft(a[:na], "0"), strings.TrimLeft(b[:nb], "0")
			if c := cmp.Or(cmp.Compare(len(x), len(y)), strings.Compare(x, y)); c != 0 {
				return c
			}
			a, b = a[na:], b[nb:]
			continue
		}
		if c := cmp.Compare(a[0], b[0]); c != 0 {
			return c
		}
		a, b = a[1:], b[1:]
	}
	return cmp.Compare(len(a), len(b))
}

// digits is how many digits a name begins with.
func digits(s string) int {
	n := strings.IndexFunc(s, func(r rune) bool { return r < '0' || r > '9' })
	if n < 0 {
		return len(s)
	}
	return n
}
