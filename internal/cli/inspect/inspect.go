package inspect

import (
	"context"
	"fmt"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"

	"teamogy-ksef/internal/flow"
)

// Connection reads how a connection stands. It always gives a report; what
// could not be read is named in its Problems.
func Connection(ctx context.Context, c client.Client, taskQueue, connection string) Report {
	r := Report{Connection: connection, Received: []Count{}, Sent: []Count{}, Failed: []Failed{}, Waiting: []Waiting{}}
	note := func(err error) {
		if err != nil {
			r.Problems = append(r.Problems, err.Error())
		}
	}
	var err error
	r.Worker, err = WorkerRuns(ctx, c, taskQueue)
	note(err)
	asked := r.Worker || err != nil // where pollers cannot be seen, ask all the same

	described := make([]*workflowservice.DescribeWorkflowExecutionResponse, 3)
	_ = inParallel(len(described), func(i int) error {
		switch i {
		case 0:
			r.Receive, described[i] = longRunning[flow.ReceiveStatus](ctx, c, flow.ReceiveID(connection), asked)
		case 1:
			r.Send, described[i] = longRunning[flow.SendStatus](ctx, c, flow.SendID(connection), asked)
		case 2:
			r.Transmit, described[i] = longRunning[flow.TransmitStatus](ctx, c, flow.TransmitID(connection), asked)
		}
		return nil
	})

	latest, cut, err := LatestRuns(ctx, c, connection)
	note(err)
	if cut {
		r.Problems = append(r.Problems, fmt.Sprintf("there are more than %d runs of invoices: the counts are of the newest", mostRuns))
	}
	r.latest = latest
	r.Received, r.Sent = countStates(latest, flow.DirectionReceived), countStates(latest, flow.DirectionSent)
	failed := failedRuns(latest)
	r.FailedInAll = len(failed)
	r.Failed, err = failedInvoices(ctx, c, failed)
	note(err)
	r.Waiting, err = waitingActivities(ctx, c, connection, described)
	note(err)
	for _, run := range latest {
		if run.GetStatus() == enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING {
			r.RunningInAll++
		}
	}
	r.LookedAt = min(r.RunningInAll, lookWaiting)
	return r
}

// Troubles lists the failing activities of a connection's running workflows
// without the rest of the report.
func Troubles(ctx context.Context, c client.Client, connection string) ([]Waiting, error) {
	ids := []string{flow.ReceiveID(connection), flow.SendID(connection), flow.TransmitID(connection)}
	described := make([]*workflowservice.DescribeWorkflowExecutionResponse, len(ids))
	_ = inParallel(len(ids), func(i int) error {
		ctx, cancel := context.WithTimeout(ctx, describeTimeout)
		defer cancel()
		described[i], _ = c.DescribeWorkflowExecution(ctx, ids[i], "") // absent: not started yet
		return nil
	})
	return waitingActivities(ctx, c, connection, described)
}
