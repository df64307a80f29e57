package workflows

import (
	"cmp"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/shopspring/decimal"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/workflow"
	"pgregory.net/rapid"

	"teamogy-ksef/internal/flow"
)

// stored is an invoice at KSeF.
type storedInvoice struct {
	id    int
	at    time.Time // of storage
	shown time.Time // from when on KSeF shows it
	gross decimal.Decimal
	as    string // the subject type that sees it; empty: all
}

// exportingKSeF is a KSeF with queries and export packages of its own sizes, and
// the register of what has been started.
type exportingKSeF struct {
	*fakeKSeF
	now        func() time.Time
	pageSize   int
	mostPacked int
	invoices   []storedInvoice
	lists      map[string][]int
	started    map[int]int
	downloads  []flow.Spent                      // by imports that were started without a package
	exports    map[string]flow.ExportOrder       // by reference
	fault      func(n int) string                // the outcome of the n-th export, from 1; empty: it is made
	full       func(flow.StartImportsInput) bool // no room at present
	broken     func(id int) bool                 // its import cannot be started
	orderFault func(n int) (flow.OrderedExport, bool)
	shows      time.Duration               // the precision of the times that it shows; 0: that in which it keeps them
	hides      func(flow.ExportOrder) bool // answers with nothing
	lacks      func(id int) bool           // a package names it, without its XML
}

func exporting(e *environment, pageSize, mostPacked int) *exportingKSeF {
	k := &exportingKSeF{
		fakeKSeF: receiving(e), now: e.Now, pageSize: pageSize, mostPacked: mostPacked,
		lists: map[string][]int{}, started: map[int]int{}, exports: map[string]flow.ExportOrder{},
	}
	k.preflight.Limits.ExportsPerMinute, k.preflight.Limits.ExportsPerHour = 16, 20
	k.find = k.query
	k.order = func(o flow.ExportOrder) flow.OrderedExport {
		if k.orderFault != nil {
			if answer, is := k.orderFault(len(k.orders)); is {
				return answer
			}
		}
		reference := fmt.Sprint("EH-", len(k.orders))
		k.exports[reference] = o
		return flow.OrderedExport{Reference: reference, Salt: "salt", Attempts: 1}
	}
	k.collect = k.make
	outside(e, "StartImports", func(in flow.StartImportsInput) (flow.StartImportsResult, error) {
		k.mu.Lock()
		defer k.mu.Unlock()
		k.starts = append(k.starts, in)
		out := flow.StartImportsResult{Next: in.From}
		defer func() {
			if !in.Packed && out.Started > 0 {
				k.downloads = append(k.downloads, flow.Spent{At: e.Now(), Count: out.Started})
			}
		}()
		if k.full != nil && k.full(in) {
			out.Full = true
			return out, nil
		}
		ids := k.lists[in.List.Key]
		for ; out.Next < len(ids) && (in.Page == 0 || out.Next < in.From+in.Page); out.Next++ {
			id := ids[out.Next]
			switch {
			case k.started[id] > 0:
				out.Known++
			case k.broken != nil && k.broken(id):
				out.Failed++
			case !in.Packed && out.Started == in.Most:
				return out, nil
			default:
				k.started[id]++
				out.Started++
			}
		}
		return out, nil
	})
	return k
}

// inNextRun is the same KSeF for the next run of the workflow.
func (k *exportingKSeF) inNextRun(t *testing.T, from time.Time) (*environment, *exportingKSeF) {
	e := newEnvironment(t, "acme/receive")
	e.SetStartTime(from)
	next := exporting(e, k.pageSize, k.mostPacked)
	next.preflight, next.invoices, next.lists, next.started = k.preflight, k.invoices, k.lists, k.started
	return e, next
}

func (k *exportingKSeF) hwm() time.Time { return k.now().Add(-time.Minute) }

// within are the invoices of a window, in the order of their storage.
func (k *exportingKSeF) within(w flow.Window, from, to string) (found []storedInvoice, end time.Time) {
	end = k.hwm()
	if !w.To.IsZero() && w.To.Before(end) {
		end = w.To
	}
	for _, i := range k.invoices {
		if i.as != "" && i.as != w.Subject || i.shown.After(k.now()) || i.at.Before(w.From) || i.at.After(end) ||
			from != "" && i.gross.LessThan(decimal.RequireFromString(from)) || to != "" && i.gross.GreaterThan(decimal.RequireFromString(to)) {
			continue
		}
		found = append(found, i)
	}
	slices.SortFunc(found, func(a, b storedInvoice) int { return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.id, b.id)) })
	return found, end
}

