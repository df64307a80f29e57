package ksefsim

import (
	"slices"
	"time"
)

// Codes of an online session.
const (
	sessionOpen      = 100
	sessionClosed    = 170
	sessionDone      = 200
	sessionBadKey    = 415
	sessionCancelled = 440
	sessionNoInvoice = 445
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
	sessionOpen:      "Sesja przyjmuje faktury",
	sessionClosed:    "Sesja kończy sprawdzanie faktur",
	sessionDone:      "Sesja zakończona, UPO gotowe",
	sessionBadKey:    "Klucza sesji nie da się odszyfrować",
	sessionCancelled: "Sesja przepadła",
	sessionNoInvoice: "Żadna faktura z sesji nie przeszła",
}

// sentInvoice is one invoice that arrived in a session.
type sentInvoice struct {
	ref           string
	session       *session
	ordinal       int
	declaredHash  string // Base64
	offline       bool
	correctedHash string
	strictNIP     bool // the sender asked for check digits to be checked

	plain   []byte // nil when it could not be decrypted
	hash    string // SHA-256 of plain in hexadecimal, "" without plain
	invoice invoice
	early   *outcome // what examination already found wrong

	sentAt, halfAt, dueAt time.Time
	decidedAt             time.Time
	forced                *forcedVerdict

	code       int // 0 until decided
	details    []string
	extensions map[string]string
	record     *record // when accepted
}

// outcome is a decision about an invoice.
type outcome struct {
	code       int
	details    []string
	extensions map[string]string
}

// status is the invoice's code at a time.
func (i *sentInvoice) status(now time.Time) statusInfo {
	switch {
	case i.code != 0:
		words := invoiceDescriptions[i.code]
		if words == "" {
			words = "Status " + itoa(i.code)
		}
		return statusInfo{Code: i.code, Description: words, Details: i.details, Extensions: i.extensions}
	case now.Before(i.halfAt):
		return statusInfo{Code: invoiceReceived, Description: invoiceDescriptions[invoiceReceived]}
	}
	return statusInfo{Code: invoiceProcessing, Description: invoiceDescriptions[invoiceProcessing]}
}

// settle brings every delayed state up to now: invoices are decided in the
// order in which they fall due, then sessions end. The lock must be held.
func (s *Simulator) settle(now time.Time) {
	var due []*sentInvoice
	s.pending = slices.DeleteFunc(s.pending, func(i *sentInvoice) bool {
		ready := !i.dueAt.After(now) && (i.invoice.number == "" || !s.held[i.invoice.number])
		if ready {
			due = append(due, i)
		}
		return ready
	})
	slices.SortStableFunc(due, func(a, b *sentInvoice) int { return a.dueAt.Compare(b.dueAt) })
	for _, i := range due {
		s.decide(i)
	}
	s.unfinished = slices.DeleteFunc(s.unfinished, func(n *session) bool { return s.advance(n, now) })
}

// decide ends an invoice's processing. The lock must be held.
func (s *Simulator) decide(i *sentInvoice) {
	out := s.judge(i)
	i.code, i.details, i.extensions, i.decidedAt = out.code, out.details, out.extensions, i.dueAt
	if i.decidedAt.After(i.session.updated) {
		i.session.updated = i.decidedAt
	}
	if i.code != invoiceAccepted {
		i.plain, i.invoice.values = nil, nil // nobody asks for it any more
		return
	}
	i.invoice.values = nil
	mode := modeOnline
	if i.offline || i.invoice.issueDate < s.warsawDay(i.sentAt) {
		mode = modeOffline
	}
	i.record = s.accept(&record{
		xml: i.plain, hash: i.hash, invoice: i.invoice, form: i.session.form, mode: mode,
		invoicing: i.sentAt, acquired: i.dueAt, correctedHash: i.correctedHash, sent: i,
	})
}

// advance moves a session on and says whether it has ended. The lock must be
// held.
func (s *Simulator) advance(n *session, now time.Time) bool {
	if n.code == sessionOpen && !n.validUntil.After(now) {
		n.code, n.closedAt, n.updated = sessionClosed, n.validUntil, n.validUntil
	}
	if n.keyBroken {
		at := n.created.Add(s.cfg.SessionDelay)
		return !at.After(now) && s.end(n, sessionBadKey, at)
	}
	if n.code != sessionClosed {
		return false
	}
	last := n.closedAt
	accepted := 0
	for _, i := range n.invoices {
		if i.code == 0 {
			return false
		}
		if i.code == invoiceAccepted {
			accepted++
		}
		if i.decidedAt.After(last) {
			last = i.decidedAt
		}
	}
	at := last.Add(s.cfg.SessionDelay)
	switch {
	case at.After(now):
		return false
	case len(n.invoices) == 0:
		return s.end(n, sessionCancelled, at)
	case accepted == 0:
		return s.end(n, sessionNoInvoice, at)
	}
	n.upoRef = newReference(kindUPO, at)
	return s.end(n, sessionDone, at)
}

func (s *Simulator) end(n *session, code int, at time.Time) bool {
	n.code, n.endedAt, n.updated = code, at, at
	return true
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
