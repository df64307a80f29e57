package workflows

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/workflow"

	"teamogy-ksef/internal/flow"
)

// lookBacks are the queries that a recheck made: those with an end.
func lookBacks(k *fakeKSeF) []flow.Window {
	var found []flow.Window
	for _, w := range k.windows {
		if !w.To.IsZero() {
			found = append(found, w)
		}
	}
	return found
}

// Whatever kept the daily look back from its hour (a pause, no worker), the next
// cycle makes up for it, back to two days before the last one.
func TestReceiveInvoices_looksBackAfterAPauseOverItsWholeLength(t *testing.T) {
	e := newEnvironment(t, "acme/receive")
	k := receiving(e)
	k.preflight.Settings.ReceiveFrom = start.AddDate(-1, 0, 0)
	last := start.AddDate(0, 0, -200) // over which a worker was down, or a pause lasted
	in := flow.ReceiveInput{Connection: "acme", State: &flow.ReceiveState{
		Cursors: map[string]flow.Cursor{"Subject2": {At: start.Add(-time.Hour)}}, LastRecheck: last, Paused: "holidays",
	}}
	e.after(time.Hour, func() {
		require.Empty(t, k.windows)
		e.update(flow.UpdateResume)
	})
	e.after(2*time.Hour, func() {
		require.Equal(t, start.Add(time.Hour).Truncate(time.Minute), ask[flow.ReceiveStatus](e).LastRecheck.Truncate(time.Minute))
		e.CancelWorkflow()
	})
	e.ExecuteWorkflow(flow.ReceiveInvoices, in)
	looked := lookBacks(k)
	require.Len(t, looked, 3, "%v", looked)
	require.Equal(t, last.Add(-recheckOverlap), looked[0].From)
	require.Equal(t, looked[0].To, looked[1].From)
	require.Equal(t, looked[1].To, looked[2].From)
	require.Greater(t, looked[2].To, start)
}

// A look back that a pause or a new run interrupts is not taken for done.
func TestReceiveInvoices_repeatsALookBackThatWasInterrupted(t *testing.T) {
	e := newEnvironment(t, "acme/receive")
	k := receiving(e)
	last := start.AddDate(0, 0, -2)
	in := flow.ReceiveInput{Connection: "acme", State: &flow.ReceiveState{
		Cursors: map[string]flow.Cursor{"Subject2": {At: start.Add(-time.Hour)}}, LastRecheck: last,
	}}
	k.find = func(w flow.Window) flow.Found {
		if w.To.IsZero() {
			return flow.Found{HWM: e.Now().Add(-time.Minute)}
		}
		e.SetContinueAsNewSuggested(true)
		return flow.Found{List: flow.ListRef{Key: "some", Count: 1}, HasMore: true, LastDate: w.From.Add(time.Hour), HWM: w.To}
	}
	e.ExecuteWorkflow(flow.ReceiveInvoices, in)
	next, ok := continued[flow.ReceiveInput](e)
	require.True(t, ok, "%v", e.GetWorkflowError())
	require.Equal(t, last, next.State.LastRecheck)
	require.True(t, next.State.NextPoll.IsZero(), "the next run goes on at once")
}

