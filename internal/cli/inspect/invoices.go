package inspect

import (
	"context"
	"fmt"
	"sync"

	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
)

// Limits of a report: it stays quick on a connection with a long past.
const (
	mostFailed = 5 // failed invoices that are listed
	atOnce     = 8 // questions to Temporal at a time
)

// failedInvoices describes the last of the invoices whose latest run failed.
func failedInvoices(ctx context.Context, c client.Client, runs []*workflowpb.WorkflowExecutionInfo) ([]Failed, error) {
	failed := make([]Failed, min(len(runs), mostFailed))
	err := inParallel(len(failed), func(i int) error {
		var err error
		failed[i], err = failedInvoice(ctx, c, runs[i])
		return err
	})
	return failed, err
}

// failedInvoice reads why a run failed.
func failedInvoice(ctx context.Context, c client.Client, run *workflowpb.WorkflowExecutionInfo) (Failed, error) {
	ctx, cancel := context.WithTimeout(ctx, describeTimeout)
	defer cancel()
	id, runID := run.GetExecution().GetWorkflowId(), run.GetExecution().GetRunId()
	f := Failed{WorkflowID: id, RunID: runID, Closed: run.GetCloseTime().AsTime()}
	now, err := c.DescribeWorkflowExecution(ctx, id, runID)
	if err != nil {
		return f, fmt.Errorf("describe %s: %w", id, err)
	}
	f.Summary = Summary(now)
	if err := c.GetWorkflow(ctx, id, runID).Get(ctx, nil); err != nil {
		f.Problem = problemOf(err)
	}
	return f, nil
}

// Summary is the line that the Web UI shows for a workflow.
func Summary(d *workflowservice.DescribeWorkflowExecutionResponse) string {
	var text string
	if p := d.GetExecutionConfig().GetUserMetadata().GetSummary(); p != nil {
		_ = converter.GetDefaultDataConverter().FromPayload(p, &text)
	}
	return text
}

// list gives one page of a visibility query, at most so many rows.
func list(ctx context.Context, c client.Client, query string, most int32) ([]*workflowpb.WorkflowExecutionInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, describeTimeout)
	defer cancel()
	page, err := c.ListWorkflow(ctx, &workflowservice.ListWorkflowExecutionsRequest{PageSize: most, Query: query})
	return page.GetExecutions(), err
}

// inParallel does n things, a few at a time, and gives the first error.
func inParallel(n int, do func(i int) error) error {
	var wg sync.WaitGroup
	slots := make(chan struct{}, atOnce)
	errs := make([]error, n)
	for i := range n {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			errs[i] = do(i)
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
