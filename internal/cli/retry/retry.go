// Package retry starts the workflows of invoices again, because a person says
// so. It starts nothing but ImportInvoice and SendInvoice, each under its own
// workflow ID; both look into the record first, so that nothing is created or
// sent twice.
package retry

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"

	"teamogy-ksef/activities"
	"teamogy-ksef/internal/archive"
	"teamogy-ksef/internal/cli/inspect"
	"teamogy-ksef/internal/flow"
)

// Result is what became of a request to start an invoice's workflow again.
type Result string

// Results.
const (
	Started    Result = "started again"
	Running    Result = "runs already"
	EndedWell  Result = "ended well, not started"
	NotStarted Result = "NOT STARTED"
)

// Outcome is the result for one invoice.
type Outcome struct {
	WorkflowID string `json:"workflowId"`
	Result     Result `json:"result"`
	Summary    string `json:"summary,omitempty"`
	// Note says more: why it was not started, or how to hurry what runs.
	Note string `json:"note,omitempty"`
}

// Retrier starts workflows again.
type Retrier struct {
	Temporal  client.Client
	TaskQueue string
	Archive   *archive.Archive // the worker's register
}

// timeout bounds one question to Temporal.
const timeout = 10 * time.Second

// Invoice starts one invoice's workflow again, also if it was rejected. One that
// runs, and one that ended well, are left as they are. One that Temporal has
// forgotten is started from the register.
func (r Retrier) Invoice(ctx context.Context, workflowID string) Outcome {
	description, err := r.describe(ctx, workflowID)
	var unknown *serviceerror.NotFound
	switch {
	case errors.As(err, &unknown):
		return r.forgotten(ctx, workflowID)
	case err != nil:
		return failed(workflowID, "", err)
	}
	return r.again(ctx, description.GetWorkflowExecutionInfo(), description, func() (bool, error) {
		_, _, open, err := r.registered(ctx, workflowID)
		return open, err
	})
}

// Connection starts every open invoice of the register that has no running
// workflow, and with alsoFailed every one whose last run failed, rejected ones
// too. What was taken back in Teamogy, or cancelled, is left alone. Running is
// how many were left because their workflows run.
func (r Retrier) Connection(ctx context.Context, connection string, alsoFailed bool) (outcomes []Outcome, running int, err error) {
	latest, cut, err := inspect.LatestRuns(ctx, r.Temporal, connection)
	if err != nil {
		return nil, 0, err
	}
	open, problems, err := activities.OpenInvoices(ctx, r.Archive, connection)
	if err != nil {
		return nil, 0, fmt.Errorf("read the register: %w", err)
	}
	done := map[string]bool{}
	for _, o := range open {
		done[o.WorkflowID] = true
		run := latest[o.WorkflowID]
		switch {
		case run == nil:
			outcomes = append(outcomes, r.start(ctx, o.Start(connection)))
		case run.GetStatus() == enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING:
			running++
		default:
			outcomes = append(outcomes, r.again(ctx, run, nil, func() (bool, error) { return true, nil }))
		}
	}
	if alsoFailed {
		for _, run := range failedRuns(latest) {
			if !done[run.GetExecution().GetWorkflowId()] {
				outcomes = append(outcomes, r.again(ctx, run, nil, func() (bool, error) { return false, nil }))
			}
		}
	}
	for _, p := range problems {
		outcomes = append(outcomes, Outcome{WorkflowID: connection, Result: NotStarted, Note: p})
	}
	if cut {
		outcomes = append(outcomes, Outcome{WorkflowID: connection, Result: NotStarted, Note: "there are more runs than can be read: older failed ones were not looked at"})
	}
	return outcomes, running, ctx.Err()
}

// failedRuns are the latest runs that did not come to their end, by workflow ID.
func failedRuns(latest map[string]*workflowpb.WorkflowExecutionInfo) []*workflowpb.WorkflowExecutionInfo {
	var runs []*workflowpb.WorkflowExecutionInfo
	for _, run := range latest {
		switch run.GetStatus() {
		case enumspb.WORKFLOW_EXECUTION_STATUS_FAILED, enumspb.WORKFLOW_EXECUTION_STATUS_TIMED_OUT, enumspb.WORKFLOW_EXECUTION_STATUS_TERMINATED:
			if inspect.StateOf(run) != flow.StateWithdrawn {
				runs = append(runs, run)
			}
		}
	}
	slices.SortFunc(runs, func(x, y *workflowpb.WorkflowExecutionInfo) int {
		return strings.Compare(x.GetExecution().GetWorkflowId(), y.GetExecution().GetWorkflowId())
	})
	return runs
}

func (r Retrier) describe(ctx context.Context, workflowID string) (*workflowservice.DescribeWorkflowExecutionResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	description, err := r.Temporal.DescribeWorkflowExecution(ctx, workflowID, "")
	if err != nil {
		return nil, fmt.Errorf("describe %s: %w", workflowID, err)
	}
	return description, nil
}

