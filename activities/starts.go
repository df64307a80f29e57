package activities

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"

	enums "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"teamogy-ksef/internal/archive"
	"teamogy-ksef/internal/connection"
	"teamogy-ksef/internal/flow"
	"teamogy-ksef/internal/ksef"
	"teamogy-ksef/internal/teamogy"
)

// mostInFlight bounds a connection's running SendInvoice workflows: what
// TransmitInvoices may have to carry over. The rest stays in Teamogy's list.
const mostInFlight = 2000

// StartImports starts an ImportInvoice for each invoice of a list that has no
// document yet, at most in.Most new ones.
func (s *Starts) StartImports(ctx context.Context, in flow.StartImportsInput) (out flow.StartImportsResult, err error) {
	defer s.failed(ctx, in.Connection, &err)
	var found []foundInvoice
	if err := s.Archive.List(ctx, archive.ListRef(in.List), &found); err != nil {
		return out, archiving("read the list of found invoices", err)
	}
	for out.Next = in.From; out.Next < len(found) && out.Started < in.Most; out.Next++ {
		m := &found[out.Next]
		started, err := s.startImport(ctx, in, m)
		if err != nil {
			return out, fmt.Errorf("start the import of %s: %w", m.KSeFNumber, err)
		}
		if started {
			out.Started++
		} else {
			out.Known++
		}
	}
	// What is known already needs no quota: go on over it.
	for ; out.Next < len(found); out.Next++ {
		record, err := s.receivedRecord(ctx, in.Connection, found[out.Next].KSeFNumber)
		if err != nil {
			return out, archiving("read the record of "+found[out.Next].KSeFNumber, err)
		}
		if record.Created == nil {
			break
		}
		out.Known++
	}
	return out, nil
}

func (s *Starts) startImport(ctx context.Context, in flow.StartImportsInput, m *foundInvoice) (bool, error) {
	number, err := ksef.ParseNumber(m.KSeFNumber)
	if err != nil {
		// Never seen, and not to be lost: the workflow will say what is wrong.
		s.Logger.WarnContext(ctx, "KSeF listed an invoice with a malformed number", "connection", in.Connection, "ksefNumber", m.KSeFNumber, "error", err)
	}
	record, err := s.receivedRecord(ctx, in.Connection, m.KSeFNumber)
	if err != nil {
		return false, archiving("read the record", err)
	}
	if record.Created != nil {
		return false, nil
	}
	if err := s.note(ctx, receivedKey(in.Connection, m.KSeFNumber), factFound, "metadata", m); err != nil {
		return false, archiving("record the metadata", err)
	}
	if number != "" {
		if err := s.indexReceived(ctx, in.Connection, number); err != nil {
			return false, archiving("index the invoice", err)
		}
	}
	sha256 := ""
	if raw, err := base64.StdEncoding.DecodeString(m.InvoiceHash); err == nil {
		sha256 = hex.EncodeToString(raw)
	}
	return start(ctx, flow.ImportInvoice, flow.ImportID(in.Connection, m.KSeFNumber),
		fmt.Sprintf("Invoice %s from %s, %s %s", m.InvoiceNumber, m.SellerName, m.Gross.StringFixed(2), m.Currency),
		flow.ImportInput{Connection: in.Connection, KSeFNumber: m.KSeFNumber, SHA256: sha256, Subject: in.Subject},
		flow.AttributeConnection.ValueSet(in.Connection), flow.AttributeDirection.ValueSet(flow.DirectionReceived),
		flow.AttributeNumber.ValueSet(m.KSeFNumber), flow.AttributeState.ValueSet(flow.StateImporting))
}

// start starts an invoice's workflow under its deterministic ID and tells
// whether it is new. One that runs or has ended well stays as it is; one that
// failed is started again. The conflict policy is FAIL and not USE_EXISTING,
// so that only really new starts count against KSeF's quotas.
func start(ctx context.Context, workflowType, id, summary string, input any, attributes ...temporal.SearchAttributeUpdate) (bool, error) {
	_, err := activity.GetClient(ctx).ExecuteWorkflow(ctx, client.StartWorkflowOptions{
		ID:                                       id,
		TaskQueue:                                activity.GetInfo(ctx).TaskQueue,
		WorkflowIDReusePolicy:                    enums.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE_FAILED_ONLY,
		WorkflowIDConflictPolicy:                 enums.WORKFLOW_ID_CONFLICT_POLICY_FAIL,
		WorkflowExecutionErrorWhenAlreadyStarted: true,
		TypedSearchAttributes:                    temporal.NewSearchAttributes(attributes...),
		StaticSummary:                            summary,
	}, workflowType, input)
	var already *serviceerror.WorkflowExecutionAlreadyStarted
	if errors.As(err, &already) {
		return false, nil
	}
	return err == nil, err
}

