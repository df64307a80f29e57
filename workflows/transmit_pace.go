package workflows

import (
	"time"

	"go.temporal.io/sdk/workflow"

	"teamogy-ksef/internal/flow"
)

// readPace reads limits and time scale anew once an hour.
func (t *transmitInvoices) readPace(ctx workflow.Context) error {
	now := workflow.Now(ctx)
	if !t.paceAt.IsZero() && now.Sub(t.paceAt) < t.scaled(paceFresh) {
		return nil
	}
	t.doing = "reading KSeF's limits"
	pace, err := runDraining(ctx, t, oneCall, "Read KSeF's limits", ksef.ReadPace, flow.ConnectionInput{Connection: t.Connection})
	if err != nil {
		return err
	}
	t.pace, t.paceAt = pace, now
	return nil
}

// awaitPace waits until a session may be opened and what is ready be sent in
// it, and tells which. It is none if nothing is ready any more.
func (t *transmitInvoices) awaitPace(ctx workflow.Context) (plannedSession, error) {
	t.spend(ctx, t.extraOpens, 0, t.extraBatch)
	t.extraOpens, t.extraBatch = 0, 0
	for {
		now := workflow.Now(ctx)
		next, pause, there := t.planned(now)
		if !there {
			return plannedSession{}, nil
		}
		if pause <= 0 {
			return next, nil
		}
		until := now.Add(pause)
		t.doing = "waiting for KSeF's limits until " + until.UTC().Format(time.RFC3339)
		if _, err := t.await(ctx, pause, "KSeF's limits of sessions and sends", func() bool {
			return !workflow.Now(ctx).Before(until) || t.Packages && t.sooner(workflow.Now(ctx), until)
		}); err != nil {
			return plannedSession{}, err
		}
	}
}

// sooner tells whether something has come that need not wait until then.
func (t *transmitInvoices) sooner(now, until time.Time) bool {
	_, pause, there := t.plan(now, t.pace)
	return !there || now.Add(pause).Before(until)
}

// planned is plan, or what a run of before does instead: one session after the
// other, of whatever is ready.
func (t *transmitInvoices) planned(now time.Time) (next plannedSession, pause time.Duration, there bool) {
	if t.Packages {
		return t.plan(now, t.pace)
	}
	opens, sends, _ := t.quotas(t.pace)
	// Sessions are a minute apart, so that the minute's sends are there again;
	// of the hour's, whatever is left is used.
	pause = max(opens.waitFor(now, 1), sends.waitFor(now, 1))
	if last := len(t.Opens); last > 0 {
		// Never within a second, also in scaled time: a session's ID is its second.
		pause = max(pause, t.Opens[last-1].At.Add(max(t.scaled(betweenOpens), time.Second)).Sub(now))
	}
	return plannedSession{most: min(mostInSession, sends.allowed(now))}, pause, true
}

// spend notes requests when they are scheduled, not when they succeed.
func (t *transmitInvoices) spend(ctx workflow.Context, opens, sends, batches int) {
	o, s, b := t.quotas(t.pace)
	now := workflow.Now(ctx)
	o.spend(now, opens)
	s.spend(now, sends)
	b.spend(now, batches)
	t.Opens, t.Sends, t.Batches = o.spent, s.spent, b.spent
}
