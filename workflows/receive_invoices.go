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
	stuckAt    time.Time // where the present sweep met more of one date than KSeF shows; zero: nowhere
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

// sweep goes from a subject type's cursor to the present. The cursor follows
// page by page, so that a long sweep can be ended and taken up again anywhere.
// Where an import could not be started the cursor stays, and the sweep goes on
// without it: one invoice must not hold up those behind it.
func (r *receiveInvoices) sweep(ctx workflow.Context, subject string) error {
	r.stuckAt = time.Time{}
	toTheEnd, err := r.sweepAll(ctx, subject)
	if toTheEnd && r.stuckAt.IsZero() {
		delete(r.state.Stuck, subject)
	}
	return err
}

// sweepAll is sweep; it tells whether it came to the end.
func (r *receiveInvoices) sweepAll(ctx workflow.Context, subject string) (toTheEnd bool, err error) {
	from, moves := r.cursor(subject).At, true
	for {
		if from.After(workflow.Now(ctx)) {
			r.doing = "nothing to do before " + from.Format(time.RFC3339)
			return true, nil
		}
		w := nextWindow(from, workflow.Now(ctx))
		through, all, err := r.sweepWindow(ctx, subject, w, moves)
		if err != nil || !through || w.to.IsZero() {
			return through, err
		}
		if moves = moves && all; !moves {
			from = w.to
			continue
		}
		if !r.cursor(subject).At.After(from) {
			return true, nil // KSeF's high-water mark does not move: next time
		}
		from = r.cursor(subject).At
	}
}

// cursor is where a subject type stands; before anything was received that is
// RECEIVE_FROM, which may still be changed.
func (r *receiveInvoices) cursor(subject string) flow.Cursor {
	if c, there := r.state.Cursors[subject]; there {
		return c
	}
	return flow.Cursor{At: r.settings.ReceiveFrom}
}

// sweepWindow queries all pages of a window and starts what they hold. It is
// through when it has seen every page; a pause and a preview end it early. All
// tells whether everything of the window has its workflow.
func (r *receiveInvoices) sweepWindow(ctx workflow.Context, subject string, w window, moves bool) (through, all bool, err error) {
	position := w
	all = true
	further := false // a package was cut off: there is more, without asking
	for {
		cursor := r.cursor(subject)
		page, started, brought := flow.Found{}, false, false
		if further && !r.supplies(ctx).noPackages {
			r.chosen(ctx, "the export package was cut off: another one; "+r.supplies(ctx).left())
			if page, started, brought, err = r.byPackage(ctx, subject, position, moves, !moves); err != nil {
				return false, false, err
			}
		}
		if !brought {
			if page, err = r.find(ctx, subject, position); err != nil {
				return false, false, err
			}
			if r.settings.Receive == "preview" {
				r.preview = page.List.Count
				return false, false, nil
			}
			if page, started, brought, err = r.bring(ctx, subject, position, page, moves); err != nil {
				return false, false, err
			}
		}
		if further = brought; brought {
			position.offset = 0
		}
		if r.state.Manifest != nil {
			return false, false, nil // a pause has come
		}
		if position.stuck(page) {
			r.reportStuck(ctx, subject, position.from)
			started = false
		}
		all = all && started
		next, more := position.nextPage(page)
		if moves && all && r.cursor(subject) == cursor { // else somebody has set it meanwhile
			if at := position.advance(cursor.At, page, !more); at.After(cursor.At) {
				r.state.Cursors[subject] = flow.Cursor{At: at, Reason: cursor.Reason}
			}
		}
		if !more {
			return true, all, nil
		}
		if r.paused != "" {
			return false, false, nil
		}
		if r.due(ctx) {
			return false, false, errDue
		}
		position = next
	}
}

// bring starts what a window holds, whose first page (or a further one) was
// found. If a package brought all of the window, page is the package's.
func (r *receiveInvoices) bring(ctx workflow.Context, subject string, w window, found flow.Found, moves bool) (page flow.Found, started, brought bool, err error) {
	if !r.packages {
		started, err = r.start(ctx, subject, found.List)
		return found, started, false, err
	}
	how, reason := choose(found, r.supplies(ctx), !moves)
	if how != nothingNew {
		r.chosen(ctx, reason)
	}
	switch how {
	case nothingNew:
		r.state.Totals.Known += found.Known
		return found, true, false, nil
	case byPackage, byList:
		if page, started, brought, err = r.byPackage(ctx, subject, w, moves, how == byList); err != nil || brought {
			return page, started, brought, err
		}
	}
	started, err = r.start(ctx, subject, found.List)
	return found, started, false, err
}

// reportStuck makes known that KSeF holds more invoices with one time of storage
// than any query shows. The cursor stays there, those behind are imported all
// the same, and with each cycle it is tried again.
func (r *receiveInvoices) reportStuck(ctx workflow.Context, subject string, at time.Time) {
	r.stuckAt = at
	if r.state.Stuck == nil {
		r.state.Stuck = map[string]time.Time{}
	}
	r.state.Stuck[subject] = at
	workflow.GetLogger(ctx).Error("KSeF holds more invoices of one moment than a query shows; the cursor stays there",
		"subject", subject, "at", at)
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

// recheck queries the last days once more, once a day or as soon after as there
// is a cycle: KSeF may show a record late, behind its high-water mark. Only what
// has no record yet is started. One that a pause or a continue-as-new ends early
// comes again.
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
		for _, w := range r.overlap(ctx, r.cursor(subject).At) {
			if through, _, err := r.sweepWindow(ctx, subject, w, false); err != nil || !through {
				return err
			}
		}
	}
	r.state.LastRecheck = now
	return nil
}

// overlap are the windows of a recheck: one, unless the last one was months ago.
func (r *receiveInvoices) overlap(ctx workflow.Context, cursor time.Time) []window {
	windows := overlap(cursor, r.state.LastRecheck, r.settings.ReceiveFrom)
	if len(windows) > 1 && workflow.GetVersion(ctx, "recheck since the last one", workflow.DefaultVersion, 1) == workflow.DefaultVersion {
		return windows[len(windows)-1:] // earlier code made one query
	}
	return windows
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
