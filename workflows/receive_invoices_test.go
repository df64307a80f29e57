package workflows

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/workflow"

	"teamogy-ksef/internal/flow"
)

// fakeKSeF answers what ReceiveInvoices asks for and notes it.
type fakeKSeF struct {
	e         *environment
	preflight flow.Authenticated
	find      func(w flow.Window) flow.Found
	order     func(flow.ExportOrder) flow.OrderedExport    // none: ten exports run already
	collect   func(flow.CollectInput) flow.CollectedExport // none: nothing is there to collect

	mu      sync.Mutex
	orders  []flow.ExportOrder
	ordered []time.Time
	starts  []flow.StartImportsInput
	windows []flow.Window
	asked   []time.Time
	started []flow.Spent
}

func receiving(e *environment) *fakeKSeF {
	k := &fakeKSeF{e: e, preflight: flow.Authenticated{
		Environment: "test", NIP: "5265877635",
		Settings: flow.Settings{
			TimeScale: 1, Receive: "on", ReceiveInterval: time.Hour, ReceiveFrom: start.AddDate(0, 0, -20), Subjects: []string{"Subject2"},
		},
		Limits: flow.Limits{QueriesPerMinute: 16, QueriesPerHour: 20, DownloadsPerMinute: 16, DownloadsPerHour: 64},
	}}
	k.find = func(flow.Window) flow.Found { return flow.Found{HWM: e.Now().Add(-time.Minute)} }
	outside(e, "Authenticate", func(flow.ConnectionInput) (flow.Authenticated, error) { return k.preflight, nil })
	outside(e, "FindReceived", func(w flow.Window) (flow.Found, error) {
		k.mu.Lock()
		k.windows = append(k.windows, w)
		k.asked = append(k.asked, e.Now())
		k.mu.Unlock()
		return k.find(w), nil
	})
	outside(e, "OrderExport", func(in flow.ExportOrder) (flow.OrderedExport, error) {
		k.mu.Lock()
		defer k.mu.Unlock()
		k.orders, k.ordered = append(k.orders, in), append(k.ordered, e.Now())
		if k.order == nil {
			return flow.OrderedExport{Attempts: 1, Busy: true}, nil
		}
		return k.order(in), nil
	})
	outside(e, "CollectExport", func(in flow.CollectInput) (flow.CollectedExport, error) { return k.collect(in), nil })
	outside(e, "StartImports", func(in flow.StartImportsInput) (flow.StartImportsResult, error) {
		k.mu.Lock()
		defer k.mu.Unlock()
		k.starts = append(k.starts, in)
		if in.Packed {
			n := min(in.Page, in.List.Count-in.From)
			return flow.StartImportsResult{Next: in.From + n, Started: n}, nil
		}
		n := min(in.Most, in.List.Count-in.From)
		k.started = append(k.started, flow.Spent{At: e.Now(), Count: n})
		return flow.StartImportsResult{Next: in.From + n, Started: n}, nil
	})
	return k
}

func (k *fakeKSeF) total() int {
	n := 0
	for _, s := range k.started {
		n += s.Count
	}
	return n
}

var receiveInput = flow.ReceiveInput{Connection: "acme"}

func TestReceiveInvoices_goesThroughAllPagesAndMovesTheCursorToTheMark(t *testing.T) {
	e := newEnvironment(t, "acme/receive")
	k := receiving(e)
	mark := start.Add(-time.Minute)
	second, third := start.AddDate(0, 0, -10), start.AddDate(0, 0, -10)
	pages := []flow.Found{
		{List: flow.ListRef{Key: "one", Count: 5}, HasMore: true, HWM: mark, LastDate: second},
		{List: flow.ListRef{Key: "two", Count: 5}, HasMore: true, HWM: mark, LastDate: third}, // a whole page of one date
		{List: flow.ListRef{Key: "three", Count: 2}, HWM: mark, LastDate: start.AddDate(0, 0, -1)},
	}
	k.find = func(flow.Window) flow.Found {
		page := pages[0]
		pages = pages[1:]
		return page
	}
	e.after(time.Minute, func() {
		status := ask[flow.ReceiveStatus](e)
		require.Equal(t, mark, status.Cursors["Subject2"].At)
		require.Equal(t, flow.ReceiveTotals{Cycles: 1, Found: 12, Started: 12}, status.Totals)
		require.True(t, status.NextPoll.After(e.Now()))
		e.CancelWorkflow()
	})
	e.ExecuteWorkflow(flow.ReceiveInvoices, receiveInput)
	require.Error(t, e.GetWorkflowError())
	from := k.preflight.Settings.ReceiveFrom
	require.Equal(t, []flow.Window{
		{Connection: "acme", Subject: "Subject2", From: from},
		{Connection: "acme", Subject: "Subject2", From: second},
		{Connection: "acme", Subject: "Subject2", From: third, PageOffset: 1},
	}, k.windows)
}