// Edge case (d) at its worst: more invoices of one moment than KSeF shows of one
// query, and no export package can be had. The cursor stays there, that is said,
// those behind are imported; whether KSeF shows all is asked once a day and not
// with each cycle, and then it goes on.
func TestEdgeD_theCursorStaysWhereKSeFCannotShowAllOfOneMoment(t *testing.T) {
	e := newEnvironment(t, "acme/receive")
	k := receiving(e)
	k.preflight.Limits = flow.Limits{}
	moment := start.AddDate(0, 0, -3)
	shown := false
	k.find = func(w flow.Window) flow.Found {
		page := flow.Found{List: flow.ListRef{Key: "page", Count: 1}, HWM: start.Add(-time.Minute), LastDate: moment}
		switch {
		case w.From.After(moment):
			page.LastDate = start.Add(-time.Hour)
		case !shown:
			require.LessOrEqual(t, w.PageOffset, lastPage, "KSeF refuses to go further")
			page.HasMore, page.Truncated = true, w.PageOffset == lastPage
		}
		return page
	}
	e.after(time.Minute, func() {
		status := ask[flow.ReceiveStatus](e)
		require.Equal(t, map[string]time.Time{"Subject2": moment}, status.Stuck)
		require.Equal(t, moment, status.Cursors["Subject2"].At)
		require.Equal(t, lastPage+1+1+1, k.total(), "all pages of the moment, its first one twice, and what lies behind")
		shown = true
	})
	e.after(23*time.Hour, func() {
		require.Less(t, len(k.windows), lastPage+2+2*24, "the moment costs queries with each cycle")
	})
	e.after(23*time.Hour+30*time.Minute, func() { e.update(flow.UpdatePollNow) })
	e.after(26*time.Hour, e.CancelWorkflow)
	e.ExecuteWorkflow(flow.ReceiveInvoices, receiveInput)
	next, ok := continued[flow.ReceiveInput](e)
	require.True(t, ok)
	require.Equal(t, moment, next.State.Cursors["Subject2"].At)
	require.True(t, next.State.Behind["Subject2"].At.After(moment))

	again := newEnvironment(t, "acme/receive")
	again.SetStartTime(e.Now().Add(time.Hour))
	k = receiving(again)
	k.find = func(flow.Window) flow.Found { return flow.Found{HWM: again.Now().Add(-time.Minute), LastDate: moment} }
	again.after(2*time.Hour, func() {
		status := ask[flow.ReceiveStatus](again)
		require.Empty(t, status.Stuck)
		require.True(t, status.Cursors["Subject2"].At.After(e.Now()))
		again.CancelWorkflow()
	})
	again.ExecuteWorkflow(flow.ReceiveInvoices, next)
	require.Error(t, again.GetWorkflowError())
}

// A look back that brings nothing for one subject type, day after day, keeps none
// from the others; and these look back once a day and not with each poll.
func TestReceiveInvoices_looksBackForEachSubjectTypeByItself(t *testing.T) {
	e := newEnvironment(t, "acme/receive")
	k := exporting(e, 250, 10_000)
	k.preflight.Settings.Subjects = []string{"Subject2", "Subject3"}
	for _, as := range k.preflight.Settings.Subjects {
		for _, known := range k.seedAs(as, 300, start.AddDate(0, 0, -1)) {
			k.started[known.id] = 1
		}
		k.seedAs(as, 3, start.AddDate(0, 0, -1)) // shown late
	}
	refused := func(int) (flow.OrderedExport, bool) {
		return flow.OrderedExport{Attempts: 1, NothingNew: true}, k.orders[len(k.orders)-1].Subject == "Subject2"
	}
	looked := func(as string) (n int) {
		for _, w := range lookBacks(k.fakeKSeF) {
			if w.Subject == as {
				n++
			}
		}
		return n
	}
	cursor, last := flow.Cursor{At: start.Add(-time.Hour)}, start.AddDate(0, 0, -2)
	in := flow.ReceiveInput{Connection: "acme", State: &flow.ReceiveState{
		Cursors: map[string]flow.Cursor{"Subject2": cursor, "Subject3": cursor}, LastRecheck: last,
	}}
	e.after(12*time.Hour, func() {
		for _, i := range k.invoices {
			if i.as == "Subject3" {
				require.Equal(t, 1, k.started[i.id], "the invoice %d", i.id)
			}
		}
		require.Greater(t, looked("Subject2"), 2)
		require.Equal(t, 1, looked("Subject3"))
		require.Equal(t, last, ask[flow.ReceiveStatus](e).LastRecheck)
	})
	for range 2 { // days
		k.orderFault = refused
		e.ExecuteWorkflow(flow.ReceiveInvoices, in)
		next, ok := continued[flow.ReceiveInput](e)
		require.True(t, ok, "%v", e.GetWorkflowError())
		require.Equal(t, last, next.State.LastRecheck)
		require.Equal(t, 1, looked("Subject3"), "once a day")
		in = next
		e, k = k.inNextRun(t, e.Now())
	}
	from := e.Now() // and now it is not refused any more
	e.ExecuteWorkflow(flow.ReceiveInvoices, in)
	next, ok := continued[flow.ReceiveInput](e)
	require.True(t, ok, "%v", e.GetWorkflowError())
	require.False(t, next.State.LastRecheck.Before(from))
	k.allStarted(t)
}

