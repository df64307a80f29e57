package integration

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	enums "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/interceptor"

	"teamogy-ksef/internal/flow"
	"teamogy-ksef/internal/simulator/samples"
)

// pendingFailure is the failure of a workflow's pending activity, as `temporal
// workflow describe` shows it.
func (b *bed) pendingFailure(id string) string {
	b.Helper()
	description, err := b.client.DescribeWorkflowExecution(b.within(), id, "")
	require.NoError(b, err)
	for _, a := range description.GetPendingActivities() {
		if f := a.GetLastFailure(); f != nil {
			return f.GetApplicationFailureInfo().GetType() + ": " + f.GetMessage()
		}
	}
	return ""
}

func (b *bed) running(id string) bool {
	b.Helper()
	description, err := b.client.DescribeWorkflowExecution(b.within(), id, "")
	require.NoError(b, err)
	return description.GetWorkflowExecutionInfo().GetStatus() == enums.WORKFLOW_EXECUTION_STATUS_RUNNING
}

// A set-up that is wrong holds the invoice up, shows what to do, and once it is
// mended the same workflow ends well.
func TestConfigurationErrors_waitShowTheRemedyAndGoOnWhenMended(t *testing.T) {
	cases := map[string]struct {
		send        bool
		spoil, mend func(b *bed)
		wantType    string
		neighbour   func(b *bed) error // another invoice, which must not be hindered
	}{
		"Teamogy token without rights, receiving": {
			spoil:    func(b *bed) { b.rights("none") },
			mend:     func(b *bed) { b.rights("all") },
			wantType: flow.ErrTeamogyPermission,
		},
		"Teamogy token without rights, sending": {
			send:     true,
			spoil:    func(b *bed) { b.rights([]string{"view-companies"}) },
			mend:     func(b *bed) { b.rights("all") },
			wantType: flow.ErrTeamogyPermission,
		},
		"KSeF context without any permission, receiving": {
			spoil:    func(b *bed) { b.permissions([]string{}) },
			mend:     func(b *bed) { b.permissions(nil) },
			wantType: flow.ErrKSeFLoginRefused,
		},
		"KSeF context without the permission to read, receiving": {
			spoil:    func(b *bed) { b.permissions([]string{"InvoiceWrite"}) },
			mend:     func(b *bed) { b.permissions(nil) },
			wantType: flow.ErrKSeFPermission,
		},
		"KSeF context without permission, sending": {
			send:     true,
			spoil:    func(b *bed) { b.permissions([]string{"InvoiceRead"}) },
			mend:     func(b *bed) { b.permissions(nil) },
			wantType: flow.ErrKSeFPermission,
		},
		"unknown status, receiving": {
			spoil:     func(b *bed) { b.statuses("READY.FOR.KSEF", "SENT.TO.KSEF") },
			mend:      func(b *bed) { b.statuses("READY.FOR.KSEF", "SENT.TO.KSEF", "IMPORTED") },
			wantType:  flow.ErrTeamogyStatus,
			neighbour: func(b *bed) error { _, err := b.sendOne(b.seedReady("K/2", b.issued("K/2")).ID); return err },
		},
		"unknown status, sending": {
			send:     true,
			spoil:    func(b *bed) { b.statuses("READY.FOR.KSEF", "IMPORTED", "REJECTED.BY.KSEF") },
			mend:     func(b *bed) { b.statuses("READY.FOR.KSEF", "IMPORTED", "SENT.TO.KSEF") },
			wantType: flow.ErrTeamogyStatus,
			neighbour: func(b *bed) error {
				_, err := b.importOne(b.seedKSeF(b.nip, xmlOf(samples.GenerateReceived(b.sampleOptions(), 2)[0].XML))[0].KSeFNumber)
				return err
			},
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			b := newBed(t)
			var id string
			if c.send {
				document := b.seedReady("K/1", b.issued("K/1"))
				c.spoil(b)
				id = b.startSend(document.ID).GetID()
			} else {
				seeded := b.seedKSeF(b.nip, xmlOf(samples.GenerateReceived(b.sampleOptions(), 2)[0].XML))[0]
				c.spoil(b)
				id = b.start(flow.ImportInvoice, flow.ImportID(b.connection, seeded.KSeFNumber),
					flow.ImportInput{Connection: b.connection, KSeFNumber: seeded.KSeFNumber}).GetID()
			}
			var shown string
			b.eventually("the pending activity shows the failure", func() bool {
				// Sending waits in the session, which is a workflow of its own.
				shown = b.pendingFailure(id)
				if shown == "" && c.send && b.exists(flow.TransmitID(b.connection)) {
					for _, session := range b.sessions() {
						if b.exists(session) { // it may be about to start
							shown = b.pendingFailure(session)
						}
					}
				}
				return shown != ""
			})
			row := flow.LookupError(c.wantType)
			require.Equal(t, flow.Configuration, row.Class)
			require.True(t, strings.HasPrefix(shown, c.wantType+": "), shown)
			require.Contains(t, shown, row.Remedy)
			if c.neighbour != nil {
				require.NoError(t, c.neighbour(b), "another invoice was hindered")
			}
			require.True(t, b.running(id))
			c.mend(b)
			require.NoError(t, b.client.GetWorkflow(b.within(), id, "").Get(b.within(), nil))
		})
	}
}

