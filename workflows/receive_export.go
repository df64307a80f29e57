package workflows

import (
	"fmt"
	"time"

	"go.temporal.io/sdk/workflow"

	"teamogy-ksef/internal/flow"
)

const (
	// exportTries is how often a package is ordered that KSeF does not make, or
	// that cannot be used, and stuckTries one that it does not finish or that does
	// not arrive: each of these takes its time.
	exportTries = 3
	stuckTries  = 2
	// exportStuckAfter is after how long an export that KSeF is still making is given up;
	// some were seen to stay so for days. It keeps one of ten slots.
	exportStuckAfter = 2 * time.Hour
	// withoutExports is how long export packages are done without after several in
	// a row could not be had.
	withoutExports = 2 * time.Hour
	// importsPage is how many positions of a manifest StartImports looks at in one
	// call: so far back begins who goes on after a crash.
	importsPage = 500
)

// exportsChange is the name of the change by which ReceiveInvoices came to use
// export packages: a run of earlier code goes on without them to its end.
const exportsChange = "receiving by export packages"

// chosen makes known how the found invoices are brought, and why.
func (r *receiveInvoices) chosen(ctx workflow.Context, reason string) {
	r.state.Choice = reason
	r.describeDetails(ctx)
}

// supplies are what may be spent now.
func (r *receiveInvoices) supplies(ctx workflow.Context) supplies {
	now := workflow.Now(ctx)
	return supplies{
		downloads: r.downloads.allowed(now), exports: r.exports.allowed(now), inHour: r.exports.allowedInHour(now), perHour: r.exports.perHour,
		noPackages: now.Before(r.state.NoExports), oneByOne: r.settings.OneByOne,
	}
}

// exported is what came of an order for an export package.
type exported struct {
	flow.CollectedList
	got    bool // false: KSeF does not make one, or none that can be used
	notYet bool // got nothing, because KSeF's high-water mark is not up to the window
}

// export brings the invoices of a window by an export package, or only their
// list. If that is not got they have to be brought one by one.
func (r *receiveInvoices) export(ctx workflow.Context, order flow.ExportOrder) (exported, error) {
	failed, stuck := 0, 0
	for failed < exportTries && stuck < stuckTries {
		if err := rest(ctx, r.exports.waitFor(workflow.Now(ctx), 1), "KSeF's quota of exports"); err != nil {
			return exported{}, err
		}
		r.doing = "ordering an export package since " + order.From.Format(time.RFC3339)
		r.exports.spend(workflow.Now(ctx), 1)
		ordered, err := run(ctx, oneCall, "Order an export as "+role(order.Subject)+" since "+order.From.Format(time.RFC3339), ksef.OrderExport, order)
		if err != nil {
			return exported{}, err
		}
		r.exports.spend(workflow.Now(ctx), ordered.Attempts-1)
		if ordered.NothingNew {
			return exported{got: true, notYet: true}, nil
		}
		if ordered.Busy {
			r.giveUpExports(ctx, "ten exports run at KSeF already")
			return exported{}, nil
		}
		collected, err := r.collect(ctx, order, ordered)
		if err != nil {
			return exported{}, err
		}
		switch collected.Outcome {
		case flow.ExportReady:
			r.state.Totals.Packages++
			return exported{CollectedList: collected.Found, got: true}, nil
		case flow.ExportNothing:
			return exported{got: true, notYet: true}, nil
		case flow.ExportRunning, flow.ExportUndelivered:
			stuck++
		default:
			failed++
		}
		r.chosen(ctx, fmt.Sprintf("the export package could not be had: %s", collected.Reason))
		workflow.GetLogger(ctx).Warn("an export package could not be had", "reference", ordered.Reference, "outcome", collected.Outcome, "reason", collected.Reason)
	}
	r.giveUpExports(ctx, "several in a row could not be had")
	return exported{}, nil
}

// giveUpExports goes on without export packages for a while.
func (r *receiveInvoices) giveUpExports(ctx workflow.Context, reason string) {
	r.state.NoExports = workflow.Now(ctx).Add(flow.Scaled(withoutExports, r.timeScale))
	r.chosen(ctx, "one by one until "+r.state.NoExports.UTC().Format(time.RFC3339)+", because export packages cannot be had: "+reason)
}

