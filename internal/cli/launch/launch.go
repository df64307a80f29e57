// Package launch starts and ends a connection's long-running workflows, the
// same way for `starter up`, `starter down` and the demo, and creates the
// search attributes that they need.
package launch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/temporal"

	"teamogy-ksef/internal/flow"
)

// Silent is the log of the commands' Temporal clients: what goes wrong comes back
// as an error, and output is for answers.
func Silent() log.Logger { return log.NewStructuredLogger(slog.New(slog.DiscardHandler)) }

// Outcome is what became of a request to start or end a long-running workflow.
type Outcome string

// Outcomes.
const (
	Started        Outcome = "started"
	AlreadyRunning Outcome = "already running"
	Off            Outcome = "off" // by the connection's settings
	Ended          Outcome = "ended"
	NotRunning     Outcome = "not running"
	Ending         Outcome = "ending" // asked to end, and not seen to have ended
)

// Receive starts the ReceiveInvoices of a connection unless it runs already.
func Receive(ctx context.Context, c client.Client, taskQueue, connection string) (Outcome, error) {
	return start(ctx, c, flow.ReceiveInvoices, client.StartWorkflowOptions{
		ID:            flow.ReceiveID(connection),
		TaskQueue:     taskQueue,
		Priority:      flow.OwnersFirst(connection),
		StaticSummary: "Receive the invoices of " + connection + " from KSeF",
		StaticDetails: "Finds the invoices that the company receives in KSeF and starts an ImportInvoice for each. Runs for ever; the query Status tells where it is.",
	}, flow.ReceiveInput{Connection: connection})
}

// Send starts the SendInvoices of a connection unless it runs already.
func Send(ctx context.Context, c client.Client, taskQueue, connection string) (Outcome, error) {
	return start(ctx, c, flow.SendInvoices, client.StartWorkflowOptions{
		ID:            flow.SendID(connection),
		TaskQueue:     taskQueue,
		Priority:      flow.OwnersFirst(connection),
		StaticSummary: "Send the ready invoices of " + connection + " to KSeF",
		StaticDetails: "Asks Teamogy for invoices that are ready and starts a SendInvoice for each. Runs for ever; the query Status tells where it is.",
	}, flow.SendInput{Connection: connection})
}

// start starts a workflow or finds it running. There is never more than one of
// an ID, so a running one is used; a closed one hinders nothing, so that a
// connection can be taken down and up again.
func start(ctx context.Context, c client.Client, workflowType string, o client.StartWorkflowOptions, input any) (Outcome, error) {
	o.WorkflowIDConflictPolicy = enumspb.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING
	o.WorkflowIDReusePolicy = enumspb.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE

	runs, err := running(ctx, c, o.ID)
	if err != nil {
		return "", err
	}
	if runs {
		return AlreadyRunning, nil
	}
	if _, err := c.ExecuteWorkflow(ctx, o, workflowType, input); err != nil {
		return "", fmt.Errorf("start %s: %w", o.ID, err)
	}
	return Started, nil
}

func running(ctx context.Context, c client.Client, id string) (bool, error) {
	d, err := c.DescribeWorkflowExecution(ctx, id, "")
	var unknown *serviceerror.NotFound
	switch {
	case errors.As(err, &unknown):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("describe %s: %w", id, err)
	}
	return d.GetWorkflowExecutionInfo().GetStatus() == enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING, nil
}

// End asks a long-running workflow to end, by cancellation, so that it can
// close in good order. It does not wait; AwaitEnd does.
func End(ctx context.Context, c client.Client, id string) (Outcome, error) {
	runs, err := running(ctx, c, id)
	if err != nil {
		return "", err
	}
	if !runs {
		return NotRunning, nil
	}
	var gone *serviceerror.NotFound
	if err := c.CancelWorkflow(ctx, id, ""); errors.As(err, &gone) {
		return NotRunning, nil
	} else if err != nil {
		return "", fmt.Errorf("cancel %s: %w", id, err)
	}
	return Ending, nil
}

// AwaitEnd waits until a workflow that was asked to end has closed, at most
// until the context ends: then the outcome is Ending.
func AwaitEnd(ctx context.Context, c client.Client, id string) (Outcome, error) {
	err := c.GetWorkflow(ctx, id, "").Get(ctx, nil)
	var closed *temporal.WorkflowExecutionError
	switch {
	case err == nil, errors.As(err, &closed):
		return Ended, nil
	case ctx.Err() != nil:
		return Ending, nil
	}
	// The wait itself failed: look once more, with a moment of its own.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if runs, lookErr := running(ctx, c, id); lookErr == nil && !runs {
		return Ended, nil
	}
	return Ending, fmt.Errorf("wait for the end of %s: %w", id, err)
}
