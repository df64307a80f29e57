package ksefsim

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"teamogy-ksef/internal/simulator/samples"
)

// Made-up invoices are variations of so many samples: rendering and reading a
// hundred thousand samples would take much longer.
const (
	maxTemplates      = 1000
	maxLargeTemplates = 4
)

// attachmentXML is a Zalacznik of one block.
const attachmentXML = `<Zalacznik><BlokDanych><ZNaglowek>Zestawienie</ZNaglowek><MetaDane><ZKlucz>Umowa</ZKlucz><ZWartosc>SIM/1</ZWartosc></MetaDane></BlokDanych></Zalacznik>`

// template is a sample without the parts that differ between its variations:
// seller's NIP, date and number, in this order, and the end of the document.
type template struct {
	pieces  [4][]byte
	invoice invoice
	prefix  string // of the number, such as FV
	length  int    // of all pieces, in bytes
}

// documentEnd closes the document after the last piece.
const documentEnd = "</Faktura>\n"

func newTemplate(xml []byte) (template, error) {
	var t template
	var err error
	if t.invoice, err = readInvoice(xml); err != nil {
		return t, fmt.Errorf("read a sample: %w", err)
	}
	t.prefix, _, _ = strings.Cut(t.invoice.number, "/")
	rest := xml
	for i, element := range []string{"NIP", "P_1", "P_2"} { // the first NIP is the seller's
		before, after, found := bytes.Cut(rest, []byte("<"+element+">"))
		_, after, closed := bytes.Cut(after, []byte("</"+element+">"))
		if !found || !closed {
			return t, fmt.Errorf("a sample has no %s", element)
		}
		t.pieces[i] = slices.Concat(before, []byte("<"+element+">"))
		rest = slices.Concat([]byte("</"+element+">"), after)
	}
	at := bytes.LastIndex(rest, []byte("</Faktura>"))
	if at < 0 {
		return t, errors.New("a sample has no end")
	}
	t.pieces[3] = rest[:at]
	for _, piece := range t.pieces {
		t.length += len(piece)
	}
	return t, nil
}

// render writes a variation. Blanks at the end bring it to a size, or a comment
// of random characters, of which a quarter compresses away.
func (t *template) render(sellerNIP, date, number, attachment string, size int, noise bool) []byte {
	if missing := size - t.length - len(sellerNIP+date+number+attachment+documentEnd+"<!---->"); noise && missing > 0 {
		random := make([]byte, missing*3/4)
		_, _ = rand.NewChaCha8(sha256.Sum256([]byte(number))).Read(random) // never fails
		attachment += "<!--" + base64.RawStdEncoding.EncodeToString(random) + "-->"
	}
	xml := slices.Concat(t.pieces[0], []byte(sellerNIP), t.pieces[1], []byte(date), t.pieces[2], []byte(number), t.pieces[3], []byte(attachment), []byte(documentEnd))
	if missing := size - len(xml); missing > 0 {
		xml = append(xml, bytes.Repeat([]byte("\n"), missing)...)
	}
	return xml
}

// templates makes the samples that are varied.
func (b *seedRequest) templates(today time.Time) ([]template, error) {
	options := samples.Options{Seed: 1, OurNIP: b.BuyerNIP, Today: today}
	var documents [][]byte
	if b.Size > 0 && !b.Noise {
		for i := range min(b.Generate, maxLargeTemplates) {
			options.Seed = int64(i)
			documents = append(documents, bytes.TrimRight(samples.LargeXML(options, b.Size-len(attachmentXML)-100), "\n"))
		}
	} else {
		for _, sample := range samples.GenerateReceived(options, min(b.Generate, maxTemplates)) {
			documents = append(documents, sample.XML)
		}
	}
	list := make([]template, 0, len(documents))
	for _, document := range documents {
		t, err := newTemplate(document)
		if err != nil {
			return nil, err
		}
		list = append(list, t)
	}
	return list, nil
}

// generate makes up invoices and adds them to the records, on all processors:
// compressing a hundred thousand takes one about ten seconds.
func (s *Simulator) generate(records []*record, b *seedRequest, date func(*record, int), now time.Time) ([]*record, error) {
	list, err := b.templates(now.In(s.warsaw))
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	first := s.store.generated + 1
	s.store.generated += b.Generate
	s.mu.Unlock()
	session := newReference(kindSession, now)
	made := make([]*record, b.Generate)
	workers := runtime.GOMAXPROCS(0)
	var wg sync.WaitGroup
	for worker := range workers {
		wg.Go(func() {
			for i := worker; i < len(made); i += workers {
				r := &record{mode: modeOnline, invoicing: now, acquired: now, buyerNIP: b.BuyerNIP, sessionRef: session}
				date(r, len(records)+i)
				s.fill(r, b, &list[i%len(list)], first+i, i < b.Attachments)
				made[i] = r
			}
		})
	}
	wg.Wait()
	return append(records, made...), nil
}

// fill makes a record's invoice of a template: issued on the day of its
// acceptance, under a number of its own.
func (s *Simulator) fill(r *record, b *seedRequest, t *template, n int, attached bool) {
	day := s.warsawDay(r.acquired)
	r.invoice, r.form = t.invoice, t.invoice.form
	v := &r.invoice
	v.issueDate, v.attachment = day, attached
	v.number = fmt.Sprintf("%s/%s/%s/G%d", t.prefix, day[:4], day[5:7], n)
	if b.SellerNIP != "" {
		v.sellerNIP = b.SellerNIP
	}
	attachment := ""
	if attached {
		attachment = attachmentXML
	}
	r.contextNIP = v.sellerNIP
	xml := t.render(v.sellerNIP, day, v.number, attachment, b.Size, b.Noise)
	r.document, r.hash = pack(xml), hexSHA256(xml)
}