// In a run of earlier code the first subject type that does not come through ends
// the look back, as it did.
func TestReceiveInvoices_looksBackTogetherInAnOlderRun(t *testing.T) {
	e := newEnvironment(t, "acme/receive")
	e.OnGetVersion(looksBackApartChange, workflow.DefaultVersion, 1).Return(workflow.DefaultVersion)
	k := exporting(e, 250, 10_000)
	k.preflight.Settings.Subjects = []string{"Subject2", "Subject3"}
	for _, known := range k.seedAs("Subject2", 300, start.AddDate(0, 0, -1)) {
		k.started[known.id] = 1
	}
	k.seedAs("Subject2", 3, start.AddDate(0, 0, -1))
	k.orderFault = func(int) (flow.OrderedExport, bool) { return flow.OrderedExport{Attempts: 1, NothingNew: true}, true }
	last := start.AddDate(0, 0, -2)
	cursor := flow.Cursor{At: start.Add(-time.Hour)}
	e.after(12*time.Hour, func() {
		for _, w := range lookBacks(k.fakeKSeF) {
			require.Equal(t, "Subject2", w.Subject)
		}
		require.Equal(t, last, ask[flow.ReceiveStatus](e).LastRecheck)
		e.CancelWorkflow()
	})
	e.ExecuteWorkflow(flow.ReceiveInvoices, flow.ReceiveInput{Connection: "acme", State: &flow.ReceiveState{
		Cursors: map[string]flow.Cursor{"Subject2": cursor, "Subject3": cursor}, LastRecheck: last,
	}})
	require.Error(t, e.GetWorkflowError())
}

// Each look back begins two days before the last one of its own subject type, and
// not before that of another one, which came through later.
func TestReceiveInvoices_looksBackToTheLastLookOfTheSameSubjectType(t *testing.T) {
	e := newEnvironment(t, "acme/receive")
	k := exporting(e, 250, 10_000)
	k.preflight.Settings.Subjects = []string{"Subject2", "Subject3"}
	for _, known := range k.seedAs("Subject2", 300, start.AddDate(0, 0, -1)) {
		k.started[known.id] = 1
	}
	k.seedAs("Subject2", 3, start.AddDate(0, 0, -1))
	k.seedAs("Subject3", 1, start.Add(-47*time.Hour))[0].shown = start.Add(time.Hour) // just after its first look
	k.orderFault = func(int) (flow.OrderedExport, bool) {
		return flow.OrderedExport{Attempts: 1, NothingNew: true}, e.Now().Before(start.Add(20 * time.Hour))
	}
	cursor := flow.Cursor{At: start.Add(-time.Hour)}
	in := flow.ReceiveInput{Connection: "acme", State: &flow.ReceiveState{
		Cursors: map[string]flow.Cursor{"Subject2": cursor, "Subject3": cursor}, LastRecheck: start.AddDate(0, 0, -2),
	}}
	for range 3 { // days
		e.ExecuteWorkflow(flow.ReceiveInvoices, in)
		next, ok := continued[flow.ReceiveInput](e)
		require.True(t, ok, "%v", e.GetWorkflowError())
		in = next
		e, k = k.inNextRun(t, e.Now())
	}
	k.allStarted(t)
}