// collect waits for an ordered package and has it unpacked into the archive.
func (r *receiveInvoices) collect(ctx workflow.Context, order flow.ExportOrder, ordered flow.OrderedExport) (flow.CollectedExport, error) {
	giveUp := workflow.Now(ctx).Add(flow.Scaled(exportStuckAfter, r.timeScale))
	for {
		r.doing = "waiting for the export " + ordered.Reference
		collected, err := run(ctx, collecting, "Collect the export "+ordered.Reference, ksef.CollectExport, flow.CollectInput{
			Connection: r.connection, Reference: ordered.Reference, Salt: ordered.Salt, OnlyMetadata: order.OnlyMetadata,
			Patience: max(0, giveUp.Sub(workflow.Now(ctx))),
		})
		if err != nil || collected.Outcome != flow.ExportRunning || !workflow.Now(ctx).Before(giveUp) {
			return collected, err
		}
		if err := rest(ctx, flow.Scaled(time.Minute, r.timeScale), "Wait for the export "+ordered.Reference); err != nil {
			return collected, err
		}
	}
}

// byPackage brings the invoices of a window by a package, or finds what is new
// among them by its list, and starts their imports.
func (r *receiveInvoices) byPackage(ctx workflow.Context, subject string, w window, follows track, onlyList bool) (got brought, there bool, err error) {
	order := flow.ExportOrder{Window: flow.Window{Connection: r.connection, Subject: subject, From: w.from, To: w.to}, OnlyMetadata: onlyList}
	ordered, err := r.export(ctx, order)
	if err != nil || !ordered.got {
		return got, false, err
	}
	if ordered.notYet && r.looksAgain(ctx, follows) {
		return brought{ends: true}, true, nil
	}
	got, err = r.startBrought(ctx, order, ordered.CollectedList, follows)
	return got, true, err
}

// looksAgainChange is the change from which on looksAgain is asked.
const looksAgainChange = "a look back that brought nothing comes again"

// looksAgain tells whether a look back that brought nothing, because KSeF's
// high-water mark has gone back or KSeF contradicts itself, is not through and comes
// again with the next cycle. In runs of earlier code it was.
func (r *receiveInvoices) looksAgain(ctx workflow.Context, follows track) bool {
	return follows == nothing && workflow.GetVersion(ctx, looksAgainChange, workflow.DefaultVersion, 1) > workflow.DefaultVersion
}

// startBrought starts what a package brought. Where that is only the list, what
// is new in it is downloaded one by one if it is little; else a package is ordered
// after all.
func (r *receiveInvoices) startBrought(ctx workflow.Context, order flow.ExportOrder, list flow.CollectedList, follows track) (got brought, err error) {
	got = brought{seen: list.Invoices, page: list.Found, packed: !order.OnlyMetadata || follows == nothing, list: order.OnlyMetadata}
	if !order.OnlyMetadata {
		got.started, err = r.startPackage(ctx, order, list, follows)
		got.ends = r.state.Manifest != nil
		return got, err
	}
	s := r.supplies(ctx)
	if list.List.Count > max(fewInvoices, s.downloads) && s.exports > 0 && !s.noPackages {
		r.chosen(ctx, fmt.Sprintf("%d of the list's invoices are new: an export package; %s", list.List.Count, s.left()))
		full := order
		full.OnlyMetadata = false
		if all, err := r.export(ctx, full); err != nil {
			return got, err
		} else if all.notYet && r.looksAgain(ctx, follows) {
			got.ends = true
			return got, nil
		} else if all.got {
			return r.startBrought(ctx, full, all.CollectedList, follows)
		}
	}
	r.state.Totals.Found += list.List.Count
	got.started, err = r.start(ctx, order.Subject, list.List)
	return got, err
}

// startPackage starts the imports of a package. A pause leaves the manifest.
func (r *receiveInvoices) startPackage(ctx workflow.Context, order flow.ExportOrder, list flow.CollectedList, follows track) (all bool, err error) {
	r.state.Totals.Found += list.List.Count + list.Apart.Count
	r.state.Manifest = &flow.Manifest{
		Window: order.Window, At: r.at(follows, order.Subject), Moves: follows != nothing, Behind: follows == behind, Found: list,
	}
	return r.startManifest(ctx)
}

