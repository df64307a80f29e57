package ksefsim

import (
	"slices"
	"time"
)

// Codes of a session: 100 to 200 are stages, 150 of a batch session and 170 of
// an online one.
const (
	sessionOpen       = 100
	sessionProcessing = 150
	sessionClosed     = 170
	sessionDone       = 200
	sessionBadPackage = 405
	sessionBadKey     = 415
	sessionTooMany    = 420
	sessionBadArchive = 430
	sessionBadPart    = 435
	sessionCancelled  = 440
	sessionNoInvoice  = 445
)

// Codes of an invoice.
const (
	invoiceReceived   = 100
	invoiceProcessing = 150
	invoiceAccepted   = 200
	invoiceCancelled  = 405
	invoiceScope      = 410
	invoiceAttachment = 415
	invoiceFile       = 430
	invoiceDecryption = 435
	invoiceDuplicate  = 440
	invoiceSemantics  = 450
)

// invoiceDescriptions say what an invoice's codes mean, in own words.
var invoiceDescriptions = map[int]string{
	invoiceReceived:   "Faktura czeka na sprawdzenie",
	invoiceProcessing: "Faktura jest sprawdzana",
	invoiceAccepted:   "Faktura ma numer KSeF",
	invoiceCancelled:  "Faktura przepadła wraz z sesją",
	invoiceScope:      "Uprawnienia nie obejmują tej faktury",
	invoiceAttachment: "Załączniki nie są tu przyjmowane",
	invoiceFile:       "Plik faktury jest wadliwy",
	invoiceDecryption: "Pliku faktury nie da się odszyfrować",
	invoiceDuplicate:  "Taka faktura już jest",
	invoiceSemantics:  "Treść faktury jest błędna",
	500:               "Coś się zepsuło (500)",
	550:               "System przerwał pracę nad fakturą",
}

// sessionDescriptions say what a session's codes mean, in own words.
var sessionDescriptions = map[int]string{
	sessionOpen:       "Sesja przyjmuje faktury",
	sessionProcessing: "Pakiet jest sprawdzany",
	sessionClosed:     "Sesja kończy sprawdzanie faktur",
	sessionDone:       "Sesja zakończona, UPO gotowe",
	sessionBadPackage: "Pakiet jest inny, niż zapowiedziano",
	sessionBadKey:     "Klucza sesji nie da się odszyfrować",
	sessionTooMany:    "W pakiecie jest za dużo faktur",
	sessionBadArchive: "Archiwum pakietu jest wadliwe",
	sessionBadPart:    "Części pakietu nie da się odszyfrować",
	sessionCancelled:  "Sesja przepadła",
	sessionNoInvoice:  "Żadna faktura z sesji nie przeszła",
	500:               "Sesja się zepsuła (500)",
	550:               "System przerwał pracę nad sesją",
}

// batchDescriptions say it for a batch session, where that differs.
var batchDescriptions = map[int]string{sessionOpen: "Sesja czeka na części pakietu"}

// noInvoiceSent is why a session without invoices was cancelled.
const noInvoiceSent = "Do sesji nie trafiła żadna faktura"

// settle brings every delayed state up to now: invoices are decided in the
// order in which they fall due, then sessions end. The lock must be held.
func (s *Simulator) settle(now time.Time) {
	for i := s.pending.next(now, s.held); i != nil; i = s.pending.next(now, s.held) {
		s.decide(i)
	}
	s.unfinished = slices.DeleteFunc(s.unfinished, func(n *session) bool { return s.advance(n, now) })
}

// decide ends an invoice's processing. The lock must be held.
func (s *Simulator) decide(i *sentInvoice) {
	n := i.session
	out := s.judge(i)
	switch {
	case out.code == invoiceAccepted:
		i.record = s.acceptSent(i)
		n.byNumber[i.record.number] = i.record
		if i.selfDuplicate {
			out, i.record = duplicateOf(i.record), nil
		}
	case out.code == invoiceDuplicate && out.extensions != nil && s.faults.strike(faultWrongOriginal, n.sentBy()) != nil:
		out = duplicate(newReference(kindSession, i.dueAt), out.extensions["originalKsefNumber"])
	}
	i.code, i.details, i.extensions, i.decidedAt = out.code, out.details, out.extensions, i.dueAt
	n.undecided--
	if i.code == invoiceAccepted {
		n.accepted++
	} else {
		n.rejected++
		i.document = document{} // nobody asks for it any more
	}
	i.invoice.values = nil
	if i.decidedAt.After(n.decidedAt) {
		n.decidedAt = i.decidedAt
	}
	if i.decidedAt.After(n.updated) {
		n.updated = i.decidedAt
	}
}

// acceptSent makes the record of an invoice that is accepted now.
func (s *Simulator) acceptSent(i *sentInvoice) *record {
	return s.accept(&record{
		document: i.document, hash: i.hash, invoice: i.invoice.shown(), form: i.session.form, mode: s.modeOf(i),
		invoicing: i.sentAt, acquired: i.dueAt, correctedHash: i.correctedHash, sent: i, lateBy: i.lateBy,
	})
}

