package workflows

import (
	"fmt"
	"slices"
	"time"

	"go.temporal.io/sdk/workflow"

	"teamogy-ksef/internal/flow"
)

const (
	// lookAfter is the age from which a session is looked after with others.
	lookAfter = time.Hour
	// doubtAfter is how long a session may be sending before somebody looks
	// whether it still runs.
	doubtAfter = 10 * time.Minute
)

// blocking are the sessions for whose sending ready invoices wait.
func (t *transmitInvoices) blocking(ctx workflow.Context) []string {
	var ids []string
	if t.ready(workflow.Now(ctx)) > 0 {
		for _, s := range t.Sessions {
			if !s.Sent {
				ids = append(ids, s.ID)
			}
		}
	}
	return ids
}

// silentlyEnded tells whether a session has ended although it has not told that
// it is sent.
func (t *transmitInvoices) silentlyEnded() bool {
	return slices.ContainsFunc(t.running, func(r runningSession) bool { return r.child.IsReady() && t.sending(r.id) })
}

// noteEnded gives back the invoices of sessions that ended without a word,
// because somebody terminated them, and forgets those that were sent.
func (t *transmitInvoices) noteEnded(ctx workflow.Context) {
	t.running = slices.DeleteFunc(t.running, func(r runningSession) bool {
		switch {
		case !t.sending(r.id):
			return true
		case !r.child.IsReady():
			return false
		}
		workflow.GetLogger(ctx).Error("a session ended before it had sent its invoices", "session", r.id, "error", r.child.Get(ctx, nil))
		t.sessionGone(r.id)
		return true
	})
}

// answerKnown answers registrations whose answer is in the record already.
func (t *transmitInvoices) answerKnown(ctx workflow.Context) error {
	for len(t.known) > 0 {
		items := t.takeKnown(mostInSession) // with answers of 150 bytes each
		delivered, err := runDraining(ctx, t, manyCalls, fmt.Sprintf("Answer %d invoices that KSeF has decided on before", len(items)),
			starts.DeliverKnown, flow.DeliverDirectInput{Connection: t.Connection, Items: items})
		if err != nil {
			t.known = append(items, t.known...)
			return err
		}
		t.requeue(items, delivered.Unknown)
	}
	return nil
}

// recover looks after sessions whose invoices were registered again, and with
// them after all that have lasted long: if such a session does not run any
// more, its invoices are pending again.
func (t *transmitInvoices) recover(ctx workflow.Context) error {
	if len(t.suspects) == 0 {
		return nil
	}
	suspects := t.takeSuspects()
	for _, s := range t.Sessions {
		if workflow.Now(ctx).Sub(s.Since) >= t.scaled(lookAfter) && !slices.Contains(suspects, s.ID) {
			suspects = append(suspects, s.ID)
		}
	}
	checked, err := runDraining(ctx, t, oneCall, "See whether the sessions of waiting invoices still run", starts.CheckSessions,
		flow.CheckSessionsInput{Connection: t.Connection, IDs: suspects})
	if err != nil {
		t.suspects = append(suspects, t.suspects...)
		return err
	}
	t.drain(ctx)
	for _, id := range checked.Gone {
		t.sessionGone(id)
	}
	return nil
}