func (k *exportingKSeF) list(some []storedInvoice, onlyNew bool) (flow.ListRef, int) {
	var ids []int
	known := 0
	for _, i := range some {
		if k.started[i.id] > 0 {
			if known++; onlyNew {
				continue
			}
		}
		ids = append(ids, i.id)
	}
	if len(ids) == 0 {
		return flow.ListRef{}, known
	}
	key := fmt.Sprint("list ", len(k.lists))
	k.lists[key] = ids
	return flow.ListRef{Key: key, Count: len(ids)}, known
}

func (k *exportingKSeF) query(w flow.Window) flow.Found {
	k.mu.Lock()
	defer k.mu.Unlock()
	if w.From.After(k.hwm()) {
		return flow.Found{}
	}
	found, end := k.within(w, "", "")
	first := min(w.PageOffset*k.pageSize, len(found))
	last := min(first+k.pageSize, len(found))
	page := flow.Found{HWM: end, HasMore: last < len(found)}
	page.Truncated = page.HasMore && w.PageOffset == lastPage
	page.List, page.Known = k.list(found[first:last], false)
	if last > first {
		page.LastDate = found[last-1].at.Truncate(k.shows)
	}
	return page
}

func (k *exportingKSeF) make(in flow.CollectInput) flow.CollectedExport {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.fault != nil {
		if outcome := k.fault(len(k.orders)); outcome != "" {
			return flow.CollectedExport{Outcome: outcome, Reason: "a fault"}
		}
	}
	o := k.exports[in.Reference]
	if o.From.After(k.hwm()) {
		return flow.CollectedExport{Outcome: flow.ExportNothing}
	}
	found, end := k.within(o.Window, o.GrossFrom, o.GrossTo)
	list := flow.CollectedList{Found: flow.Found{HWM: end}}
	if len(found) > k.mostPacked {
		found = found[:k.mostPacked]
		list.Truncated, list.HasMore = true, true
		sorted := slices.SortedFunc(slices.Values(found), func(a, b storedInvoice) int { return a.gross.Cmp(b.gross) })
		median := sorted[(len(sorted)-1)/2].gross
		list.Median = median.String()
		for _, i := range found {
			if i.gross.LessThanOrEqual(median) {
				list.UpToMedian++
			}
		}
	}
	if len(found) > 0 {
		list.LastDate = found[len(found)-1].at.Truncate(k.shows)
	}
	list.Invoices = len(found)
	if k.hides != nil && k.hides(o) {
		return flow.CollectedExport{Outcome: flow.ExportReady, Found: flow.CollectedList{Found: flow.Found{HWM: end}}}
	}
	if k.lacks != nil && !in.OnlyMetadata {
		var apart []storedInvoice
		found, apart = divided(found, k.lacks)
		list.Apart, _ = k.list(apart, false)
	}
	list.List, list.Known = k.list(found, in.OnlyMetadata)
	return flow.CollectedExport{Outcome: flow.ExportReady, Found: list}
}

func divided(all []storedInvoice, lacks func(id int) bool) (packed, apart []storedInvoice) {
	for _, i := range all {
		if lacks(i.id) {
			apart = append(apart, i)
		} else {
			packed = append(packed, i)
		}
	}
	return packed, apart
}

// seed stores invoices, one a second from a time on.
func (k *exportingKSeF) seed(n int, from time.Time) {
	for i := range n {
		k.invoices = append(k.invoices, storedInvoice{id: len(k.invoices) + 1, at: from.Add(time.Duration(i) * time.Second), gross: decimal.NewFromInt(int64(100 + i))})
	}
}

// seedAs is seed for one subject type.
func (k *exportingKSeF) seedAs(as string, n int, from time.Time) []storedInvoice {
	before := len(k.invoices)
	k.seed(n, from)
	added := k.invoices[before:]
	for i := range added {
		added[i].as = as
	}
	return added
}

