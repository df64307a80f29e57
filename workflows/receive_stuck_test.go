package workflows

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shopspring/decimal"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/workflow"
	"pgregory.net/rapid"

	"teamogy-ksef/internal/flow"
)

// seedMoment stores invoices of one moment whose amounts differ.
func (k *exportingKSeF) seedMoment(n int, at time.Time, subject string) {
	for i := range n {
		k.invoices = append(k.invoices, storedInvoice{id: len(k.invoices) + 1, at: at, gross: decimal.New(int64(i), -2), as: subject})
	}
}

// That a moment was brought whole for one subject type says nothing of what
// another one sees of the same moment.
func TestReceiveInvoices_bringsAMomentWholeForEachSubjectType(t *testing.T) {
	e := newEnvironment(t, "acme/receive")
	k := exporting(e, 20, 100)
	k.preflight.Limits.QueriesPerHour, k.preflight.Limits.ExportsPerHour, k.preflight.Limits.ExportsPerMinute = 0, 0, 0
	k.preflight.Settings.Subjects = []string{"Subject2", "Subject3"}
	k.seedMoment(150, start.AddDate(0, 0, -9), "Subject2")
	k.seedMoment(150, start.AddDate(0, 0, -9), "Subject3")
	e.after(10*time.Minute, e.CancelWorkflow)
	e.ExecuteWorkflow(flow.ReceiveInvoices, receiveInput)
	k.allStarted(t)
}

// A package of which KSeF says that there is nothing yet brings nothing: the
// cursor stays at the moment, and the next cycle tries again.
func TestReceiveInvoices_doesNotTakeAMomentForWholeThatKSeFIsNotUpTo(t *testing.T) {
	for name, refused := range map[string]bool{"refused": true, "answered when it was made": false} {
		t.Run(name, func(t *testing.T) {
			e := newEnvironment(t, "acme/receive")
			k := exporting(e, 20, 100)
			k.preflight.Limits.QueriesPerHour, k.preflight.Limits.ExportsPerHour, k.preflight.Limits.ExportsPerMinute = 0, 0, 0
			same := start.AddDate(0, 0, -9)
			k.seedMoment(150, same, "")
			notYet := func() bool {
				o := k.orders[len(k.orders)-1]
				return !o.To.IsZero() && e.Now().Before(start.Add(30*time.Minute))
			}
			if refused {
				k.orderFault = func(int) (flow.OrderedExport, bool) {
					return flow.OrderedExport{Attempts: 1, NothingNew: true}, notYet()
				}
			} else {
				k.fault = func(int) string {
					if notYet() {
						return flow.ExportNothing
					}
					return ""
				}
			}
			e.after(20*time.Minute, func() {
				require.False(t, ask[flow.ReceiveStatus](e).Cursors["Subject2"].At.After(same))
			})
			e.after(3*time.Hour, e.CancelWorkflow)
			e.ExecuteWorkflow(flow.ReceiveInvoices, receiveInput)
			k.allStarted(t)
		})
	}
}

// While a pause keeps a package's imports from being started, the daily look
// back does not order another package in its place.
func TestReceiveInvoices_doesNotLookBackWhileAPackageWaits(t *testing.T) {
	e := newEnvironment(t, "acme/receive")
	k := exporting(e, 250, 10_000)
	k.seed(2*importsPage+100, start.AddDate(0, 0, -1))
	k.full = func(in flow.StartImportsInput) bool {
		return in.From == importsPage && e.Now().Before(start.Add(20*time.Minute))
	}
	e.after(5*time.Minute, func() { e.update(flow.UpdatePause, flow.Reason{Reason: "a test"}) })
	e.after(10*time.Minute, func() {
		require.Len(t, k.orders, 1)
		require.Equal(t, importsPage, ask[flow.ReceiveStatus](e).Manifest.Next)
	})
	e.after(30*time.Minute, func() { e.update(flow.UpdateResume) })
	e.after(50*time.Minute, e.CancelWorkflow)
	in := flow.ReceiveInput{Connection: "acme", State: &flow.ReceiveState{
		Cursors: map[string]flow.Cursor{"Subject2": {At: start.AddDate(0, 0, -1).Add(-time.Hour)}}, LastRecheck: start.AddDate(0, 0, -3),
	}}
	k.seed(300, start.AddDate(0, 0, -2))
	e.ExecuteWorkflow(flow.ReceiveInvoices, in)
	k.allStarted(t)
}

