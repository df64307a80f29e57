package ksefsim

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"
)

// opSeed is seeding as faults call it.
const opSeed = "POST /_sim/seed"

// seedRequest is the body of POST /_sim/seed: invoices to be held as already
// accepted, given one by one, or made up, or both.
type seedRequest struct {
	BuyerNIP string        `json:"buyerNip"` // to whom they are shown, whatever they say inside
	Invoices []seedInvoice `json:"invoices"`

	Generate    int    `json:"generate"`    // how many to make up
	SellerNIP   string `json:"sellerNip"`   // of the made-up ones; empty: several suppliers
	Size        int    `json:"size"`        // of each made-up one, in bytes; 0: about 3,000
	Noise       bool   `json:"noise"`       // the size is reached by what hardly compresses
	Attachments int    `json:"attachments"` // how many of the made-up ones have one, from the first on

	// Spread distributes the times of acceptance and storage evenly over that
	// long before now, for example "72h": history, to be seeded before anybody
	// asks. SameInstant gives all the same time of storage.
	Spread      string `json:"spread"`
	SameInstant bool   `json:"sameInstant"`
}

// seedInvoice is one invoice. The optional fields replace what the XML says;
// they are all there is for an XML that cannot be read.
type seedInvoice struct {
	XML           []byte `json:"xml"`
	KSeFNumber    string `json:"ksefNumber"`
	InvoiceNumber string `json:"invoiceNumber"`
	SellerNIP     string `json:"sellerNip"`
	SellerName    string `json:"sellerName"`
	Gross         string `json:"gross"`
	Currency      string `json:"currency"`
	IssueDate     string `json:"issueDate"`
}

// Bounds of what can be made up.
const (
	maxGenerated     = 1_000_000
	maxGeneratedSize = maxInvoiceAttachmentBytes
)

// check refuses what makes no sense and gives the spread.
func (b *seedRequest) check() (spread time.Duration, err error) {
	for name, nip := range map[string]string{"buyerNip": b.BuyerNIP, "sellerNip": b.SellerNIP} {
		if nip != "" && !nipPattern.MatchString(nip) {
			return 0, fmt.Errorf("%s %q is no NIP", name, nip)
		}
	}
	for i, seed := range b.Invoices {
		switch {
		case len(seed.XML) == 0:
			return 0, fmt.Errorf("invoice %d: xml is empty", i)
		case seed.KSeFNumber != "" && !ksefNumberPattern.MatchString(seed.KSeFNumber):
			return 0, fmt.Errorf("invoice %d: ksefNumber %q is no KSeF number", i, seed.KSeFNumber)
		case seed.SellerNIP != "" && !nipPattern.MatchString(seed.SellerNIP):
			return 0, fmt.Errorf("invoice %d: sellerNip %q is no NIP", i, seed.SellerNIP)
		}
	}
	switch {
	case b.Generate < 0 || b.Generate > maxGenerated:
		return 0, fmt.Errorf("generate %d: must be 0 to %d", b.Generate, maxGenerated)
	case b.Noise && b.Size == 0:
		return 0, errors.New("noise needs a size")
	case b.Generate == 0 && (b.SellerNIP != "" || b.Size != 0 || b.Attachments != 0):
		return 0, errors.New("sellerNip, size and attachments are for invoices that are made up: generate is missing")
	case b.Size < 0 || b.Size > maxGeneratedSize:
		return 0, fmt.Errorf("size %d: must be 0 to %d", b.Size, maxGeneratedSize)
	case b.Attachments < 0 || b.Attachments > b.Generate:
		return 0, fmt.Errorf("attachments %d: must be 0 to generate", b.Attachments)
	}
	if b.Spread != "" {
		if spread, err = time.ParseDuration(b.Spread); err != nil || spread <= 0 {
			return 0, fmt.Errorf("spread %q: must be a duration such as \"72h\"", b.Spread)
		}
		if b.SameInstant {
			return 0, errors.New("spread and sameInstant exclude each other")
		}
	}
	return spread, nil
}