func (k *exportingKSeF) allStarted(t require.TestingT) {
	for _, i := range k.invoices {
		require.Equal(t, 1, k.started[i.id], "the invoice %d of %s", i.id, i.at)
	}
}

// Ten thousand invoices cost one query and one export, and none of the quota of
// downloads; the choice and its reason are shown.
func TestReceiveInvoices_bringsTenThousandInvoicesByOneQueryAndOneExport(t *testing.T) {
	e := newEnvironment(t, "acme/receive")
	k := exporting(e, 250, 10_000)
	k.seed(10_000, start.AddDate(0, 0, -10))
	e.after(10*time.Minute, func() {
		status := ask[flow.ReceiveStatus](e)
		require.Equal(t, "250 or more new invoices: an export package; 17 of 18 exports left this hour", status.Choice)
		require.Equal(t, flow.ReceiveTotals{Cycles: 1, Found: 10_000, Started: 10_000, Packages: 1}, status.Totals)
		require.True(t, status.Cursors["Subject2"].At.After(start.Add(-2*time.Minute)))
		require.Nil(t, status.Manifest)
		e.CancelWorkflow()
	})
	e.ExecuteWorkflow(flow.ReceiveInvoices, receiveInput)
	k.allStarted(t)
	require.Len(t, k.windows, 1)
	require.Len(t, k.orders, 1)
	for i, in := range k.starts {
		require.True(t, in.Packed)
		require.Equal(t, i*importsPage, in.From)
	}
	require.Len(t, k.starts, 10_000/importsPage)
}

// A package that is cut off is followed by another one, without a query between,
// and the records of the boundary come twice and are started once.
func TestReceiveInvoices_goesOnAfterAPackageThatWasCutOff(t *testing.T) {
	e := newEnvironment(t, "acme/receive")
	k := exporting(e, 250, 1000)
	k.seed(995, start.AddDate(0, 0, -10))
	same := start.AddDate(0, 0, -9)
	for range 20 { // across the boundary
		k.seed(1, same)
	}
	k.seed(1200, start.AddDate(0, 0, -8))
	e.after(10*time.Minute, e.CancelWorkflow)
	e.ExecuteWorkflow(flow.ReceiveInvoices, receiveInput)
	k.allStarted(t)
	require.Len(t, k.windows, 1)
	require.Len(t, k.orders, 3)
	require.Equal(t, same, k.orders[1].From)
}

// The daily look back at more than a page asks for the list alone; what is new
// in it comes one by one if it is little, else by a package.
func TestReceiveInvoices_looksBackByTheListAlone(t *testing.T) {
	for name, late := range map[string]int{"nothing new": 0, "few": 3, "many": 60} {
		t.Run(name, func(t *testing.T) {
			e := newEnvironment(t, "acme/receive")
			k := exporting(e, 250, 10_000)
			k.seed(400, start.AddDate(0, 0, -1))
			for i := range k.invoices {
				k.started[k.invoices[i].id] = 1
			}
			k.seed(late, start.AddDate(0, 0, -1)) // behind the cursor
			in := flow.ReceiveInput{Connection: "acme", State: &flow.ReceiveState{
				Cursors: map[string]flow.Cursor{"Subject2": {At: start.Add(-time.Hour)}}, LastRecheck: start.AddDate(0, 0, -2),
			}}
			e.after(30*time.Minute, e.CancelWorkflow)
			e.ExecuteWorkflow(flow.ReceiveInvoices, in)
			k.allStarted(t)
			require.Len(t, k.windows, 2, "the sweep's, and one of the look back")
			require.True(t, k.orders[0].OnlyMetadata)
			require.Equal(t, 1+max(0, late-59), len(k.orders))
		})
	}
}