func (b *bed) exists(id string) bool {
	_, err := b.client.DescribeWorkflowExecution(b.within(), id, "")
	return err == nil
}

func (b *bed) rights(rights any) {
	b.control("POST", b.teamogyURL+"/_sim/token", map[string]any{"rights": rights}, nil)
}

func (b *bed) permissions(permissions any) {
	b.control("POST", b.ksefURL+"/_sim/permissions", map[string]any{"nip": b.nip, "permissions": permissions}, nil)
}

func (b *bed) statuses(statuses ...string) {
	b.control("POST", b.teamogyURL+"/_sim/statuses", map[string]any{"statuses": statuses}, nil)
}

// Whatever answer of a send is lost, KSeF gets the invoice once and the number
// comes back.
func TestSendInvoice_isExactlyOneAlthoughAnswersAreLost(t *testing.T) {
	cases := map[string]struct{ base, operation, action string }{
		"open, dropped":      {"ksef", "POST /sessions/online", "drop-after"},
		"send, dropped":      {"ksef", "POST /sessions/online/{ref}/invoices", "drop-after"},
		"send, 502":          {"ksef", "POST /sessions/online/{ref}/invoices", "502-after"},
		"send, not arrived":  {"ksef", "POST /sessions/online/{ref}/invoices", "drop-before"},
		"send, HTML":         {"ksef", "POST /sessions/online/{ref}/invoices", "html"},
		"close, dropped":     {"ksef", "POST /sessions/online/{ref}/close", "drop-after"},
		"close, 502":         {"ksef", "POST /sessions/online/{ref}/close", "502-after"},
		"status, HTML":       {"ksef", "GET /sessions/{ref}", "html"},
		"list, dropped":      {"ksef", "GET /sessions/{ref}/invoices", "drop-before"},
		"write-back, lost":   {"teamogy", "PATCH /documents", "drop-after"},
		"write-back, 502":    {"teamogy", "PATCH /documents", "502-after"},
		"write-back, before": {"teamogy", "PATCH /documents", "502-before"},
		"read, dropped":      {"teamogy", "GET /documents", "drop-before"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			b := newBed(t)
			base := b.ksefURL
			if c.base == "teamogy" {
				base = b.teamogyURL
			}
			b.fault(base, map[string]any{"operation": c.operation, "action": c.action, "times": 1})
			document := b.seedReady("L/1", b.issued("L/1"))
			result, err := b.sendOne(document.ID)
			require.NoError(t, err)
			require.False(t, result.Adopted, "the look before the repeat failed: only the duplicate rule saved it")
			sent := b.atKSeF()
			require.Len(t, sent, 1)
			require.Equal(t, 1, b.submissions(document.SHA256), "KSeF took the invoice more than once")
			require.Equal(t, sent[0].KSeFNumber, b.document(document.ID).property("ksefNumber"))
			var fired struct {
				Faults []struct {
					Fired int `json:"fired"`
				} `json:"faults"`
			}
			b.control("GET", base+"/_sim/faults", nil, &fired)
			require.Equal(t, 1, fired.Faults[0].Fired, "the fault did not happen")
		})
	}
}

