package ksefsim

import (
	"crypto/sha256"
	"net/http"
	"time"
)

// maxQueryRecords is how many invoices a query can reach and an export holds,
// unless Config.QueryRecords says otherwise.
const maxQueryRecords = 10_000

// queryMetadata answers POST /invoices/query/metadata.
func (s *Simulator) queryMetadata(c *call) (*reply, error) {
	var q invoiceFilters
	if err := c.decode(&q); err != nil {
		return nil, err
	}
	size, err := c.queryInt("pageSize", 10, 10, 250)
	if err != nil {
		return nil, err
	}
	page, err := c.queryInt("pageOffset", 0, 0, s.cfg.QueryRecords)
	if err != nil {
		return nil, err
	}
	if page*size >= s.cfg.QueryRecords {
		return nil, invalid("Tak daleko sięga się tylko krótszym zakresem dat (najwyżej 10 000 faktur).")
	}
	descending := false
	switch order := c.r.URL.Query().Get("sortOrder"); order {
	case "", "Asc":
	case "Desc":
		descending = true
	default:
		return nil, invalid("sortOrder: Asc albo Desc.")
	}
	if err := q.check(); err != nil {
		return nil, err
	}
	within, err := s.pagedRange(c, &q, page)
	if err != nil {
		return nil, err
	}
	if within.beyond {
		return nil, refuse(21183, "dateRange.from leży za PermanentStorageHwmDate.")
	}

	first, end := page*size, min(page*size+size, s.cfg.QueryRecords)
	s.lock(c.now)
	found := s.find(c.token.auth.context.nip, &q, within, c.now, descending, end+1)
	s.mu.Unlock()
	doc := struct {
		HasMore   bool          `json:"hasMore"`
		Truncated bool          `json:"isTruncated"`
		HWM       *string       `json:"permanentStorageHwmDate,omitempty"`
		Invoices  []metadataDoc `json:"invoices"`
	}{HasMore: len(found) > end, HWM: stampOrNil(within.hwm), Invoices: []metadataDoc{}}
	doc.Truncated = doc.HasMore && end == s.cfg.QueryRecords
	for _, r := range found[min(first, len(found)):min(end, len(found))] {
		doc.Invoices = append(doc.Invoices, metadataOf(r))
	}
	return jsonReply(http.StatusOK, doc)
}

// find gives the first invoices of a query in the order of its date, at most as
// many as are wanted, of those that can be seen at a time. The lock must be held.
func (s *Simulator) find(nip string, q *invoiceFilters, within queryRange, at time.Time, descending bool, wanted int) []*record {
	seen := s.store.views[viewKey{nip, q.SubjectType}]
	if seen == nil || within.from.After(within.to) {
		return nil
	}
	var found []*record
	for r := range ordered(seen.within(within), descending) {
		if r.visible.After(at) || !q.matches(r) {
			continue
		}
		if found = append(found, r); len(found) == wanted {
			break
		}
	}
	return found
}

// hwm is permanentStorageHwmDate for a call: up to it, nothing will be added. A
// fault moves it back where the answer shows it.
func (s *Simulator) hwm(c *call, q *invoiceFilters) (hwm time.Time, moved bool) {
	hwm = c.now.Add(-s.cfg.HWMDelay)
	if q.DateRange == nil || q.DateRange.DateType != datePermanentStorage {
		return hwm, false
	}
	if f := c.strike(faultHWMBack); f != nil {
		return hwm.Add(-f.duration()), true
	}
	return hwm, false
}

// pagedHWMs hold the range of a query between its pages: KSeF gives the same
// permanentStorageHwmDate on all of them.
type pagedHWMs map[[sha256.Size]byte]pagedRange

type pagedRange struct {
	queryRange
	asked time.Time
}

// pagedLife is how long the pages of a query belong together.
const pagedLife = 15 * time.Minute

// pagedRange is the range of a query; on its further pages that of the first.
func (s *Simulator) pagedRange(c *call, q *invoiceFilters, page int) (queryRange, error) {
	key := sha256.Sum256(append([]byte(c.token.auth.context.kind+" "+c.token.auth.context.value+"\n"), c.body...))
	hwm, moved := s.hwm(c, q)
	within, err := s.checkRange(q, c.now, hwm)
	if err != nil {
		return within, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	pages := s.store.pages
	if earlier, known := pages[key]; known && page > 0 && !moved && c.now.Sub(earlier.asked) < pagedLife {
		return earlier.queryRange, nil
	}
	if len(pages) >= 1000 {
		for other, p := range pages {
			if c.now.Sub(p.asked) >= pagedLife {
				delete(pages, other)
			}
		}
	}
	pages[key] = pagedRange{queryRange: within, asked: c.now}
	return within, nil
}

// download answers GET /invoices/ksef/{ksefNumber} with the bytes as issued.
func (s *Simulator) download(c *call) (*reply, error) {
	name := c.r.PathValue("ksefNumber")
	if !ksefNumberPattern.MatchString(name) {
		return nil, invalid("ksefNumber: to nie jest numer KSeF.")
	}
	s.lock(c.now)
	r := s.store.byNumber[name]
	s.mu.Unlock()
	switch {
	case r == nil || !visibleTo(r, c.token.auth.context.nip):
		return nil, refuse(21164, "Faktury "+name+" nie ma.")
	case r.visible.After(c.now):
		return nil, refuse(21165, "Faktura "+name+" jest przyjęta, pobrać będzie ją można za chwilę.")
	}
	return xmlReply(r.document.bytes()), nil
}
