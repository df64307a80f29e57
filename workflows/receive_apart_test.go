package workflows

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"teamogy-ksef/internal/flow"
)

// lacking is a KSeF whose package of 200 invoices lacks the XML of every other
// one.
func lacking(e *environment) *exportingKSeF {
	k := exporting(e, 250, 10_000)
	k.lacks = func(id int) bool { return id%2 == 0 }
	return k
}

func keepsToTheDownloads(t *testing.T, downloads []flow.Spent, count int) {
	t.Helper()
	n := 0
	for _, s := range downloads {
		n += s.Count
		require.LessOrEqual(t, spentIn(downloads, s.At, time.Minute), 15)
		require.LessOrEqual(t, spentIn(downloads, s.At, time.Hour), 58)
	}
	require.Equal(t, count, n)
}

// What a package lacks is downloaded one by one, within the quota of downloads;
// the rest of it costs none. The cursor waits for all of them.
func TestReceiveInvoices_downloadsOneByOneWhatAPackageLacks(t *testing.T) {
	e := newEnvironment(t, "acme/receive")
	k := lacking(e)
	k.seed(200, start.AddDate(0, 0, -10))
	e.after(30*time.Second, func() {
		status := ask[flow.ReceiveStatus](e)
		require.NotNil(t, status.Manifest)
		require.Equal(t, 15, status.Manifest.Apart)
		require.Empty(t, status.Cursors, "the cursor moved over invoices that have no workflow")
	})
	e.after(3*time.Hour, func() {
		status := ask[flow.ReceiveStatus](e)
		require.True(t, status.Cursors["Subject2"].At.After(start.Add(-2*time.Minute)))
		require.Equal(t, 200, status.Totals.Found)
		require.Equal(t, 200, status.Totals.Started)
		e.CancelWorkflow()
	})
	e.ExecuteWorkflow(flow.ReceiveInvoices, receiveInput)
	k.allStarted(t)
	keepsToTheDownloads(t, k.downloads, 100)
	require.Len(t, k.ordered, 1)
}

// A pause in the middle of them leaves the others for later.
func TestReceiveInvoices_pausesInTheMiddleOfWhatAPackageLacks(t *testing.T) {
	e := newEnvironment(t, "acme/receive")
	k := lacking(e)
	k.seed(200, start.AddDate(0, 0, -10))
	e.after(90*time.Second, func() { e.update(flow.UpdatePause, flow.Reason{Reason: "a test"}) })
	e.after(10*time.Hour, func() {
		status := ask[flow.ReceiveStatus](e)
		require.NotNil(t, status.Manifest)
		require.Equal(t, 30, status.Manifest.Apart)
		require.Len(t, k.started, 100+30)
		require.Empty(t, status.Cursors)
		e.update(flow.UpdateResume)
	})
	e.after(13*time.Hour, func() {
		require.Nil(t, ask[flow.ReceiveStatus](e).Manifest)
		e.CancelWorkflow()
	})
	e.ExecuteWorkflow(flow.ReceiveInvoices, receiveInput)
	k.allStarted(t)
	keepsToTheDownloads(t, k.downloads, 100)
	require.Len(t, k.ordered, 1)
}

// So does the end of a run; the next one goes on there, and with the quota that
// is left.
func TestReceiveInvoices_continuesAsNewInTheMiddleOfWhatAPackageLacks(t *testing.T) {
	e := newEnvironment(t, "acme/receive")
	k := lacking(e)
	k.seed(200, start.AddDate(0, 0, -10))
	e.after(90*time.Second, func() { e.SetContinueAsNewSuggested(true) })
	e.ExecuteWorkflow(flow.ReceiveInvoices, receiveInput)
	next, ok := continued[flow.ReceiveInput](e)
	require.True(t, ok, "%v", e.GetWorkflowError())
	require.Equal(t, 30, next.State.Manifest.Apart)
	require.Empty(t, next.State.Cursors)

	again := newEnvironment(t, "acme/receive")
	again.SetStartTime(e.Now())
	later := lacking(again)
	later.invoices, later.lists, later.started, later.downloads = k.invoices, k.lists, k.started, k.downloads
	again.after(3*time.Hour, again.CancelWorkflow)
	again.ExecuteWorkflow(flow.ReceiveInvoices, next)
	later.allStarted(t)
	keepsToTheDownloads(t, later.downloads, 100)
	require.Empty(t, later.ordered)
}

// One of them that cannot be started keeps the cursor where it is, and nothing
// else.
func TestReceiveInvoices_keepsTheCursorBeforeWhatAPackageLacksAndCannotBeStarted(t *testing.T) {
	e := newEnvironment(t, "acme/receive")
	k := lacking(e)
	k.seed(40, start.AddDate(0, 0, -10))
	k.broken = func(id int) bool { return id == 14 && e.Now().Before(start.Add(30*time.Minute)) }
	e.after(20*time.Minute, func() {
		require.Len(t, k.started, 39)
		require.Empty(t, ask[flow.ReceiveStatus](e).Cursors)
	})
	e.after(3*time.Hour, e.CancelWorkflow)
	e.ExecuteWorkflow(flow.ReceiveInvoices, receiveInput)
	k.allStarted(t)
}

// A run does not grow for as long as there is no room.
func TestReceiveInvoices_continuesAsNewWhileWhatAPackageLacksHasNoRoom(t *testing.T) {
	e := newEnvironment(t, "acme/receive")
	k := lacking(e)
	k.seed(40, start.AddDate(0, 0, -10))
	k.full = func(in flow.StartImportsInput) bool { return !in.Packed }
	e.after(90*time.Second, func() { e.SetContinueAsNewSuggested(true) })
	e.after(100*time.Hour, e.CancelWorkflow)
	e.ExecuteWorkflow(flow.ReceiveInvoices, receiveInput)
	next, ok := continued[flow.ReceiveInput](e)
	require.True(t, ok, "%v", e.GetWorkflowError())
	require.NotNil(t, next.State.Manifest)
	require.Less(t, len(k.starts), 10)
}