// KSeF cancels the session without processing: the invoice goes into a new
// one.
func TestSendInvoice_isSentAgainWhenKSeFDidNotProcessIt(t *testing.T) {
	b := newBed(t)
	b.control("POST", b.ksefURL+"/_sim/verdict", map[string]any{"invoiceNumber": "N/1", "code": 550, "times": 1}, nil)
	document := b.seedReady("N/1", b.issued("N/1"))
	result, err := b.sendOne(document.ID)
	require.NoError(t, err)
	require.Equal(t, result.KSeFNumber, b.document(document.ID).property("ksefNumber"))
	require.Len(t, b.sessions(), 2)
}

// One invoice that KSeF keeps at 150 holds nobody: the others of its session
// are delivered, and the next session opens.
func TestTransmitSession_oneStuckInvoiceHoldsNobody(t *testing.T) {
	b := newBed(t)
	b.control("POST", b.ksefURL+"/_sim/hold", map[string]any{"invoiceNumber": "S/1"}, nil)
	stuck, beside := b.seedReady("S/1", b.issued("S/1")), b.seedReady("S/2", b.issued("S/2"))
	stuckRun := b.startSend(stuck.ID)
	require.NoError(t, b.startSend(beside.ID).Get(b.within(), nil))
	later := b.seedReady("S/3", b.issued("S/3"))
	require.NoError(t, b.startSend(later.ID).Get(b.within(), nil))
	require.True(t, b.running(stuckRun.GetID()))
	b.control("POST", b.ksefURL+"/_sim/release", map[string]any{"invoiceNumber": "S/1"}, nil)
	require.NoError(t, stuckRun.Get(b.within(), nil))
	require.Equal(t, 1, b.submissions(stuck.SHA256), "150 is waited for, never resent")
}

// Cancelling means: if not sent yet. A sent invoice's number is recorded.
func TestSendInvoice_cancelledAfterSendingStillRecordsItsNumber(t *testing.T) {
	b := newBed(t)
	b.control("POST", b.ksefURL+"/_sim/hold", map[string]any{"invoiceNumber": "X/1"}, nil)
	document := b.seedReady("X/1", b.issued("X/1"))
	run := b.startSend(document.ID)
	b.eventually("KSeF has got it", func() bool { return b.submissions(document.SHA256) == 1 })
	require.NoError(t, b.client.CancelWorkflow(b.within(), run.GetID(), ""))
	b.control("POST", b.ksefURL+"/_sim/release", map[string]any{"invoiceNumber": "X/1"}, nil)
	var result flow.SendResult
	require.NoError(t, run.Get(b.within(), &result))
	require.Equal(t, result.KSeFNumber, b.document(document.ID).property("ksefNumber"))
	require.True(t, result.UPO.Available)
}

// An invoice cancelled before it was sent is withdrawn, and not sent by the
// next poll either.
func TestSendInvoice_cancelledBeforeSendingIsWithdrawn(t *testing.T) {
	b := newBed(t)
	// The session cannot be opened for now: the invoice waits before it.
	b.fault(b.ksefURL, map[string]any{"operation": "GET /rate-limits", "action": "502-before", "times": -1})
	document := b.seedReady("W/1", b.issued("W/1"))
	b.start(flow.SendInvoices, flow.SendID(b.connection), flow.SendInput{Connection: b.connection})
	id := flow.SendInvoiceID(b.connection, document.ID)
	b.eventually("it waits at KSeF's door", func() bool {
		return b.exists(flow.TransmitID(b.connection)) && b.pendingFailure(flow.TransmitID(b.connection)) != ""
	})
	require.NoError(t, b.client.CancelWorkflow(b.within(), id, ""))
	b.control("DELETE", b.ksefURL+"/_sim/faults", nil, nil)
	require.Error(t, b.client.GetWorkflow(b.within(), id, "").Get(b.within(), nil))
	require.NoError(t, b.update(flow.SendID(b.connection), flow.UpdatePollNow))
	b.eventually("the poll leaves it alone", func() bool { last := b.sendStatus().Last; return last != nil && last.Refused == 1 })
	require.Zero(t, b.submissions(document.SHA256))
}

