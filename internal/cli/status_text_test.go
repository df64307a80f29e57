package cli

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"teamogy-ksef/internal/cli/inspect"
	"teamogy-ksef/internal/flow"
)

var statusAt = time.Date(2026, 11, 22, 15, 0, 0, 0, time.Local)

func TestPrintStatus_showsHowAConnectionStands(t *testing.T) {
	remedy := flow.LookupError(flow.ErrTeamogyStatus).Remedy
	waiting := inspect.Waiting{
		WorkflowID: "acme/receive/1", Activity: "CreateReceivedInvoice", Attempt: 4, Next: statusAt.Add(90 * time.Second),
		Problem: inspect.Problem{Type: flow.ErrTeamogyStatus, Message: "status X is unknown", Remedy: remedy},
	}
	other := waiting
	other.WorkflowID = "acme/receive/2"
	var out bytes.Buffer
	printStatus(&out, statusReport{At: statusAt, TaskQueue: "teamogy-ksef", Connections: []statusConnection{{Report: inspect.Report{
		Connection: "acme",
		Worker:     true,
		Receive: inspect.LongRunning[flow.ReceiveStatus]{State: "running", Status: &flow.ReceiveStatus{
			Doing: "querying KSeF", Cursors: map[string]flow.Cursor{"Subject2": {At: statusAt.Add(-time.Hour)}},
			LastPoll: statusAt.Add(-65 * time.Minute), NextPoll: statusAt.Add(time.Minute),
		}},
		Send: inspect.LongRunning[flow.SendStatus]{State: "running", Status: &flow.SendStatus{
			Paused: "year end", Last: &flow.StartSendsResult{Ready: 3, Started: 2}, Totals: flow.SendTotals{Started: 9},
		}},
		Transmit: inspect.LongRunning[flow.TransmitStatus]{State: inspect.StateNotStarted},
		Received: []inspect.Count{{State: flow.StateImported, Count: 41}, {State: flow.StateFailed, Count: 1}},
		Failed: []inspect.Failed{{
			WorkflowID: "acme/send/9", Closed: statusAt.Add(-2 * time.Hour), Summary: "Invoice 9",
			Problem: inspect.Problem{Type: "InvoiceNumberTaken", Message: "taken", Remedy: "give it another"},
		}},
		Waiting: []inspect.Waiting{waiting, other},
	}}}})
	assert.Equal(t, strings.TrimPrefix(`
acme
  receive    running; buyer complete up to 2026-11-22 14:00:00; last poll 1h5m ago; next in 1m0s; now: querying KSeF
  send       PAUSED: year end; 3 ready at the last poll, 2 started; 9 started in all
  transmit   not started (the first invoice to send starts it)
  received   41 imported, 1 failed
  sent       none
  failed     acme/send/9 (Invoice 9), 2h0m ago
             InvoiceNumberTaken: taken
             -> give it another
  retrying   CreateReceivedInvoice of acme/receive/1 and 1 more, attempt 4, next in 1m30s
             TeamogyStatusUnknown: status X is unknown
             -> `+remedy+"\n", "\n"), out.String())
}

func TestPrintStatus_saysThatNoWorkerRuns(t *testing.T) {
	var out bytes.Buffer
	printStatus(&out, statusReport{At: statusAt, TaskQueue: "q", Connections: []statusConnection{{Settings: "acme.env: two mistakes:\nNIP is missing", Report: inspect.Report{
		Connection: "acme",
		Receive:    inspect.LongRunning[flow.ReceiveStatus]{State: "running", Problem: "no worker answers"},
		Send:       inspect.LongRunning[flow.SendStatus]{State: "canceled"},
		Transmit:   inspect.LongRunning[flow.TransmitStatus]{State: "terminated"},
	}}}})
	assert.Equal(t, strings.TrimPrefix(`
acme
  settings   WRONG: acme.env: two mistakes:
             NIP is missing
  worker     NO WORKER asks task queue q for work: start one (make run)
  receive    running; no worker answers
  send       ended (starter up starts it again)
  transmit   terminated (the next invoice to send starts it again)
  received   none
  sent       none
`, "\n"), out.String())
}

func TestShort_keepsTheTwoLargestUnits(t *testing.T) {
	for d, want := range map[time.Duration]string{
		1500 * time.Millisecond: "2s", 61 * time.Second: "1m1s", 90 * time.Minute: "1h30m", 50 * time.Hour: "50h0m",
	} {
		assert.Equal(t, want, short(d))
	}
}
