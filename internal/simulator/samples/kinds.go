package samples

// The ways of filling a draft, one for each kind of invoice (RodzajFaktury) and some for special rates.

// ordinary fills a VAT invoice with two to four lines.
func (g *generator) ordinary(d *draft) {
	d.as("VAT")
	d.supplied = d.issued.AddDate(0, 0, -int(g.between(0, 5)))
	for i := range int(g.between(2, 4)) {
		d.lines = append(d.lines, g.line(d, d.seller.offers[i%len(d.seller.offers)], i+1))
	}
	d.sum(d.lines)
	d.paidBy = "6"
}

// special fills a VAT invoice with lines that the agency sells rarely.
func (g *generator) special(d *draft, offers ...offer) {
	d.as("VAT")
	d.supplied = d.issued
	for i, o := range offers {
		d.lines = append(d.lines, g.line(d, o, i+1))
	}
	d.sum(d.lines)
	d.paidBy = "6"
}

func (g *generator) exempt(d *draft) {
	g.special(d, offer{"Szkolenie zawodowe finansowane ze środków publicznych", "os.", 700, 1_400, 10, rateExempt}, d.seller.offers[1])
}

func (g *generator) periodicals(d *draft) {
	g.special(d, offer{"Magazyn klienta (ISSN), nakład drukowany", "egz.", 4, 11, 4_000, rate8}, d.seller.offers[1])
}

func (g *generator) internationalTransport(d *draft) {
	g.special(d, offer{"Transport międzynarodowy ekspozycji targowej", "kurs", 2_600, 7_200, 2, rate0}, d.seller.offers[3])
}

// serviceAbroad fills an invoice to a taxpayer in the European Union, who settles the tax.
func (g *generator) serviceAbroad(d *draft) {
	d.buyer = g.abroad
	g.special(d, offer{"Kampania display na rynek niemiecki, prowadzenie", "mies.", 9_000, 24_000, 2, rateOutside})
}

// correction fills a KOR invoice: a discount on the first line, which is shown before and after.
func (g *generator) correction(d *draft) {
	d.as("KOR")
	d.reason = "Rabat 10% za osiągnięcie progu zakupów"
	d.corrected = g.earlier(d, "VAT", 25)
	before := g.line(d, d.seller.offers[0], 1)
	after := before
	before.before = true
	after.price -= rounded(after.price, 10)
	d.lines = []line{before, after}
	d.sum(d.lines)
}

// advance fills a ZAL invoice: 30 % of an order, paid.
func (g *generator) advance(d *draft) {
	d.as("ZAL")
	d.supplied = d.issued
	d.order = g.orderOf(d)
	d.addGross(d.order[0].rate, rounded(grossOf(d.order)*30, 100))
	d.paid, d.paidBy = true, "6"
}

// final fills a ROZ invoice: the whole supply on its lines, the rest to pay in its totals.
func (g *generator) final(d *draft) {
	d.as("ROZ")
	d.supplied = d.issued
	d.lines = g.orderOf(d)
	d.advance = g.earlier(d, "ZAL", 40)
	whole := grossOf(d.lines)
	d.addGross(d.lines[0].rate, whole-rounded(whole*30, 100))
	d.paidBy = "6"
}

// simplified fills an UPR invoice: at most 450 PLN or 100 EUR, no quantities or prices, paid by card.
func (g *generator) simplified(d *draft) {
	d.as("UPR")
	most := int64(450_00)
	if d.currency == "EUR" {
		most = 100_00
	}
	o := d.seller.offers[0]
	d.lines = []line{{name: o.name, rate: o.rate, number: 1}}
	d.short = true
	d.addGross(o.rate, g.between(most/4, most))
	d.paid, d.paidBy = true, "2"
}

// correctedAdvance fills a KOR_ZAL invoice: the advance was higher than invoiced.
func (g *generator) correctedAdvance(d *draft) {
	d.as("KOR_ZAL")
	d.reason = "Zaniżona kwota otrzymanej zaliczki"
	d.corrected = g.earlier(d, "ZAL", 30)
	order := g.orderOf(d)
	d.order = beforeAndAfter(order)
	d.paidBefore = rounded(grossOf(order)*20, 100)
	d.addGross(order[0].rate, rounded(grossOf(order)*10, 100))
}

// correctedFinal fills a KOR_ROZ invoice: the rest to pay was too low.
func (g *generator) correctedFinal(d *draft) {
	d.as("KOR_ROZ")
	d.reason = "Błędnie rozliczona zaliczka: zaniżona kwota pozostała do zapłaty"
	d.corrected = g.earlier(d, "ROZ", 12)
	d.advance = g.earlier(d, "ZAL", 40)
	lines := g.orderOf(d)
	d.lines = beforeAndAfter(lines)
	d.paidBefore = rounded(grossOf(lines)*60, 100)
	d.addGross(lines[0].rate, rounded(grossOf(lines)*10, 100))
}

// line makes a line of an offer, in the currency of the draft.
func (g *generator) line(d *draft, o offer, number int) line {
	price := g.between(o.low*100, o.high*100)
	if d.exchange > 0 {
		price = rounded(price*10_000, d.exchange)
	}
	return line{name: o.name, unit: o.unit, quantity: g.between(1, o.quantity), price: max(price, 1), rate: o.rate, number: number}
}

// orderOf makes the lines of an order: all the seller's offers at the rate of its first one, so that an advance can be split by one rate.
func (g *generator) orderOf(d *draft) []line {
	var lines []line
	for _, o := range d.seller.offers {
		if o.rate == d.seller.offers[0].rate && len(lines) < 3 {
			lines = append(lines, g.line(d, o, len(lines)+1))
		}
	}
	return lines
}

// grossOf is the sum of lines of one rate with tax.
func grossOf(lines []line) int64 {
	var net int64
	for _, l := range lines {
		net += l.net()
	}
	return net + rounded(net*lines[0].rate.percent(), 100)
}

// beforeAndAfter repeats each line as it was and as it is.
func beforeAndAfter(lines []line) []line {
	var both []line
	for _, after := range lines {
		before := after
		before.before = true
		both = append(both, before, after)
	}
	return both
}

// earlier points to an invoice that the seller issued some days before. Every fourth was issued outside KSeF.
func (g *generator) earlier(d *draft, kind string, days int) reference {
	issued := d.issued.AddDate(0, 0, -days-int(g.between(0, 9)))
	earlier := draft{issued: issued, sequence: int(g.between(1, 400))}
	earlier.as(kind)
	r := reference{number: earlier.number, issued: issued}
	if random := g.random.Uint64(); d.sequence%4 != 0 {
		r.ksef = ksefNumber(d.seller.nip, issued, random)
	}
	return r
}