// A look back for which KSeF makes no package, because it says that it is not so far
// any more, is not done: what was stored in those days and shown late would be
// looked for never again.
func TestReceiveInvoices_looksBackAgainWhereThatBroughtNothing(t *testing.T) {
	refused := func(at int) func(int) (flow.OrderedExport, bool) {
		return func(n int) (flow.OrderedExport, bool) {
			return flow.OrderedExport{Attempts: 1, NothingNew: true}, n == at
		}
	}
	nothingMade := func(at int) func(int) string {
		return func(n int) string {
			if n == at {
				return flow.ExportNothing
			}
			return ""
		}
	}
	for name, c := range map[string]struct {
		late   int
		order  func(n int) (flow.OrderedExport, bool)
		fault  func(n int) string
		older  bool // a run of earlier code
		orders int
	}{
		"the list is refused":     {late: 3, order: refused(1), orders: 2},
		"the list is not made":    {late: 3, fault: nothingMade(1), orders: 2},
		"the package is refused":  {late: 60, order: refused(2), orders: 4},
		"the package is not made": {late: 60, fault: nothingMade(2), orders: 4},
		"an older run":            {late: 3, order: refused(1), older: true, orders: 1},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEnvironment(t, "acme/receive")
			k := exporting(e, 250, 10_000)
			k.orderFault, k.fault = c.order, c.fault
			k.seed(400, start.AddDate(0, 0, -1))
			for i := range k.invoices {
				k.started[k.invoices[i].id] = 1
			}
			k.seed(c.late, start.AddDate(0, 0, -1))
			in := flow.ReceiveInput{Connection: "acme", State: &flow.ReceiveState{
				Cursors: map[string]flow.Cursor{"Subject2": {At: start.Add(-time.Hour)}}, LastRecheck: start.AddDate(0, 0, -2),
			}}
			if c.older {
				e.OnGetVersion(looksAgainChange, workflow.DefaultVersion, 1).Return(workflow.DefaultVersion)
			}
			e.after(5*time.Hour, e.CancelWorkflow)
			e.ExecuteWorkflow(flow.ReceiveInvoices, in)
			require.Len(t, k.orders, c.orders, "once more, and then no more that day")
			if !c.older {
				k.allStarted(t)
			}
		})
	}
}

// A manifest that a pause or a new run interrupts goes on where it stood, and the
// package is not ordered again.
func TestReceiveInvoices_goesOnWithAManifestWhereItStood(t *testing.T) {
	e := newEnvironment(t, "acme/receive")
	k := exporting(e, 250, 10_000)
	k.seed(2*importsPage+100, start.AddDate(0, 0, -10))
	k.full = func(in flow.StartImportsInput) bool {
		if in.From == importsPage {
			e.SetContinueAsNewSuggested(true)
		}
		return in.From == importsPage
	}
	e.ExecuteWorkflow(flow.ReceiveInvoices, receiveInput)
	next, ok := continued[flow.ReceiveInput](e)
	require.True(t, ok, "%v", e.GetWorkflowError())
	require.Equal(t, importsPage, next.State.Manifest.Next)
	require.Empty(t, next.State.Cursors)
	require.False(t, next.State.NextPoll.After(e.Now()), "it goes on at once")

	again := newEnvironment(t, "acme/receive")
	again.SetStartTime(e.Now())
	later := exporting(again, 250, 10_000)
	later.invoices, later.lists, later.started = k.invoices, k.lists, k.started
	again.after(10*time.Minute, func() {
		status := ask[flow.ReceiveStatus](again)
		require.Nil(t, status.Manifest)
		require.True(t, status.Cursors["Subject2"].At.After(start.Add(-time.Hour)))
		again.CancelWorkflow()
	})
	again.ExecuteWorkflow(flow.ReceiveInvoices, next)
	later.allStarted(t)
	require.Equal(t, importsPage, later.starts[0].From)
	require.Empty(t, later.orders)
}

// Exactly as many of one moment as a package holds are no reason to be stuck,
// nor are more if their amounts differ: the packages are divided by those.
func TestReceiveInvoices_bringsAMomentOfMoreInvoicesThanAPackageHolds(t *testing.T) {
	for name, n := range map[string]int{"exactly": 100, "one more": 101, "many more": 730} {
		t.Run(name, func(t *testing.T) {
			e := newEnvironment(t, "acme/receive")
			k := exporting(e, 20, 100)
			k.preflight.Limits.QueriesPerHour, k.preflight.Limits.ExportsPerHour, k.preflight.Limits.ExportsPerMinute = 0, 0, 0
			k.seed(30, start.AddDate(0, 0, -10))
			same := start.AddDate(0, 0, -9)
			for i := range n {
				k.seed(1, same)
				k.invoices[len(k.invoices)-1].gross = decimal.New(int64(i%(n/2+1)), -2) // some alike, a grosz apart
			}
			k.seed(30, start.AddDate(0, 0, -8))
			e.after(10*time.Minute, func() {
				status := ask[flow.ReceiveStatus](e)
				require.Empty(t, status.Stuck)
				require.True(t, status.Cursors["Subject2"].At.After(start.Add(-2*time.Minute)))
				e.CancelWorkflow()
			})
			e.ExecuteWorkflow(flow.ReceiveInvoices, receiveInput)
			k.allStarted(t)
			for _, o := range k.orders {
				if o.GrossFrom != "" || o.GrossTo != "" {
					require.Equal(t, same, o.From)
					require.Equal(t, same.Add(time.Millisecond), o.To)
				}
			}
		})
	}
}

