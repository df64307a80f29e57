package workflows

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/shopspring/decimal"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/converter"

	"teamogy-ksef/internal/flow"
)

// However full it is, the state of TransmitInvoices stays far below the 2 MiB at
// which the server would terminate the workflow.
func TestTransmitInvoices_carriesOverLessThanTheServerTakes(t *testing.T) {
	connection := strings.Repeat("c", 40)
	longest := func(document int64) flow.HandOver {
		return flow.HandOver{
			WorkflowID: flow.SendInvoiceID(connection, document), RunID: strings.Repeat("r", 36), ActivityID: "1000", DocumentID: document,
			SHA256: strings.Repeat("f", 64), Form: "FA_RR (1) 1-1E", Attachment: true, Offline: true, Size: 3_000_000,
		}
	}
	q := &queue{TransmitState: flow.TransmitState{Connection: connection, TimeScale: 60, Packages: true}}
	later := start.Add(time.Hour + 123_456_789*time.Nanosecond)
	for s := range mostWaiting {
		session := flow.WaitingSession{ID: flow.SessionID(connection, start.Add(time.Duration(s)*time.Minute)), Since: later, Sent: true, Batch: true}
		session.Group = groupOf(flow.Waiting{HandOver: longest(1), Tries: 100}).name()
		var items []flow.Waiting
		for range mostInBatch / mostWaiting {
			document := math.MaxInt64 - int64(len(q.InFlight)+len(items))
			items = append(items, flow.Waiting{HandOver: longest(document), Tries: 100, NotBefore: later})
		}
		q.sessionStarted(session, items)
	}
	var answers []flow.Answer
	for i := range int64(5000) {
		answers = append(answers, flow.Answer{DocumentID: math.MaxInt64/2 - i, SHA256: strings.Repeat("f", 64), RunID: strings.Repeat("r", 36), Accepted: true})
	}
	q.sessionNews(flow.SessionNews{ID: "another session", Answers: answers}, start, 1)
	for _, f := range q.InFlight {
		q.register(f.HandOver) // again
	}
	opens, sends, batches := q.quotas(flow.Pace{TimeScale: 60})
	for _, l := range []*ledger{&opens, &sends, &batches} {
		for i := range 200 {
			l.spend(later.Add(time.Duration(i)*time.Nanosecond), 100)
		}
	}
	q.Opens, q.Sends, q.Batches = opens.spent, sends.spent, batches.spent
	q.settle()
	require.Len(t, q.InFlight, mostInBatch)
	require.NotEmpty(t, q.Answered)
	payloads, err := converter.GetDefaultDataConverter().ToPayloads(q.TransmitState)
	require.NoError(t, err)
	size := 0
	for _, p := range payloads.GetPayloads() {
		size += len(p.GetData())
	}
	require.Less(t, size, 1_500_000)
	require.Greater(t, size, 800_000, "not everything is in it")
}

// What a run has found out, and what a person has said, is the next one's: what
// exports were spent, until when they are done without, where KSeF does not show
// all, and the pause.
func TestReceiveInvoices_carriesOverWhatItHasFoundOutAndAPause(t *testing.T) {
	e := newEnvironment(t, "acme/receive")
	k := exporting(e, 20, 100)
	same := start.AddDate(0, 0, -9)
	for range 150 { // they cannot be divided
		k.invoices = append(k.invoices, storedInvoice{id: len(k.invoices) + 1, at: same, gross: decimal.NewFromInt(5)})
	}
	k.seed(3, start.AddDate(0, 0, -8))
	e.after(10*time.Minute, func() {
		k.orderFault = func(int) (flow.OrderedExport, bool) { return flow.OrderedExport{Attempts: 1, Busy: true}, true }
		k.seed(20, start)
		e.update(flow.UpdatePollNow)
	})
	e.after(20*time.Minute, func() { e.update(flow.UpdatePause, flow.Reason{Reason: "closing the year"}) })
	e.after(25*time.Minute, func() {
		e.SetContinueAsNewSuggested(true)
		e.update(flow.UpdatePollNow)
	})
	e.ExecuteWorkflow(flow.ReceiveInvoices, receiveInput)
	next, ok := continued[flow.ReceiveInput](e)
	require.True(t, ok, "%v", e.GetWorkflowError())
	require.Equal(t, "closing the year", next.State.Paused)
	require.Equal(t, map[string]time.Time{"Subject2": same}, next.State.Stuck)
	require.WithinDuration(t, start.Add(10*time.Minute+withoutExports), next.State.NoExports, time.Minute)
	require.Len(t, next.State.Exports, len(k.ordered))
	require.Len(t, next.State.Queries, len(k.asked))
	require.NotEmpty(t, next.State.Exports)
	require.NotEmpty(t, next.State.Downloads)

	again := newEnvironment(t, "acme/receive")
	again.SetStartTime(e.Now())
	later := exporting(again, 20, 100)
	later.invoices, later.lists, later.started = k.invoices, k.lists, k.started
	again.after(10*time.Minute, func() {
		status := ask[flow.ReceiveStatus](again)
		require.Equal(t, next.State.Paused, status.Paused)
		require.Equal(t, next.State.Stuck, status.Stuck)
		require.Empty(t, later.asked)
		later.seed(20, again.Now().Add(-5*time.Minute))
		again.update(flow.UpdateResume)
	})
	again.after(time.Hour, again.CancelWorkflow)
	again.ExecuteWorkflow(flow.ReceiveInvoices, next)
	require.NotEmpty(t, later.asked)
	require.Empty(t, later.ordered, "packages cannot be had yet")
	for _, i := range later.invoices[150:] {
		require.Equal(t, 1, later.started[i.id])
	}
}

// What the run before has spent counts in the next one.
func TestReceiveInvoices_keepsToTheQuotaThatTheRunBeforeHasSpent(t *testing.T) {
	spent := func(n int) []flow.Spent { return []flow.Spent{{At: start.Add(-10 * time.Minute), Count: n}} }
	for name, c := range map[string]struct {
		state flow.ReceiveState
		asked func(k *exportingKSeF) []time.Time
	}{
		"queries": {flow.ReceiveState{Queries: spent(14)}, func(k *exportingKSeF) []time.Time { return k.asked }},
		"exports": {flow.ReceiveState{Exports: spent(18)}, func(k *exportingKSeF) []time.Time { return k.ordered }},
		"downloads": {flow.ReceiveState{Downloads: spent(58), NoExports: start.Add(2 * time.Hour)}, func(k *exportingKSeF) []time.Time {
			return timesOf(k.downloads)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEnvironment(t, "acme/receive")
			k := exporting(e, 250, 10_000)
			k.seed(40, start.AddDate(0, 0, -10))
			e.after(55*time.Minute, e.CancelWorkflow)
			e.ExecuteWorkflow(flow.ReceiveInvoices, flow.ReceiveInput{Connection: "acme", State: &c.state})
			k.allStarted(t)
			require.NotEmpty(t, c.asked(k))
			justAfter(t, 50*time.Minute, c.asked(k)[0])
		})
	}
}

func timesOf(all []flow.Spent) []time.Time {
	var times []time.Time
	for _, s := range all {
		times = append(times, s.At)
	}
	return times
}
