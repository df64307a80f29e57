package demo

import (
	"context"
	"errors"
	"fmt"
	"time"

	"teamogy-ksef/internal/cli/inspect"
)

const (
	lookEvery    = 500 * time.Millisecond // at the witnesses
	troubleEvery = 3 * time.Second        // for failing activities
	askTimeout   = 10 * time.Second
	verifyWithin = time.Minute
)

// sight is one look at the witnesses.
type sight struct {
	evidence Evidence
	troubles []inspect.Waiting
	err      error
}

// watch shows progress until the end: the context's, or with Once that every
// invoice has ended or the time is up. Then it verifies and tells.
func (d *demo) watch(ctx context.Context) (Result, error) {
	looking, stopLooking := context.WithCancel(ctx)
	defer stopLooking()
	sights := make(chan sight)
	go d.look(looking, sights)

	refresh := time.NewTicker(d.display.refresh())
	defer refresh.Stop()
	var timeout <-chan time.Time
	if d.o.Once {
		timer := time.NewTimer(d.o.Timeout - d.elapsed())
		defer timer.Stop()
		timeout = timer.C
	}

	var seen sight
	verdicts := d.manifest.judgeAll(Evidence{})
	told := false // that everything has ended
	for {
		select {
		case s := <-sights:
			if s.err != nil {
				d.say("%v", s.err)
				continue
			}
			after := d.manifest.judgeAll(s.evidence)
			for _, e := range events(d.manifest, verdicts, after) {
				d.display.event(d.elapsed(), e)
			}
			seen, verdicts = s, after
			if p := d.progress(verdicts, seen); p.over && !told {
				told = true
				d.display.show(p)
				if d.o.Once {
					stopLooking()
					return d.conclude(ctx, "")
				}
				if _, err := d.conclude(ctx, ""); err != nil && !errors.Is(err, ErrMismatch) {
					return Result{Setup: d.setup}, err
				}
				d.say("everything keeps running: Ctrl-C ends it")
			}
		case <-refresh.C:
			d.display.show(d.progress(verdicts, seen))
		case <-timeout:
			stopLooking()
			return d.conclude(ctx, fmt.Sprintf("gave up after %s", d.o.Timeout))
		case err := <-d.worker.fail:
			return Result{Setup: d.setup}, err
		case err := <-d.simulators.Failed():
			return Result{Setup: d.setup}, err
		case <-d.server.Done():
			return Result{Setup: d.setup}, fmt.Errorf("the Temporal dev server has ended; the end of its log:\n%s", lastLines(d.serverLog.Name(), 20))
		case <-ctx.Done():
			d.display.finish()
			if d.o.Once {
				return Result{Setup: d.setup}, ErrInterrupted
			}
			d.say("ending what the demo has started")
			return Result{Setup: d.setup}, nil
		}
	}
}

func (d *demo) progress(verdicts []verdict, s sight) progress {
	return newProgress(d.manifest, verdicts, s.troubles, d.elapsed())
}

// look asks the witnesses again and again.
func (d *demo) look(ctx context.Context, sights chan<- sight) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	var troubles []inspect.Waiting
	var asked time.Time
	for {
		var s sight
		askCtx, cancel := context.WithTimeout(ctx, askTimeout)
		s.evidence, s.err = d.witnesses.ask(askCtx)
		if time.Since(asked) >= troubleEvery {
			asked = time.Now()
			if found, err := inspect.Troubles(askCtx, d.temporal, Connection); err == nil {
				troubles = found
			}
		}
		cancel()
		s.troubles = troubles
		select {
		case sights <- s:
		case <-ctx.Done():
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}
