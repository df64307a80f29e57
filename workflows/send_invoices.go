package workflows

import (
	"fmt"
	"slices"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"teamogy-ksef/internal/flow"
)

// SendInvoices asks Teamogy for ready sales invoices for ever and starts a
// SendInvoice for each. Teamogy's ready list stays the queue.
func SendInvoices(ctx workflow.Context, in flow.SendInput) error {
	s, err := newSends(ctx, in)
	if err != nil {
		return err
	}
	if err := s.waitOut(ctx, "Ask Teamogy again"); err != nil {
		return err
	}
	for {
		if err := survive(ctx, s.cycle(ctx), 0); err != nil {
			return err
		}
		if err := s.wait(ctx, max(s.settings.SendInterval, time.Second), "Ask Teamogy again"); err != nil {
			return err
		}
		if s.due(ctx) {
			return s.continueAsNew(ctx)
		}
	}
}

type sendInvoices struct {
	poller
	connection string
	state      flow.SendState
	settings   flow.Settings
	last       *flow.StartSendsResult
}

func newSends(ctx workflow.Context, in flow.SendInput) (*sendInvoices, error) {
	if err := checkConnection(flow.SendInvoices, pollExample, in.Connection); err != nil {
		return nil, err
	}
	s := &sendInvoices{connection: in.Connection, settings: flow.Settings{SendInterval: 5 * time.Minute}}
	if in.State != nil {
		s.state = *in.State
	}
	if s.state.Held == nil {
		s.state.Held = map[int64]string{}
	}
	s.paused, s.nextPoll = s.state.Paused, s.state.NextPoll
	if err := describe(ctx, in.Connection, flow.DirectionSent, flow.StatePolling); err != nil {
		return nil, err
	}
	if err := workflow.SetQueryHandlerWithOptions(ctx, flow.QueryStatus, s.status, workflow.QueryHandlerOptions{
		Description: "Last and next poll, what became of the ready list, held documents.",
	}); err != nil {
		return nil, err
	}
	if err := workflow.SetUpdateHandlerWithOptions(ctx, flow.UpdateHold, s.hold, workflow.UpdateHandlerOptions{
		Description: "Keeps a document out of sending, or with release lets it in again.",
		Validator:   checkHold,
	}); err != nil {
		return nil, err
	}
	return s, s.handleUpdates(ctx)
}

// cycle asks Teamogy once.
func (s *sendInvoices) cycle(ctx workflow.Context) error {
	asked := s.pollNow // by a person, or by what one has changed
	s.pollNow, s.nextPoll = false, time.Time{}
	if s.paused != "" {
		return nil
	}
	s.doing = "asking Teamogy for ready invoices"
	in := flow.StartSendsInput{Connection: s.connection, Held: s.held()}
	if s.last != nil && !asked {
		in.NoRoom, in.UnderWay, in.Unread = s.last.NoRoom, s.last.UnderWay, s.last.Unread
	}
	result, err := run(ctx, manyCalls, "Start sending the invoices that Teamogy marks as ready", starts.StartSends, in)
	if err != nil {
		return err
	}
	s.last, s.settings, s.timeScale = &result, result.Settings, result.Settings.TimeScale
	s.state.LastPoll = workflow.Now(ctx)
	s.state.Totals.Cycles++
	s.state.Totals.Started += result.Started
	ready := fmt.Sprintf("%d ready", result.Ready)
	if result.Partly {
		ready = fmt.Sprintf("%d or more ready", result.Ready)
	}
	if result.Unread > 0 {
		ready = fmt.Sprintf("%d under way, which is as many as may be: no others were looked for", result.UnderWay)
	}
	workflow.SetCurrentDetails(ctx, fmt.Sprintf("%s, %d started, last asked %s",
		ready, s.state.Totals.Started, s.state.LastPoll.UTC().Format(time.RFC3339)))
	return nil
}

// held lists the held documents in order.
func (s *sendInvoices) held() []int64 {
	ids := make([]int64, 0, len(s.state.Held))
	//workflowcheck:ignore (the order is made right below)
	for id := range s.state.Held {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

func checkHold(_ workflow.Context, h flow.HoldChange) error {
	if h.DocumentID <= 0 {
		return temporal.NewNonRetryableApplicationError(`the document is missing, for example {"documentId":17,"reason":"..."}`, flow.ErrBadInput, nil)
	}
	if h.Release {
		return nil
	}
	return needsReason(h.Reason)
}

func (s *sendInvoices) hold(_ workflow.Context, h flow.HoldChange) error {
	if h.Release {
		delete(s.state.Held, h.DocumentID)
		s.pollNow = true
		return nil
	}
	s.state.Held[h.DocumentID] = h.Reason
	return nil
}

func (s *sendInvoices) status() (flow.SendStatus, error) {
	return flow.SendStatus{
		Connection: s.connection, Doing: s.doing, Paused: s.paused, Held: s.state.Held,
		LastPoll: s.state.LastPoll, NextPoll: s.nextPoll, Last: s.last, Totals: s.state.Totals,
	}, nil
}

func (s *sendInvoices) continueAsNew(ctx workflow.Context) error {
	if err := workflow.Await(ctx, func() bool { return workflow.AllHandlersFinished(ctx) }); err != nil {
		return err
	}
	s.state.Paused, s.state.NextPoll = s.paused, s.carriedOver()
	return workflow.NewContinueAsNewError(ctx, flow.SendInvoices, flow.SendInput{Connection: s.connection, State: &s.state})
}
