package ksefsim

import (
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

// record is an invoice that KSeF holds.
type record struct {
	number        string // KSeF number
	xml           []byte
	hash          string // SHA-256 in hexadecimal
	invoice       invoice
	form          formCode
	mode          string
	correctedHash string
	invoicing     time.Time // accepted for processing
	acquired      time.Time // KSeF number given
	stored        time.Time // permanent storage; visible from then on
	lateBy        time.Duration
	sessionRef    string
	contextNIP    string
	sent          *sentInvoice // nil for a seeded one
	buyerNIP      string       // whom a seeded one was made visible to
	upo           []byte       // made when first asked for
}

// store holds the accepted invoices and who can see them.
type store struct {
	byNumber map[string]*record
	order    []*record
	held     map[string]*record              // by duplicate key, the first one
	views    map[string]map[string][]*record // by NIP and subject type, in the order of storing
	last     time.Time                       // last permanent storage given
}

func newStore() store {
	return store{
		byNumber: map[string]*record{}, held: map[string]*record{}, views: map[string]map[string][]*record{},
	}
}

// duplicateKey is what may exist once: seller, kind and number.
func duplicateKey(v invoice) string { return v.sellerNIP + "\x00" + v.kind + "\x00" + v.number }

// accept gives an invoice its KSeF number and its place in permanent storage.
// The lock must be held.
func (s *Simulator) accept(r *record) *record {
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
	// Every time of storage is a different one, so that a query that was cut
	// can go on from the last.
	r.stored = r.acquired.Add(s.cfg.StorageDelay)
	if next := s.store.last.Add(time.Microsecond); r.stored.Before(next) {
		r.stored = next
	}
	s.store.last = r.stored
	s.store.byNumber[r.number] = r
	s.store.order = append(s.store.order, r)
	if key := duplicateKey(r.invoice); r.invoice.number != "" && s.store.held[key] == nil {
		s.store.held[key] = r
	}
	shown := map[string]bool{}
	show := func(nip, subject string) {
		if nip == "" || shown[nip+subject] {
			return
		}
		shown[nip+subject] = true
		if s.store.views[nip] == nil {
			s.store.views[nip] = map[string][]*record{}
		}
		s.store.views[nip][subject] = append(s.store.views[nip][subject], r)
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
	return r
}

// visibleTo says whether a NIP appears on an invoice. The lock must be held.
func (s *Simulator) visibleTo(r *record, nip string) bool {
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
