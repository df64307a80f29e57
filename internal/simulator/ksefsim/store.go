package ksefsim

import (
	"encoding/xml"
	"time"
)

// Invoicing modes.
const (
	modeOnline  = "Online"
	modeOffline = "Offline"
)

// Subject types of a query.
const (
	subjectSeller     = "Subject1"
	subjectBuyer      = "Subject2"
	subjectThird      = "Subject3"
	subjectAuthorized = "SubjectAuthorized"
)

// record is an invoice that KSeF holds. It does not change once it was
// accepted, apart from upo.
type record struct {
	number        string // KSeF number
	xml           []byte // given to accept, which keeps it as document
	document      document
	hash          string // SHA-256 in hexadecimal
	invoice       invoice
	form          formCode
	mode          string
	correctedHash string
	invoicing     time.Time // accepted for processing
	acquired      time.Time // KSeF number given
	stored        time.Time // permanent storage; accept sets it unless it is given
	visible       time.Time // can be queried and downloaded from then on
	lateBy        time.Duration
	seq           int // in the order of accepting
	sessionRef    string
	contextNIP    string
	sent          *sentInvoice // nil for a seeded one
	buyerNIP      string       // whom a seeded one was made visible to
	upo           []byte       // made when first asked for
}

// store holds the accepted invoices, who can see them, and the packages made of
// them.
type store struct {
	byNumber map[string]*record
	order    []*record
	held     map[string]*record // by duplicate key, the first one
	views    map[viewKey]*view
	times    map[int64]bool // permanent storage, in nanoseconds
	last     time.Time      // the latest of them

	generated int // invoices made by seeding; counts their numbers
	exports   exports
	pages     pagedHWMs
}

// viewKey is a taxpayer in a role.
type viewKey struct{ nip, subject string }

func newStore() store {
	return store{
		byNumber: map[string]*record{}, held: map[string]*record{}, views: map[viewKey]*view{}, times: map[int64]bool{},
		exports: newExports(), pages: pagedHWMs{},
	}
}

// duplicateKey is what may exist once: seller, kind and number.
func duplicateKey(v invoice) string { return v.sellerNIP + "\x00" + v.kind + "\x00" + v.number }

// accept gives an invoice its KSeF number and its place in permanent storage.
// The lock must be held.
func (s *Simulator) accept(r *record) *record {
	s.acceptAll([]*record{r}, false)
	return r
}

// acceptAll accepts invoices in their order; in one instant means that they all
// get the same time of storage. The lock must be held.
func (s *Simulator) acceptAll(records []*record, oneInstant bool) {
	seen := map[viewKey][]*record{}
	for i, r := range records {
		if oneInstant && i > 0 {
			r.stored = records[0].stored
		} else {
			s.giveStorageTime(r)
		}
		s.keep(r)
		for _, key := range viewsOf(r) {
			seen[key] = append(seen[key], r)
		}
	}
	for key, list := range seen {
		if s.store.views[key] == nil {
			s.store.views[key] = &view{}
		}
		s.store.views[key].add(list)
	}
}

// giveStorageTime sets when an invoice came into permanent storage. Each time is
// a different one, so that a query that was cut can go on from the last, and
// later than those before it, unless somebody says when it was.
func (s *Simulator) giveStorageTime(r *record) {
	if r.stored.IsZero() {
		r.stored = r.acquired.Add(s.cfg.StorageDelay).Truncate(time.Microsecond)
		if next := s.store.last.Add(time.Microsecond); r.stored.Before(next) {
			r.stored = next
		}
	}
	for s.store.times[r.stored.UnixNano()] {
		r.stored = r.stored.Add(time.Microsecond)
	}
	s.store.times[r.stored.UnixNano()] = true
	if r.stored.After(s.store.last) {
		s.store.last = r.stored
	}
}

// lateness says which part of the way to the high-water mark an invoice needs
// until it can be seen. Most are seen at once, some are overtaken by those after
// them. The first is never late.
var lateness = [...]float64{0, 0, 0.7, 0.3, 0, 0, 0, 0.9, 0.1, 0, 0.5}

// keep gives an invoice its number and remembers it. The time of storage must be
// known.
func (s *Simulator) keep(r *record) {
	for r.number == "" || s.store.byNumber[r.number] != nil {
		seller := r.invoice.sellerNIP
		if !nipPattern.MatchString(seller) {
			seller = "1111111111" // a seeded invoice without a readable seller
		}
		r.number = newKSeFNumber(seller, r.acquired.In(s.warsaw))
	}
	if r.sent != nil {
		r.sessionRef, r.contextNIP = r.sent.session.ref, r.sent.session.auth.context.nip
	}
	if r.document.deflated == nil {
		r.document = pack(r.xml)
	}
	r.xml = nil
	r.invoice.root, r.invoice.values, r.invoice.sections = xml.Name{}, nil, nil // nobody asks for them any more
	if _, err := time.Parse(time.DateOnly, r.invoice.issueDate); err != nil {
		r.invoice.issueDate = s.warsawDay(r.invoicing)
	}
	r.seq = len(s.store.order)
	// Always before the high-water mark passes the time of storage: what lies
	// behind it is complete. A fault sets lateBy to break that.
	late := time.Duration(lateness[r.seq%len(lateness)] * float64(s.cfg.HWMDelay))
	r.visible = r.stored.Add(max(late, r.lateBy))
	s.store.byNumber[r.number] = r
	s.store.order = append(s.store.order, r)
	if key := duplicateKey(r.invoice); r.invoice.number != "" && s.store.held[key] == nil {
		s.store.held[key] = r
	}
}

// viewsOf are the taxpayers who can find an invoice, each in its role.
func viewsOf(r *record) []viewKey {
	keys := make([]viewKey, 0, 4)
	show := func(nip, subject string) {
		key := viewKey{nip, subject}
		for _, known := range keys {
			if known == key {
				return
			}
		}
		if nip != "" {
			keys = append(keys, key)
		}
	}
	show(r.invoice.sellerNIP, subjectSeller)
	show(r.buyerNIP, subjectBuyer)
	if r.invoice.buyer.idType == "Nip" {
		show(r.invoice.buyer.id, subjectBuyer)
	}
	for _, third := range r.invoice.third {
		switch {
		case third.idType == "Nip":
			show(third.id, subjectThird)
		case third.idType == "InternalId" && len(third.id) > 10:
			show(third.id[:10], subjectThird)
		}
	}
	if r.invoice.authorized != nil && r.invoice.authorized.idType == "Nip" {
		show(r.invoice.authorized.id, subjectAuthorized)
	}
	return keys
}

// visibleTo says whether a NIP appears on an invoice.
func visibleTo(r *record, nip string) bool {
	v := r.invoice
	if nip == v.sellerNIP || nip == r.buyerNIP || (v.buyer.idType == "Nip" && nip == v.buyer.id) || nip == r.contextNIP {
		return true
	}
	for _, third := range v.third {
		if third.id == nip || (third.idType == "InternalId" && len(third.id) > 10 && third.id[:10] == nip) {
			return true
		}
	}
	return v.authorized != nil && v.authorized.id == nip
}
