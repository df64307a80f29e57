package workflows

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"teamogy-ksef/internal/flow"
)

// An invoice whose import could not be started keeps the cursor before it, and
// nothing else: the pages and the windows after it are looked at all the same,
// and once it can be started the cursor follows.
func TestReceiveInvoices_goesOnBehindAnInvoiceThatCouldNotBeStarted(t *testing.T) {
	e := newEnvironment(t, "acme/receive")
	k := receiving(e)
	from := start.AddDate(0, 0, -150)
	k.preflight.Settings.ReceiveFrom = from
	end := from.Add(longestWindow)
	day := func(n int) time.Time { return from.AddDate(0, 0, n) }
	k.find = func(w flow.Window) flow.Found {
		switch {
		case w.From.Equal(from):
			return flow.Found{List: flow.ListRef{Key: "good", Count: 3}, HasMore: true, HWM: end, LastDate: day(10)}
		case w.From.Equal(day(10)):
			return flow.Found{List: flow.ListRef{Key: "bad", Count: 3}, HasMore: true, HWM: end, LastDate: day(20)}
		case w.From.Equal(day(20)):
			return flow.Found{List: flow.ListRef{Key: "behind", Count: 3}, HWM: end, LastDate: day(30)}
		case w.From.Equal(end):
			return flow.Found{List: flow.ListRef{Key: "next window", Count: 3}, HWM: e.Now(), LastDate: day(120)}
		}
		return flow.Found{HWM: e.Now()}
	}
	failing := true
	var looked []string
	outside(e, "StartImports", func(in flow.StartImportsInput) (flow.StartImportsResult, error) {
		looked = append(looked, in.List.Key)
		if in.List.Key == "bad" && failing {
			return flow.StartImportsResult{Next: in.List.Count, Started: in.List.Count - 1, Failed: 1}, nil
		}
		return flow.StartImportsResult{Next: in.List.Count, Known: in.List.Count}, nil
	})
	e.after(time.Minute, func() {
		require.Equal(t, []string{"good", "bad", "behind", "next window"}, looked)
		require.Equal(t, day(10), ask[flow.ReceiveStatus](e).Cursors["Subject2"].At)
		failing = false
	})
	e.after(2*time.Hour, func() {
		require.True(t, ask[flow.ReceiveStatus](e).Cursors["Subject2"].At.After(start))
		e.CancelWorkflow()
	})
	e.ExecuteWorkflow(flow.ReceiveInvoices, receiveInput)
	require.Error(t, e.GetWorkflowError())
}