// KSeF may keep times more finely than it shows them: what it shows as one
// moment is then asked for as a whole.
func TestReceiveInvoices_bringsAMomentThatIsShownLessFinelyThanItIsKept(t *testing.T) {
	e := newEnvironment(t, "acme/receive")
	k := exporting(e, 20, 100)
	k.shows = time.Millisecond
	k.preflight.Limits.QueriesPerHour, k.preflight.Limits.ExportsPerHour, k.preflight.Limits.ExportsPerMinute = 0, 0, 0
	same := start.AddDate(0, 0, -9).Add(345_678 * time.Nanosecond)
	k.seed(30, same.Add(-time.Hour))
	for i := range 330 {
		k.seed(1, same)
		k.invoices[len(k.invoices)-1].gross = decimal.New(int64(i), -2)
	}
	k.seed(30, same.Add(time.Hour))
	e.after(10*time.Minute, e.CancelWorkflow)
	e.ExecuteWorkflow(flow.ReceiveInvoices, receiveInput)
	k.allStarted(t)
}

// Whatever KSeF does with a filter: a moment of which less comes than was seen is
// not whole. The cursor stays there, and that is said.
func TestReceiveInvoices_takesNoMomentForWholeOfWhichLessComesThanWasSeen(t *testing.T) {
	for name, hides := range map[string]func(flow.ExportOrder) bool{
		"everything":     func(o flow.ExportOrder) bool { return !o.To.IsZero() },
		"some amounts":   func(o flow.ExportOrder) bool { return o.GrossFrom != "" },
		"other amounts":  func(o flow.ExportOrder) bool { return o.GrossTo != "" },
		"what is little": func(o flow.ExportOrder) bool { return o.GrossTo != "" && o.GrossFrom != "" },
	} {
		t.Run(name, func(t *testing.T) {
			e := newEnvironment(t, "acme/receive")
			k := exporting(e, 20, 100)
			k.hides = hides
			k.preflight.Limits.QueriesPerHour, k.preflight.Limits.ExportsPerHour, k.preflight.Limits.ExportsPerMinute = 0, 0, 0
			same := start.AddDate(0, 0, -9)
			for i := range 150 {
				k.seed(1, same)
				k.invoices[len(k.invoices)-1].gross = decimal.New(int64(i), -2)
			}
			k.seed(30, start.AddDate(0, 0, -8))
			e.after(30*time.Minute, func() {
				status := ask[flow.ReceiveStatus](e)
				missing := slices.ContainsFunc(k.invoices, func(i storedInvoice) bool { return k.started[i.id] == 0 })
				require.Equal(t, missing, len(status.Stuck) > 0, "%v", status.Stuck)
				require.Equal(t, missing, status.Cursors["Subject2"].At.Equal(same))
				for _, i := range k.invoices[150:] {
					require.Equal(t, 1, k.started[i.id], "behind the moment")
				}
				e.CancelWorkflow()
			})
			e.ExecuteWorkflow(flow.ReceiveInvoices, receiveInput)
		})
	}
}