// Where a moment cannot be brought whole, whoever reads the log finds out where and
// for which subject type, once a day; of one that can be divided there is nothing
// to say.
func TestReceiveInvoices_logsWhereItIsStuck(t *testing.T) {
	const message = "KSeF holds more invoices of one moment than a query shows; the cursor stays there"
	same := start.AddDate(0, 0, -9)
	for name, c := range map[string]struct {
		amount func(i int) int64
		noted  bool
	}{
		"of one amount":   {func(int) int64 { return 500 }, true},
		"of many amounts": {func(i int) int64 { return int64(i) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEnvironment(t, "acme/receive")
			k := exporting(e, 20, 100)
			for i := range 150 {
				k.invoices = append(k.invoices, storedInvoice{id: i + 1, at: same, gross: decimal.New(c.amount(i), -2)})
			}
			k.seed(30, start.AddDate(0, 0, -8))
			e.after(23*time.Hour, func() { // with a poll each hour
				require.Equal(t, c.noted, len(ask[flow.ReceiveStatus](e).Stuck) > 0)
				e.CancelWorkflow()
			})
			e.ExecuteWorkflow(flow.ReceiveInvoices, receiveInput)
			if !c.noted {
				require.NotContains(t, e.errors.String(), message)
				return
			}
			require.Equal(t, 1, strings.Count(e.errors.String(), message), "%s", e.errors)
			require.Contains(t, e.errors.String(), message+`" subject=Subject2 at=`+same.Format("2006-01-02T15:04:05"))
		})
	}
}

// Dividing a range of amounts leaves no amount out, takes none twice, and ends.
func TestSplit_leavesNoAmountOutAndTakesNoneTwice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		amount := rapid.Custom(func(t *rapid.T) decimal.Decimal {
			return decimal.New(int64(rapid.IntRange(-30, 30).Draw(t, "groszy")), -2)
		})
		open, whole := []amounts{{}}, []amounts(nil)
		for steps := 0; len(open) > 0; steps++ {
			require.Less(t, steps, 1000)
			part := open[0]
			open = open[1:]
			at := amount.Draw(t, "at")
			if part.from != nil {
				at = decimal.Max(at, *part.from)
			}
			if part.to != nil {
				at = decimal.Min(at, *part.to)
			}
			halves, can := part.split(at, 0, 0)
			if part.from != nil && part.to != nil && part.from.Equal(*part.to) {
				require.False(t, can, "of one amount")
			}
			if !can || rapid.IntRange(0, 3).Draw(t, "whole") == 0 {
				whole = append(whole, part)
				continue
			}
			open = append(open, halves...)
		}
		for groszy := int64(-40); groszy <= 40; groszy++ {
			of, n := decimal.New(groszy, -2), 0
			for _, p := range whole {
				if (p.from == nil || !of.LessThan(*p.from)) && (p.to == nil || !of.GreaterThan(*p.to)) {
					n++
				}
			}
			require.Equal(t, 1, n, "the amount %s", of)
		}
	})
}

// seedOneAmount stores more invoices of one moment and one amount than a package
// of this file holds.
func (k *exportingKSeF) seedOneAmount(at time.Time) {
	for range 150 {
		k.invoices = append(k.invoices, storedInvoice{id: len(k.invoices) + 1, at: at, gross: decimal.New(500, -2)})
	}
}

// divisible gives the invoices of a moment amounts of their own.
func (k *exportingKSeF) divisible(at time.Time) {
	for i := range k.invoices {
		if k.invoices[i].at.Equal(at) {
			k.invoices[i].gross = decimal.New(int64(i), -2)
		}
	}
}