// StartSends asks Teamogy for ready sales invoices and starts a SendInvoice
// for each. The record is read first: what was rejected or withdrawn is not
// started again until its content changes.
func (s *Starts) StartSends(ctx context.Context, in flow.StartSendsInput) (out flow.StartSendsResult, err error) {
	defer s.failed(ctx, in.Connection, &err)
	client, c, err := s.Connections.Teamogy(ctx, in.Connection)
	if err != nil {
		return out, err
	}
	out.Settings = settingsOf(c)
	if !c.Send {
		return out, nil
	}
	ready, err := client.ListReadySalesInvoices(teamogy.WithPriority(ctx, teamogy.Normal), c.SendTypes, c.SendReadyStatus)
	if err != nil {
		return out, err
	}
	out.Ready = len(ready)
	s.compared.keep(c.Name, func(id int64) bool {
		return slices.ContainsFunc(ready, func(d teamogy.ReadyInvoice) bool { return d.ID == id })
	})
	room, err := s.room(ctx, in.Connection)
	if err != nil {
		return out, err
	}
	for _, document := range ready {
		if slices.Contains(in.Held, document.ID) {
			out.Held++
			continue
		}
		if out.Started >= room {
			out.Deferred++
			continue
		}
		if err := s.startSend(ctx, client, c, document, &out); err != nil {
			return out, fmt.Errorf("start sending %s: %w", documentName(document.ID), err)
		}
	}
	return out, nil
}

func (s *Starts) startSend(ctx context.Context, client TeamogyClient, c *connection.Connection, document teamogy.ReadyInvoice, out *flow.StartSendsResult) error {
	record, err := s.sentRecord(ctx, c.Name, document.ID)
	if err != nil {
		return archiving("read the record", err)
	}
	if record.Accepted != nil && len(record.WrittenBack) > 0 {
		out.Running++ // done; Teamogy's view is stale, or somebody set the status back
		return nil
	}
	if record.Accepted == nil && record.everRefused() {
		changed, err := s.changed(ctx, client, c, document.ID, record)
		if err != nil {
			return err
		}
		if !changed {
			out.Refused++
			return nil
		}
	}
	summary := documentName(document.ID)
	if document.Number != "" {
		summary = "Invoice " + document.Number
	}
	started, err := start(ctx, flow.SendInvoice, flow.SendInvoiceID(c.Name, document.ID), summary,
		flow.SendInvoiceInput{Connection: c.Name, DocumentID: document.ID},
		flow.AttributeConnection.ValueSet(c.Name), flow.AttributeDirection.ValueSet(flow.DirectionSent),
		flow.AttributeState.ValueSet(flow.StateSending))
	if started {
		out.Started++
	} else if err == nil {
		out.Running++
	}
	return err
}

// changed compares the content of a refused document with what was refused:
// at once when it is first seen back in the ready list, then once an hour,
// later once a day.
func (s *Starts) changed(ctx context.Context, client TeamogyClient, c *connection.Connection, documentID int64, record *sentRecord) (bool, error) {
	if !s.compared.due(c.Name, documentID, c.TimeScale) {
		return false, nil
	}
	xml, _, err := client.ReadInvoiceXML(teamogy.WithPriority(ctx, teamogy.Low), documentID)
	var failure *teamogy.Error
	switch {
	case errors.As(err, &failure) && failure.Kind == teamogy.XMLMissing:
		s.compared.note(c.Name, documentID)
		return !record.refused(""), nil
	case err != nil:
		return false, err
	}
	s.compared.note(c.Name, documentID)
	return !record.refused(hashHex(xml)), nil
}

// room tells how many SendInvoice workflows may be started now.
func (s *Starts) room(ctx context.Context, connectionName string) (int, error) {
	count, err := activity.GetClient(ctx).CountWorkflow(ctx, &workflowservice.CountWorkflowExecutionsRequest{
		Query: fmt.Sprintf("WorkflowType='%s' AND ExecutionStatus='Running' AND %s='%s'",
			flow.SendInvoice, flow.AttributeConnection.GetName(), connectionName),
	})
	if err != nil {
		return 0, fmt.Errorf("count the invoices under way: %w", err)
	}
	return max(0, mostInFlight-int(count.GetCount())), nil
}

// Transmit hands an invoice over to the connection's TransmitInvoices and is
// completed by its session from outside. Its time-out hands over again.
func (s *Starts) Transmit(ctx context.Context, in flow.TransmitInput) (out flow.Transmitted, err error) {
	defer s.failed(ctx, in.Connection, &err)
	info := activity.GetInfo(ctx)
	_, err = activity.GetClient(ctx).SignalWithStartWorkflow(ctx, flow.TransmitID(in.Connection), flow.SignalTransmit,
		flow.HandOver{
			WorkflowID: info.WorkflowExecution.ID, RunID: info.WorkflowExecution.RunID, ActivityID: info.ActivityID,
			DocumentID: in.DocumentID, SHA256: in.Document.SHA256, Form: in.Form,
		},
		client.StartWorkflowOptions{
			TaskQueue:                info.TaskQueue,
			WorkflowIDReusePolicy:    enums.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE,
			WorkflowIDConflictPolicy: enums.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING,
			TypedSearchAttributes: temporal.NewSearchAttributes(
				flow.AttributeConnection.ValueSet(in.Connection), flow.AttributeDirection.ValueSet(flow.DirectionSent),
				flow.AttributeState.ValueSet("transmitting")),
			StaticSummary: "KSeF sessions of " + in.Connection,
		},
		flow.TransmitInvoices, flow.TransmitState{Connection: in.Connection})
	if err != nil {
		return out, err
	}
	return out, activity.ErrResultPending
}

// RecordWithdrawal notes that a document's workflow was cancelled before the
// invoice was sent. It is not sent until its content changes or a person
// starts it again.
func (s *Starts) RecordWithdrawal(ctx context.Context, in flow.WithdrawalInput) (_ flow.Nothing, err error) {
	defer s.failed(ctx, in.Connection, &err)
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
	defer s.failed(ctx, "", &err)
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
