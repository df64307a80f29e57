package workflows

import (
	"errors"
	"hash/fnv"
	"strings"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"teamogy-ksef/internal/flow"
)

// freshAfter is how long a run of a polling workflow lasts at most: new code
// and short histories are worth a continue-as-new a day.
const freshAfter = 24 * time.Hour

// poller is what the two polling workflows have in common: the wait between
// cycles, which updates can end, and the pause.
type poller struct {
	paused    string // the reason; empty: not paused
	pollNow   bool
	nextPoll  time.Time
	timeScale float64
	doing     string
}

// handleUpdates accepts PollNow, Pause and Resume.
func (p *poller) handleUpdates(ctx workflow.Context) error {
	if err := workflow.SetUpdateHandlerWithOptions(ctx, flow.UpdatePollNow, func(workflow.Context) error {
		p.pollNow = true
		return nil
	}, workflow.UpdateHandlerOptions{Description: "Asks at once instead of waiting for the interval."}); err != nil {
		return err
	}
	if err := workflow.SetUpdateHandlerWithOptions(ctx, flow.UpdatePause, func(_ workflow.Context, r flow.Reason) error {
		p.paused = r.Reason
		return nil
	}, workflow.UpdateHandlerOptions{
		Description: "Stops asking until Resume; invoices under way go on.",
		Validator:   func(_ workflow.Context, r flow.Reason) error { return needsReason(r.Reason) },
	}); err != nil {
		return err
	}
	return workflow.SetUpdateHandlerWithOptions(ctx, flow.UpdateResume, func(workflow.Context) error {
		p.paused = ""
		p.pollNow = true
		return nil
	}, workflow.UpdateHandlerOptions{Description: "Ends a pause and asks at once."})
}

func needsReason(reason string) error {
	if strings.TrimSpace(reason) == "" {
		return temporal.NewNonRetryableApplicationError(`a reason is needed, for example {"reason":"year-end closing"}`, flow.ErrBadInput, nil)
	}
	return nil
}

// wait waits for the next cycle: the workflow's next turn in the interval, or
// an update. While paused there is no timer.
func (p *poller) wait(ctx workflow.Context, interval time.Duration, summary string) error {
	if p.paused != "" {
		p.doing = "paused: " + p.paused
		p.nextPoll = time.Time{}
		return workflow.Await(ctx, func() bool { return p.paused == "" || p.pollNow })
	}
	p.nextPoll = nextTurn(workflow.GetInfo(ctx).WorkflowExecution.ID, workflow.Now(ctx), flow.Scaled(interval, p.timeScale))
	return p.waitOut(ctx, summary)
}

// waitOut waits until the next poll is due or an update asks for it; also in
// the run after a continue-as-new.
func (p *poller) waitOut(ctx workflow.Context, summary string) error {
	pause := p.nextPoll.Sub(workflow.Now(ctx))
	if pause <= 0 {
		return ctx.Err()
	}
	p.doing = "waiting until " + p.nextPoll.UTC().Format(time.RFC3339)
	_, err := workflow.AwaitWithOptions(ctx, workflow.AwaitOptions{
		Timeout:      pause,
		TimerOptions: workflow.TimerOptions{Summary: summary},
	}, func() bool { return p.pollNow || p.paused != "" })
	return err
}

// carriedOver is when the run after a continue-as-new should ask: at once if an
// update has asked for it just now.
func (p *poller) carriedOver() time.Time {
	if p.pollNow {
		return time.Time{}
	}
	return p.nextPoll
}

// nextTurn is when a workflow polls next. Each has a moment of its own in the
// interval, by its ID: so hundreds of connections that were started together, or
// that all waited for the same outage to end, are spread evenly after one poll.
// The first pause is therefore a quarter to five quarters of the interval; then
// it is the interval.
func nextTurn(id string, now time.Time, interval time.Duration) time.Time {
	if interval <= 0 {
		return now
	}
	h := fnv.New64a()
	_, _ = h.Write([]byte(id)) // a hash does not fail
	own := time.Duration(h.Sum64() % uint64(interval))
	pause := own - time.Duration(now.UnixNano()%int64(interval))
	for pause < interval/4 {
		pause += interval
	}
	return now.Add(pause)
}

// rest waits for a pace: nothing but time ends it.
func rest(ctx workflow.Context, d time.Duration, summary string) error {
	if d <= 0 {
		return ctx.Err()
	}
	return workflow.NewTimerWithOptions(ctx, d, workflow.TimerOptions{Summary: summary}).Get(ctx, nil)
}

// survive keeps a long-running workflow alive: what an activity fails with for
// good is logged, and tried again after a pause. Only a cancellation ends it.
func survive(ctx workflow.Context, err error, pause time.Duration) error {
	var failure *temporal.ActivityError
	if err == nil || ctx.Err() != nil || !errors.As(err, &failure) {
		return err
	}
	workflow.GetLogger(ctx).Error("a step failed for good; it is tried again", "error", err)
	return rest(ctx, pause, "Try again what failed")
}

// due tells whether the run should be continued as new.
func (p *poller) due(ctx workflow.Context) bool {
	info := workflow.GetInfo(ctx)
	return info.GetContinueAsNewSuggested() ||
		workflow.Now(ctx).Sub(info.WorkflowStartTime) >= flow.Scaled(freshAfter, p.timeScale)
}
