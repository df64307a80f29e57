package samples

import (
	"bytes"
	"fmt"
	"strings"
)

// maxLines is how many FaWiersz the schema allows.
const maxLines = 10_000

// LargeXML makes an invoice from the first supplier of exactly size bytes, 3,000,000 for instance, valid FA(3) with as many long lines as fit. A size below that of an
// invoice with one line (about 3,500 bytes) gives that invoice; a size that would need more than 10,000 lines (about 8,500,000 bytes) gives an invoice with 10,000.
// Its number is like FV/2026/11/L3000000.
func LargeXML(o Options, size int) []byte {
	g := newGenerator(o)
	d := g.draft(g.suppliers[0], g.agency, "PLN", g.day(0), 1)
	d.as("VAT")
	d.number = fmt.Sprintf("FV/%04d/%02d/L%d", d.issued.Year(), d.issued.Month(), size)
	d.paidBy = "6"
	add := func(count int) {
		for range count {
			l := g.line(d, g.suppliers[0].offers[0], len(d.lines)+1)
			l.name = longName(l.number)
			d.lines = append(d.lines, l)
		}
	}
	whole := func() []byte {
		d.totals, d.gross = map[rate]total{}, 0
		d.sum(d.lines)
		return d.render()
	}
	add(1)
	invoice := whole()
	for perLine := 0; len(invoice) < size && len(d.lines) < maxLines; {
		if perLine == 0 {
			add(1)
			perLine = max(len(whole())-len(invoice), 1)
		}
		missing := (size - len(invoice)) / (perLine + 8) // numbers and totals grow by some digits
		if missing == 0 {
			break
		}
		add(min(missing, maxLines-len(d.lines)))
		invoice = whole()
	}
	for len(invoice) > size && len(d.lines) > 1 {
		d.lines = d.lines[:len(d.lines)-1]
		invoice = whole()
	}
	if missing := size - len(invoice); missing > 0 && len(d.lines) < maxLines {
		invoice = append(invoice, bytes.Repeat([]byte("\n"), missing)...)
	}
	return invoice
}

// longName is a text for P_7 of at most 512 characters.
func longName(number int) string {
	name := fmt.Sprintf("Emisja %d: ", number) + strings.Repeat("billboard 6x3 m przy drodze krajowej, ekspozycja miesięczna z podświetleniem i kontrolą; ", 10)
	return strings.TrimSpace(string([]rune(name)[:500]))
}
