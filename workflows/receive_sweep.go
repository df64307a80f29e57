package workflows

import (
	"time"

	"go.temporal.io/sdk/workflow"

	"teamogy-ksef/internal/flow"
)

// track says what follows a sweep.
type track int

const (
	nothing   track = iota // the look back at the last days
	theCursor              // of the subject type
	behind                 // the position behind a moment that KSeF cannot show whole, where the cursor stays
)

// at is where a track stands.
func (r *receiveInvoices) at(t track, subject string) time.Time {
	if t == behind {
		return r.state.Behind[subject].At
	}
	return r.cursor(subject).At
}

// moveTo moves a track, never back.
func (r *receiveInvoices) moveTo(t track, subject string, at time.Time) {
	if t == nothing || !at.After(r.at(t, subject)) {
		return
	}
	if t == behind {
		b := r.state.Behind[subject]
		b.At = at
		r.state.Behind[subject] = b
		return
	}
	r.state.Cursors[subject] = flow.Cursor{At: at, Reason: r.cursor(subject).Reason}
}

// cursor is where a subject type stands; before anything was received that is
// RECEIVE_FROM, which may still be changed.
func (r *receiveInvoices) cursor(subject string) flow.Cursor {
	if c, there := r.state.Cursors[subject]; there {
		return c
	}
	return flow.Cursor{At: r.settings.ReceiveFrom}
}

// sweep goes from a subject type's cursor to the present. The cursor follows
// page by page, so that a long sweep can be ended and taken up again anywhere.
// Where an import could not be started the cursor stays, and the sweep goes on
// without it: one invoice must not hold up those behind it. Behind a moment that
// KSeF cannot show whole a sweep has a position of its own; whether the moment
// can be had is tried again once a day.
func (r *receiveInvoices) sweep(ctx workflow.Context, subject string) error {
	r.stuckAt = time.Time{}
	if b, there := r.state.Behind[subject]; there && workflow.Now(ctx).Sub(b.Tried) < flow.Scaled(recheckEvery, r.timeScale) {
		_, err := r.sweepAll(ctx, subject, behind)
		return err
	}
	toTheEnd, err := r.sweepAll(ctx, subject, theCursor)
	if stuck, there := r.state.Stuck[subject]; toTheEnd && r.stuckAt.IsZero() && (!there || r.cursor(subject).At.After(stuck)) {
		// Not if an import in front of it could not be started: then nobody has looked.
		delete(r.state.Stuck, subject)
		delete(r.state.Behind, subject)
	}
	return err
}

// sweepAll is sweep on a track; it tells whether it came to the end.
func (r *receiveInvoices) sweepAll(ctx workflow.Context, subject string, on track) (toTheEnd bool, err error) {
	from, follows := r.at(on, subject), on
	for {
		if from.After(workflow.Now(ctx)) {
			r.doing = "nothing to do before " + from.Format(time.RFC3339)
			return true, nil
		}
		w := nextWindow(from, workflow.Now(ctx))
		through, all, err := r.sweepWindow(ctx, subject, w, follows)
		if err == nil && on == theCursor && r.packages && !r.stuckAt.IsZero() {
			return r.sweepAll(ctx, subject, behind)
		}
		if err != nil || !through || w.to.IsZero() {
			return through, err
		}
		if !all {
			follows = nothing
		}
		if follows == nothing {
			from = w.to
			continue
		}
		if !r.at(on, subject).After(from) {
			return true, nil // KSeF's high-water mark does not move: next time
		}
		from = r.at(on, subject)
	}
}

// sweepWindow brings all that a window holds and starts what is new in it. It is
// through when it has seen every page; a pause and a preview end it early, and so
// does a moment that KSeF cannot show whole (stuckAt). All tells whether
// everything of the window has its workflow.
func (r *receiveInvoices) sweepWindow(ctx workflow.Context, subject string, w window, follows track) (through, all bool, err error) {
	position := w
	all = true
	further := false // a package was cut off: there is more, without asking
	for {
		before := r.at(follows, subject)
		got, err := r.bring(ctx, subject, position, follows, further)
		if err != nil || got.ends || r.setMeanwhile(ctx, follows, subject, before) {
			return false, false, err
		}
		if further = got.packed; got.packed || got.list {
			position.offset = 0
		}
		if position.stuck(got.page) {
			whole, ends, err := r.stuck(ctx, subject, position, got.page.LastDate, max(1, got.seen), follows)
			if err != nil || ends {
				return false, false, err
			}
			got.started = got.started && whole
			further = false
		}
		all = all && got.started
		next, more := position.nextPage(got.page)
		if all && follows != nothing && r.at(follows, subject).Equal(before) { // else somebody has set it meanwhile (setMeanwhile)
			r.moveTo(follows, subject, position.advance(before, got.page, !more))
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

// setChange is the change from which on setMeanwhile is asked.
const setChange = "a cursor that is set ends the sweep"

// setMeanwhile tells whether somebody has set the cursor since a track stood there:
// the sweep ends, and the next one, which comes right after this cycle, begins where it was set.
// In earlier code the sweep went on, and its next page moved the cursor again.
func (r *receiveInvoices) setMeanwhile(ctx workflow.Context, on track, subject string, stood time.Time) bool {
	return on != nothing && !r.at(on, subject).Equal(stood) && workflow.GetVersion(ctx, setChange, workflow.DefaultVersion, 1) > workflow.DefaultVersion
}

// brought is what came of a page of a window, or of a package for all of it.
type brought struct {
	page    flow.Found
	started bool // all of it
	packed  bool // by a package, of which page tells
	list    bool // by a package of the list alone
	seen    int  // invoices that a package's list names
	ends    bool // the sweep: there is a pause, or a preview
}

// bring brings a page of a window, or all of it by a package, and starts what is
// new.
func (r *receiveInvoices) bring(ctx workflow.Context, subject string, w window, follows track, further bool) (brought, error) {
	if further && !r.supplies(ctx).noPackages {
		r.chosen(ctx, "the export package was cut off: another one; "+r.supplies(ctx).left())
		if got, there, err := r.byPackage(ctx, subject, w, follows, follows == nothing); err != nil || there {
			return got, err
		}
	}
	found, err := r.find(ctx, subject, w)
	if err != nil {
		return brought{}, err
	}
	if r.settings.Receive == "preview" {
		r.preview = found.List.Count
		return brought{ends: true}, nil
	}
	if r.packages {
		how, reason := choose(found, r.supplies(ctx), follows == nothing)
		if how == nothingNew {
			r.state.Totals.Known += found.Known
			return brought{page: found, started: true}, nil
		}
		r.chosen(ctx, reason)
		if how != oneByOne {
			got, there, err := r.byPackage(ctx, subject, w, follows, how == byList)
			if there {
				r.state.Totals.Found -= found.List.Count // the package has counted them
			}
			if err != nil || there {
				return got, err
			}
		}
	}
	started, err := r.start(ctx, subject, found.List)
	return brought{page: found, started: started}, err
}