// However many are found: starts stay within the quota of downloads less its
// reserve, in real and in scaled time, and all are started in the end.
func TestReceiveInvoices_startsNoMoreImportsThanTheQuotaOfDownloads(t *testing.T) {
	for _, scale := range []float64{1, 60} {
		t.Run(fmt.Sprint("scale ", scale), func(t *testing.T) {
			e := newEnvironment(t, "acme/receive")
			k := receiving(e)
			k.preflight.Settings.TimeScale = scale
			first := true
			k.find = func(flow.Window) flow.Found {
				found := flow.Found{HWM: e.Now().Add(-time.Minute)}
				if first {
					found.List, found.LastDate, first = flow.ListRef{Key: "many", Count: 200}, start.AddDate(0, 0, -1), false
				}
				return found
			}
			e.after(flow.Scaled(6*time.Hour, scale), e.CancelWorkflow)
			e.ExecuteWorkflow(flow.ReceiveInvoices, receiveInput)
			require.Equal(t, 200, k.total())
			for _, s := range k.started {
				require.LessOrEqual(t, spentIn(k.started, s.At, flow.Scaled(time.Minute, scale)), 15)
				require.LessOrEqual(t, spentIn(k.started, s.At, flow.Scaled(time.Hour, scale)), 58)
			}
		})
	}
}

func TestReceiveInvoices_asksNoMoreOftenThanTheQuotaOfQueries(t *testing.T) {
	e := newEnvironment(t, "acme/receive")
	k := receiving(e)
	k.preflight.Settings.ReceiveInterval = time.Second // far too short
	k.preflight.Settings.Subjects = []string{"Subject1", "Subject2", "Subject3"}
	for i := range 60 { // and somebody who cannot wait
		e.after(time.Duration(i)*2*time.Minute, func() { e.update(flow.UpdatePollNow) })
	}
	e.after(3*time.Hour, e.CancelWorkflow)
	e.ExecuteWorkflow(flow.ReceiveInvoices, receiveInput)
	require.Greater(t, len(k.asked), 35)
	for i, at := range k.asked {
		inHour := 0
		for _, other := range k.asked[i:] {
			if other.Before(at.Add(time.Hour)) {
				inHour++
			}
		}
		require.LessOrEqual(t, inHour, 14, "six of the 20 are for others")
	}
}

// KSeF that names no limits is asked without a wait, and nothing spins.
func TestReceiveInvoices_worksWithoutLimits(t *testing.T) {
	e := newEnvironment(t, "acme/receive")
	k := receiving(e)
	k.preflight.Limits = flow.Limits{}
	first := true
	k.find = func(flow.Window) flow.Found {
		found := flow.Found{HWM: e.Now()}
		if first {
			found.List, first = flow.ListRef{Key: "many", Count: 200}, false
		}
		return found
	}
	e.after(time.Minute, e.CancelWorkflow)
	e.ExecuteWorkflow(flow.ReceiveInvoices, receiveInput)
	require.Equal(t, 200, k.total())
	require.Len(t, k.started, 1)
}

// days runs ReceiveInvoices over continue-as-new for some days.
func days(t *testing.T, n int, each func(run int, k *fakeKSeF)) (runs int, last flow.ReceiveInput) {
	t.Helper()
	in, now := receiveInput, start
	for runs = 0; now.Before(start.AddDate(0, 0, n)); runs++ {
		e := newEnvironment(t, "acme/receive")
		e.SetStartTime(now)
		k := receiving(e)
		each(runs, k)
		e.ExecuteWorkflow(flow.ReceiveInvoices, in)
		next, ok := continued[flow.ReceiveInput](e)
		require.True(t, ok, "it ended: %v", e.GetWorkflowError())
		require.NotEmpty(t, k.windows)
		now, in = e.Now(), next
	}
	return runs, in
}

