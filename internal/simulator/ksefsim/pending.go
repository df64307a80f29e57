package ksefsim

import (
	"container/heap"
	"time"
)

// sentInvoice is one invoice that arrived in a session.
type sentInvoice struct {
	ref           string
	session       *session
	ordinal       int
	fileName      string // in a package
	declaredHash  string // Base64
	offline       bool
	correctedHash string
	strictNIP     bool // the sender asked for check digits to be checked

	plain      []byte   // while it is examined; nil when it could not be decrypted
	document   document // afterwards
	hash       string   // SHA-256 of plain in hexadecimal, "" without plain
	invoice    invoice
	early      *outcome // what examination already found wrong
	structured bool     // examination has checked the structure, too

	sentAt         time.Time // the invoicing date: of a package, the session's opening
	arrived        time.Time
	halfAt, dueAt  time.Time
	place          uint64 // among those that fall due at the same time
	decidedAt      time.Time
	forced         *forcedVerdict
	stuck, forEver bool // by a fault

	selfDuplicate bool // by a fault
	lateBy        time.Duration

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

// examined ends an invoice's examination: its bytes are kept compressed. That
// takes time, so the lock should not be held.
func (i *sentInvoice) examined() {
	if i.plain != nil {
		i.document, i.plain = pack(i.plain), nil
	}
}

// enter puts an invoice that arrived into its session and its processing under
// way. Faults and verdicts ordered for it strike. The lock must be held since
// before now, so that no query has seen a later high-water mark.
func (s *Simulator) enter(c *call, i *sentInvoice, now time.Time) {
	n := i.session
	i.arrived, i.halfAt, i.dueAt = now, now.Add(s.cfg.InvoiceDelay/2), now.Add(s.cfg.InvoiceDelay)
	n.invoices = append(n.invoices, i)
	n.byRef[i.ref] = i
	n.undecided++
	n.updated = now
	i.ordinal = len(n.invoices)
	s.disturb(c, i)
	if v := s.takeVerdict(i.invoice.number); v != nil {
		if v.Code != 0 {
			i.forced = v
		}
		i.dueAt = i.dueAt.Add(time.Duration(v.DelaySeconds * float64(time.Second) / s.cfg.TimeScale))
	}
	if end := s.keyFoundBroken(n); n.batch == nil && n.keyBroken && (i.stuck || i.dueAt.After(end)) {
		i.stuck, i.dueAt = false, end // a session never ends before its invoices
	}
	s.pending.add(i)
	s.submissions = append(s.submissions, i)
}

// disturb lets the faults of single invoices strike one. The lock must be held.
func (s *Simulator) disturb(c *call, i *sentInvoice) {
	if f := c.strike(faultStuck); f != nil {
		i.stuck, i.forEver = true, f.Seconds < 0
		i.dueAt = i.dueAt.Add(max(s.delay(f), 0))
	}
	if s.faults.ordered(faultForeign) && s.judge(i).code == invoiceAccepted && c.strike(faultForeign) != nil {
		s.acceptElsewhere(i)
	}
	if f := c.strike(faultCancelled); f != nil {
		i.forced = &forcedVerdict{Code: f.Status}
	}
	if f := c.strike(faultBehindHWM); f != nil {
		i.lateBy = s.delay(f)
	}
	i.selfDuplicate = c.strike(faultSelfDuplicate) != nil
}

// waitingLine holds the invoices that are not decided yet. Asking it whether
// one falls due costs nothing, however many wait.
type waitingLine struct {
	due   dueHeap
	held  []*sentInvoice // past their time, or without one, until somebody releases them
	count uint64
}

func (l *waitingLine) add(i *sentInvoice) {
	l.count++
	i.place = l.count
	l.put(i)
}

func (l *waitingLine) put(i *sentInvoice) {
	if i.stuck && i.forEver {
		l.held = append(l.held, i)
		return
	}
	heap.Push(&l.due, i)
}

// next takes out the earliest invoice that is due and that nothing holds, or
// gives nil.
func (l *waitingLine) next(now time.Time, held map[string]bool) *sentInvoice {
	for len(l.due) > 0 && !l.due[0].dueAt.After(now) {
		i := heap.Pop(&l.due).(*sentInvoice)
		if !held[i.invoice.number] || i.lost() {
			return i
		}
		l.held = append(l.held, i)
	}
	return nil
}

// lost says whether the invoice goes down with its session: nothing holds it
// then.
func (i *sentInvoice) lost() bool { return i.forced != nil && i.forced.Code == invoiceCancelled }

// release lets the invoices of a number go on that are held or stuck.
func (l *waitingLine) release(number string, now time.Time) {
	l.each(func(i *sentInvoice) {
		if i.invoice.number == number && (i.stuck || i.dueAt.Before(now)) {
			i.stuck, i.dueAt = false, now
		}
	})
}

// each changes invoices and puts all of them into line again.
func (l *waitingLine) each(change func(*sentInvoice)) {
	all := append([]*sentInvoice(l.due), l.held...)
	l.due, l.held = nil, nil
	for _, i := range all {
		change(i)
		l.put(i)
	}
}

// dueHeap is a heap: the invoice that is due first is on top.
type dueHeap []*sentInvoice

func (h dueHeap) Len() int { return len(h) }
func (h dueHeap) Less(a, b int) bool {
	if d := h[a].dueAt.Compare(h[b].dueAt); d != 0 {
		return d < 0
	}
	return h[a].place < h[b].place
}
func (h dueHeap) Swap(a, b int) { h[a], h[b] = h[b], h[a] }

// Push adds an invoice at the end; container/heap calls it.
func (h *dueHeap) Push(x any) { *h = append(*h, x.(*sentInvoice)) }

// Pop takes the last invoice; container/heap calls it.
func (h *dueHeap) Pop() any {
	last := len(*h) - 1
	i := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return i
}
