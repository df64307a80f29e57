package inspect

import (
	"context"
	"fmt"
	"sync"

	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"

	"teamogy-ksef/internal/flow"
)

// Limits of a report: it stays quick on a connection with a long past.
const (
	mostFailed = 5  // failed invoices that are listed
	lookFailed = 20 // failed runs that are looked at to find them
	atOnce     = 8  // questions to Temporal at a time
)

// filter is a visibility query for the invoices of a connection.
func filter(connection, rest string) string {
	return fmt.Sprintf("%s = '%s'%s", flow.AttributeConnection.GetName(), connection, rest)
}

// countInvoices counts the invoice workflows of a direction by state. States
// without any are left out.
func countInvoices(ctx context.Context, c client.Client, connection, direction string) ([]Count, error) {
	ofDirection := fmt.Sprintf(" AND %s = '%s'", flow.AttributeDirection.GetName(), direction)
	inState := func(state string) string {
		return fmt.Sprintf(" AND %s = '%s'", flow.AttributeState.GetName(), state)
	}
	type question struct{ state, query string }
	var questions []question
	for _, s := range flow.States {
		if s.Direction != "" && s.Direction != direction {
			continue
		}
		q := ofDirection + inState(s.Name)
		if s.Name == flow.StateImporting || s.Name == flow.StateSending {
			questions = append(questions,
				question{s.Name, q + " AND ExecutionStatus = 'Running'"},
				question{StateAborted, q + " AND ExecutionStatus != 'Running'"})
			continue
		}
		questions = append(questions, question{s.Name, q})
	}
	counts := make([]int64, len(questions))
	err := inParallel(len(questions), func(i int) error {
		ctx, cancel := context.WithTimeout(ctx, describeTimeout)
		defer cancel()
		answer, err := c.CountWorkflow(ctx, &workflowservice.CountWorkflowExecutionsRequest{Query: filter(connection, questions[i].query)})
		counts[i] = answer.GetCount()
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("count the %s invoices of %s: %w", direction, connection, err)
	}
	found := []Count{}
	for i, q := range questions {
		if counts[i] > 0 {
			found = append(found, Count{State: q.state, Count: counts[i]})
		}
	}
	return found, nil
}

// failedInvoices lists the last failed invoices that were not started again,
// the latest first.
func failedInvoices(ctx context.Context, c client.Client, connection string) ([]Failed, error) {
	runs, err := list(ctx, c, filter(connection, " AND ExecutionStatus = 'Failed'"), lookFailed)
	if err != nil {
		return nil, fmt.Errorf("list the failed invoices of %s: %w", connection, err)
	}
	found := make([]*Failed, len(runs))
	err = inParallel(len(runs), func(i int) error {
		var err error
		found[i], err = failedInvoice(ctx, c, runs[i])
		return err
	})
	failed := []Failed{}
	for _, f := range found {
		if f != nil && len(failed) < mostFailed {
			failed = append(failed, *f)
		}
	}
	return failed, err
}

// failedInvoice reads why a run failed; nil when the invoice has been started
// again since.
func failedInvoice(ctx context.Context, c client.Client, run *workflowpb.WorkflowExecutionInfo) (*Failed, error) {
	ctx, cancel := context.WithTimeout(ctx, describeTimeout)
	defer cancel()
	id, runID := run.GetExecution().GetWorkflowId(), run.GetExecution().GetRunId()
	now, err := c.DescribeWorkflowExecution(ctx, id, "")
	if err != nil {
		return nil, fmt.Errorf("describe %s: %w", id, err)
	}
	if now.GetWorkflowExecutionInfo().GetExecution().GetRunId() != runID {
		return nil, nil
	}
	f := &Failed{WorkflowID: id, RunID: runID, Closed: run.GetCloseTime().AsTime(), Summary: summary(now)}
	if err := c.GetWorkflow(ctx, id, runID).Get(ctx, nil); err != nil {
		f.Problem = problemOf(err)
	}
	return f, nil
}

// summary is the line that the Web UI shows for a workflow.
func summary(d *workflowservice.DescribeWorkflowExecutionResponse) string {
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
