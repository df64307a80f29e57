package samples

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"strconv"
	"time"
)

const namespace = "http://crd.gov.pl/wzor/2025/06/25/13775/"

// writer writes indented elements.
type writer struct {
	bytes.Buffer
	open []string
}

// render writes the draft as FA(3), in the order that the schema wants.
func (d *draft) render() []byte {
	w := &writer{}
	w.WriteString(xml.Header)
	w.WriteString(`<Faktura xmlns="` + namespace + `">` + "\n")
	w.open = []string{"Faktura"}
	w.begin("Naglowek")
	w.line(`<KodFormularza kodSystemowy="FA (3)" wersjaSchemy="1-0E">FA</KodFormularza>`)
	w.element("WariantFormularza", "3")
	w.element("DataWytworzeniaFa", d.madeAt())
	w.element("SystemInfo", "teamogy-ksef samples")
	w.end()
	w.party("Podmiot1", d.seller)
	w.party("Podmiot2", d.buyer)
	w.begin("Fa")
	d.renderHead(w)
	d.renderNotes(w)
	w.element("RodzajFaktury", d.kind)
	d.renderReferences(w)
	d.renderLines(w)
	d.renderPayment(w)
	d.renderOrder(w)
	w.end()
	w.begin("Stopka")
	w.begin("Informacje")
	w.element("StopkaFaktury", d.seller.name+", "+d.seller.street+", "+d.seller.town)
	w.end()
	w.end()
	w.end()
	return w.Bytes()
}

// madeAt is DataWytworzeniaFa: early on the day of issue, and not before the first moment that the schema allows.
func (d *draft) madeAt() string {
	const first = "2025-09-01T00:00:00Z"
	return max(d.issued.Format("2006-01-02T15:04:05Z"), first)
}

func (w *writer) party(element string, c company) {
	w.begin(element)
	w.begin("DaneIdentyfikacyjne")
	if c.vatID != "" {
		w.element("KodUE", c.vatID[:2])
		w.element("NrVatUE", c.vatID[2:])
	} else {
		w.element("NIP", c.nip)
	}
	w.element("Nazwa", c.name)
	w.end()
	w.begin("Adres")
	country := c.country
	if country == "" {
		country = "PL"
	}
	w.element("KodKraju", country)
	w.element("AdresL1", c.street)
	w.element("AdresL2", c.town)
	w.end()
	w.begin("DaneKontaktowe")
	w.element("Email", c.email)
	w.end()
	if element == "Podmiot2" {
		w.element("JST", "2")
		w.element("GV", "2")
	}
	w.end()
}

func (d *draft) renderHead(w *writer) {
	w.element("KodWaluty", d.currency)
	w.element("P_1", d.issued.Format(time.DateOnly))
	w.element("P_1M", d.seller.town[7:]) // after the postal code
	w.element("P_2", d.number)
	if !d.supplied.IsZero() {
		w.element("P_6", d.supplied.Format(time.DateOnly))
	}
	for _, r := range rates {
		t, ok := d.totals[r.rate]
		if !ok {
			continue
		}
		w.element(r.net, money(t.net))
		if r.tax != "" {
			w.element(r.tax, money(t.tax))
			if d.exchange > 0 {
				w.element(r.tax+"W", money(rounded(t.tax*d.exchange, 10_000)))
			}
		}
	}
	w.element("P_15", money(d.gross))
	if d.exchange > 0 && len(d.order) > 0 {
		w.element("KursWalutyZ", d.exchangeRate())
	}
}

func (d *draft) exchangeRate() string {
	return fmt.Sprintf("%d.%04d", d.exchange/10_000, d.exchange%10_000)
}

// renderNotes writes Adnotacje: none of the special procedures, but exemption and reverse charge where a rate says so.
func (d *draft) renderNotes(w *writer) {
	_, exempt := d.totals[rateExempt]
	reverse := "2"
	if _, outside := d.totals[rateOutside]; outside {
		reverse = "1"
	}
	w.begin("Adnotacje")
	w.element("P_16", "2")
	w.element("P_17", "2")
	w.element("P_18", reverse)
	w.element("P_18A", "2")
	w.begin("Zwolnienie")
	if exempt {
		w.element("P_19", "1")
		w.element("P_19A", "art. 43 ust. 1 pkt 29 ustawy o VAT")
	} else {
		w.element("P_19N", "1")
	}
	w.end()
	w.begin("NoweSrodkiTransportu")
	w.element("P_22N", "1")
	w.end()
	w.element("P_23", "2")
	w.begin("PMarzy")
	w.element("P_PMarzyN", "1")
	w.end()
	w.end()
}