// apartDueChange is the change from which on a run ends in time also while what a
// package lacked has no room.
const apartDueChange = "what a package lacked leaves a run when it is due"

// startManifest starts the imports of a package's list, page by page, and those
// of the invoices that the package lacked. It tells whether all are started; a
// pause and the end of the run leave the rest where it is.
func (r *receiveInvoices) startManifest(ctx workflow.Context) (all bool, err error) {
	m := r.state.Manifest
	for list := m.Found.List; m.Next < list.Count; {
		r.doing = fmt.Sprintf("starting imports of a package: %d of %d looked at", m.Next, list.Count)
		result, err := run(ctx, manyCalls, fmt.Sprintf("Start imports: %d of the %d of a package are left", list.Count-m.Next, list.Count), starts.StartImports,
			flow.StartImportsInput{Connection: r.connection, Subject: m.Window.Subject, List: list, From: m.Next, Most: 1, Packed: true, Page: importsPage})
		if err != nil {
			return false, err
		}
		m.Failed = r.countStarts(result) || m.Failed
		stands := result.Next <= m.Next
		m.Next = max(m.Next, result.Next)
		if m.Next >= list.Count {
			break
		}
		if stands {
			if err := r.restUntilImportsAreDone(ctx, list.Count-m.Next); err != nil {
				return false, err
			}
		}
		if r.paused != "" {
			return false, nil
		}
		if r.due(ctx) {
			return false, errDue
		}
	}
	for m.Apart < m.Found.Apart.Count {
		before, failed := m.Apart, r.state.Totals.Failed
		_, err := r.startFrom(ctx, m.Window.Subject, m.Found.Apart, &m.Apart)
		m.Failed = m.Failed || r.state.Totals.Failed > failed
		if err != nil {
			return false, err
		}
		if r.paused != "" && m.Apart < m.Found.Apart.Count {
			return false, nil
		}
		if m.Apart < m.Found.Apart.Count && r.due(ctx) && workflow.GetVersion(ctx, apartDueChange, workflow.DefaultVersion, 1) > workflow.DefaultVersion {
			return false, errDue
		}
		if m.Apart == before {
			if err := r.restUntilImportsAreDone(ctx, m.Found.Apart.Count-m.Apart); err != nil {
				return false, err
			}
		}
	}
	r.state.Manifest = nil
	return !m.Failed, nil
}

// restUntilImportsAreDone waits a minute because as many imports are under way
// as may be.
func (r *receiveInvoices) restUntilImportsAreDone(ctx workflow.Context, left int) error {
	r.doing = fmt.Sprintf("%d imports of a package wait until others are done, or Teamogy takes more", left)
	return rest(ctx, flow.Scaled(time.Minute, r.timeScale), "Wait until imports are done")
}

// resume goes on with a manifest that an earlier run, or a pause, has left. The
// cursor follows if nobody has set it meanwhile.
func (r *receiveInvoices) resume(ctx workflow.Context) error {
	m := r.state.Manifest
	if m == nil || r.settings.Receive != "on" {
		return nil
	}
	started, err := r.startManifest(ctx)
	if err != nil || r.state.Manifest != nil || !started || !m.Moves {
		return err
	}
	follows := theCursor
	if m.Behind {
		follows = behind
	}
	w := window{from: m.Window.From, to: m.Window.To}
	_, more := w.nextPage(m.Found.Found)
	if at := r.at(follows, m.Window.Subject); at.Equal(m.At) && !w.stuck(m.Found.Found) {
		r.moveTo(follows, m.Window.Subject, w.advance(at, m.Found.Found, !more))
	}
	return nil
}

// countStarts adds up what StartImports has done and tells whether some failed.
func (r *receiveInvoices) countStarts(result flow.StartImportsResult) bool {
	r.state.Totals.Started += result.Started
	r.state.Totals.Known += result.Known
	r.state.Totals.Failed += result.Failed
	return result.Failed > 0
}
