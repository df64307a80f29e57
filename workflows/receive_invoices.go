package workflows

import (
	"errors"
	"fmt"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"teamogy-ksef/internal/flow"
)

const pollExample = `{"connection":"acme"}`

// ReceiveInvoices asks KSeF for received invoices for ever and starts an
// ImportInvoice for each. It owns the connection's quota of metadata queries
// and downloads.
func ReceiveInvoices(ctx workflow.Context, in flow.ReceiveInput) error {
	r, err := newReceive(ctx, in)
	if err != nil {
		return err
	}
	if err := r.waitOut(ctx, "Ask KSeF again"); err != nil {
		return err
	}
	for {
		err := r.cycle(ctx)
		if errors.Is(err, errDue) {
			return r.continueAsNew(ctx)
		}
		if err := survive(ctx, err, 0); err != nil {
			return err
		}
		if err := r.wait(ctx, r.interval(), "Ask KSeF again"); err != nil {
			return err
		}
		if r.due(ctx) {
			return r.continueAsNew(ctx)
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
	exports    ledger
	packages   bool // export packages are used: false in the runs of earlier code
	preview    int
	stuckAt    time.Time              // where the present sweep met more of one date than KSeF shows; zero: nowhere
	wholeAt    map[string]time.Time   // by subject type, the moment that was brought whole last, in several packages
	inVain     map[momentOf]time.Time // when this run last tried to bring a moment whole, and could not
}

func newReceive(ctx workflow.Context, in flow.ReceiveInput) (*receiveInvoices, error) {
	if err := checkConnection(flow.ReceiveInvoices, pollExample, in.Connection); err != nil {
		return nil, err
	}
	r := &receiveInvoices{connection: in.Connection, wholeAt: map[string]time.Time{}, inVain: map[momentOf]time.Time{}}
	if in.State != nil {
		r.state = *in.State
	}
	if r.state.Cursors == nil {
		r.state.Cursors = map[string]flow.Cursor{}
	}
	r.paused, r.nextPoll = r.state.Paused, r.state.NextPoll
	r.queries.spent, r.downloads.spent, r.exports.spent = r.state.Queries, r.state.Downloads, r.state.Exports
	r.packages = workflow.GetVersion(ctx, exportsChange, workflow.DefaultVersion, 1) >= 1
	if err := describe(ctx, in.Connection, flow.DirectionReceived, flow.StatePolling); err != nil {
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
	r.pollNow, r.nextPoll = false, time.Time{}
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
	if err := r.resume(ctx); err != nil {
		return err
	}
	for _, subject := range r.settings.Subjects {
		if r.state.Manifest != nil {
			break // a pause has come: first things first
		}
		if err := r.sweep(ctx, subject); err != nil {
			return err
		}
	}
	if err := r.recheck(ctx); err != nil {
		return err
	}
	r.state.LastPoll = workflow.Now(ctx)
	r.state.Totals.Cycles++
	r.describeDetails(ctx)
	return nil
}

// describeDetails shows in the Web UI what was done, and how the last found
// invoices were brought.
func (r *receiveInvoices) describeDetails(ctx workflow.Context) {
	details := fmt.Sprintf("%d invoices found, %d imports started", r.state.Totals.Found, r.state.Totals.Started)
	if !r.state.LastPoll.IsZero() {
		details += ", last asked " + r.state.LastPoll.UTC().Format(time.RFC3339)
	}
	if r.state.Choice != "" {
		details += "\n\n" + r.state.Choice
	}
	workflow.SetCurrentDetails(ctx, details)
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
	r.queries.perMinute, r.queries.perHour = reserved(preflight.Limits.QueriesPerMinute), reserved(preflight.Limits.QueriesPerHour)
	if r.packages {
		r.queries.perHour = reservedForDuplicates(preflight.Limits.QueriesPerHour)
	}
	r.exports.perMinute, r.exports.perHour = reserved(preflight.Limits.ExportsPerMinute), reserved(preflight.Limits.ExportsPerHour)
	r.exports.timeScale = r.timeScale
	r.downloads.perMinute, r.downloads.perHour = reserved(preflight.Limits.DownloadsPerMinute), reserved(preflight.Limits.DownloadsPerHour)
	r.queries.timeScale, r.downloads.timeScale = r.timeScale, r.timeScale
	r.queries.notBefore = flow.BlockedUntil(preflight.Blocked, flow.GroupQueries)
	r.exports.notBefore = flow.BlockedUntil(preflight.Blocked, flow.GroupExports)
	r.downloads.notBefore = flow.BlockedUntil(preflight.Blocked, flow.GroupDownloads)
	return nil
}

// find is one metadata query, within the quota.
func (r *receiveInvoices) find(ctx workflow.Context, subject string, w window) (flow.Found, error) {
	if err := rest(ctx, r.queries.waitFor(workflow.Now(ctx), 1), "KSeF's quota of metadata queries"); err != nil {
		return flow.Found{}, err
	}
	r.doing = "asking KSeF for invoices since " + w.from.Format(time.RFC3339)
	r.queries.spend(workflow.Now(ctx), 1)
	page, err := run(ctx, oneCall, "Find invoices as "+role(subject)+" since "+w.from.Format(time.RFC3339), ksef.FindReceived, flow.Window{
		Connection: r.connection, Subject: subject, From: w.from, To: w.to, PageOffset: w.offset,
	})
	r.state.Totals.Found += page.List.Count
	return page, err
}

// start starts an ImportInvoice for each invoice of a list that has none, as
// fast as the quota of downloads allows. It tells whether all are started; a
// pause ends it early.
func (r *receiveInvoices) start(ctx workflow.Context, subject string, list flow.ListRef) (all bool, err error) {
	next := 0
	return r.startFrom(ctx, subject, list, &next)
}

// startFrom is start from a position on, which it moves.
func (r *receiveInvoices) startFrom(ctx workflow.Context, subject string, list flow.ListRef, next *int) (all bool, err error) {
	all = true
	for first := true; *next < list.Count; first = false {
		if err := rest(ctx, r.downloads.waitFor(workflow.Now(ctx), 1), "KSeF's quota of downloads"); err != nil {
			return false, err
		}
		if !first && r.paused != "" {
			return false, nil
		}
		if !first && r.due(ctx) {
			return false, errDue
		}
		r.doing = fmt.Sprintf("starting imports: %d of %d looked at", *next, list.Count)
		most := max(1, r.downloads.allowed(workflow.Now(ctx)))
		result, err := run(ctx, manyCalls, fmt.Sprintf("Start the imports of %d found invoices", list.Count-*next), starts.StartImports, flow.StartImportsInput{
			Connection: r.connection, Subject: subject, List: list, From: *next, Most: most,
		})
		if err != nil {
			return false, err
		}
		r.downloads.spend(workflow.Now(ctx), result.Started)
		all = !r.countStarts(result) && all
		stands := result.Next <= *next
		*next = max(*next, result.Next)
		if stands {
			return false, nil // no progress: the next cycle goes on
		}
	}
	return all, nil
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
	if flow.SubjectType(c.Subject) == "" {
		return temporal.NewNonRetryableApplicationError(fmt.Sprintf("%q is no subject: buyer (also if none is given), seller, third or authorized", c.Subject), flow.ErrBadInput, nil)
	}
	return needsReason(c.Reason)
}

func (r *receiveInvoices) setCursor(ctx workflow.Context, c flow.CursorChange) (flow.Cursor, error) {
	c.Subject = flow.SubjectType(c.Subject)
	cursor := flow.Cursor{At: c.At.UTC(), Reason: c.Reason}
	workflow.GetLogger(ctx).Info("the cursor was set by hand", "subject", c.Subject, "at", cursor.At, "reason", c.Reason)
	r.state.Cursors[c.Subject] = cursor
	delete(r.state.Behind, c.Subject)
	r.pollNow = true
	return cursor, nil
}

func (r *receiveInvoices) status() (flow.ReceiveStatus, error) {
	return flow.ReceiveStatus{
		Connection: r.connection, Doing: r.doing, Paused: r.paused, Cursors: r.state.Cursors,
		LastPoll: r.state.LastPoll, NextPoll: r.nextPoll, LastPreview: r.preview, Preflight: r.preflight, Totals: r.state.Totals,
		Stuck: r.state.Stuck, LastRecheck: r.state.LastRecheck, Choice: r.state.Choice, Manifest: r.state.Manifest,
	}, nil
}

func (r *receiveInvoices) continueAsNew(ctx workflow.Context) error {
	if err := workflow.Await(ctx, func() bool { return workflow.AllHandlersFinished(ctx) }); err != nil {
		return err
	}
	r.state.Paused, r.state.NextPoll = r.paused, r.carriedOver()
	r.state.Queries, r.state.Downloads, r.state.Exports = r.queries.spent, r.downloads.spent, r.exports.spent
	return workflow.NewContinueAsNewError(ctx, flow.ReceiveInvoices, flow.ReceiveInput{Connection: r.connection, State: &r.state})
}