// acceptElsewhere makes a record of the same bytes as if another integrator
// had just sent them for the same taxpayer, in a session that nobody of this
// context can read.
func (s *Simulator) acceptElsewhere(i *sentInvoice) {
	own := i.session.auth
	foreign := &session{
		ref: newReference(kindSession, i.arrived), foreign: true, form: i.session.form, created: i.arrived, updated: i.arrived,
		closedAt: i.arrived, code: sessionDone, auth: &authentication{context: own.context, started: i.arrived},
	}
	s.sessions[foreign.ref] = foreign
	s.accept(&record{
		document: i.document, hash: i.hash, invoice: i.invoice.shown(), form: i.session.form, mode: s.modeOf(i),
		invoicing: i.sentAt, acquired: i.arrived, sessionRef: foreign.ref, contextNIP: own.context.nip,
	})
}

// shown is the invoice without what only its examination needed.
func (v invoice) shown() invoice {
	v.values = nil
	return v
}

// modeOf is Offline when the sender said so or the invoice was issued on an
// earlier day than it was sent.
func (s *Simulator) modeOf(i *sentInvoice) string {
	if i.offline || i.invoice.issueDate < s.warsawDay(i.sentAt) {
		return modeOffline
	}
	return modeOnline
}

// duplicateOf is the decision about an invoice that is held already.
func duplicateOf(original *record) outcome { return duplicate(original.sessionRef, original.number) }

func duplicate(sessionRef, number string) outcome {
	return outcome{
		code:       invoiceDuplicate,
		details:    []string{"Tę samą fakturę przyjęto jako " + number + " w sesji " + sessionRef + "."},
		extensions: map[string]string{"originalSessionReferenceNumber": sessionRef, "originalKsefNumber": number},
	}
}

// advance moves a session on and says whether it has ended. The lock must be
// held.
func (s *Simulator) advance(n *session, now time.Time) bool {
	if n.code == sessionOpen && !n.validUntil.After(now) {
		if n.batch != nil {
			n.batch.forget()
			n.details = []string{"Minął czas na wysłanie pakietu"}
			return s.end(n, sessionCancelled, n.validUntil)
		}
		n.code, n.closedAt, n.updated = sessionClosed, n.validUntil, n.validUntil
	}
	if n.keyBroken && n.batch == nil {
		at := s.keyFoundBroken(n)
		return !at.After(now) && s.end(n, sessionBadKey, at)
	}
	if n.code == sessionOpen || n.undecided > 0 || (n.batch != nil && n.batch.unpacking) {
		return false
	}
	last := n.closedAt
	if n.decidedAt.After(last) {
		last = n.decidedAt
	}
	at := last.Add(s.cfg.SessionDelay)
	switch {
	case at.After(now):
		return false
	case n.failsWith != 0:
		return s.end(n, n.failsWith, at)
	case len(n.invoices) == 0:
		n.details = []string{noInvoiceSent}
		return s.end(n, sessionCancelled, at)
	case n.accepted == 0:
		return s.end(n, sessionNoInvoice, at)
	}
	s.paginate(n, at)
	return s.end(n, sessionDone, at)
}

// keyFoundBroken is when KSeF notices that it cannot decrypt the key of an
// online session.
func (s *Simulator) keyFoundBroken(n *session) time.Time { return n.created.Add(s.cfg.SessionDelay) }

func (s *Simulator) end(n *session, code int, at time.Time) bool {
	n.code, n.endedAt, n.updated = code, at, at
	return true
}

// fail makes a closed session end with a code and its undecided invoices with
// it. The lock must be held.
func (s *Simulator) fail(n *session, code int, now time.Time) {
	n.failsWith = code
	s.pending.each(func(i *sentInvoice) {
		if i.session == n {
			i.forced = &forcedVerdict{Code: invoiceCancelled}
			i.stuck, i.dueAt = false, now.Add(s.cfg.InvoiceDelay)
		}
	})
}

// forcedVerdict is an outcome that somebody asked for.
type forcedVerdict struct {
	InvoiceNumber string            `json:"invoiceNumber"`
	Code          int               `json:"code"`
	Details       []string          `json:"details"`
	Extensions    map[string]string `json:"extensions,omitempty"`
	Times         int               `json:"times"`        // 0 means once, -1 for ever
	DelaySeconds  float64           `json:"delaySeconds"` // more processing, divided by TimeScale
	Fired         int               `json:"fired"`
}

// takeVerdict gives the outcome that was asked for an invoice number, or nil.
// The lock must be held.
func (s *Simulator) takeVerdict(number string) *forcedVerdict {
	for _, v := range s.verdicts {
		if v.InvoiceNumber == number && (v.Times == faultForEver || v.Fired < v.Times) {
			v.Fired++
			taken := *v
			return &taken
		}
	}
	return nil
}
