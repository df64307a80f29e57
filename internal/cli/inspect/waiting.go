package inspect

import (
	"context"
	"fmt"

	enumspb "go.temporal.io/api/enums/v1"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"

	"teamogy-ksef/internal/flow"
)

// lookWaiting is how many running workflows are asked for failing activities.
const lookWaiting = 50

// waitingActivities lists the failing activities of running workflows: of those
// that were described already, of the connection's sessions and of its
// invoices.
func waitingActivities(ctx context.Context, c client.Client, connection string, described []*workflowservice.DescribeWorkflowExecutionResponse) ([]Waiting, error) {
	waiting := []Waiting{}
	for _, d := range described {
		waiting = append(waiting, pending(d)...)
	}
	queries := []string{
		fmt.Sprintf("WorkflowType = '%s' AND WorkflowId STARTS_WITH '%s/session/' AND ExecutionStatus = 'Running'", flow.TransmitSession, connection),
		InvoicesOf(connection, " AND ExecutionStatus = 'Running'"),
	}
	for _, query := range queries {
		more, err := waitingOf(ctx, c, query)
		waiting = append(waiting, more...)
		if err != nil {
			return waiting, fmt.Errorf("look for failing activities of %s: %w", connection, err)
		}
	}
	return waiting, nil
}

func waitingOf(ctx context.Context, c client.Client, query string) ([]Waiting, error) {
	runs, err := list(ctx, c, query, lookWaiting)
	if err != nil {
		return nil, err
	}
	found := make([][]Waiting, len(runs))
	err = inParallel(len(runs), func(i int) error {
		ctx, cancel := context.WithTimeout(ctx, describeTimeout)
		defer cancel()
		d, err := c.DescribeWorkflowExecution(ctx, runs[i].GetExecution().GetWorkflowId(), runs[i].GetExecution().GetRunId())
		found[i] = pending(d)
		return err
	})
	var waiting []Waiting
	for _, f := range found {
		waiting = append(waiting, f...)
	}
	return waiting, err
}

// stuckAttempt is the attempt of a workflow task from which on it is reported:
// a worker that was stopped costs one or two.
const stuckAttempt = 4

// waitsForKSeF tells that a session only waits for KSeF's decision, and gave its
// slot on the worker back meanwhile.
func waitsForKSeF(a *workflowpb.PendingActivityInfo) bool {
	return a.GetActivityType().GetName() == "AwaitSession" && a.GetLastFailure().GetApplicationFailureInfo().GetType() == flow.ErrKSeFNotYet
}

// pending lists what fails and is tried again in a running workflow.
func pending(d *workflowservice.DescribeWorkflowExecutionResponse) []Waiting {
	info := d.GetWorkflowExecutionInfo()
	if info.GetStatus() != enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING {
		return nil
	}
	id := info.GetExecution().GetWorkflowId()
	var waiting []Waiting
	if task := d.GetPendingWorkflowTask(); task.GetAttempt() >= stuckAttempt {
		row := flow.LookupError(flow.ErrUnexpected)
		waiting = append(waiting, Waiting{
			WorkflowID: id, Activity: "workflow task", Attempt: task.GetAttempt(),
			Problem: Problem{Type: "WorkflowTaskFailed", Class: row.Class, Message: "the workflow's own code fails", Remedy: "Read the worker's log, and report it: it is a defect of teamogy-ksef."},
		})
	}
	for _, a := range d.GetPendingActivities() {
		if a.GetLastFailure() == nil || waitsForKSeF(a) {
			continue
		}
		w := Waiting{
			WorkflowID: id,
			Activity:   a.GetActivityType().GetName(),
			Attempt:    a.GetAttempt(),
			Problem:    problemOfFailure(a.GetLastFailure()),
		}
		if next := a.GetNextAttemptScheduleTime(); next != nil {
			w.Next = next.AsTime()
		}
		waiting = append(waiting, w)
	}
	return waiting
}