func TestReceiveInvoices_continuesAsNewDailyAndRemembersEverything(t *testing.T) {
	var asked []time.Time
	var recent *fakeKSeF
	runs, last := days(t, 4, func(_ int, k *fakeKSeF) {
		if recent != nil {
			asked = append(asked, recent.asked...)
		}
		recent = k
	})
	require.Equal(t, 4, runs)
	asked = append(asked, recent.asked...)
	require.Equal(t, "acme", last.Connection)
	require.NotNil(t, last.State)
	require.Greater(t, last.State.Totals.Cycles, 80)
	require.True(t, last.State.Cursors["Subject2"].At.After(start.AddDate(0, 0, 3)))
	require.NotEmpty(t, last.State.Queries, "the quota was forgotten")
	for i, at := range asked[1:] {
		// A new run is no reason to ask at once; a recheck follows its cycle, and a
		// cycle may come a little late for its turn.
		since := at.Sub(asked[i])
		require.True(t, since < time.Second || since >= time.Hour-time.Minute || i == 0 && since >= 15*time.Minute, "asked again after %s", since)
	}
}

func TestReceiveInvoices_queriesTheLastDaysOnceMoreEachDay(t *testing.T) {
	var all []*fakeKSeF
	days(t, 5, func(_ int, k *fakeKSeF) { all = append(all, k) })
	var rechecks []time.Time
	for _, k := range all {
		for i, w := range k.windows {
			if w.To.IsZero() {
				continue
			}
			require.Greater(t, w.To.Sub(w.From), 3*24*time.Hour-2*time.Hour)
			require.Less(t, w.To.Sub(w.From), 3*24*time.Hour+2*time.Hour)
			rechecks = append(rechecks, k.asked[i])
		}
	}
	require.GreaterOrEqual(t, len(rechecks), 4)
	for i := 1; i < len(rechecks); i++ {
		since := rechecks[i].Sub(rechecks[i-1])
		require.GreaterOrEqual(t, since, 24*time.Hour)
		require.Less(t, since, 26*time.Hour)
	}
}

// The cursor that a person sets while a sweep is under way is not overwritten
// by it, and is gone by at once.
func TestReceiveInvoices_keepsTheCursorThatIsSetDuringASweep(t *testing.T) {
	e := newEnvironment(t, "acme/receive")
	k := receiving(e)
	set := start.AddDate(0, 0, -15)
	k.find = func(flow.Window) flow.Found {
		if len(k.windows) == 1 {
			e.update(flow.UpdateSetCursor, flow.CursorChange{At: set, Reason: "audit"})
		}
		return flow.Found{HWM: start.Add(-time.Minute)}
	}
	e.after(time.Minute, func() {
		require.Equal(t, start.Add(-time.Minute), ask[flow.ReceiveStatus](e).Cursors["Subject2"].At)
		e.CancelWorkflow()
	})
	e.ExecuteWorkflow(flow.ReceiveInvoices, receiveInput)
	require.Len(t, k.windows, 2)
	require.Equal(t, set, k.windows[1].From)
}

// A cursor that is set in the middle of a sweep is not moved by its next page.
func TestReceiveInvoices_beginsAtTheCursorThatIsSetBetweenPages(t *testing.T) {
	for name, older := range map[string]bool{"now": false, "an older run": true} {
		t.Run(name, func(t *testing.T) {
			e := newEnvironment(t, "acme/receive")
			if older {
				e.OnGetVersion(setChange, workflow.DefaultVersion, 1).Return(workflow.DefaultVersion)
			}
			k := receiving(e)
			set, page := start.AddDate(0, 0, -15), start.AddDate(0, 0, -5)
			k.find = func(w flow.Window) flow.Found {
				if len(k.windows) == 1 {
					e.update(flow.UpdateSetCursor, flow.CursorChange{At: set, Reason: "audit"})
				}
				return flow.Found{HWM: start.Add(-time.Minute), HasMore: len(k.windows) == 1, LastDate: page}
			}
			e.after(time.Minute, func() {
				require.Equal(t, start.Add(-time.Minute), ask[flow.ReceiveStatus](e).Cursors["Subject2"].At)
				e.CancelWorkflow()
			})
			e.ExecuteWorkflow(flow.ReceiveInvoices, receiveInput)
			require.Equal(t, !older, k.windows[1].From.Equal(set), "%v", k.windows)
		})
	}
}