// A moment that cannot be divided is reported and costs no more than a query a
// cycle; what lies behind it comes, also what is new there later.
func TestReceiveInvoices_isStuckAtAMomentThatCannotBeDividedAndGoesOnBehindIt(t *testing.T) {
	e := newEnvironment(t, "acme/receive")
	k := exporting(e, 20, 100)
	same := start.AddDate(0, 0, -9)
	for range 150 {
		k.seed(1, same)
		k.invoices[len(k.invoices)-1].gross = decimal.NewFromInt(5)
	}
	k.seed(30, start.AddDate(0, 0, -8))
	asked := 0
	e.after(30*time.Minute, func() {
		status := ask[flow.ReceiveStatus](e)
		require.Equal(t, map[string]time.Time{"Subject2": same}, status.Stuck)
		require.Equal(t, same, status.Cursors["Subject2"].At)
		asked = len(k.windows) + len(k.orders)
		k.seed(30, e.Now().Add(time.Minute))
	})
	e.after(10*time.Hour, func() {
		for _, i := range k.invoices[150:] {
			require.Equal(t, 1, k.started[i.id], "the invoice %d of %s", i.id, i.at)
		}
		require.Less(t, len(k.windows)+len(k.orders)-asked, 14)
		e.CancelWorkflow()
	})
	e.ExecuteWorkflow(flow.ReceiveInvoices, receiveInput)
	require.Less(t, asked, 12)
}

// What cannot be made, or used, is ordered again; what KSeF does not finish is
// given up after two hours; and when none is to be had the invoices come one by
// one within the quota of downloads.
func TestReceiveInvoices_ordersAgainAndFallsBackToSingleDownloads(t *testing.T) {
	for name, c := range map[string]struct {
		fault  func(n int) string
		order  func(n int) (flow.OrderedExport, bool)
		orders int
		packed bool
		lasts  time.Duration
	}{
		"a failed one":          {fault: func(n int) string { return first(n, 1, flow.ExportFailed) }, orders: 2, packed: true},
		"two damaged ones":      {fault: func(n int) string { return first(n, 2, flow.ExportDamaged) }, orders: 3, packed: true},
		"three damaged ones":    {fault: func(n int) string { return first(n, 3, flow.ExportDamaged) }, orders: 3},
		"a stuck one":           {fault: func(n int) string { return first(n, 1, flow.ExportRunning) }, orders: 2, packed: true, lasts: 2 * time.Hour},
		"two stuck ones":        {fault: func(n int) string { return first(n, 2, flow.ExportRunning) }, orders: 2, lasts: 4 * time.Hour},
		"one does not arrive":   {fault: func(n int) string { return first(n, 1, flow.ExportUndelivered) }, orders: 2, packed: true},
		"none arrives":          {fault: func(n int) string { return first(n, 9, flow.ExportUndelivered) }, orders: 2},
		"ten run already":       {order: func(int) (flow.OrderedExport, bool) { return flow.OrderedExport{Attempts: 1, Busy: true}, true }, orders: 1},
		"KSeF is not there yet": {fault: func(n int) string { return first(n, 1, flow.ExportNothing) }, orders: 2, packed: true, lasts: time.Hour},
		"refused as not there": {order: func(n int) (flow.OrderedExport, bool) {
			return flow.OrderedExport{Attempts: 1, NothingNew: true}, n == 1
		}, orders: 2, packed: true, lasts: time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEnvironment(t, "acme/receive")
			k := exporting(e, 250, 10_000)
			k.fault, k.orderFault = c.fault, c.order
			k.seed(40, start.AddDate(0, 0, -10))
			e.after(c.lasts+80*time.Minute, e.CancelWorkflow)
			e.ExecuteWorkflow(flow.ReceiveInvoices, receiveInput)
			k.allStarted(t)
			require.Len(t, k.orders, c.orders)
			for _, in := range k.starts {
				require.Equal(t, c.packed, in.Packed)
			}
		})
	}
}

