package workflows

import (
	"time"

	"go.temporal.io/sdk/workflow"

	"teamogy-ksef/internal/flow"
)

// recheck queries the last days once more, once a day or as soon after as there
// is a cycle: KSeF may show a record late, behind its high-water mark. Only what
// has no record yet is started. One that a pause or a continue-as-new ends early
// comes again. While a package's imports wait to be started there is none: it
// could put another package in the place of that one.
func (r *receiveInvoices) recheck(ctx workflow.Context) error {
	now := workflow.Now(ctx)
	if r.settings.Receive != "on" || r.state.Manifest != nil {
		return nil
	}
	if r.state.LastRecheck.IsZero() {
		r.state.LastRecheck = now // the first sweep has just seen everything
	}
	if now.Sub(r.state.LastRecheck) < flow.Scaled(recheckEvery, r.timeScale) {
		return nil
	}
	apart := r.looksBackApart(ctx)
	for _, subject := range r.settings.Subjects {
		if apart && now.Sub(r.lookedBack(subject)) < flow.Scaled(recheckEvery, r.timeScale) {
			continue
		}
		through, err := r.lookBack(ctx, subject)
		if err != nil {
			return err
		}
		if !through && (r.paused != "" || r.state.Manifest != nil || !apart) {
			return nil
		}
		if through && apart {
			r.state.LookedBack[subject] = now
		}
	}
	r.state.LastRecheck = now
	if apart {
		for _, subject := range r.settings.Subjects {
			if at := r.lookedBack(subject); at.Before(r.state.LastRecheck) {
				r.state.LastRecheck = at
			}
		}
	}
	return nil
}

// looksBackApartChange is the change from which on looksBackApart is asked.
const looksBackApartChange = "subject types look back apart"

// looksBackApart tells whether each subject type looks back by its own time: one
// that brings nothing holds up none of the others, nor makes them look back with
// each poll. That begins with the first look back for more than one.
func (r *receiveInvoices) looksBackApart(ctx workflow.Context) bool {
	if r.state.LookedBack == nil {
		if len(r.settings.Subjects) < 2 || workflow.GetVersion(ctx, looksBackApartChange, workflow.DefaultVersion, 1) == workflow.DefaultVersion {
			return false
		}
		r.state.LookedBack = map[string]time.Time{}
	}
	for _, subject := range r.settings.Subjects {
		r.state.LookedBack[subject] = r.lookedBack(subject)
	}
	return true
}

// lookedBack is when the last complete look back of a subject type began.
func (r *receiveInvoices) lookedBack(subject string) time.Time {
	if at, there := r.state.LookedBack[subject]; there {
		return at
	}
	return r.state.LastRecheck
}

// lookBack is recheck for one subject type; it tells whether it came to the end.
func (r *receiveInvoices) lookBack(ctx workflow.Context, subject string) (through bool, err error) {
	for _, w := range r.overlap(ctx, subject) {
		if through, _, err := r.sweepWindow(ctx, subject, w, nothing); err != nil || !through {
			return false, err
		}
	}
	return true, nil
}

// overlap are the windows of a recheck: one, unless the last one was months ago.
func (r *receiveInvoices) overlap(ctx workflow.Context, subject string) []window {
	windows := overlap(r.cursor(subject).At, r.lookedBack(subject), r.settings.ReceiveFrom)
	if len(windows) > 1 && workflow.GetVersion(ctx, "recheck since the last one", workflow.DefaultVersion, 1) == workflow.DefaultVersion {
		return windows[len(windows)-1:] // earlier code made one query
	}
	return windows
}
