package activities

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
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
	gate  bool // the attempt does not count as a failed one (a closed gate was met); After is exactly when to come again
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
	if metGate(*err) {
		noteGate(ctx)
	}
	*err = asFailureSpread(ctx, *err, triesOf(ctx), b.scaleOf(ctx, connection), rand.Float64()/4)
}

// scaleOf is a connection's time scale, that of its last settings if they
// cannot be read now, and 1 if it cannot be known.
func (b *base) scaleOf(ctx context.Context, connection string) float64 {
	if b.Connections != nil {
		if c, err := b.Connections.Settings(ctx, connection); err == nil && c != nil {
			return c.TimeScale
		}
	}
	return b.Gates.scaleOf(connection)
}

// metDetails are kept by Temporal from one attempt to the next, as details of
// a heartbeat.
type metDetails struct {
	MetGate int `json:"metGate"` // attempts that only met a closed gate, or only paused
	Attempt int `json:"attempt"` // the last of them
}

// metBefore are the details that the attempts before have left. Those of a time
// when attempts were counted otherwise (a person has reset the activity) are void.
func metBefore(ctx context.Context) metDetails {
	var met metDetails
	if !activity.IsActivity(ctx) || !activity.HasHeartbeatDetails(ctx) ||
		activity.GetHeartbeatDetails(ctx, &met) != nil || met.Attempt >= attemptOf(ctx) {
		return metDetails{}
	}
	return met
}

// noteGate notes that this attempt only met a closed gate.
func noteGate(ctx context.Context) {
	if activity.IsActivity(ctx) {
		activity.RecordHeartbeat(ctx, metDetails{MetGate: metBefore(ctx).MetGate + 1, Attempt: attemptOf(ctx)})
	}
}

// triesOf counts the attempts of an activity without those that only met a
// closed gate: the first one is 1. Whatever gives up after so many goes by it.
func triesOf(ctx context.Context) int { return max(1, attemptOf(ctx)-metBefore(ctx).MetGate) }

func attemptOf(ctx context.Context) int {
	if activity.IsActivity(ctx) {
		return int(activity.GetInfo(ctx).Attempt)
	}
	if n, is := ctx.Value(attemptCountKey{}).(int); is {
		return n
	}
	return 1
}

// scheduledOf is when the workflow has asked for the activity, whichever attempt
// this is; outside an activity it is now.
func scheduledOf(ctx context.Context, now time.Time) time.Time {
	if activity.IsActivity(ctx) {
		return activity.GetInfo(ctx).ScheduledTime
	}
	if at, is := ctx.Value(scheduledKey{}).(time.Time); is {
		return at
	}
	return now
}

// attemptCountKey and scheduledKey are where a test says which attempt it is and
// when the activity was asked for, outside an activity.
type (
	attemptCountKey struct{}
	scheduledKey    struct{}
)

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
	return triesOf(ctx) >= tries
}

// asFailure is failed without its surroundings.
func asFailure(ctx context.Context, err error, attempt int, timeScale float64) error {
	return asFailureSpread(ctx, err, attempt, timeScale, 0)
}

// asFailureSpread makes the delay after a configuration error longer by a part
// of it: what fails for all invoices at once should not come back at once.
func asFailureSpread(ctx context.Context, err error, attempt int, timeScale, part float64) error {
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
		if row.Class == flow.Configuration && !p.gate {
			options.NextRetryDelay += time.Duration(float64(options.NextRetryDelay) * part)
		}
	}
	switch p.Type {
	case flow.ErrKSeFNotYet, flow.ErrKSeFQuota, flow.ErrTeamogyQuota, flow.ErrWorkerBusy:
		options.Category = temporal.ApplicationErrorCategoryBenign
	}
	return temporal.NewApplicationErrorWithOptions(p.Text+" - What to do: "+row.Remedy, row.Type, options)
}

// ofTheSettings tells whether an error was found before any call, in the
// connection's own files and its binding.
func ofTheSettings(err error) bool {
	switch classify(err).Type {
	case flow.ErrConnectionUnknown, flow.ErrConnectionInvalid, flow.ErrBindingChanged, flow.ErrReceiverTaken, flow.ErrKSeFCredentials, flow.ErrSecretUnusable:
		return true
	}
	return false
}

const (
	firstDelay   = time.Second
	longestDelay = 5 * time.Minute
)

// retryDelay doubles from a second to five minutes, in the connection's time
// scale. What a server asks for by Retry-After is real time, and is kept.
func retryDelay(p *problem, attempt int, timeScale float64) time.Duration {
	if p.gate {
		return max(p.After, 10*time.Millisecond)
	}
	delay := longestDelay
	if shift := attempt - 1; shift < 9 {
		delay = min(firstDelay<<max(0, shift), longestDelay)
	}
	return max(flow.Scaled(delay, timeScale), p.After, 10*time.Millisecond)
}
