package workflows

import (
	"errors"
	"fmt"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"teamogy-ksef/internal/flow"
)

const sendExample = `{"connection":"acme","documentId":17}`

// SendInvoice brings one issued invoice from Teamogy to KSeF, and its KSeF
// number back.
func SendInvoice(ctx workflow.Context, in flow.SendInvoiceInput) (flow.SendResult, error) {
	s, err := newSend(ctx, in)
	if err != nil {
		return flow.SendResult{}, err
	}
	result, err := s.run(ctx)
	if err != nil {
		err = s.refuse(ctx, err)
	}
	s.finish(ctx, result, err)
	return result, reason(err)
}

type sendInvoice struct {
	in     flow.SendInvoiceInput
	sha256 string
}

func newSend(ctx workflow.Context, in flow.SendInvoiceInput) (*sendInvoice, error) {
	if err := checkConnection(flow.SendInvoice, sendExample, in.Connection); err != nil {
		return nil, err
	}
	if in.DocumentID <= 0 {
		return nil, badInput(flow.SendInvoice, sendExample, "the documentId is missing")
	}
	if err := describe(ctx, in.Connection, flow.DirectionSent, flow.StateSending); err != nil {
		return nil, err
	}
	return &sendInvoice{in: in}, nil
}

// run is the life of an issued invoice.
func (s *sendInvoice) run(ctx workflow.Context) (flow.SendResult, error) {
	var none flow.SendResult

	issued, err := run(ctx, oneCall, fmt.Sprintf("Fetch the XML of Teamogy document %d", s.in.DocumentID), teamogy.FetchIssuedXML, s.in)
	if err != nil {
		return none, err
	}
	s.sha256 = issued.Document.SHA256
	title := invoiceTitle(issued.Number, "to", issued.Buyer, issued.Gross, issued.Currency)
	workflow.SetCurrentDetails(ctx, title)

	answer, err := s.transmit(ctx, issued)
	if err != nil {
		return none, err
	}
	workflow.SetCurrentDetails(ctx, title+": KSeF number "+answer.KSeFNumber)
	sent := flow.SendResult{KSeFNumber: answer.KSeFNumber, Adopted: answer.Adopted}

	// The invoice is issued: what follows happens also if someone has
	// cancelled in the meantime.
	ctx, _ = workflow.NewDisconnectedContext(ctx)

	written, err := run(ctx, oneCall, "Write the KSeF number "+answer.KSeFNumber+" to Teamogy", teamogy.RecordKSeFNumber, flow.RecordNumberInput{
		Connection: s.in.Connection, DocumentID: s.in.DocumentID, Answer: answer,
	})
	if err != nil {
		return sent, err
	}
	sent.Gone = written.Gone
	sent.UPO, err = run(ctx, oneCall, "Fetch the confirmation (UPO) of "+answer.KSeFNumber, ksef.FetchUPO, flow.RecordNumberInput{
		Connection: s.in.Connection, DocumentID: s.in.DocumentID, Answer: answer,
	})
	return sent, err
}

// transmit checks the invoice and has it sent, unless KSeF has accepted it
// before.
func (s *sendInvoice) transmit(ctx workflow.Context, issued flow.IssuedInvoice) (flow.Transmitted, error) {
	var none flow.Transmitted
	if issued.Accepted != nil {
		return *issued.Accepted, nil
	}
	valid, err := run(ctx, oneCall, "Check "+invoiceTitle(issued.Number, "to", issued.Buyer, "", ""), ksef.ValidateInvoice, flow.ValidateInput{
		Connection: s.in.Connection, DocumentID: s.in.DocumentID, Document: issued.Document,
	})
	if err != nil {
		return none, err
	}
	answer, err := run(ctx, handOver(valid.TimeScale), "Send to KSeF in a session of "+flow.TransmitID(s.in.Connection), starts.Transmit, flow.TransmitInput{
		Connection: s.in.Connection, DocumentID: s.in.DocumentID, Document: issued.Document, Form: valid.Form, Attachment: valid.Attachment,
	})
	if err != nil {
		return none, err
	}
	if answer.DocumentID != s.in.DocumentID || !answer.Answers(issued.Document.SHA256) {
		row := flow.LookupError(flow.ErrWrongAnswer)
		return none, temporal.NewNonRetryableApplicationError(
			fmt.Sprintf("the answer is about document %d with hash %s, but document %d with hash %s was handed over",
				answer.DocumentID, answer.SHA256, s.in.DocumentID, issued.Document.SHA256),
			row.Type, nil, flow.ErrorDetails{Class: row.Class, Remedy: row.Remedy})
	}
	return answer, nil
}

// refuse writes an error of the invoice's content to its document, so that
// the accountant sees it in Teamogy, and a withdrawal to the record, so that
// the document is not sent after all. It gives the error that the workflow
// ends with.
func (s *sendInvoice) refuse(ctx workflow.Context, cause error) error {
	var failure *temporal.ApplicationError
	if temporal.IsCanceledError(cause) {
		ctx, _ = workflow.NewDisconnectedContext(ctx)
		if _, err := run(ctx, oneCall, "Note in the record that it was withdrawn", starts.RecordWithdrawal, flow.WithdrawalInput{
			Connection: s.in.Connection, DocumentID: s.in.DocumentID, SHA256: s.sha256,
		}); err != nil {
			workflow.GetLogger(ctx).Error("the withdrawal could not be recorded", "error", err)
		}
		return cause
	}
	if !errors.As(cause, &failure) || !writtenToDocument(failure.Type()) {
		return cause
	}
	ctx, _ = workflow.NewDisconnectedContext(ctx)
	workflow.SetCurrentDetails(ctx, "Refused: "+failure.Message())
	if _, err := run(ctx, oneCall, "Write the reason of the refusal to Teamogy", teamogy.RecordRejection, flow.RecordRejectionInput{
		Connection: s.in.Connection, DocumentID: s.in.DocumentID, SHA256: s.sha256,
		Type: failure.Type(), Reason: failure.Message(),
	}); err != nil {
		workflow.GetLogger(ctx).Error("the refusal could not be written to the document", "error", err)
	}
	return cause
}

// writtenToDocument tells which errors the accountant can mend.
func writtenToDocument(errorType string) bool {
	switch flow.LookupError(errorType).Type { // also by a former name
	case flow.ErrInvoiceInvalid, flow.ErrIssueDateFuture, flow.ErrInvoiceRejected, flow.ErrNumberTaken, flow.ErrAttachmentBatch,
		flow.ErrInvoiceMissing, flow.ErrIssuedOtherwise:
		return true
	}
	return false
}

// finish writes the state once, at the end.
func (s *sendInvoice) finish(ctx workflow.Context, result flow.SendResult, err error) {
	var failure *temporal.ApplicationError
	state := flow.StateAccepted
	switch {
	case err == nil && result.Adopted:
		state = flow.StateAcceptedMore
	case err == nil:
	case temporal.IsCanceledError(err), errors.As(err, &failure) && failure.Type() == flow.ErrNotReady:
		state = flow.StateWithdrawn
	case errors.As(err, &failure) && writtenToDocument(failure.Type()):
		state = flow.StateRejected
	default:
		state = flow.StateFailed
	}
	conclude(ctx, state, result.KSeFNumber)
}
