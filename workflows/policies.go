package workflows

import (
	"context"
	"fmt"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"teamogy-ksef/activities"
	"teamogy-ksef/internal/flow"
)

// Workflow code sees activities only as nil pointers: their methods name the
// activities.
var (
	ksef    *activities.KSeF
	session *activities.Session
	teamogy *activities.Teamogy
	starts  *activities.Starts
)

// policy is how an activity is run: its time-outs and its retries.
type policy struct {
	startToClose time.Duration // of one attempt
	heartbeat    time.Duration // after which a dead worker is noticed; 0: none
	waitCancel   bool          // the activity decides what a cancellation means
}

// Every activity is retried without end: content errors end it at once by
// being non-retryable, everything else passes or is mended. Activities set the
// delay themselves (activities/failure.go), because only they know TIME_SCALE and
// KSeF's Retry-After; these are the bounds where they do not.
var untilItWorks = temporal.RetryPolicy{
	InitialInterval:    time.Second,
	BackoffCoefficient: 2,
	MaximumInterval:    5 * time.Minute,
}

var (
	// oneCall is for a handful of requests to KSeF or Teamogy. The worker beats
	// for all activities, so that a killed worker is noticed in 15 s.
	oneCall = policy{startToClose: 2 * time.Minute, heartbeat: 15 * time.Second}
	// manyCalls is for lists that are worked through one by one.
	manyCalls = policy{startToClose: 15 * time.Minute, heartbeat: 15 * time.Second}
	// transfer is for what moves packages of up to 5 GB.
	transfer = policy{startToClose: 6 * time.Hour, heartbeat: 15 * time.Second}
	// longWait is for waiting on KSeF; the attempt itself returns within the
	// hour, also without news.
	longWait = policy{startToClose: 65 * time.Minute, heartbeat: 15 * time.Second}
	// collecting is for an export package, which KSeF makes within that hour and which
	// then is downloaded.
	collecting = policy{startToClose: 2 * time.Hour, heartbeat: 15 * time.Second}
)

// registerAgain is how long a hand-over may wait for its answer before it is
// registered once more, which heals one that got lost with a dying worker.
const registerAgain = 45 * time.Minute

// handOver is for Transmit, which is completed from outside. Its time-out is no
// bound on work but the interval of registering again, and so it scales as
// every interval does. A cancellation waits for the session, because a sent
// invoice's number must still be recorded.
func handOver(timeScale float64) policy {
	return policy{startToClose: max(flow.Scaled(registerAgain, timeScale), 30*time.Second), waitCancel: true}
}

// run runs an activity and gives its result; the compiler checks argument and
// result. The summary is what the Web UI shows.
func run[A, R any](ctx workflow.Context, p policy, summary string, activity func(context.Context, A) (R, error), argument A) (R, error) {
	var result R
	err := schedule(ctx, p, summary, activity, argument).Get(ctx, &result)
	return result, err
}

// schedule is run without waiting for the result.
func schedule[A, R any](ctx workflow.Context, p policy, summary string, activity func(context.Context, A) (R, error), argument A) workflow.Future {
	retry := untilItWorks
	return workflow.ExecuteActivity(workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		StartToCloseTimeout: p.startToClose,
		HeartbeatTimeout:    p.heartbeat,
		WaitForCancellation: p.waitCancel,
		RetryPolicy:         &retry,
		Summary:             flow.Summary(summary),
	}), activity, argument)
}

// badInput is the error of a workflow whose input is incomplete. It tells what
// to type.
func badInput(workflowType, example, problem string) error {
	row := flow.LookupError(flow.ErrBadInput)
	return temporal.NewNonRetryableApplicationError(
		fmt.Sprintf("%s: %s; the input looks like %s", workflowType, problem, example),
		row.Type, nil, flow.ErrorDetails{Class: row.Class, Remedy: row.Remedy})
}

// checkConnection refuses a missing or malformed connection name.
func checkConnection(workflowType, example, name string) error {
	if flow.ValidConnection(name) {
		return nil
	}
	if name == "" {
		return badInput(workflowType, example, "the connection is missing")
	}
	return badInput(workflowType, example, fmt.Sprintf("%q is not a connection's name ([a-z0-9-]{1,40})", name))
}