// again starts a workflow with the input of its last run. One that ended well
// is started only if the register says that the invoice is open all the same, as
// it may after it was restored from a backup.
func (r Retrier) again(ctx context.Context, run *workflowpb.WorkflowExecutionInfo, description *workflowservice.DescribeWorkflowExecutionResponse, isOpen func() (bool, error)) Outcome {
	id := run.GetExecution().GetWorkflowId()
	switch workflowType := run.GetType().GetName(); workflowType {
	case flow.ImportInvoice, flow.SendInvoice:
	default:
		return failed(id, "", fmt.Errorf("it is a %s and not the workflow of an invoice", workflowType))
	}
	if description == nil {
		var err error
		if description, err = r.describe(ctx, id); err != nil {
			return failed(id, "", err)
		}
		run = description.GetWorkflowExecutionInfo()
	}
	summary := inspect.Summary(description)
	switch run.GetStatus() {
	case enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING:
		return Outcome{WorkflowID: id, Result: Running, Summary: summary, Note: hurry(description)}
	case enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED:
		open, err := isOpen()
		if err != nil {
			return failed(id, summary, fmt.Errorf("it ended well, but the register cannot be asked whether it is done: %w", err))
		}
		if !open {
			return Outcome{WorkflowID: id, Result: EndedWell, Summary: summary}
		}
	}
	start, err := r.lastStart(ctx, run, summary)
	if err != nil {
		return failed(id, summary, err)
	}
	if start.ID != id {
		return failed(id, summary, fmt.Errorf("its input belongs to %s; retry that", start.ID))
	}
	return r.start(ctx, start)
}

// lastStart is the start of a run, with its own input. An issued invoice is not
// bound any more to what Teamogy's list said when it was started: it is sent
// although its document is marked as rejected.
func (r Retrier) lastStart(ctx context.Context, run *workflowpb.WorkflowExecutionInfo, summary string) (flow.InvoiceStart, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	history := r.Temporal.GetWorkflowHistory(ctx, run.GetExecution().GetWorkflowId(), run.GetExecution().GetRunId(), false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	event, err := history.Next()
	if err != nil {
		return flow.InvoiceStart{}, fmt.Errorf("read the input of its last run: %w", err)
	}
	payloads := event.GetWorkflowExecutionStartedEventAttributes().GetInput()
	if run.GetType().GetName() == flow.ImportInvoice {
		var in flow.ImportInput
		err = converter.GetDefaultDataConverter().FromPayloads(payloads, &in)
		return flow.StartOfImport(in, summary), unreadable(err)
	}
	var in flow.SendInvoiceInput
	err = converter.GetDefaultDataConverter().FromPayloads(payloads, &in)
	in.Listed = false
	return flow.StartOfSend(in, summary), unreadable(err)
}

func unreadable(err error) error {
	if err != nil {
		return fmt.Errorf("read the input of its last run: %w", err)
	}
	return nil
}

// forgotten starts an invoice that Temporal does not know, from the register.
func (r Retrier) forgotten(ctx context.Context, workflowID string) Outcome {
	connection, invoice, open, err := r.registered(ctx, workflowID)
	switch {
	case err != nil:
		return failed(workflowID, "", err)
	case connection == "":
		return failed(workflowID, "", errors.New("neither Temporal nor the register knows it. For an invoice that they have never had: temporal workflow start, as in docs/operations.md"))
	case !open && invoice.Ended:
		return Outcome{WorkflowID: workflowID, Result: EndedWell, Summary: invoice.Summary}
	}
	return r.start(ctx, invoice.Start(connection))
}

// registered looks an invoice up in the register: the connection is empty when
// it is not there.
func (r Retrier) registered(ctx context.Context, workflowID string) (connection string, invoice activities.OpenInvoice, open bool, err error) {
	names, err := r.Archive.Connections(ctx)
	if err != nil {
		return "", invoice, false, fmt.Errorf("read the register: %w", err)
	}
	for _, name := range names {
		if !strings.HasPrefix(workflowID, name+"/") {
			continue
		}
		invoice, known, open, err := activities.RegisteredInvoice(ctx, r.Archive, name, workflowID)
		if known || err != nil {
			if err != nil {
				err = fmt.Errorf("read the register: %w", err)
			}
			return name, invoice, open, err
		}
	}
	return "", invoice, false, nil
}

// start starts a workflow whatever became of earlier runs; one that runs is
// left alone.
func (r Retrier) start(ctx context.Context, s flow.InvoiceStart) Outcome {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	_, err := r.Temporal.ExecuteWorkflow(ctx, s.Options(r.TaskQueue, enumspb.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE), s.Type, s.Input)
	var already *serviceerror.WorkflowExecutionAlreadyStarted
	switch {
	case errors.As(err, &already):
		return Outcome{WorkflowID: s.ID, Result: Running, Summary: s.Summary}
	case err != nil:
		return failed(s.ID, s.Summary, fmt.Errorf("start it: %w", err))
	}
	return Outcome{WorkflowID: s.ID, Result: Started, Summary: s.Summary}
}

func failed(workflowID, summary string, err error) Outcome {
	return Outcome{WorkflowID: workflowID, Result: NotStarted, Summary: summary, Note: err.Error()}
}

// hurry says how to have a step tried at once that waits for its next attempt.
func hurry(d *workflowservice.DescribeWorkflowExecutionResponse) string {
	for _, a := range d.GetPendingActivities() {
		if a.GetLastFailure() == nil || a.GetState() != enumspb.PENDING_ACTIVITY_STATE_SCHEDULED {
			continue
		}
		return fmt.Sprintf("%s has failed %d times and waits for its next attempt. To have it tried at once:\n  temporal activity reset --workflow-id %s --activity-id %s",
			a.GetActivityType().GetName(), a.GetAttempt()-1, d.GetWorkflowExecutionInfo().GetExecution().GetWorkflowId(), a.GetActivityId())
	}
	return ""
}
