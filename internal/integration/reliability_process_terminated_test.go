package integration

import (
	"context"
	"net/http"
	"strings"

	"github.com/stretchr/testify/require"

	"teamogy-ksef/internal/flow"
)

// transmitTerminated is TransmitInvoices terminated by somebody while invoices
// wait for it.
func transmitTerminated() experiment {
	terminated := 0
	return experiment{
		group: "operator", name: "TransmitInvoices terminated",
		what:      "Somebody terminates TransmitInvoices, which knows what waits and what is under way, three times in the middle of the work.",
		direction: sent,
		options:   func(*bedOptions) { terminated = 0 },
		act: func(t *trial) {
			for range 3 {
				last := ""
				t.until("TransmitInvoices has work", func() bool {
					run, busy := t.transmitBusy()
					if busy && run != last {
						last = run
					}
					return busy
				})
				require.NoError(t, t.client.TerminateWorkflow(context.Background(), flow.TransmitID(t.connection), last, "test"))
				terminated++
				if t.allArrived() {
					return
				}
			}
		},
		fired: func(*trial) bool { return terminated > 0 },
	}
}

// transmitBusy is the present run of TransmitInvoices, and whether it has
// invoices.
func (t *trial) transmitBusy() (run string, busy bool) {
	id := flow.TransmitID(t.connection)
	description, err := t.client.DescribeWorkflowExecution(t.within(), id, "")
	if err != nil || description.GetWorkflowExecutionInfo().GetCloseTime() != nil {
		return "", false
	}
	value, err := t.client.QueryWorkflow(t.within(), id, "", flow.QueryStatus)
	if err != nil {
		return "", false
	}
	var status flow.TransmitStatus
	require.NoError(t, value.Get(&status))
	return description.GetWorkflowExecutionInfo().GetExecution().GetRunId(), status.Pending+status.InFlight > 0
}

// sessionTerminated is a TransmitSession terminated by somebody in the middle of
// sending.
func sessionTerminated() experiment {
	g := &gate{}
	terminated := 0
	return experiment{
		group: "operator", name: "TransmitSession terminated",
		what:      "Somebody terminates a TransmitSession when it has sent a part of its invoices.",
		direction: sent,
		options: func(o *bedOptions) {
			o.wrapKSeF = g.wrap
			terminated = 0
		},
		act: func(t *trial) {
			t.Cleanup(g.release)
			g.closeWith(true, 1, 0, func(r *http.Request) bool { sends, _ := postsInvoice(r); return sends })
			t.until("an invoice is sent and not answered", func() bool { return g.holds() > 0 })
			for _, id := range t.sessions() {
				if err := t.client.TerminateWorkflow(context.Background(), id, "", "test"); err == nil {
					terminated++
				} else {
					require.True(t, strings.Contains(err.Error(), "completed"), "%v", err)
				}
			}
			g.release()
		},
		fired: func(*trial) bool { return terminated > 0 },
	}
}