// However invoices arrive and whatever is done to exports: each is started,
// none twice, the cursor never goes back and ends at the mark, and the quotas are
// kept.
func TestReceiveInvoices_startsEachInvoiceOnceWhateverHappensToExports(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		e := newEnvironment(t, "acme/receive")
		k := exporting(e, rapid.IntRange(5, 30).Draw(rt, "page"), rapid.IntRange(10, 60).Draw(rt, "package"))
		k.preflight.Settings.ReceiveInterval = 3 * time.Hour
		ends := start.Add(90 * time.Hour)
		for range rapid.IntRange(1, 6).Draw(rt, "batches") {
			at := start.Add(time.Duration(rapid.IntRange(-15*24, 30).Draw(rt, "hours")) * time.Hour)
			late := time.Duration(rapid.SampledFrom([]int{0, 0, 0, 5}).Draw(rt, "late")) * time.Hour
			together := rapid.Bool().Draw(rt, "of one moment")
			for i := range rapid.IntRange(1, 60).Draw(rt, "count") {
				if !together {
					at = at.Add(time.Millisecond)
				}
				k.invoices = append(k.invoices, storedInvoice{
					id: len(k.invoices) + 1, at: at, shown: at.Add(late), gross: decimal.New(int64(i), -2),
				})
			}
		}
		faults := rapid.SliceOfN(rapid.SampledFrom([]string{
			"", "", flow.ExportFailed, flow.ExportDamaged, flow.ExportUndelivered, flow.ExportRunning, flow.ExportNothing, nothingNewYet,
		}), 8, 8).Draw(rt, "faults")
		k.failsWith(faults)
		pausing := rapid.IntRange(0, 30).Draw(rt, "pause: minutes")
		e.after(time.Duration(pausing)*time.Minute, func() { e.update(flow.UpdatePause, flow.Reason{Reason: "a test"}) })
		e.after(time.Duration(pausing+30)*time.Minute, func() { e.update(flow.UpdateResume) })

		in := receiveInput
		var cursor time.Time
		var asked, ordered []time.Time // in all runs
		var downloads []flow.Spent
		early := rapid.SliceOfN(rapid.IntRange(0, 2*3600), 0, 4).Draw(rt, "runs that end early: seconds")
		for run := 0; ; run++ {
			if run < len(early) {
				e.after(time.Duration(early[run])*time.Second, func() { e.SetContinueAsNewSuggested(true) })
			}
			if in.State != nil && in.State.Paused != "" {
				e.after(30*time.Minute, func() { e.update(flow.UpdateResume) })
			}
			e.ExecuteWorkflow(flow.ReceiveInvoices, in)
			next, ok := continued[flow.ReceiveInput](e)
			require.True(rt, ok, "%v", e.GetWorkflowError())
			require.False(rt, next.State.Cursors["Subject2"].At.Before(cursor), "the cursor went back")
			now := e.Now()
			in, cursor = next, next.State.Cursors["Subject2"].At
			if now.After(ends) {
				break
			}
			faults = faults[min(len(faults), len(k.orders)):]
			asked, ordered, downloads = append(asked, k.asked...), append(ordered, k.ordered...), append(downloads, k.downloads...)
			e, k = k.inNextRun(t, now)
			k.failsWith(faults)
		}
		asked, ordered, downloads = append(asked, k.asked...), append(ordered, k.ordered...), append(downloads, k.downloads...)
		k.allStarted(rt)
		require.Nil(rt, in.State.Manifest)
		require.Empty(rt, in.State.Stuck)
		for _, at := range ordered {
			require.LessOrEqual(rt, countWithin(ordered, at, time.Hour), 18)
			require.LessOrEqual(rt, countWithin(ordered, at, time.Minute), 15)
		}
		for _, at := range asked {
			require.LessOrEqual(rt, countWithin(asked, at, time.Hour), 14)
			require.LessOrEqual(rt, countWithin(asked, at, time.Minute), 15)
		}
		for _, s := range downloads {
			require.LessOrEqual(rt, spentIn(downloads, s.At, time.Hour), 58)
			require.LessOrEqual(rt, spentIn(downloads, s.At, time.Minute), 15)
		}
	})
}

// nothingNewYet is that KSeF refuses an export, because it is not that far yet.
const nothingNewYet = "21183"

// failsWith are the faults of the exports, in turn.
func (k *exportingKSeF) failsWith(faults []string) {
	fault := func(n int) string {
		if n > len(faults) {
			return ""
		}
		return faults[n-1]
	}
	k.fault = fault
	k.orderFault = func(n int) (flow.OrderedExport, bool) {
		return flow.OrderedExport{Attempts: 1, NothingNew: true}, fault(n) == nothingNewYet
	}
}

func countWithin(all []time.Time, from time.Time, d time.Duration) int {
	n := 0
	for _, at := range all {
		if !at.Before(from) && at.Before(from.Add(d)) {
			n++
		}
	}
	return n
}

func first(n, most int, outcome string) string {
	if n <= most {
		return outcome
	}
	return ""
}
