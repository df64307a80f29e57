package workflows

import (
	"time"

	"go.temporal.io/sdk/workflow"
)

const (
	// gatherSilence ends the gathering of a session: a window of this length in
	// which no invoice comes.
	gatherSilence = 2 * time.Second
	// gatherMost bounds the gathering from its first invoice on.
	gatherMost = 15 * time.Second
	// gatherPackage is the same when a package is coming together, in real time,
	// because a worker's pace has no time scale: a busy one needs a minute to start
	// 1,400.
	gatherPackage = 2 * time.Minute
	// manyPending is from how many pending invoices on a silence is
	// silenceReal at least, for the same reason: a worker starts a hundred at a time,
	// hands over half a second's at once, and a busy server brings them a little later.
	// More packages cost of KSeF's quota; a few seconds cost nothing beside the
	// minutes that a package takes.
	manyPending = 10
	silenceReal = 6 * time.Second
)

// inWindowsChange is the change from which on invoices are gathered in windows of
// a fixed length. A run of before goes on with windows that end at each arrival,
// and leave a timer for each.
const inWindowsChange = "gathering in windows"

// gather waits while invoices keep coming: until a window without any, a bound,
// or a full session.
func (t *transmitInvoices) gather(ctx workflow.Context) error {
	t.doing = "gathering invoices for a session"
	inWindows := workflow.GetVersion(ctx, inWindowsChange, workflow.DefaultVersion, 1) > workflow.DefaultVersion
	began := workflow.Now(ctx)
	for workflow.Now(ctx).Before(began.Add(t.gatherFor())) {
		before := len(t.Pending)
		if before >= t.mostGathered() {
			return nil
		}
		_, err := t.await(ctx, t.silence(), "Gather invoices", func() bool {
			return len(t.Pending) >= t.mostGathered() || !inWindows && len(t.Pending) > before
		})
		if err != nil || len(t.Pending) == before {
			return err
		}
	}
	return nil
}

// silence is how long nothing comes before a session is opened.
func (t *transmitInvoices) silence() time.Duration {
	silence := t.scaled(gatherSilence)
	if t.Packages && len(t.Pending) >= manyPending {
		silence = max(silence, silenceReal)
	}
	return silence
}

func (t *transmitInvoices) gatherFor() time.Duration {
	if t.Packages && len(t.Pending) > mostOnline {
		return gatherPackage
	}
	return t.scaled(gatherMost)
}

func (t *transmitInvoices) mostGathered() int {
	if t.Packages {
		return mostInBatch
	}
	return mostInSession
}
