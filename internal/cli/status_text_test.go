package cli

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"teamogy-ksef/activities"
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

// Whoever reads the status finds out where KSeF holds more of one moment than it
// shows, and that the rest goes on.
func TestReceiveText_saysWhereItIsStuck(t *testing.T) {
	text := receiveText(inspect.LongRunning[flow.ReceiveStatus]{State: "running", Status: &flow.ReceiveStatus{
		Cursors: map[string]flow.Cursor{"Subject2": {At: statusAt.Add(-time.Hour)}, "Subject3": {At: statusAt}},
		Stuck:   map[string]time.Time{"Subject2": statusAt.Add(-time.Hour)},
	}}, statusAt)
	assert.Contains(t, text, "; STUCK as buyer at 2026-11-22 14:00:00: KSeF stored more invoices at that moment than it shows of one query (10,000); those behind it are imported,")
	assert.NotContains(t, text, "STUCK as third")
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

// What was not looked at is not counted as if it were: neither a list of which
// the rest was left, nor one that was not read at all.
func TestSendText_saysHowMuchOfTheListWasRead(t *testing.T) {
	for want, last := range map[string]*flow.StartSendsResult{
		"running; 9 started in all":                                                              nil,
		"running; 3 ready at the last poll, 2 started; 9 started in all":                         {Ready: 3, Started: 2},
		"running; 2100 or more ready at the last poll, 1500 started; 9 started in all":           {Ready: 2100, Partly: true, Started: 1500},
		"running; 1900 under way, others were not looked for at the last poll; 9 started in all": {UnderWay: 1900, Unread: 2},
	} {
		assert.Equal(t, want, sendText(inspect.LongRunning[flow.SendStatus]{State: "running", Status: &flow.SendStatus{
			Last: last, Totals: flow.SendTotals{Started: 9},
		}}, statusAt))
	}
}

func TestShort_keepsTheTwoLargestUnits(t *testing.T) {
	for d, want := range map[time.Duration]string{
		1500 * time.Millisecond: "2s", 61 * time.Second: "1m1s", 90 * time.Minute: "1h30m", 50 * time.Hour: "50h0m",
	} {
		assert.Equal(t, want, short(d))
	}
}

func TestPrintStatus_showsWhatTheRegisterHasOpen(t *testing.T) {
	step := func(what string, hours int) activities.Step {
		return activities.Step{What: what, At: statusAt.Add(-time.Duration(hours) * time.Hour)}
	}
	register := &inspect.Register{
		Gates: []inspect.Gate{{Scope: "ksef", Since: statusAt.Add(-time.Hour), Type: "KSeFLoginRefused", Text: "450", Remedy: "put a valid certificate in place"}},
		Open: []inspect.Open{{
			OpenInvoice: activities.OpenInvoice{WorkflowID: "acme/send/17", Direction: "sent", DocumentID: 17, Summary: "Invoice FV/17", Steps: []activities.Step{
				step("fetched", 30), step("submitted in session S1", 29), step("not-processed: cancelled", 28), step("submitted in session S2", 27), step("taken by KSeF", 27),
			}},
			Workflow: "forgotten", NextMove: "you: starter retry acme/send/17",
		}},
		Problems: []string{"archive records/acme/sent/3/found.json is damaged"},
	}
	for range 11 {
		register.Open = append(register.Open, inspect.Open{
			OpenInvoice: activities.OpenInvoice{WorkflowID: "acme/receive/N", Direction: "received", KSeFNumber: "N", Steps: []activities.Step{step("found", 3)}},
			Workflow:    "failed", Problem: &inspect.Problem{Type: "InvoiceUnknown", Message: "21164"}, NextMove: "Check it. Then: starter retry acme/receive/N",
		})
	}
	register.Open = append(register.Open, inspect.Open{Workflow: "running", UnderWay: true})
	var out bytes.Buffer
	printStatus(&out, statusReport{At: statusAt, Connections: []statusConnection{{Report: inspect.Report{
		Connection: "acme", Worker: true, Register: register, LookedAt: 50, RunningInAll: 60,
		Failed: []inspect.Failed{{WorkflowID: "acme/send/9", Closed: statusAt}}, FailedInAll: 4,
	}}}, Archive: ""})
	text := out.String()
	for _, want := range []string{`
  failed     and 3 more: temporal workflow list --query "KsefConnection = 'acme' AND WorkflowType IN ('ImportInvoice', 'SendInvoice') AND ExecutionStatus = 'Failed'"
`, `
  retrying   only 50 of 60 invoices under way were looked at
`, `
  GATE       ksef closed since 1h0m ago
             KSeFLoginRefused: 450
             -> put a valid certificate in place
`, `
  open       acme/send/17 (Invoice FV/17)
             no KSeF number; workflow forgotten; 2 earlier steps, not-processed: cancelled 28h0m ago, submitted in session S2 27h0m ago, taken by KSeF 27h0m ago
             -> you: starter retry acme/send/17
  open       acme/receive/N
             no document; workflow failed; found 3h0m ago
             InvoiceUnknown: 21164
             -> Check it. Then: starter retry acme/receive/N
`, `
  open       and 2 more: starter status -o json lists them all
  open       1 more under way
  UNKNOWN    archive records/acme/sent/3/found.json is damaged
`} {
		assert.Contains(t, text, want)
	}
}
