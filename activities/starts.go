package activities

import (
	"context"
	"errors"
	"fmt"

	enums "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/activity"

	"teamogy-ksef/internal/flow"
)

// start starts an invoice's workflow under its deterministic ID and tells
// whether it is new. One that runs or has ended well stays as it is; one that
// failed is started again. The conflict policy is FAIL and not USE_EXISTING,
// so that only really new starts count against KSeF's quotas.
func start(ctx context.Context, s flow.InvoiceStart) (bool, error) {
	_, err := activity.GetClient(ctx).ExecuteWorkflow(ctx,
		s.Options(activity.GetInfo(ctx).TaskQueue, enums.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE_FAILED_ONLY), s.Type, s.Input)
	var already *serviceerror.WorkflowExecutionAlreadyStarted
	if errors.As(err, &already) {
		return false, nil
	}
	return err == nil, err
}

// RecordWithdrawal notes that a document's workflow was cancelled before the
// invoice was sent. It is not sent until its content changes or a person
// starts it again.
func (s *Starts) RecordWithdrawal(ctx context.Context, in flow.WithdrawalInput) (_ flow.Nothing, err error) {
	defer s.failed(ctx, in.Connection, &err)
	if in.SHA256 == "" {
		// Cancelled before its content was known to the workflow: what was
		// fetched last, if anything, is meant; else whatever it holds.
		record, err := s.sentRecord(ctx, in.Connection, in.DocumentID)
		if err != nil {
			return flow.Nothing{}, archiving("read the record", err)
		}
		if n := len(record.Fetched); n > 0 {
			in.SHA256 = record.Fetched[n-1].SHA256
		}
	}
	return flow.Nothing{}, archiving("record the withdrawal",
		s.note(ctx, sentKey(in.Connection, in.DocumentID), factWithdrawn, short(runOf(ctx)), writtenFact{SHA256: in.SHA256}))
}

// PlanSession keeps a session's list of hand-overs in the archive.
func (s *Starts) PlanSession(ctx context.Context, in flow.PlanInput) (out flow.ListRef, err error) {
	defer s.failed(ctx, in.Connection, &err)
	list, err := s.Archive.PutList(ctx, in.Items, len(in.Items))
	return flow.ListRef(list), archiving("keep the session's list", err)
}

// CheckSessions tells which sessions do not run any more.
func (s *Starts) CheckSessions(ctx context.Context, in flow.CheckSessionsInput) (out flow.CheckedSessions, err error) {
	defer s.failed(ctx, in.Connection, &err)
	for _, id := range in.IDs {
		description, err := activity.GetClient(ctx).DescribeWorkflowExecution(ctx, id, "")
		var unknown *serviceerror.NotFound
		switch {
		case errors.As(err, &unknown):
			out.Gone = append(out.Gone, id)
		case err != nil:
			return out, fmt.Errorf("look at session %s: %w", id, err)
		case description.GetWorkflowExecutionInfo().GetStatus() != enums.WORKFLOW_EXECUTION_STATUS_RUNNING:
			out.Gone = append(out.Gone, id)
		}
	}
	return out, nil
}

// runOf is the run ID of the workflow that an activity belongs to.
func runOf(ctx context.Context) string {
	if !activity.IsActivity(ctx) {
		return "test"
	}
	return activity.GetInfo(ctx).WorkflowExecution.RunID
}