func (d *draft) renderReferences(w *writer) {
	if d.reason != "" {
		w.element("PrzyczynaKorekty", d.reason)
		w.element("TypKorekty", "2")
		w.begin("DaneFaKorygowanej")
		w.element("DataWystFaKorygowanej", d.corrected.issued.Format(time.DateOnly))
		w.element("NrFaKorygowanej", d.corrected.number)
		if d.corrected.ksef != "" {
			w.element("NrKSeF", "1")
			w.element("NrKSeFFaKorygowanej", d.corrected.ksef)
		} else {
			w.element("NrKSeFN", "1")
		}
		w.end()
		if d.paidBefore != 0 {
			w.element("P_15ZK", money(d.paidBefore))
		}
	}
	if d.remark != "" {
		w.begin("DodatkowyOpis")
		w.element("Klucz", "Uwaga")
		w.element("Wartosc", d.remark)
		w.end()
	}
	if d.advance.number != "" {
		w.begin("FakturaZaliczkowa")
		if d.advance.ksef != "" {
			w.element("NrKSeFFaZaliczkowej", d.advance.ksef)
		} else {
			w.element("NrKSeFZN", "1")
			w.element("NrFaZaliczkowej", d.advance.number)
		}
		w.end()
	}
}

func (d *draft) renderLines(w *writer) {
	for _, l := range d.lines {
		w.begin("FaWiersz")
		w.element("NrWierszaFa", strconv.Itoa(l.number))
		w.element("P_7", l.name)
		if !d.short {
			w.element("P_8A", l.unit)
			w.element("P_8B", strconv.FormatInt(l.quantity, 10))
			w.element("P_9A", money(l.price))
			w.element("P_11", money(l.net()))
		}
		w.element("P_12", string(l.rate))
		if d.exchange > 0 {
			w.element("KursWaluty", d.exchangeRate())
		}
		if l.before {
			w.element("StanPrzed", "1")
		}
		w.end()
	}
}

func (d *draft) renderPayment(w *writer) {
	if d.paidBy == "" {
		return
	}
	w.begin("Platnosc")
	if d.paid {
		w.element("Zaplacono", "1")
		w.element("DataZaplaty", d.issued.Format(time.DateOnly))
		w.element("FormaPlatnosci", d.paidBy)
	} else {
		w.begin("TerminPlatnosci")
		w.element("Termin", d.issued.AddDate(0, 0, 14).Format(time.DateOnly))
		w.end()
		w.element("FormaPlatnosci", d.paidBy)
		w.begin("RachunekBankowy")
		w.element("NrRB", account(d.seller.nip))
		w.element("NazwaBanku", "Bank Przykładowy S.A.")
		w.element("OpisRachunku", d.currency)
		w.end()
	}
	w.end()
}

// renderOrder writes Zamowienie. WartoscZamowienia is what the order is worth now, with tax.
func (d *draft) renderOrder(w *writer) {
	if len(d.order) == 0 {
		return
	}
	var now []line
	for _, l := range d.order {
		if !l.before {
			now = append(now, l)
		}
	}
	w.begin("Zamowienie")
	w.element("WartoscZamowienia", money(grossOf(now)))
	for _, l := range d.order {
		w.begin("ZamowienieWiersz")
		w.element("NrWierszaZam", strconv.Itoa(l.number))
		w.element("P_7Z", l.name)
		w.element("P_8AZ", l.unit)
		w.element("P_8BZ", strconv.FormatInt(l.quantity, 10))
		w.element("P_9AZ", money(l.price))
		w.element("P_11NettoZ", money(l.net()))
		w.element("P_11VatZ", money(rounded(l.net()*l.rate.percent(), 100)))
		w.element("P_12Z", string(l.rate))
		if l.before {
			w.element("StanPrzedZ", "1")
		}
		w.end()
	}
	w.end()
}

func (w *writer) begin(name string) {
	w.line("<" + name + ">")
	w.open = append(w.open, name)
}

func (w *writer) end() {
	name := w.open[len(w.open)-1]
	w.open = w.open[:len(w.open)-1]
	w.line("</" + name + ">")
}

func (w *writer) element(name, text string) {
	var escaped bytes.Buffer
	_ = xml.EscapeText(&escaped, []byte(text)) // a bytes.Buffer takes everything
	w.line("<" + name + ">" + escaped.String() + "</" + name + ">")
}

func (w *writer) line(text string) {
	for range w.open {
		w.WriteString("  ")
	}
	w.WriteString(text + "\n")
}
