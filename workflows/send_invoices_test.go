package workflows

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"teamogy-ksef/internal/flow"
)

// polling plays StartSends: it notes what is asked and answers with results in
// turn, the last one again and again.
type polling struct {
	e       *environment
	asked   []flow.StartSendsInput
	results []flow.StartSendsResult
}

var sendInput = flow.SendInput{Connection: "acme"}

func newPolling(t *testing.T, results ...flow.StartSendsResult) *polling {
	t.Helper()
	p := &polling{e: newEnvironment(t, "acme/send"), results: results}
	outside(p.e, "StartSends", func(in flow.StartSendsInput) (flow.StartSendsResult, error) {
		p.asked = append(p.asked, in)
		var result flow.StartSendsResult
		if n := len(p.results); n > 0 {
			result = p.results[min(len(p.asked), n)-1]
		}
		result.Settings = flow.Settings{TimeScale: 1, Send: true, SendInterval: 5 * time.Minute}
		return result, nil
	})
	return p
}

// What a poll has counted of those under way is told to the next one, which
// therefore need not read a list that it has no room for. Who asks by hand, or
// changes something, wants the list to be read.
func TestSendInvoices_tellsEachPollWhatTheOneBeforeHasCounted(t *testing.T) {
	p := newPolling(t,
		flow.StartSendsResult{Ready: 7, Started: 3, Deferred: 4, NoRoom: 4, UnderWay: 1900},
		flow.StartSendsResult{UnderWay: 2000, NoRoom: 4, Unread: 1},
		flow.StartSendsResult{UnderWay: 1999, Unread: 2},
		flow.StartSendsResult{NoRoom: 9, UnderWay: 8, Unread: 7})
	p.e.after(16*time.Minute, func() { // after four polls
		require.Len(t, p.asked, 4)
		p.e.update(flow.UpdatePollNow)
	})
	p.e.after(17*time.Minute, func() { require.Len(t, p.asked, 5) })
	p.e.after(23*time.Minute, func() {
		require.Len(t, p.asked, 6)
		p.e.update(flow.UpdateHold, flow.HoldChange{DocumentID: 5, Release: true})
	})
	p.e.after(24*time.Minute, p.e.CancelWorkflow)
	p.e.ExecuteWorkflow(flow.SendInvoices, sendInput)
	require.Equal(t, []flow.StartSendsInput{
		{Connection: "acme"},
		{Connection: "acme", NoRoom: 4, UnderWay: 1900},
		{Connection: "acme", NoRoom: 4, UnderWay: 2000, Unread: 1},
		{Connection: "acme", UnderWay: 1999, Unread: 2},
		{Connection: "acme"}, // by PollNow
		{Connection: "acme", NoRoom: 9, UnderWay: 8, Unread: 7},
		{Connection: "acme"}, // after a change by hand
	}, p.asked)
}

// Held documents are kept out in order, until they are released, which is asked
// about at once.
func TestSendInvoices_keepsHeldDocumentsOut(t *testing.T) {
	p := newPolling(t)
	p.e.after(time.Minute, func() {
		for _, document := range []int64{30, 4, 17, 200, 5} {
			p.e.update(flow.UpdateHold, flow.HoldChange{DocumentID: document, Reason: fmt.Sprint("because of ", document)})
		}
		p.e.update(flow.UpdatePollNow)
	})
	p.e.after(2*time.Minute, func() {
		require.Equal(t, map[int64]string{
			4: "because of 4", 5: "because of 5", 17: "because of 17", 30: "because of 30", 200: "because of 200",
		}, ask[flow.SendStatus](p.e).Held)
		before := len(p.asked)
		p.e.update(flow.UpdateHold, flow.HoldChange{DocumentID: 17, Release: true})
		p.e.after(time.Second, func() {
			require.Len(t, p.asked, before+1)
			p.e.CancelWorkflow()
		})
	})
	p.e.ExecuteWorkflow(flow.SendInvoices, sendInput)
	require.Empty(t, p.asked[0].Held)
	require.Equal(t, []int64{4, 5, 17, 30, 200}, p.asked[1].Held)
	require.Equal(t, []int64{4, 5, 30, 200}, p.asked[len(p.asked)-1].Held)
}

func TestSendInvoices_refusesAHoldWithoutDocumentOrReason(t *testing.T) {
	p := newPolling(t)
	rejected := 0
	p.e.after(time.Minute, func() {
		for i, change := range []flow.HoldChange{{Reason: "audit"}, {DocumentID: -1, Reason: "audit"}, {DocumentID: 7}, {DocumentID: 7, Reason: " "}, {Release: true}} {
			p.e.UpdateWorkflow(flow.UpdateHold, fmt.Sprint(i), &updateMustBeRejected{t, &rejected}, change)
		}
	})
	p.e.after(2*time.Minute, func() {
		require.Empty(t, ask[flow.SendStatus](p.e).Held)
		p.e.CancelWorkflow()
	})
	p.e.ExecuteWorkflow(flow.SendInvoices, sendInput)
	require.Equal(t, 5, rejected)
}

// What is held and why, and the pause, are the next run's.
func TestSendInvoices_carriesOverWhatIsHeldAndAPause(t *testing.T) {
	held := map[int64]string{17: "wrong buyer", 4: "disputed"}
	for name, paused := range map[string]string{"paused": "closing the year", "not paused": ""} {
		t.Run(name, func(t *testing.T) {
			p := newPolling(t, flow.StartSendsResult{Started: 3})
			p.e.after(7*time.Minute, func() {
				for document, reason := range held {
					p.e.update(flow.UpdateHold, flow.HoldChange{DocumentID: document, Reason: reason})
				}
				p.e.SetContinueAsNewSuggested(true)
				if paused != "" {
					p.e.update(flow.UpdatePause, flow.Reason{Reason: paused})
				}
			})
			p.e.ExecuteWorkflow(flow.SendInvoices, sendInput)
			next, ok := continued[flow.SendInput](p.e)
			require.True(t, ok, "%v", p.e.GetWorkflowError())
			require.Equal(t, "acme", next.Connection)
			require.Equal(t, held, next.State.Held)
			require.Equal(t, paused, next.State.Paused)
			require.Equal(t, len(p.asked), next.State.Totals.Cycles)
			require.Equal(t, 3*len(p.asked), next.State.Totals.Started)

			again := newPolling(t)
			again.e.SetStartTime(p.e.Now())
			again.e.after(30*time.Minute, func() {
				status := ask[flow.SendStatus](again.e)
				require.Equal(t, held, status.Held)
				require.Equal(t, paused, status.Paused)
				require.Equal(t, paused == "", len(again.asked) > 0)
				again.e.update(flow.UpdateResume)
			})
			again.e.after(31*time.Minute, again.e.CancelWorkflow)
			again.e.ExecuteWorkflow(flow.SendInvoices, next)
			require.NotEmpty(t, again.asked)
			for _, in := range again.asked {
				require.Equal(t, []int64{4, 17}, in.Held)
			}
		})
	}
}

func TestSendInvoices_saysWhatToTypeWhenItsInputIsIncomplete(t *testing.T) {
	e := newEnvironment(t, "x")
	e.ExecuteWorkflow(flow.SendInvoices, flow.SendInput{})
	failure := failedWith(t, e.GetWorkflowError())
	require.Equal(t, flow.ErrBadInput, failure.Type())
	require.Contains(t, failure.Message(), `{"connection":"acme"}`)
}