func (s *Simulator) simSeed(r *http.Request) (any, error) {
	body, err := readSeed(r)
	if err != nil {
		return nil, err
	}
	spread, err := body.check()
	if err != nil {
		return nil, err
	}
	now := s.now()
	records := make([]*record, 0, len(body.Invoices)+body.Generate)
	for _, seed := range body.Invoices {
		records = append(records, s.seeded(body.BuyerNIP, seed, now))
	}
	total := len(body.Invoices) + body.Generate
	for i := range records {
		s.backdate(records[i], i, total, spread)
	}
	if body.Generate > 0 {
		if records, err = s.generate(records, &body, func(r *record, i int) { s.backdate(r, i, total, spread) }, now); err != nil {
			return nil, err
		}
	}
	for _, rec := range records {
		if f := s.faults.strike(faultBehindHWM, opSeed); f != nil {
			rec.lateBy = s.delay(f)
		}
	}

	s.lock(now)
	defer s.mu.Unlock()
	// Making them up took a while. Read under the lock, so that no query has seen
	// a later high-water mark.
	if spread == 0 {
		now = s.now()
		for _, rec := range records {
			rec.invoicing, rec.acquired = now, now
		}
	}
	given := map[string]bool{}
	for _, rec := range records[:len(body.Invoices)] {
		if rec.number != "" && (given[rec.number] || s.store.byNumber[rec.number] != nil) {
			return nil, fmt.Errorf("KSeF number %s is taken", rec.number)
		}
		given[rec.number] = true
	}
	s.acceptAll(records, body.SameInstant)
	list := make([]map[string]string, 0, len(body.Invoices))
	for _, rec := range records[:len(body.Invoices)] {
		list = append(list, map[string]string{
			"ksefNumber": rec.number, "sha256": rec.hash, "invoiceNumber": rec.invoice.number,
		})
	}
	answer := map[string]any{"invoices": list}
	if body.Generate > 0 {
		answer["count"] = body.Generate
		answer["firstKsefNumber"] = records[len(body.Invoices)].number
		answer["lastKsefNumber"] = records[len(records)-1].number
	}
	return answer, nil
}

// backdate makes the i-th of some invoices one that KSeF got in the past, if
// they are spread over it.
func (s *Simulator) backdate(r *record, i, total int, spread time.Duration) {
	if spread == 0 {
		return
	}
	ago := spread - time.Duration(float64(spread)*float64(i+1)/float64(total))
	r.acquired = r.acquired.Add(-ago).Truncate(100 * time.Nanosecond)
	r.invoicing, r.stored = r.acquired, r.acquired.Add(s.cfg.StorageDelay)
}

// seeded makes the record of a seeded invoice. Its session is one of nobody.
func (s *Simulator) seeded(buyerNIP string, seed seedInvoice, now time.Time) *record {
	v, err := readInvoice(seed.XML)
	if err != nil {
		v = invoice{} // half of a broken document is worth nothing
	}
	for field, given := range map[*string]string{
		&v.number: seed.InvoiceNumber, &v.sellerNIP: seed.SellerNIP, &v.sellerName: seed.SellerName,
		&v.gross: seed.Gross, &v.currency: seed.Currency, &v.issueDate: seed.IssueDate,
	} {
		if given != "" {
			*field = given
		}
	}
	form := v.form
	if !slices.Contains(formCodes, form) {
		form = formCode{"FA (3)", "1-0E", "FA"}
	}
	return &record{
		number: seed.KSeFNumber, document: pack(seed.XML), hash: hexSHA256(seed.XML), invoice: v, form: form,
		mode: modeOnline, invoicing: now, acquired: now, buyerNIP: buyerNIP, sessionRef: newReference(kindSession, now),
		contextNIP: v.sellerNIP,
	}
}

// invoicePage is what GET /_sim/invoices was asked for.
type invoicePage struct {
	asked         bool // otherwise everything
	limit, offset int
	context       string // NIP on the invoices; "" for all
}

func readInvoicePage(r *http.Request) (invoicePage, error) {
	q := r.URL.Query()
	page := invoicePage{asked: len(q) > 0, context: q.Get("context")}
	for name := range q {
		if !slices.Contains([]string{"limit", "offset", "context"}, name) {
			return page, fmt.Errorf("parameter %q: must be limit, offset or context", name)
		}
	}
	if page.context != "" && !nipPattern.MatchString(page.context) {
		return page, fmt.Errorf("context %q is no NIP", page.context)
	}
	var err error
	if page.limit, err = count(q, "limit", 1000); err == nil {
		page.offset, err = count(q, "offset", 0)
	}
	return page, err
}

func count(q url.Values, name string, standard int) (int, error) {
	text := q.Get(name)
	if text == "" {
		return standard, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("%s %q: must be a number, 0 or more", name, text)
	}
	return n, nil
}

// of gives the records of the page and how many there are on all pages.
func (p invoicePage) of(records []*record) (shown []*record, total int) {
	if !p.asked {
		return records, len(records)
	}
	for _, r := range records {
		if p.context != "" && !visibleTo(r, p.context) {
			continue
		}
		if total++; total > p.offset && len(shown) < p.limit {
			shown = append(shown, r)
		}
	}
	return shown, total
}
