package workflows

import (
	"fmt"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"teamogy-ksef/internal/flow"
)

const pollExample = `{"connection":"acme"}`

const (
	// recheckEvery is how often the last days are queried once more, against
	// records that KSeF shows late (observed in January 2026).
	recheckEvery = 24 * time.Hour
	// recheckOverlap is how far back that goes.
	recheckOverlap = 3 * 24 * time.Hour
)

// ReceiveInvoices asks KSeF for received invoices for ever and starts an
// ImportInvoice for each. It owns the connection's quota of metadata queries
// and downloads.
func ReceiveInvoices(ctx workflow.Context, in flow.ReceiveInput) error {
	r, err := newReceive(ctx, in)
	if err != nil {
		return err
	}
	for {
		if err := r.cycle(ctx); err != nil {
			return err
		}
		if r.due(ctx) {
			return r.continueAsNew(ctx)
		}
		if err := r.wait(ctx, r.interval(), "Ask KSeF again"); err != nil {
			return err
		}
	}
}

type receiveInvoices struct {
	poller
	connection string
	state      flow.ReceiveState
	settings   flow.Settings
	preflight  *flow.Authenticated
	queries    ledger
	downloads  ledger
	preview    int
}

func newReceive(ctx workflow.Context, in flow.ReceiveInput) (*receiveInvoices, error) {
	if err := checkConnection(flow.ReceiveInvoices, pollExample, in.Connection); err != nil {
		return nil, err
	}
	r := &receiveInvoices{connection: in.Connection}
	if in.State != nil {
		r.state = *in.State
	}
	if r.state.Cursors == nil {
		r.state.Cursors = map[string]flow.Cursor{}
	}
	r.paused = r.state.Paused
	r.queries.spent, r.downloads.spent = r.state.Queries, r.state.Downloads
	if err := describe(ctx, in.Connection, flow.DirectionReceived, "polling"); err != nil {
		return nil, err
	}
	if err := workflow.SetQueryHandlerWithOptions(ctx, flow.QueryStatus, r.status, workflow.QueryHandlerOptions{
		Description: "Cursors, last and next poll, totals.",
	}); err != nil {
		return nil, err
	}
	if err := workflow.SetUpdateHandlerWithOptions(ctx, flow.UpdateSetCursor, r.setCursor, workflow.UpdateHandlerOptions{
		Description: "Moves the cursor of a subject type, also backwards; needs a reason.",
		Validator:   r.checkCursor,
	}); err != nil {
		return nil, err
	}
	return r, r.handleUpdates(ctx)
}

// cycle asks KSeF once for each subject type.
func (r *receiveInvoices) cycle(ctx workflow.Context) error {
	r.pollNow = false
	if r.paused != "" {
		return nil
	}
	if err := r.authenticate(ctx); err != nil {
		return err
	}
	if r.settings.Receive == "off" {
		r.doing = "switched off: RECEIVE=off"
		return nil
	}
	for _, subject := range r.settings.Subjects {
		if err := r.sweep(ctx, subject); err != nil {
			return err
		}
	}
	if err := r.recheck(ctx); err != nil {
		return err
	}
	r.state.LastPoll = workflow.Now(ctx)
	r.state.Totals.Cycles++
	workflow.SetCurrentDetails(ctx, fmt.Sprintf("%d invoices found, %d imports started, last asked %s",
		r.state.Totals.Found, r.state.Totals.Started, r.state.LastPoll.UTC().Format(time.RFC3339)))
	return nil
}

// authenticate is the visible preflight: login, permissions, days left on the
// certificate, and the settings and limits of this cycle.
func (r *receiveInvoices) authenticate(ctx workflow.Context) error {
	r.doing = "logging in to KSeF"
	preflight, err := run(ctx, oneCall, "Log in to KSeF", ksef.Authenticate, flow.ConnectionInput{Connection: r.connection})
	if err != nil {
		return err
	}
	r.preflight, r.settings, r.timeScale = &preflight, preflight.Settings, preflight.Settings.TimeScale
	r.queries.perMinute, r.queries.perHour = preflight.Limits.QueriesPerHour, reserved(preflight.Limits.QueriesPerHour)
	r.downloads.perMinute, r.downloads.perHour = reserved(preflight.Limits.DownloadsPerMinute), reserved(preflight.Limits.DownloadsPerHour)
	r.queries.timeScale, r.downloads.timeScale = r.timeScale, r.timeScale
	return nil
}

// sweep goes from a subject type's cursor to the present.
func (r *receiveInvoices) sweep(ctx workflow.Context, subject string) error {
	for {
		cursor, there := r.state.Cursors[subject]
		if !there {
			cursor.At = r.settings.ReceiveFrom
		}
		w := nextWindow(cursor.At, workflow.Now(ctx))
		last, err := r.sweepWindow(ctx, subject, w)
		if err != nil || r.settings.Receive == "preview" {
			return err
		}
		// Someone may have set the cursor while the window was worked through.
		if present, still := r.state.Cursors[subject]; still == there && (!there || present == cursor) {
			cursor.At = w.advance(cursor.At, last)
			r.state.Cursors[subject] = cursor
		}
		if w.to.IsZero() {
			return nil
		}
	}
}

