package workflows

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"teamogy-ksef/internal/flow"
)

// refusedFor are blocks of groups that end so much after the start, each a
// second after the one before, so that none stands for another.
func refusedFor(d time.Duration, groups ...string) []flow.Block {
	var blocks []flow.Block
	for i, group := range groups {
		blocks = append(blocks, flow.Block{Group: group, Until: start.Add(d + time.Duration(i)*time.Second)})
	}
	return blocks
}

// justAfter requires that something happened when a block was over, and no later.
func justAfter(t *testing.T, d time.Duration, at time.Time) {
	t.Helper()
	require.False(t, at.Before(start.Add(d)), "%s", at)
	require.Less(t, at.Sub(start.Add(d)), time.Minute)
}

// What KSeF has refused until a time (429 with Retry-After) is not asked before,
// not even by who cannot wait; and then it is asked at once.
func TestReceiveInvoices_asksForNoQueryBeforeTheEndOfItsBlock(t *testing.T) {
	e := newEnvironment(t, "acme/receive")
	k := receiving(e)
	k.preflight.Blocked = refusedFor(40*time.Minute, flow.GroupExports, flow.GroupQueries, flow.GroupDownloads)
	e.after(20*time.Minute, func() {
		require.Empty(t, k.asked)
		e.update(flow.UpdatePollNow)
	})
	e.after(50*time.Minute, e.CancelWorkflow)
	e.ExecuteWorkflow(flow.ReceiveInvoices, receiveInput)
	require.NotEmpty(t, k.asked)
	justAfter(t, 40*time.Minute+time.Second, k.asked[0])
}

func TestReceiveInvoices_ordersNoExportBeforeTheEndOfItsBlock(t *testing.T) {
	e := newEnvironment(t, "acme/receive")
	k := exporting(e, 250, 10_000)
	k.preflight.Blocked = refusedFor(40*time.Minute, flow.GroupOpens, flow.GroupExports)
	k.seed(100, start.AddDate(0, 0, -10))
	e.after(50*time.Minute, e.CancelWorkflow)
	e.ExecuteWorkflow(flow.ReceiveInvoices, receiveInput)
	k.allStarted(t)
	require.Len(t, k.ordered, 1)
	justAfter(t, 40*time.Minute+time.Second, k.ordered[0])
}

// While exports are refused, as many come one by one as may be downloaded.
func TestReceiveInvoices_downloadsOneByOneWhatAnExportMayNotBring(t *testing.T) {
	e := newEnvironment(t, "acme/receive")
	k := exporting(e, 250, 10_000)
	k.preflight.Blocked = refusedFor(40*time.Minute, flow.GroupExports)
	k.seed(fewInvoices+2, start.AddDate(0, 0, -10))
	e.after(30*time.Minute, e.CancelWorkflow)
	e.ExecuteWorkflow(flow.ReceiveInvoices, receiveInput)
	k.allStarted(t)
	require.Empty(t, k.ordered)
}

// An import that has to download is started when that is not refused any more;
// where there are packages, they bring meanwhile what is new.
func TestReceiveInvoices_startsNoDownloadBeforeTheEndOfItsBlock(t *testing.T) {
	for name, packages := range map[string]bool{"no packages can be had": false, "a package brings them": true} {
		t.Run(name, func(t *testing.T) {
			e := newEnvironment(t, "acme/receive")
			k := exporting(e, 250, 10_000)
			if !packages {
				k.orderFault = func(int) (flow.OrderedExport, bool) { return flow.OrderedExport{Attempts: 1, Busy: true}, true }
			}
			k.preflight.Blocked = refusedFor(40*time.Minute, flow.GroupDownloads)
			k.seed(5, start.AddDate(0, 0, -10))
			e.after(39*time.Minute, func() { require.Equal(t, packages, len(k.starts) > 0) })
			e.after(50*time.Minute, e.CancelWorkflow)
			e.ExecuteWorkflow(flow.ReceiveInvoices, receiveInput)
			k.allStarted(t)
			require.Equal(t, packages, k.starts[0].Packed)
			require.Len(t, k.ordered, 1)
		})
	}
}

// A session waits for the end of the block that is about it. What may go the
// other way goes that way at once, and what KSeF refuses otherwise is in nobody's
// way.
func TestTransmitInvoices_opensNoSessionBeforeTheEndOfItsBlock(t *testing.T) {
	const long = 3 * time.Hour
	for name, c := range map[string]struct {
		blocked  []flow.Block
		invoices int64
		batch    bool
		waits    time.Duration
	}{
		"opens, and packages for longer": {refusedFor(long, flow.GroupOpens, flow.GroupBatches), 2, false, long},
		"sends, and packages for longer": {refusedFor(long, flow.GroupSends, flow.GroupBatches), 2, false, long},
		"packages":                       {refusedFor(long, flow.GroupBatches), 10, true, long},
		"packages, of few":               {refusedFor(long, flow.GroupBatches), 2, false, 0},
		"opens, of few":                  {refusedFor(long, flow.GroupOpens), 2, true, 0},
		"sends, of few":                  {refusedFor(long, flow.GroupSends), 2, true, 0},
		"opens and sends, of many":       {refusedFor(long, flow.GroupOpens, flow.GroupSends), 10, true, 0},
		"what is received":               {refusedFor(long, flow.GroupQueries, flow.GroupExports, flow.GroupDownloads), 2, false, 0},
	} {
		t.Run(name, func(t *testing.T) {
			s := newTransmitting(t)
			s.pace.Blocked = c.blocked
			s.handOver(0, some(1, c.invoices)...)
			s.e.after(10*time.Hour, s.e.CancelWorkflow)
			s.run()
			require.Len(t, s.sessions, 1)
			require.Equal(t, documents(some(1, c.invoices)), documents(s.sessions[0]))
			require.Equal(t, c.batch, s.inputs[0].Batch)
			if c.waits > 0 {
				justAfter(t, c.waits, s.opened[0])
			} else {
				require.Less(t, s.opened[0].Sub(start), time.Minute)
			}
		})
	}
}
