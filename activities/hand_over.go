package activities

import (
	"context"
	"sync"

	enums "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"teamogy-ksef/internal/flow"
	"teamogy-ksef/internal/together"
)

// Transmit hands an invoice over to the connection's TransmitInvoices and is
// completed by its session from outside. Its time-out hands over again. Invoices
// of a connection that are handed over at the same time share a signal: each one
// more would cost TransmitInvoices a workflow task of its own.
func (s *Starts) Transmit(ctx context.Context, in flow.TransmitInput) (out flow.Transmitted, err error) {
	defer s.failed(ctx, in.Connection, &err)
	if err := s.enterGates(ctx, in.Connection); err != nil {
		return out, err
	}
	info := activity.GetInfo(ctx)
	item := flow.HandOver{
		WorkflowID: info.WorkflowExecution.ID, RunID: info.WorkflowExecution.RunID, ActivityID: info.ActivityID,
		DocumentID: in.DocumentID, SHA256: in.Document.SHA256, Form: in.Form, Attachment: in.Attachment, Size: in.Document.Size,
	}
	return s.handOver(ctx, in.Connection, item)
}

func (s *Starts) handOver(ctx context.Context, connection string, item flow.HandOver) (out flow.Transmitted, err error) {
	_, err = s.handOvers.of(connection).Ask(ctx, item, func(ctx context.Context, take func(int) []flow.HandOver) (map[flow.HandOver]struct{}, error) {
		return nil, s.handOvers.signal(ctx, connection, take(flow.MostHandOvers))
	})
	if err != nil {
		return out, err
	}
	return out, activity.ErrResultPending
}

// handOvers are those that wait for a signal, by connection.
type handOvers struct {
	signal func(ctx context.Context, connection string, items []flow.HandOver) error

	mu      sync.Mutex
	waiting map[string]*together.Gathering[flow.HandOver, struct{}]
}

func (h *handOvers) of(connection string) *together.Gathering[flow.HandOver, struct{}] {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.waiting == nil {
		h.waiting = map[string]*together.Gathering[flow.HandOver, struct{}]{}
	}
	if h.waiting[connection] == nil {
		h.waiting[connection] = together.New[flow.HandOver, struct{}](flow.MostHandOvers, nil)
	}
	return h.waiting[connection]
}

// signalTransmit signals the connection's TransmitInvoices, and starts it where it does
// not run. If the answer is lost, the same hand-overs are signalled once more:
// TransmitInvoices knows an invoice by its workflow.
func signalTransmit(ctx context.Context, connection string, items []flow.HandOver) error {
	_, err := activity.GetClient(ctx).SignalWithStartWorkflow(ctx, flow.TransmitID(connection), flow.SignalTransmitMany, flow.HandOvers{Items: items},
		client.StartWorkflowOptions{
			TaskQueue:                activity.GetInfo(ctx).TaskQueue,
			WorkflowIDReusePolicy:    enums.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE,
			WorkflowIDConflictPolicy: enums.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING,
			TypedSearchAttributes: temporal.NewSearchAttributes(
				flow.AttributeConnection.ValueSet(connection), flow.AttributeDirection.ValueSet(flow.DirectionSent),
				flow.AttributeState.ValueSet(flow.StateTransmitting)),
			StaticSummary: "KSeF sessions of " + connection,
			Priority:      flow.OwnersFirst(connection),
		},
		flow.TransmitInvoices, flow.TransmitState{Connection: connection, Packages: true})
	return err
}
