package inspect

import (
	"context"
	"fmt"
	"maps"
	"slices"

	enumspb "go.temporal.io/api/enums/v1"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"

	"teamogy-ksef/internal/flow"
)

const (
	runsPage = 1000
	// mostRuns bounds what is read of a connection with a long past. The newest
	// come first.
	mostRuns = 100_000
)

// InvoicesOf is a visibility query for the invoice workflows of a connection.
func InvoicesOf(connection, rest string) string {
	return fmt.Sprintf("%s = '%s' AND WorkflowType IN ('%s', '%s')%s",
		flow.AttributeConnection.GetName(), connection, flow.ImportInvoice, flow.SendInvoice, rest)
}

// LatestRuns are the latest runs of the invoice workflows of a connection by
// workflow ID, as far back as Temporal keeps them: an invoice that was started
// again counts once. Cut tells that there are more runs than are read.
func LatestRuns(ctx context.Context, c client.Client, connection string) (latest map[string]*workflowpb.WorkflowExecutionInfo, cut bool, err error) {
	latest = map[string]*workflowpb.WorkflowExecutionInfo{}
	request := &workflowservice.ListWorkflowExecutionsRequest{PageSize: runsPage, Query: InvoicesOf(connection, "")}
	for read := 0; read < mostRuns; {
		page, err := listPage(ctx, c, request)
		if err != nil {
			return latest, false, fmt.Errorf("list the invoices of %s: %w", connection, err)
		}
		for _, run := range page.GetExecutions() {
			id := run.GetExecution().GetWorkflowId()
			if known := latest[id]; known == nil || startedBefore(known, run) {
				latest[id] = run
			}
		}
		read += len(page.GetExecutions())
		request.NextPageToken = page.GetNextPageToken()
		if len(request.NextPageToken) == 0 {
			return latest, false, nil
		}
	}
	return latest, true, nil
}

func listPage(ctx context.Context, c client.Client, request *workflowservice.ListWorkflowExecutionsRequest) (*workflowservice.ListWorkflowExecutionsResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, describeTimeout)
	defer cancel()
	return c.ListWorkflow(ctx, request)
}

func startedBefore(x, y *workflowpb.WorkflowExecutionInfo) bool {
	return x.GetStartTime().AsTime().Before(y.GetStartTime().AsTime())
}

// countStates counts invoices of a direction by the state of their latest run,
// in the order of the table of states.
func countStates(latest map[string]*workflowpb.WorkflowExecutionInfo, direction string) []Count {
	workflowType := flow.ImportInvoice
	if direction == flow.DirectionSent {
		workflowType = flow.SendInvoice
	}
	byState := map[string]int64{}
	for _, run := range latest {
		if run.GetType().GetName() == workflowType {
			byState[StateOf(run)]++
		}
	}
	counts := []Count{}
	take := func(state string) {
		if n := byState[state]; n > 0 {
			counts = append(counts, Count{State: state, Count: n})
			delete(byState, state)
		}
	}
	for _, s := range flow.States {
		take(s.Name)
	}
	for _, state := range slices.Sorted(maps.Keys(byState)) {
		take(state)
	}
	return counts
}

// StateOf is an invoice's state; one whose run ended before it had written a
// final state was aborted.
func StateOf(run *workflowpb.WorkflowExecutionInfo) string {
	state := ""
	if p := run.GetSearchAttributes().GetIndexedFields()[flow.AttributeState.GetName()]; p != nil {
		_ = converter.GetDefaultDataConverter().FromPayload(p, &state)
	}
	under := state == "" || state == flow.StateImporting || state == flow.StateSending
	if under && run.GetStatus() != enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING {
		return StateAborted
	}
	if state == "" {
		return StateRunning
	}
	return state
}

// failedRuns are those whose latest run failed, the latest first.
func failedRuns(latest map[string]*workflowpb.WorkflowExecutionInfo) []*workflowpb.WorkflowExecutionInfo {
	var failed []*workflowpb.WorkflowExecutionInfo
	for _, run := range latest {
		if run.GetStatus() == enumspb.WORKFLOW_EXECUTION_STATUS_FAILED {
			failed = append(failed, run)
		}
	}
	slices.SortFunc(failed, func(x, y *workflowpb.WorkflowExecutionInfo) int {
		return y.GetCloseTime().AsTime().Compare(x.GetCloseTime().AsTime())
	})
	return failed
}
