package samples

import (
	"fmt"
	"time"
)

// rate is a value of P_12.
type rate string

const (
	rate23      rate = "23"
	rate8       rate = "8"
	rate0       rate = "0 KR"  // 0 % in Poland
	rateExempt  rate = "zw"    // exempt
	rateOutside rate = "np II" // service to a taxpayer in the European Union, who settles the tax
)

// rates in the order in which the schema wants their totals.
var rates = []struct {
	rate     rate
	percent  int64
	net, tax string // elements; tax is empty where none is shown
}{
	{rate23, 23, "P_13_1", "P_14_1"},
	{rate8, 8, "P_13_2", "P_14_2"},
	{rate0, 0, "P_13_6_1", ""},
	{rateExempt, 0, "P_13_7", ""},
	{rateOutside, 0, "P_13_9", ""},
}

func (r rate) percent() int64 {
	for _, known := range rates {
		if known.rate == r {
			return known.percent
		}
	}
	return 0
}

// line is one FaWiersz or ZamowienieWiersz. Amounts are in hundredths of the currency.
type line struct {
	name     string
	unit     string
	quantity int64
	price    int64
	rate     rate
	before   bool // on corrections: as it was
	number   int  // NrWierszaFa; a line and its state before share one
}

func (l line) net() int64 { return l.quantity * l.price }

// total is the sum of one rate.
type total struct{ net, tax int64 }

// draft is an invoice before it is written as XML.
type draft struct {
	number   string
	kind     string
	currency string
	exchange int64 // PLN for one unit of a foreign currency, in ten-thousandths
	issued   time.Time
	supplied time.Time // zero = not said
	seller   company
	buyer    company

	lines []line
	order []line // Zamowienie, for advance invoices
	short bool   // lines without quantity and price (simplified invoices)

	totals map[rate]total
	gross  int64

	reason     string // PrzyczynaKorekty; with it come corrected and paidBefore
	corrected  reference
	paidBefore int64     // P_15ZK
	advance    reference // FakturaZaliczkowa
	paid       bool
	paidBy     string // FormaPlatnosci; empty = nothing is said about payment
	remark     string

	sequence int
}

// reference points to an earlier invoice.
type reference struct {
	number string
	issued time.Time
	ksef   string // empty: it was issued outside KSeF
}

// prefixes of the numbers of each kind.
var prefixes = map[string]string{
	"VAT": "FV", "KOR": "KOR", "ZAL": "FZ", "ROZ": "FR", "UPR": "FU", "KOR_ZAL": "KORZ", "KOR_ROZ": "KORR",
}

func (g *generator) draft(seller, buyer company, currency string, issued time.Time, sequence int) *draft {
	d := &draft{currency: currency, issued: issued, seller: seller, buyer: buyer, totals: map[rate]total{}, sequence: sequence}
	if currency != "PLN" {
		d.exchange = g.between(42_000, 43_800)
	}
	return d
}

// as fixes the kind and with it the number, such as FV/2026/11/7.
func (d *draft) as(kind string) {
	d.kind = kind
	d.number = fmt.Sprintf("%s/%04d/%02d/%d", prefixes[kind], d.issued.Year(), d.issued.Month(), d.sequence)
}

// sum computes the totals of lines: those that are, less those that were.
func (d *draft) sum(lines []line) {
	net := map[rate]int64{}
	for _, l := range lines {
		if l.before {
			net[l.rate] -= l.net()
		} else {
			net[l.rate] += l.net()
		}
	}
	for r, amount := range net {
		d.add(r, amount, rounded(amount*r.percent(), 100))
	}
}

// addGross adds an amount that contains the tax.
func (d *draft) addGross(r rate, gross int64) {
	net := rounded(gross*100, 100+r.percent())
	d.add(r, net, gross-net)
}

func (d *draft) add(r rate, net, tax int64) {
	t := d.totals[r]
	d.totals[r] = total{net: t.net + net, tax: t.tax + tax}
	d.gross += net + tax
}

// rounded divides and rounds half away from zero, as Polish tax law does.
func rounded(amount, by int64) int64 {
	if amount < 0 {
		return -rounded(-amount, by)
	}
	return (amount + by/2) / by
}

// money writes hundredths as the schema wants amounts.
func money(hundredths int64) string {
	sign := ""
	if hundredths < 0 {
		sign, hundredths = "-", -hundredths
	}
	return fmt.Sprintf("%s%d.%02d", sign, hundredths/100, hundredths%100)
}
