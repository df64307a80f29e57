package workflows

import (
	"slices"
	"time"

	"teamogy-ksef/internal/flow"
)

const (
	// mostRemembered bounds the memory of answers.
	mostRemembered = 500
	// mostPending is above what SendInvoices lets in; from there on answers are
	// not remembered any more, so that the carried state stays far below the
	// 2 MiB at which the server would terminate the workflow.
	mostPending = 5000
)

// queue is what TransmitInvoices knows of every invoice: pending, in flight
// in a session, or answered. It is pure, so that its rules are tested without
// Temporal.
type queue struct {
	flow.TransmitState
	known    []flow.HandOver // registered again although the answer is known
	suspects []string        // sessions whose invoices were registered again
}

// register takes a hand-over in. The same document registered again replaces
// the address and keeps its place; one in flight is not queued again.
func (q *queue) register(item flow.HandOver) {
	q.Totals.Registered++
	if q.answered(item) {
		q.known = append(q.known, item)
		return
	}
	for i := range q.InFlight {
		f := &q.InFlight[i]
		if f.WorkflowID != item.WorkflowID {
			continue
		}
		if !slices.Contains(q.suspects, f.Session) {
			q.suspects = append(q.suspects, f.Session)
		}
		f.Moved = f.Moved || f.HandOver != item
		f.HandOver = item
		return
	}
	for i := range q.Pending {
		if q.Pending[i].WorkflowID == item.WorkflowID {
			q.Pending[i] = item
			return
		}
	}
	q.Pending = append(q.Pending, item)
}

// answered tells whether the record holds the answer to a hand-over: an
// acceptance of these bytes, or a rejection within the same run.
func (q *queue) answered(item flow.HandOver) bool {
	return slices.ContainsFunc(q.Answered, func(a flow.Answer) bool {
		return a.DocumentID == item.DocumentID && a.SHA256 == item.SHA256 && (a.Accepted || a.RunID == item.RunID)
	})
}

// take takes the first pending invoices of one form out of the queue.
func (q *queue) take(most int) []flow.HandOver {
	var items, rest []flow.HandOver
	for _, p := range q.Pending {
		if len(items) < most && (len(items) == 0 || items[0].Form == p.Form) {
			items = append(items, p)
		} else {
			rest = append(rest, p)
		}
	}
	q.Pending = rest
	return items
}

func (q *queue) takeKnown(most int) []flow.HandOver {
	n := min(most, len(q.known))
	items := q.known[:n:n]
	q.known = q.known[n:]
	return items
}

// requeue takes back hand-overs whose answer turned out not to be in the
// record.
func (q *queue) requeue(items []flow.HandOver, unknown []int64) {
	for _, item := range items {
		if !slices.Contains(unknown, item.DocumentID) {
			continue
		}
		q.Answered = slices.DeleteFunc(q.Answered, func(a flow.Answer) bool { return a.DocumentID == item.DocumentID })
		q.register(item)
	}
}

func (q *queue) takeSuspects() []string {
	ids := q.suspects
	q.suspects = nil
	return ids
}

func (q *queue) sessionStarted(id string, now time.Time, items []flow.HandOver) {
	q.Totals.Sessions++
	q.Sessions = append(q.Sessions, flow.WaitingSession{ID: id, Since: now})
	for _, item := range items {
		q.InFlight = append(q.InFlight, flow.InFlight{HandOver: item, Session: id})
	}
}

func (q *queue) sessionSent(id string) {
	for i := range q.Sessions {
		if q.Sessions[i].ID == id {
			q.Sessions[i].Sent = true
		}
	}
}

// sending tells whether a session is still being opened, filled or closed.
func (q *queue) sending(id string) bool {
	return slices.ContainsFunc(q.Sessions, func(s flow.WaitingSession) bool { return s.ID == id && !s.Sent })
}

// waiting counts the sessions that started after a time.
func (q *queue) waiting(after time.Time) int {
	n := 0
	for _, s := range q.Sessions {
		if s.Since.After(after) {
			n++
		}
	}
	return n
}

// sessionDone takes a session's answers in. What was registered again under a
// newer address while it ran is answered there too; what KSeF did not process
// goes to the front of the queue.
func (q *queue) sessionDone(done flow.SessionDone) {
	q.Answered = append(q.Answered, done.Answers...)
	q.Totals.Answered += len(done.Answers)
	for _, a := range done.Answers {
		q.land(func(f flow.InFlight) bool { return f.DocumentID == a.DocumentID && f.Session == done.ID })
	}
	var again []flow.HandOver
	q.InFlight = slices.DeleteFunc(q.InFlight, func(f flow.InFlight) bool {
		if f.Session != done.ID || !slices.Contains(done.Again, f.DocumentID) {
			return false
		}
		again = append(again, f.HandOver) // the newest address
		return true
	})
	q.Totals.Again += len(again)
	q.Pending = append(again, q.Pending...)
	q.endSession(done.ID)
}

// sessionGone puts a dead session's invoices back to the front: the next
// session looks into the records before it sends anything.
func (q *queue) sessionGone(id string) {
	var back []flow.HandOver
	for _, f := range q.InFlight {
		if f.Session == id {
			back = append(back, f.HandOver)
		}
	}
	q.Pending = append(back, q.Pending...)
	q.endSession(id)
}

// endSession forgets a session; whatever of it is still in flight was
// withdrawn or dropped.
func (q *queue) endSession(id string) {
	q.InFlight = slices.DeleteFunc(q.InFlight, func(f flow.InFlight) bool { return f.Session == id })
	q.Sessions = slices.DeleteFunc(q.Sessions, func(s flow.WaitingSession) bool { return s.ID == id })
	q.forget()
}

// land removes answered invoices from the flight; those with a newer address
// are answered there.
func (q *queue) land(of func(flow.InFlight) bool) {
	q.InFlight = slices.DeleteFunc(q.InFlight, func(f flow.InFlight) bool {
		if !of(f) {
			return false
		}
		if f.Moved {
			q.known = append(q.known, f.HandOver)
		}
		return true
	})
}

func (q *queue) forget() {
	most := mostRemembered
	if len(q.Pending) > mostPending {
		most = 0
	}
	if over := len(q.Answered) - most; over > 0 {
		q.Answered = slices.Clone(q.Answered[over:])
	}
}

// settle prepares the state for continue-as-new: what was known but not yet
// answered is pending again, and answered from its record.
func (q *queue) settle() {
	q.Pending = append(q.known, q.Pending...)
	q.known = nil
	q.forget()
}
