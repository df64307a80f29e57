package workflows

import (
	"testing"
	"time"

	"github.com/shopspring/decimal"
	"github.com/stretchr/testify/require"
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