// A 429 that comes all the same is honoured and hurts nobody.
func TestTooManyRequests_areWaitedFor(t *testing.T) {
	b := newBed(t)
	b.wantTooMany = true
	b.fault(b.ksefURL, map[string]any{"operation": "POST /sessions/online/{ref}/invoices", "action": "429", "retryAfter": 1, "times": 1})
	b.fault(b.teamogyURL, map[string]any{"operation": "PATCH /documents", "action": "429", "retryAfter": 1, "times": 1})
	document := b.seedReady("Q/1", b.issued("Q/1"))
	_, err := b.sendOne(document.ID)
	require.NoError(t, err)
	require.Equal(t, 1, b.submissions(document.SHA256))
}

// Teamogy may replace the whole properties object on PATCH, and may not be
// able to filter by property: the product is right all the same.
func TestUnknownsOfTeamogy_doNotMatter(t *testing.T) {
	for _, filter := range []string{"honoured", "ignored", "refused"} {
		for _, replaces := range []bool{false, true} {
			t.Run(filter+map[bool]string{false: ", merges", true: ", replaces"}[replaces], func(t *testing.T) {
				b := newBed(t, func(o *bedOptions) {
					o.teamogy.FilterProperties, o.teamogy.PatchReplaces = filter, replaces
					o.teamogy.Registration = !replaces
				})
				sample := samples.GenerateReceived(b.sampleOptions(), 2)[0]
				b.seedCompanies(map[string]any{"name": sample.SellerName, "nip": sample.SellerNIP, "supplier": true})
				seeded := b.seedKSeF(b.nip, xmlOf(sample.XML))[0]
				b.fault(b.teamogyURL, map[string]any{"operation": "POST /documents", "action": "drop-after", "times": 1})
				imported, err := b.importOne(seeded.KSeFNumber)
				require.NoError(t, err)
				require.Len(t, b.received(seeded.KSeFNumber), 1)
				require.NotZero(t, b.document(imported.DocumentID).CompanyID)

				document := b.seedReady("U/1", b.issued("U/1"))
				_, err = b.sendOne(document.ID)
				require.NoError(t, err)
				require.NotEmpty(t, b.document(document.ID).property("ksefXmlSha256"), "the XML was wiped from the document")
			})
		}
	}
}

// losesHandOver stands for a worker that dies in Transmit before it has
// signalled: the server believes that the activity runs, and nobody knows the
// invoice.
type losesHandOver struct {
	interceptor.WorkerInterceptorBase
	lost atomic.Int32
}

func (l *losesHandOver) InterceptActivity(_ context.Context, next interceptor.ActivityInboundInterceptor) interceptor.ActivityInboundInterceptor {
	i := &losingActivity{loser: l}
	i.Next = next
	return i
}

type losingActivity struct {
	interceptor.ActivityInboundInterceptorBase
	loser *losesHandOver
}

func (i *losingActivity) ExecuteActivity(ctx context.Context, in *interceptor.ExecuteActivityInput) (any, error) {
	if activity.GetInfo(ctx).ActivityType.Name == "Transmit" && i.loser.lost.CompareAndSwap(0, 1) {
		return nil, activity.ErrResultPending
	}
	return i.Next.ExecuteActivity(ctx, in)
}

func TestSendInvoice_healsAHandOverThatGotLostWithItsWorker(t *testing.T) {
	loser := &losesHandOver{}
	b := newBed(t, func(o *bedOptions) { o.interceptor = loser })
	document := b.seedReady("G/1", b.issued("G/1"))
	_, err := b.sendOne(document.ID)
	require.NoError(t, err)
	require.EqualValues(t, 1, loser.lost.Load())
	require.Equal(t, 1, b.submissions(document.SHA256))
}