// An update that comes just when the run is due is not lost with it.
func TestReceiveInvoices_asksAtOnceInTheNextRunIfAskedTo(t *testing.T) {
	e := newEnvironment(t, "acme/receive")
	k := receiving(e)
	_ = k
	e.after(10*time.Minute, func() {
		e.SetContinueAsNewSuggested(true)
		e.update(flow.UpdateSetCursor, flow.CursorChange{At: start.AddDate(0, 0, -15), Reason: "audit"})
	})
	e.ExecuteWorkflow(flow.ReceiveInvoices, receiveInput)
	next, ok := continued[flow.ReceiveInput](e)
	require.True(t, ok)
	require.False(t, next.State.NextPoll.After(e.Now()), "the next run waits until %s", next.State.NextPoll)
}

func TestReceiveInvoices_pausesInTheMiddleOfASweepAndResumes(t *testing.T) {
	e := newEnvironment(t, "acme/receive")
	k := receiving(e)
	first := true
	k.find = func(w flow.Window) flow.Found {
		if w.From.After(k.preflight.Settings.ReceiveFrom) && !first {
			return flow.Found{HWM: start}
		}
		first = false
		return flow.Found{List: flow.ListRef{Key: "many", Count: 40}, HWM: start, LastDate: start.AddDate(0, 0, -1)}
	}
	e.after(10*time.Second, func() { e.update(flow.UpdatePause, flow.Reason{Reason: "closing the year"}) })
	e.after(12*time.Hour, func() {
		status := ask[flow.ReceiveStatus](e)
		require.Equal(t, "closing the year", status.Paused)
		require.Equal(t, 15, k.total())
		require.Empty(t, status.Cursors, "the cursor moved over invoices that have no workflow")
		e.update(flow.UpdateResume)
	})
	e.after(13*time.Hour, e.CancelWorkflow)
	e.ExecuteWorkflow(flow.ReceiveInvoices, receiveInput)
	// The first 15 again, because the fake knows no records.
	require.Equal(t, 15+40, k.total())
}

func TestReceiveInvoices_refusesASetCursorWithoutReasonOrTime(t *testing.T) {
	e := newEnvironment(t, "acme/receive")
	receiving(e)
	rejected := 0
	e.after(time.Minute, func() {
		for i, change := range []flow.CursorChange{{At: start}, {Reason: "audit"}, {At: start, Reason: "  "}} {
			e.UpdateWorkflow(flow.UpdateSetCursor, fmt.Sprint(i), &updateMustBeRejected{t, &rejected}, change)
		}
	})
	e.after(2*time.Minute, e.CancelWorkflow)
	e.ExecuteWorkflow(flow.ReceiveInvoices, receiveInput)
	require.Equal(t, 3, rejected)
}

type updateMustBeRejected struct {
	t *testing.T
	n *int
}

func (u *updateMustBeRejected) Accept()             { u.t.Error("the update is accepted") }
func (u *updateMustBeRejected) Reject(error)        { *u.n++ }
func (u *updateMustBeRejected) Complete(any, error) {}

// An error for which nothing is tried again does not end what runs for ever.
func TestReceiveInvoices_outlivesAStepThatFailsForGood(t *testing.T) {
	e := newEnvironment(t, "acme/receive")
	tries := 0
	outside(e, "Authenticate", func(flow.ConnectionInput) (flow.Authenticated, error) {
		tries++
		return flow.Authenticated{}, ofContent(flow.ErrWrongAnswer, "odd")
	})
	e.after(2*time.Hour, e.CancelWorkflow)
	e.ExecuteWorkflow(flow.ReceiveInvoices, receiveInput)
	require.Greater(t, tries, 1)
	require.Less(t, tries, 130, "it does not rest in between")
}

func TestReceiveInvoices_saysWhatToTypeWhenItsInputIsIncomplete(t *testing.T) {
	for _, in := range []flow.ReceiveInput{{}, {Connection: "Acme GmbH"}} {
		e := newEnvironment(t, "x")
		e.ExecuteWorkflow(flow.ReceiveInvoices, in)
		failure := failedWith(t, e.GetWorkflowError())
		require.Equal(t, flow.ErrBadInput, failure.Type())
		require.Contains(t, failure.Message(), `{"connection":"acme"}`)
	}
}
