package inspect

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"

	"teamogy-ksef/internal/flow"
)

// describeTimeout bounds a question that the server answers by itself,
// queryTimeout one that needs a worker.
const (
	describeTimeout = 10 * time.Second
	queryTimeout    = 5 * time.Second
	// pollerAge is how long ago a worker may have asked for work to count as
	// running: a long poll lasts a minute.
	pollerAge = 90 * time.Second
)

// longRunning describes a long-running workflow and asks it for its status.
func longRunning[S any](ctx context.Context, c client.Client, id string, worker bool) (LongRunning[S], *workflowservice.DescribeWorkflowExecutionResponse) {
	l := LongRunning[S]{WorkflowID: id}
	describeCtx, cancel := context.WithTimeout(ctx, describeTimeout)
	defer cancel()
	description, err := c.DescribeWorkflowExecution(describeCtx, id, "")
	var unknown *serviceerror.NotFound
	switch {
	case errors.As(err, &unknown):
		l.State = StateNotStarted
		return l, nil
	case err != nil:
		l.State, l.Problem = "unknown", err.Error()
		return l, nil
	}
	l.State = statusName(description.GetWorkflowExecutionInfo().GetStatus())
	if l.State != StateRunning {
		return l, description
	}
	if !worker {
		l.Problem = "no worker answers"
		return l, description
	}
	queryCtx, cancelQuery := context.WithTimeout(ctx, queryTimeout)
	defer cancelQuery()
	value, err := query(queryCtx, c, id)
	if err != nil {
		l.Problem = queryProblem(queryCtx, err)
		return l, description
	}
	var status S
	if err := value.Get(&status); err != nil {
		l.Problem = "its status cannot be read: " + err.Error()
		return l, description
	}
	l.Status = &status
	return l, description
}

// queryTries is how often a refused query is asked: one that overtakes a
// workflow task may be refused with TMPRL1100 although nothing is wrong
// (temporalio/sdk-go issue 755).
const queryTries = 3

func query(ctx context.Context, c client.Client, id string) (value converter.EncodedValue, err error) {
	for range queryTries {
		value, err = c.QueryWorkflow(ctx, id, "", flow.QueryStatus)
		var refused *serviceerror.QueryFailed
		if !errors.As(err, &refused) {
			break
		}
	}
	return value, err
}

// queryProblem says in plain words why a query had no answer.
func queryProblem(ctx context.Context, err error) string {
	var late *serviceerror.DeadlineExceeded
	var precondition *serviceerror.FailedPrecondition
	var refused *serviceerror.QueryFailed
	switch {
	case ctx.Err() != nil, errors.As(err, &late):
		return "no worker answered within " + queryTimeout.String()
	case errors.As(err, &precondition):
		return "no worker answers: " + precondition.Error()
	case errors.As(err, &refused):
		return "the workflow does not answer: " + refused.Error()
	}
	return err.Error()
}

// WorkerRuns tells whether a worker has lately asked the task queue for
// workflow tasks.
func WorkerRuns(ctx context.Context, c client.Client, taskQueue string) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, describeTimeout)
	defer cancel()
	queue, err := c.DescribeTaskQueue(ctx, taskQueue, enumspb.TASK_QUEUE_TYPE_WORKFLOW)
	if err != nil {
		return false, fmt.Errorf("see who asks task queue %s for work: %w", taskQueue, err)
	}
	for _, p := range queue.GetPollers() {
		if time.Since(p.GetLastAccessTime().AsTime()) < pollerAge {
			return true, nil
		}
	}
	return false, nil
}

// statusName is the status of an execution in lower case: running, completed,
// failed, canceled, terminated, continued as new, timed out.
func statusName(s enumspb.WorkflowExecutionStatus) string {
	switch s {
	case enumspb.WORKFLOW_EXECUTION_STATUS_CONTINUED_AS_NEW:
		return "continued as new"
	case enumspb.WORKFLOW_EXECUTION_STATUS_TIMED_OUT:
		return "timed out"
	}
	return strings.ToLower(s.String())
}
