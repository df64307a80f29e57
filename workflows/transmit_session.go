package workflows

import (
	"fmt"
	"slices"

	enums "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/workflow"

	"teamogy-ksef/internal/flow"
)

// sessionOptions are the options of TransmitSession as an abandoned child: it
// outlives continue-as-new of TransmitInvoices and tells it by signals.
func sessionOptions(connection, id string, count int) workflow.ChildWorkflowOptions {
	return workflow.ChildWorkflowOptions{
		WorkflowID:            id,
		ParentClosePolicy:     enums.PARENT_CLOSE_POLICY_ABANDON,
		WorkflowIDReusePolicy: enums.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE_FAILED_ONLY,
		StaticSummary:         fmt.Sprintf("KSeF session with %d invoices of %s", count, connection),
	}
}

// TransmitSession is one KSeF session: built, opened, filled, closed, awaited,
// collected and delivered. It fails for no single invoice.
func TransmitSession(ctx workflow.Context, in flow.SessionInput) error {
	if err := checkConnection(flow.TransmitSession, pollExample, in.Connection); err != nil {
		return err
	}
	s := &transmitSession{in: in}
	if err := s.send(ctx); err != nil {
		return err
	}
	if err := s.tellSent(ctx); err != nil {
		return err
	}
	if err := s.settle(ctx); err != nil {
		return err
	}
	return s.tellDone(ctx)
}

type transmitSession struct {
	in      flow.SessionInput
	built   flow.Built
	opened  flow.Opened
	open    []int // positions that KSeF has to decide on
	again   []int // positions that KSeF did not process
	answers []flow.Answer
	sends   int
}

// send builds, opens, fills and closes the session. An invoice that KSeF has
// decided on before is only delivered; if nothing is left, no session is
// opened.
func (s *transmitSession) send(ctx workflow.Context) error {
	built, err := run(ctx, manyCalls, fmt.Sprintf("Build the session from %d invoices", s.in.List.Count), session.BuildSession, flow.BuildInput{
		Connection: s.in.Connection, List: s.in.List,
	})
	if err != nil {
		return err
	}
	s.built = built
	s.open = slices.Clone(built.Watch)
	if err := s.deliver(ctx, built.Decided); err != nil {
		return err
	}
	if len(built.Send) == 0 {
		return nil
	}

	s.opened, err = run(ctx, oneCall, "Open a session for "+built.Form, session.OpenSession, flow.OpenInput{
		Connection: s.in.Connection, Form: built.Form,
	})
	if err != nil {
		return err
	}
	workflow.SetCurrentDetails(ctx, "KSeF session "+s.opened.Reference)

	sent, err := run(ctx, manyCalls, fmt.Sprintf("Send %d invoices into %s", len(built.Send), s.opened.Reference), session.SendToSession, flow.SendToSessionInput{
		Connection: s.in.Connection, Session: s.opened, Plan: built.Plan, Send: built.Send,
	})
	if err != nil {
		return err
	}
	s.sends, s.again = sent.Sent, sent.Left
	s.open = append(s.open, without(built.Send, sent.Left, sent.Refused)...)

	if _, err := run(ctx, oneCall, "Close "+s.opened.Reference, session.CloseSession, flow.CloseInput{
		Connection: s.in.Connection, Reference: s.opened.Reference,
	}); err != nil {
		return err
	}
	return s.deliver(ctx, sent.Refused)
}

// settle awaits, collects and delivers until KSeF has decided on everything.
// Each decided invoice is handed over at once.
func (s *transmitSession) settle(ctx workflow.Context) error {
	for len(s.open) > 0 {
		workflow.SetCurrentDetails(ctx, fmt.Sprintf("KSeF session %s: %d invoices undecided", s.opened.Reference, len(s.open)))
		undecided := flow.AwaitInput{Connection: s.in.Connection, Reference: s.opened.Reference, Plan: s.built.Plan, Open: s.open}
		if _, err := run(ctx, longWait, fmt.Sprintf("Await KSeF's decision on %d invoices", len(s.open)), session.AwaitSession, undecided); err != nil {
			return err
		}
		collected, err := run(ctx, manyCalls, "Collect the results", session.CollectResults, undecided)
		if err != nil {
			return err
		}
		if err := s.deliver(ctx, collected.Decided); err != nil {
			return err
		}
		s.again = append(s.again, collected.Again...)
		s.open = without(s.open, collected.Decided, collected.Again)
	}
	return nil
}

// without gives the positions that are in none of the others.
func without(positions []int, others ...[]int) []int {
	var kept []int
	for _, p := range positions {
		if !slices.Contains(slices.Concat(others...), p) {
			kept = append(kept, p)
		}
	}
	return kept
}

func (s *transmitSession) deliver(ctx workflow.Context, indexes []int) error {
	if len(indexes) == 0 {
		return nil
	}
	delivered, err := run(ctx, manyCalls, fmt.Sprintf("Deliver %d answers", len(indexes)), session.DeliverResults, flow.DeliverInput{
		Connection: s.in.Connection, List: s.in.List, Indexes: indexes,
	})
	s.answers = append(s.answers, delivered.Answers...)
	return err
}

// tellSent lets TransmitInvoices open the next session.
func (s *transmitSession) tellSent(ctx workflow.Context) error {
	id := workflow.GetInfo(ctx).WorkflowExecution.ID
	return s.tell(ctx, flow.SignalSessionSent, flow.SessionSent{ID: id, Opens: s.opened.Attempts, Sends: s.sends})
}

// tellDone hands the answers to TransmitInvoices' memory, and back to its
// queue what KSeF did not process.
func (s *transmitSession) tellDone(ctx workflow.Context) error {
	var again []int64
	for _, i := range s.again {
		again = append(again, s.built.Documents[i])
	}
	return s.tell(ctx, flow.SignalSessionDone, flow.SessionDone{
		ID: workflow.GetInfo(ctx).WorkflowExecution.ID, Answers: s.answers, Again: again,
	})
}

// tell signals TransmitInvoices. If that does not run, nobody needs to know:
// the answers are in the records, and what waits registers again.
func (s *transmitSession) tell(ctx workflow.Context, signal string, message any) error {
	err := workflow.SignalExternalWorkflow(ctx, flow.TransmitID(s.in.Connection), "", signal, message).Get(ctx, nil)
	if err != nil && ctx.Err() == nil {
		workflow.GetLogger(ctx).Warn("TransmitInvoices was not told", "signal", signal, "error", err)
		return nil
	}
	return ctx.Err()
}
