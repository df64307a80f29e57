package activities

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"

	"teamogy-ksef/internal/flow"
)

// problem is an error that an activity itself has found, with its type of
// flow.
type problem struct {
	Type  string
	Text  string
	After time.Duration // try again not before; 0: by the usual growing delay
	cause error
}

func (p *problem) Error() string { return p.Text }

func (p *problem) Unwrap() error { return p.cause }

func newProblem(errorType, format string, args ...any) *problem {
	return &problem{Type: errorType, Text: fmt.Sprintf(format, args...)}
}

// failed turns what an activity returns into a typed error of flow. It is
// deferred by every activity, so that no error reaches Temporal unclassified.
func (b *base) failed(ctx context.Context, connection string, err *error) {
	if *err == nil || errors.Is(*err, activity.ErrResultPending) {
		return
	}
	*err = asFailure(ctx, *err, attemptOf(ctx), b.scaleOf(ctx, connection))
}

// scaleOf is a connection's time scale; 1 if it cannot be known.
func (b *base) scaleOf(ctx context.Context, connection string) float64 {
	if b.Connections != nil {
		if c, err := b.Connections.Settings(ctx, connection); err == nil && c != nil {
			return c.TimeScale
		}
	}
	return 1
}

func attemptOf(ctx context.Context) int {
	if activity.IsActivity(ctx) {
		return int(activity.GetInfo(ctx).Attempt)
	}
	return 1
}

const (
	// clearTries is after how many attempts an invoice that cannot be looked
	// after is left behind, so that it hinders no other.
	clearTries = 5
	// outageTries is the same for failures that concern everything: a good half
	// hour, because in an outage there is nothing else to go on with.
	outageTries = 15
)

// leaveBehind tells whether an activity has been tried often enough with
// invoices that cannot be looked after, and should go on without them: they
// come again by another poll or session.
func leaveBehind(ctx context.Context, err error) bool {
	tries := clearTries
	if forAll(err) {
		tries = outageTries
	}
	return attemptOf(ctx) >= tries
}

// asFailure is failed without its surroundings.
func asFailure(ctx context.Context, err error, attempt int, timeScale float64) error {
	if errors.Is(context.Cause(ctx), errLeaseLost) {
		err = errLeaseLost
	}
	var typed *temporal.ApplicationError
	var canceled *temporal.CanceledError
	if errors.As(err, &typed) || errors.As(err, &canceled) {
		return err
	}
	if errors.Is(ctx.Err(), context.Canceled) && errors.Is(err, context.Canceled) {
		return err // the worker stops, or the workflow was cancelled
	}
	p := classify(err)
	row := flow.LookupError(p.Type)
	options := temporal.ApplicationErrorOptions{
		NonRetryable: row.Class == flow.Content,
		Details:      []any{flow.ErrorDetails{Class: row.Class, Remedy: row.Remedy}},
	}
	if !options.NonRetryable {
		options.NextRetryDelay = retryDelay(p, attempt, timeScale)
	}
	switch p.Type {
	case flow.ErrKSeFNotYet, flow.ErrKSeFQuota, flow.ErrTeamogyQuota:
		options.Category = temporal.ApplicationErrorCategoryBenign
	}
	return temporal.NewApplicationErrorWithOptions(p.Text+" - What to do: "+row.Remedy, row.Type, options)
}

const (
	firstDelay   = time.Second
	longestDelay = 5 * time.Minute
)

// retryDelay doubles from a second to five minutes, in the connection's time
// scale. What a server asks for by Retry-After is real time, and is kept.
func retryDelay(p *problem, attempt int, timeScale float64) time.Duration {
	delay := longestDelay
	if shift := attempt - 1; shift < 9 {
		delay = min(firstDelay<<max(0, shift), longestDelay)
	}
	return max(flow.Scaled(delay, timeScale), p.After, 10*time.Millisecond)
}
