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
	// firstAgain is the pause before the second session of an invoice that
	// KSeF did not decide on; it doubles up to longestAgain.
	firstAgain   = time.Minute
	longestAgain = time.Hour
)

// queue is what TransmitInvoices knows of every invoice: pending, in flight
// in a session, or answered. It is pure, so that its rules are tested without
// Temporal.
type queue struct {
	flow.TransmitState
	known      []flow.HandOver // registered again although the answer is known
	suspects   []string        // sessions whose invoices were registered again
	extraOpens int             // opens that online sessions needed beyond the first
	extraBatch int             // likewise batch sessions
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
		f.Moved, f.HandOver = true, item
		return
	}
	for i := range q.Pending {
		if q.Pending[i].WorkflowID == item.WorkflowID {
			q.Pending[i].HandOver = item
			return
		}
	}
	q.Pending = append(q.Pending, flow.Waiting{HandOver: item})
}

// answered tells whether the record holds the answer to a hand-over: an
// acceptance of these bytes, or a rejection within the same run.
func (q *queue) answered(item flow.HandOver) bool {
	return slices.ContainsFunc(q.Answered, func(a flow.Answer) bool {
		return a.DocumentID == item.DocumentID && a.SHA256 == item.SHA256 && (a.Accepted || a.RunID == item.RunID)
	})
}

// ready counts the pending invoices whose time has come.
func (q *queue) ready(now time.Time) int {
	n := 0
	for _, p := range q.Pending {
		if !p.NotBefore.After(now) {
			n++
		}
	}
	return n
}

// nextReady is when the next pending invoice's time comes; zero if none waits
// for its time.
func (q *queue) nextReady() time.Time {
	var next time.Time
	for _, p := range q.Pending {
		if next.IsZero() || p.NotBefore.Before(next) {
			next = p.NotBefore
		}
	}
	return next
}

// nextReadyAfter is when the next time comes that a pending invoice waits for;
// zero if none does.
func (q *queue) nextReadyAfter(now time.Time) time.Time {
	var next time.Time
	for _, p := range q.Pending {
		if p.NotBefore.After(now) && (next.IsZero() || p.NotBefore.Before(next)) {
			next = p.NotBefore
		}
	}
	return next
}

// take takes the first ready invoices of one form out of the queue.
func (q *queue) take(now time.Time, most int) []flow.Waiting {
	var items, rest []flow.Waiting
	for _, p := range q.Pending {
		if len(items) < most && !p.NotBefore.After(now) && (len(items) == 0 || items[0].Form == p.Form) {
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

func (q *queue) sessionStarted(s flow.WaitingSession, items []flow.Waiting) {
	id := s.ID
	q.Totals.Sessions++
	q.Sessions = append(q.Sessions, s)
	for _, item := range items {
		q.InFlight = append(q.InFlight, flow.InFlight{Waiting: item, Session: id})
	}
}

func (q *queue) sessionSent(sent flow.SessionSent) {
	for i := range q.Sessions {
		if s := &q.Sessions[i]; s.ID == sent.ID && !s.Sent {
			s.Sent = true
			if extra := max(0, sent.Opens-1); s.Batch {
				q.extraBatch += extra
			} else {
				q.extraOpens += extra
			}
		}
	}
}

// sending tells whether a session is still being opened, filled or closed.
func (q *queue) sending(id string) bool {
	return slices.ContainsFunc(q.Sessions, func(s flow.WaitingSession) bool { return s.ID == id && !s.Sent })
}

// waiting counts the sessions that started after a time, and tells whether one
// of them is still sending.
func (q *queue) waiting(after time.Time) (n int, sending bool) {
	for _, s := range q.Sessions {
		if s.Since.After(after) {
			n++
			sending = sending || !s.Sent
		}
	}
	return n, sending
}

// sessionNews lands what a session is done with: what was answered is
// remembered, what KSeF did not decide on is pending again, with a growing
// pause. Whatever was registered again meanwhile is answered at its newer
// address, or pending: the next session looks into its record first.
func (q *queue) sessionNews(news flow.SessionNews, now time.Time, timeScale float64) {
	q.Answered = append(q.Answered, news.Answers...)
	q.Totals.Answered += len(news.Answers)
	answered, again, landed := map[int64]bool{}, setOf(news.Again), setOf(news.Landed)
	for _, a := range news.Answers {
		answered[a.DocumentID] = true
	}
	q.InFlight = slices.DeleteFunc(q.InFlight, func(f flow.InFlight) bool {
		if f.Session != news.ID {
			return false
		}
		switch {
		case answered[f.DocumentID]:
			if f.Moved && q.answered(f.HandOver) {
				q.known = append(q.known, f.HandOver)
			} else if f.Moved {
				q.Pending = append(q.Pending, flow.Waiting{HandOver: f.HandOver})
			}
		case again[f.DocumentID]:
			q.again(f, now, timeScale)
		case landed[f.DocumentID], news.Over:
			if f.Moved {
				q.Pending = append(q.Pending, flow.Waiting{HandOver: f.HandOver})
			}
		default:
			return false
		}
		return true
	})
	if news.Over {
		q.endSession(news.ID)
	}
	q.forget()
}

func setOf(ids []int64) map[int64]bool {
	set := make(map[int64]bool, len(ids))
	for _, id := range ids {
		set[id] = true
	}
	return set
}

func (q *queue) again(f flow.InFlight, now time.Time, timeScale float64) {
	w := f.Waiting
	if w.Tries > 0 {
		w.NotBefore = now.Add(flow.Scaled(min(firstAgain<<min(w.Tries-1, 10), longestAgain), timeScale))
	}
	w.Tries++
	q.Totals.Again++
	q.Pending = append(q.Pending, w)
}

// sessionGone makes a dead session's invoices pending again: the next session
// looks into their records before it sends anything.
func (q *queue) sessionGone(id string) {
	q.InFlight = slices.DeleteFunc(q.InFlight, func(f flow.InFlight) bool {
		if f.Session == id {
			q.Pending = append(q.Pending, f.Waiting)
		}
		return f.Session == id
	})
	q.endSession(id)
}

func (q *queue) endSession(id string) {
	q.Sessions = slices.DeleteFunc(q.Sessions, func(s flow.WaitingSession) bool { return s.ID == id })
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
	for _, item := range q.known {
		q.Pending = append(q.Pending, flow.Waiting{HandOver: item})
	}
	q.known = nil
	q.forget()
}