// sweepWindow queries all pages of a window and starts what they hold; it
// gives the last page.
func (r *receiveInvoices) sweepWindow(ctx workflow.Context, subject string, w window) (flow.Found, error) {
	for {
		page, err := r.find(ctx, subject, w)
		if err != nil {
			return page, err
		}
		if r.settings.Receive == "preview" {
			r.preview = page.List.Count
			return page, nil
		}
		if err := r.start(ctx, subject, page.List); err != nil {
			return page, err
		}
		next, more := w.nextPage(page)
		if !more {
			return page, nil
		}
		w = next
	}
}

// find is one metadata query, within the quota.
func (r *receiveInvoices) find(ctx workflow.Context, subject string, w window) (flow.Found, error) {
	if err := rest(ctx, r.queries.waitFor(workflow.Now(ctx), 1), "KSeF's quota of metadata queries"); err != nil {
		return flow.Found{}, err
	}
	r.doing = "asking KSeF for invoices since " + w.from.Format(time.RFC3339)
	r.queries.spend(workflow.Now(ctx), 1)
	page, err := run(ctx, oneCall, "Find invoices ("+subject+") since "+w.from.Format(time.RFC3339), ksef.FindReceived, flow.Window{
		Connection: r.connection, Subject: subject, From: w.from, To: w.to, PageOffset: w.offset,
	})
	r.state.Totals.Found += page.List.Count
	return page, err
}

// start starts an ImportInvoice for each invoice of a list that has none, as
// fast as the quota of downloads allows.
func (r *receiveInvoices) start(ctx workflow.Context, subject string, list flow.ListRef) error {
	for next := 0; next < list.Count; {
		if err := rest(ctx, r.downloads.waitFor(workflow.Now(ctx), 1), "KSeF's quota of downloads"); err != nil {
			return err
		}
		r.doing = fmt.Sprintf("starting imports: %d of %d looked at", next, list.Count)
		most := r.downloads.allowed(workflow.Now(ctx))
		result, err := run(ctx, manyCalls, fmt.Sprintf("Start the imports of %d found invoices", list.Count-next), starts.StartImports, flow.StartImportsInput{
			Connection: r.connection, Subject: subject, List: list, From: next, Most: most,
		})
		if err != nil {
			return err
		}
		r.downloads.spend(workflow.Now(ctx), result.Started)
		r.state.Totals.Started += result.Started
		r.state.Totals.Known += result.Known
		next = result.Next
	}
	return nil
}

// recheck queries the last days once more, once a day; only what has no
// record yet is started.
func (r *receiveInvoices) recheck(ctx workflow.Context) error {
	now := workflow.Now(ctx)
	if r.settings.Receive != "on" {
		return nil
	}
	if r.state.LastRecheck.IsZero() {
		r.state.LastRecheck = now // the first sweep has just seen everything
	}
	if now.Sub(r.state.LastRecheck) < flow.Scaled(recheckEvery, r.timeScale) {
		return nil
	}
	for _, subject := range r.settings.Subjects {
		cursor := r.state.Cursors[subject].At
		from := cursor.Add(-recheckOverlap)
		if from.Before(r.settings.ReceiveFrom) {
			from = r.settings.ReceiveFrom
		}
		if !from.Before(cursor) {
			continue
		}
		if _, err := r.sweepWindow(ctx, subject, window{from: from, to: cursor}); err != nil {
			return err
		}
	}
	r.state.LastRecheck = now
	return nil
}

// interval is RECEIVE_INTERVAL, but never so short that the metadata queries
// of a cycle would exceed the hour's quota.
func (r *receiveInvoices) interval() time.Duration {
	interval := r.settings.ReceiveInterval
	if r.queries.perHour > 0 {
		interval = max(interval, time.Hour*time.Duration(max(1, len(r.settings.Subjects)))/time.Duration(r.queries.perHour))
	}
	return max(interval, time.Minute)
}

func (r *receiveInvoices) checkCursor(_ workflow.Context, c flow.CursorChange) error {
	if c.At.IsZero() {
		return temporal.NewNonRetryableApplicationError(`the time is missing, for example {"at":"2026-02-01T00:00:00Z","reason":"..."}`, flow.ErrBadInput, nil)
	}
	return needsReason(c.Reason)
}

func (r *receiveInvoices) setCursor(ctx workflow.Context, c flow.CursorChange) (flow.Cursor, error) {
	if c.Subject == "" {
		c.Subject = "Subject2"
	}
	cursor := flow.Cursor{At: c.At.UTC(), Reason: c.Reason}
	workflow.GetLogger(ctx).Info("the cursor was set by hand", "subject", c.Subject, "at", cursor.At, "reason", c.Reason)
	r.state.Cursors[c.Subject] = cursor
	r.pollNow = true
	return cursor, nil
}

func (r *receiveInvoices) status() (flow.ReceiveStatus, error) {
	return flow.ReceiveStatus{
		Connection: r.connection, Doing: r.doing, Paused: r.paused, Cursors: r.state.Cursors,
		LastPoll: r.state.LastPoll, NextPoll: r.nextPoll, LastPreview: r.preview, Preflight: r.preflight, Totals: r.state.Totals,
	}, nil
}

func (r *receiveInvoices) continueAsNew(ctx workflow.Context) error {
	if err := workflow.Await(ctx, func() bool { return workflow.AllHandlersFinished(ctx) }); err != nil {
		return err
	}
	r.state.Paused = r.paused
	r.state.Queries, r.state.Downloads = r.queries.spent, r.downloads.spent
	return workflow.NewContinueAsNewError(ctx, flow.ReceiveInvoices, flow.ReceiveInput{Connection: r.connection, State: &r.state})
}
