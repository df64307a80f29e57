// Package samples makes invoices for the simulators, the demo and the tests: valid FA(3) of an invented Polish advertising agency, its suppliers and its clients.
//
// It imports nothing of the product, so that it can bear witness: what it writes is checked against the Ministry's schema, not against the product's own reader.
// The same options always give the same bytes.
package samples

import (
	"math/rand/v2"
	"time"
)

// Options says for whom and for which day samples are made.
type Options struct {
	Seed    int64     // changes quantities, prices and dates; companies and numbers stay the same
	OurNIP  string    // the agency's NIP: buyer of what is received, seller of what is issued; empty = NIP(1)
	OurName string    // empty = an invented name
	Today   time.Time // the present calendar day in Warsaw, of which year, month and day count; zero = now, in UTC
}

// Received is an invoice that a supplier issued to the agency.
type Received struct {
	XML           []byte
	Number        string // P_2
	SellerNIP     string
	SellerName    string
	Currency      string // PLN or EUR
	Gross         string // P_15 with two decimals
	Kind          string // RodzajFaktury
	SupplierKnown bool   // the seller is one of Suppliers
}

// Issued is an invoice that the agency issues to a client.
type Issued struct {
	XML       []byte
	Number    string // P_2
	BuyerNIP  string // empty for a client abroad
	BuyerName string
	Currency  string // PLN or EUR
	Gross     string // P_15 with two decimals
	Kind      string // RodzajFaktury
	IssueDate string // P_1, YYYY-MM-DD

	Expect  string // what KSeF will say: Accepted or Duplicate
	Blocker []byte // for Duplicate: another valid invoice with the same seller, kind and number, which KSeF has to hold already
}

// The values of Issued.Expect.
const (
	Accepted  = "accepted"
	Duplicate = "duplicate"
)

// scenario is one way of filling an invoice.
type scenario struct {
	currency string
	fill     func(*generator, *draft)
}

// receivedScenarios are gone through in turn. Together with the eight suppliers (see companies.go) the first eleven show every kind, PLN and EUR,
// and the rates 23, 8, 0 and exempt.
var receivedScenarios = []scenario{
	{"PLN", (*generator).ordinary},
	{"EUR", (*generator).advance},
	{"PLN", (*generator).correction},
	{"PLN", (*generator).final},
	{"PLN", (*generator).ordinary},
	{"PLN", (*generator).ordinary},
	{"PLN", (*generator).simplified},
	{"EUR", (*generator).ordinary},
	{"PLN", (*generator).correctedFinal},
	{"PLN", (*generator).advance},
	{"PLN", (*generator).correctedAdvance},
}

// issuedScenarios: the first seven show every kind, PLN and EUR.
var issuedScenarios = []scenario{
	{"PLN", (*generator).ordinary},
	{"PLN", (*generator).correction},
	{"EUR", (*generator).advance},
	{"PLN", (*generator).final},
	{"PLN", (*generator).simplified},
	{"PLN", (*generator).correctedAdvance},
	{"EUR", (*generator).correctedFinal},
	{"EUR", (*generator).ordinary},
	{"EUR", (*generator).serviceAbroad},
	{"PLN", (*generator).exempt},
	{"PLN", (*generator).periodicals},
	{"PLN", (*generator).internationalTransport},
}

// GenerateReceived makes n (at least 1) invoices from suppliers, oldest first, dated within the last 19 days. From 12 on every kind is among them. When n is more than 1
// the last one is from a supplier that Suppliers does not have.
func GenerateReceived(o Options, n int) []Received {
	g := newGenerator(o)
	made := make([]Received, max(n, 1))
	for i := range made {
		s := receivedScenarios[i%len(receivedScenarios)]
		known := len(made) == 1 || i < len(made)-1
		seller := g.suppliers[i%len(g.suppliers)]
		if !known {
			s, seller = scenario{"PLN", (*generator).ordinary}, g.stranger
		}
		age := 18 - 18*i/max(len(made)-1, 1)
		d := g.draft(seller, g.agency, s.currency, g.day(-age), i+1)
		s.fill(g, d)
		made[i] = Received{
			XML: d.render(), Number: d.number, SellerNIP: seller.nip, SellerName: seller.name,
			Currency: d.currency, Gross: money(d.gross), Kind: d.kind, SupplierKnown: known,
		}
	}
	return made
}

// GenerateIssued makes n (at least 1) invoices to clients, dated today, every fifth yesterday. From 8 on every kind is among them. When n is more than 1 the last one is a Duplicate,
// which no local check can foresee.
func GenerateIssued(o Options, n int) []Issued {
	g := newGenerator(o)
	made := make([]Issued, max(n, 1))
	for i := range made {
		s := issuedScenarios[i%len(issuedScenarios)]
		duplicate := len(made) > 1 && i == len(made)-1
		if duplicate {
			s = scenario{"PLN", (*generator).ordinary}
		}
		d := g.draft(g.agency, g.clients[i%len(g.clients)], s.currency, g.day(-(i%5)/4), i+1)
		s.fill(g, d)
		made[i] = Issued{
			XML: d.render(), Number: d.number, BuyerNIP: d.buyer.nip, BuyerName: d.buyer.name,
			Currency: d.currency, Gross: money(d.gross), Kind: d.kind, IssueDate: d.issued.Format(time.DateOnly), Expect: Accepted,
		}
		if duplicate {
			blocker := g.draft(g.agency, g.clients[(i+1)%len(g.clients)], "PLN", d.issued, i+1)
			g.ordinary(blocker)
			blocker.remark = "Numer wykorzystany w programie do fakturowania oddziału w Krakowie"
			made[i].Expect, made[i].Blocker = Duplicate, blocker.render()
		}
	}
	return made
}

// generator holds what the invoices of one call share.
type generator struct {
	random    *rand.Rand
	today     time.Time // midnight UTC of the day
	agency    company
	suppliers []company
	stranger  company
	clients   []company
	abroad    company
}

func newGenerator(o Options) *generator {
	today := o.Today
	if today.IsZero() {
		today = time.Now().UTC()
	}
	g := &generator{
		random: rand.New(rand.NewPCG(uint64(o.Seed), 3)), //nolint:gosec // samples, no secrets
		today:  time.Date(today.Year(), today.Month(), today.Day(), 0, 0, 0, 0, time.UTC),
		agency: agency(o),
		abroad: abroad,
	}
	taken := map[string]bool{g.agency.nip: true}
	g.suppliers = numbered(supplierList, 100, taken)
	g.clients = numbered(clientList, 200, taken)
	g.stranger = numbered([]company{strangerCompany}, 300, taken)[0]
	return g
}

// day returns a day counted from today.
func (g *generator) day(days int) time.Time { return g.today.AddDate(0, 0, days) }

// between returns a number from low to high, both included.
func (g *generator) between(low, high int64) int64 { return low + g.random.Int64N(high-low+1) }
