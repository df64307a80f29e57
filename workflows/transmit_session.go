package workflows

import (
	"fmt"
	"slices"
	"time"

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
	return s.tell(ctx, flow.SignalSessionNews, flow.SessionNews{ID: s.id(ctx), Over: true})
}

type transmitSession struct {
	in      flow.SessionInput
	built   flow.Built
	opened  flow.Opened
	decided []int // positions that were decided on before anything is awaited
	open    []int // positions that KSeF has to decide on
	again   []int // positions for another session
}

// betweenLooks is the pause after a look at KSeF that brought nothing although
// its counters had moved.
const betweenLooks = 30 * time.Second

// send builds, opens, fills and closes the session. An invoice that KSeF has
// decided on before is only delivered; if nothing is left to be sent, no
// session is opened.
func (s *transmitSession) send(ctx workflow.Context) error {
	built, err := run(ctx, manyCalls, fmt.Sprintf("Build the session from %d invoices", s.in.Count()), session.BuildSession, flow.BuildInput{
		Connection: s.in.Connection, List: s.in.List, More: s.in.More,
	})
	if err != nil {
		return err
	}
	s.built, s.open = built, slices.Clone(built.Watch)
	s.decided, s.again = slices.Clone(built.Decided), slices.Clone(built.Unclear)
	switch {
	case len(built.Send) == 0:
		return nil
	case s.in.Batch:
		return s.sendBatch(ctx)
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
	s.decided, s.again = append(s.decided, sent.Refused...), append(s.again, sent.Left...)
	s.open = append(s.open, without(built.Send, sent.Left, sent.Refused)...)

	_, err = run(ctx, oneCall, "Close "+s.opened.Reference, session.CloseSession, flow.CloseInput{
		Connection: s.in.Connection, Reference: s.opened.Reference,
	})
	return err
}

// sendBatch packs, opens, uploads and closes a batch session.
func (s *transmitSession) sendBatch(ctx workflow.Context) error {
	sent, err := run(ctx, transfer, fmt.Sprintf("Send a package of %d invoices", len(s.built.Send)), session.SendBatch, flow.SendBatchInput{
		Connection: s.in.Connection, Form: s.built.Form, Offline: s.in.Offline, Plan: s.built.Plan, Send: s.built.Send,
	})
	if err != nil {
		return err
	}
	s.opened, s.again = sent.Session, append(s.again, sent.Left...)
	if s.opened.Reference == "" {
		return nil
	}
	workflow.SetCurrentDetails(ctx, fmt.Sprintf("KSeF session %s: a package of %d bytes in %d parts", s.opened.Reference, sent.Bytes, sent.Parts))
	closed, err := run(ctx, oneCall, "Close "+s.opened.Reference, session.CloseSession, flow.CloseInput{
		Connection: s.in.Connection, Reference: s.opened.Reference, Batch: true,
	})
	if err != nil {
		return err
	}
	packed := without(s.built.Send, sent.Left)
	if closed.Lost {
		s.again = append(s.again, packed...)
	} else {
		s.open = append(s.open, packed...)
	}
	return nil
}

// settle awaits, collects and delivers until KSeF has decided on everything.
// Each decided invoice is handed over at once: the next one may already wait
// for this one's place.
func (s *transmitSession) settle(ctx workflow.Context) error {
	if err := s.land(ctx, s.decided, s.again, s.built.Dropped); err != nil {
		return err
	}
	// What was sent in an earlier session may be decided on already.
	look := len(s.built.Watch) > 0
	since := workflow.Now(ctx)
	for len(s.open) > 0 {
		workflow.SetCurrentDetails(ctx, fmt.Sprintf("KSeF session %s: %d invoices undecided", s.opened.Reference, len(s.open)))
		undecided := flow.AwaitInput{Connection: s.in.Connection, Reference: s.opened.Reference, Plan: s.built.Plan, Open: s.open, Batch: s.in.Batch}
		undecided.WaitedSeconds = int64(workflow.Now(ctx).Sub(since) / time.Second)
		if !look {
			// It returns with news, and within the hour also without.
			if _, err := run(ctx, longWait, fmt.Sprintf("Await KSeF's decision on %d invoices", len(s.open)), session.AwaitSession, undecided); err != nil {
				return err
			}
		}
		look = false
		collected, err := run(ctx, manyCalls, "Collect the results", session.CollectResults, undecided)
		if err != nil {
			return err
		}
		if err := s.land(ctx, collected.Decided, collected.Again, nil); err != nil {
			return err
		}
		s.open = without(s.open, collected.Decided, collected.Again)
		if len(collected.Decided)+len(collected.Again) > 0 {
			since = workflow.Now(ctx) // others may follow soon
		} else {
			if err := rest(ctx, flow.Scaled(betweenLooks, s.in.TimeScale), "KSeF's list follows its counters"); err != nil {
				return err
			}
		}
	}
	return nil
}

// mostAnswers and mostDocuments bound one delivery and one signal: an answer has
// about 150 bytes, a document's ID up to 20, and no payload may pass 64 KB.
const (
	mostAnswers   = 250
	mostDocuments = 500
)

// land delivers what KSeF has decided on, and tells TransmitInvoices what this
// session is done with, in pieces.
func (s *transmitSession) land(ctx workflow.Context, decided, again, dropped []int) error {
	for len(decided)+len(again)+len(dropped) > 0 {
		var nowDecided, nowAgain, nowDropped []int
		nowDecided, decided = firstOf(decided, mostAnswers)
		nowAgain, again = firstOf(again, mostDocuments)
		nowDropped, dropped = firstOf(dropped, mostDocuments-len(nowAgain))
		if err := s.landPiece(ctx, nowDecided, nowAgain, nowDropped); err != nil {
			return err
		}
	}
	return nil
}

func firstOf(positions []int, most int) (first, rest []int) {
	n := min(most, len(positions))
	return positions[:n:n], positions[n:]
}

func (s *transmitSession) landPiece(ctx workflow.Context, decided, again, dropped []int) error {
	news := flow.SessionNews{ID: s.id(ctx), Again: s.documents(again), Landed: s.documents(append(slices.Clone(decided), dropped...))}
	if len(decided) > 0 {
		delivered, err := run(ctx, manyCalls, fmt.Sprintf("Deliver %d answers", len(decided)), session.DeliverResults, flow.DeliverInput{
			Connection: s.in.Connection, List: s.in.List, More: s.in.More, Indexes: decided,
		})
		if err != nil {
			return err
		}
		news.Answers, news.Again = delivered.Answers, append(news.Again, delivered.Unknown...)
	}
	return s.tell(ctx, flow.SignalSessionNews, news)
}

func (s *transmitSession) documents(positions []int) []int64 {
	var ids []int64
	for _, i := range positions {
		ids = append(ids, s.built.Documents[i])
	}
	return ids
}

// without gives the positions that are in none of the others.
func without(positions []int, others ...[]int) []int {
	gone := map[int]bool{}
	for _, other := range others {
		for _, p := range other {
			gone[p] = true
		}
	}
	var kept []int
	for _, p := range positions {
		if !gone[p] {
			kept = append(kept, p)
		}
	}
	return kept
}

func (s *transmitSession) id(ctx workflow.Context) string {
	return workflow.GetInfo(ctx).WorkflowExecution.ID
}

// tellSent lets TransmitInvoices open the next session.
func (s *transmitSession) tellSent(ctx workflow.Context) error {
	return s.tell(ctx, flow.SignalSessionSent, flow.SessionSent{ID: s.id(ctx), Opens: s.opened.Attempts})
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
