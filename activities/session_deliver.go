package activities

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"

	"golang.org/x/sync/errgroup"

	"teamogy-ksef/internal/flow"
	"teamogy-ksef/internal/teamogy"
)

// inParallel is how many answers are delivered at a time.
const inParallel = 16

// DeliverResults answers the waiting Transmit activities of a session's
// decided invoices. The answers are read from the records; they do not travel
// twice. They are answered as fast as Teamogy takes the numbers that follow.
func (s *Session) DeliverResults(ctx context.Context, in flow.DeliverInput) (out flow.Delivered, err error) {
	defer s.failed(ctx, in.Connection, &err)
	list, err := s.handOvers(ctx, in.List, in.More...)
	if err != nil {
		return out, err
	}
	items := make([]flow.HandOver, 0, len(in.Indexes))
	for _, i := range in.Indexes {
		items = append(items, list[i])
	}
	client, c, err := s.beyondGates().Teamogy(ctx, in.Connection)
	if err != nil || triesOf(ctx) > 1 {
		client = nil // no failure holds up the other answers
	}
	step := s.keepStep(client, c, teamogy.High, time.Duration(len(items))*longestStep)
	step.passBlocked = true
	return s.deliver(ctx, in.Connection, items, step)
}

// DeliverKnown answers hand-overs that came again although their answers are
// in the records.
func (s *Starts) DeliverKnown(ctx context.Context, in flow.DeliverDirectInput) (out flow.Delivered, err error) {
	defer s.failed(ctx, in.Connection, &err)
	return s.deliver(ctx, in.Connection, in.Items, s.keepStep(nil, nil, teamogy.High, 0))
}

// deliver answers each hand-over from its record. That nobody waits any more
// is counted and no error: the answer stays in the record. Other failures
// fail the activity after all were tried; its retry repeats them all, until
// those that still fail are left behind as unknown.
func (b *base) deliver(ctx context.Context, connection string, items []flow.HandOver, step *inStep) (flow.Delivered, error) {
	var (
		mu    sync.Mutex
		out   flow.Delivered
		group errgroup.Group
		first error
	)
	group.SetLimit(inParallel)
	for i, item := range items {
		step.foresee(items, i)
		if _, err := step.wait(ctx); err != nil {
			_ = group.Wait()
			return out, err
		}
		group.Go(func() error {
			answer, waited, err := b.answer(ctx, connection, item)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err != nil && leaveBehind(ctx, err):
				b.Logger.ErrorContext(ctx, "an answer could not be delivered; it is tried again in another session",
					"connection", connection, "documentId", item.DocumentID, "error", err)
				out.Unknown = append(out.Unknown, item.DocumentID)
			case err != nil:
				first = cmp.Or(first, fmt.Errorf("answer %s: %w", documentName(item.DocumentID), err))
			case answer == nil && waited:
				out.Unknown = append(out.Unknown, item.DocumentID)
			case waited:
				out.Delivered++
			default:
				out.NotWaited++
			}
			if err == nil && answer != nil && answer.DocumentID != 0 {
				out.Answers = append(out.Answers, *answer)
			}
			return nil
		})
	}
	_ = group.Wait() // the functions collect their errors themselves
	return out, first
}

// answer completes one waiting Transmit by what its record says. The answer is
// nil if the record has none; its DocumentID is zero if it is not to be
// remembered, because the invoice will be tried again.
func (b *base) answer(ctx context.Context, connection string, item flow.HandOver) (answer *flow.Answer, waited bool, err error) {
	record, err := b.sentRecord(ctx, connection, item.DocumentID)
	if err != nil {
		return nil, false, archiving("read the record", err)
	}
	known, _, err := b.known(ctx, record, item)
	if err != nil {
		return nil, false, err
	}
	answer = &flow.Answer{DocumentID: item.DocumentID, SHA256: item.SHA256, RunID: item.RunID}
	var result any
	var failure error
	switch {
	case known.Accepted != nil:
		answer.Accepted = true
		result = *known.Accepted
	case known.End != nil && known.End.Kind == factRejected:
		failure = failureOf(known.End.Type, known.End.Text, 0)
	case known.End != nil && known.End.Kind == factBlocked:
		answer = &flow.Answer{}
		failure = failureOf(known.End.Type, known.End.Text, b.blockedPause(ctx, connection, record))
	default:
		return nil, true, nil
	}
	info := activity.GetInfo(ctx)
	err = activity.GetClient(ctx).CompleteActivityByID(ctx, info.Namespace, item.WorkflowID, item.RunID, item.ActivityID, result, failure)
	var gone *serviceerror.NotFound
	if errors.As(err, &gone) {
		return answer, false, nil
	}
	return answer, true, err
}

// blockedPause is how long an invoice waits that KSeF refused for a missing
// permission: each try is a send of the quota, so the pause doubles from a
// minute to five.
func (b *base) blockedPause(ctx context.Context, connection string, record *sentRecord) time.Duration {
	times := 0
	for _, e := range record.Ends {
		if e.Kind == factBlocked {
			times++
		}
	}
	pause := min(time.Minute<<min(max(times-1, 0), 8), longestDelay)
	if c, err := b.Connections.Settings(ctx, connection); err == nil {
		pause = flow.Scaled(pause, c.TimeScale)
	}
	return pause
}

// failureOf is the typed error that a waiting Transmit is failed with: a
// rejection ends its workflow, a missing permission is tried again after a
// pause.
func failureOf(errorType, text string, pause time.Duration) error {
	row := flow.LookupError(errorType)
	options := temporal.ApplicationErrorOptions{
		NonRetryable: row.Class == flow.Content,
		Details:      []any{flow.ErrorDetails{Class: row.Class, Remedy: row.Remedy}},
	}
	if !options.NonRetryable {
		options.NextRetryDelay = pause
	}
	return temporal.NewApplicationErrorWithOptions(text+" - What to do: "+row.Remedy, row.Type, options)
}