// A second moment behind the first one that cannot be had is not divided anew with
// each cycle, which would take the whole quota of exports for ever: it is tried
// once a day, and nothing is left out.
func TestReceiveInvoices_dividesASecondMomentOnceADay(t *testing.T) {
	first, second := start.AddDate(0, 0, -9), start.AddDate(0, 0, -7)
	for name, older := range map[string]bool{"now": false, "an older run": true} {
		t.Run(name, func(t *testing.T) {
			e := newEnvironment(t, "acme/receive")
			if older {
				e.OnGetVersion(inVainChange, workflow.DefaultVersion, 1).Return(workflow.DefaultVersion)
			}
			k := exporting(e, 20, 100)
			k.seedOneAmount(first)
			k.seed(30, start.AddDate(0, 0, -8))
			k.seedOneAmount(second)
			k.seed(30, start.AddDate(0, 0, -6))
			divided := func() (n int) {
				for _, o := range k.orders {
					if o.From.Equal(second) && !o.To.IsZero() {
						n++
					}
				}
				return n
			}
			before := 0
			e.after(2*time.Hour, func() {
				before = divided()
				require.NotZero(t, before)
			})
			e.after(20*time.Hour, func() { // with a poll each hour
				require.Equal(t, older, divided() > before, "the second moment is tried again and again")
				require.Equal(t, first, ask[flow.ReceiveStatus](e).Cursors["Subject2"].At)
				for _, i := range k.invoices {
					if i.at != first && i.at != second {
						require.Equal(t, 1, k.started[i.id], "the invoice %d of %s", i.id, i.at)
					}
				}
			})
			in := receiveInput
			run := func() {
				e.ExecuteWorkflow(flow.ReceiveInvoices, in) // a day
				next, ok := continued[flow.ReceiveInput](e)
				require.True(t, ok, "%v", e.GetWorkflowError())
				in = next
				e, k = k.inNextRun(t, e.Now())
			}
			run()
			if older {
				return
			}
			k.divisible(first)
			run()
			require.Equal(t, map[string]time.Time{"Subject2": second}, in.State.Stuck)
			require.Equal(t, second, in.State.Cursors["Subject2"].At)
			k.divisible(second)
			run()
			run()
			require.Empty(t, in.State.Stuck)
			require.Empty(t, in.State.Behind)
			k.allStarted(t)
		})
	}
}

// A second moment of which an import could not be started is brought the next day,
// though the first one is as it was.
func TestReceiveInvoices_bringsASecondMomentWhileTheFirstIsStuck(t *testing.T) {
	first, second := start.AddDate(0, 0, -9), start.AddDate(0, 0, -7)
	e := newEnvironment(t, "acme/receive")
	k := exporting(e, 20, 100)
	k.seedOneAmount(first)
	k.seedOneAmount(second)
	k.divisible(second)
	k.broken = func(id int) bool { return id == 299 }
	e.ExecuteWorkflow(flow.ReceiveInvoices, receiveInput) // a day
	next, ok := continued[flow.ReceiveInput](e)
	require.True(t, ok, "%v", e.GetWorkflowError())
	require.False(t, next.State.Behind["Subject2"].At.After(second))
	e, k = k.inNextRun(t, e.Now())
	e.after(12*time.Hour, func() {
		require.Equal(t, first, ask[flow.ReceiveStatus](e).Cursors["Subject2"].At)
		e.CancelWorkflow()
	})
	e.ExecuteWorkflow(flow.ReceiveInvoices, next)
	for _, i := range k.invoices {
		if i.at.Equal(second) {
			require.Equal(t, 1, k.started[i.id], "the invoice %d", i.id)
		}
	}
}

// Who sets the cursor while a moment is being divided is obeyed at once, and not a
// day later.
func TestReceiveInvoices_obeysACursorThatIsSetWhileAMomentIsDivided(t *testing.T) {
	e := newEnvironment(t, "acme/receive")
	k := exporting(e, 20, 100)
	k.seedOneAmount(start.AddDate(0, 0, -9))
	set := start.AddDate(0, 0, -15)
	done := false
	k.fault = func(int) string {
		if o := k.orders[len(k.orders)-1]; !o.To.IsZero() && !done {
			done = true
			e.update(flow.UpdateSetCursor, flow.CursorChange{At: set, Reason: "audit"})
		}
		return ""
	}
	e.after(50*time.Minute, func() {
		require.True(t, done)
		require.True(t, slices.ContainsFunc(k.windows, func(w flow.Window) bool { return w.From.Equal(set) }))
		e.CancelWorkflow()
	})
	e.ExecuteWorkflow(flow.ReceiveInvoices, receiveInput)
	require.Error(t, e.GetWorkflowError())
}
