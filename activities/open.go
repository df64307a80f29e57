package activities

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"teamogy-ksef/internal/archive"
	"teamogy-ksef/internal/flow"
)

// OpenInvoice is an invoice of the register that has not come to its end: a
// received one without a document, or one that was submitted to KSeF and has
// neither a number nor a refusal, or whose number does not stand on its document.
type OpenInvoice struct {
	WorkflowID string `json:"workflowId"`
	Direction  string `json:"direction"`
	KSeFNumber string `json:"ksefNumber,omitempty"`
	DocumentID int64  `json:"documentId,omitempty"` // of an issued invoice
	Summary    string `json:"summary,omitempty"`    // number, party and amount, as far as the register knows them
	// Steps are what is known to have happened, in order.
	Steps []Step `json:"steps"`
	// Ended says that it has come to a good end: the document is there, or the
	// number stands on it. One that is neither open nor ended was refused or
	// withdrawn, or never submitted.
	Ended bool `json:"-"`
}

// Step is one thing that is known to have happened to an invoice.
type Step struct {
	At   time.Time `json:"at"`
	What string    `json:"what"`
}

// Since is when the invoice was first heard of.
func (o OpenInvoice) Since() time.Time {
	if len(o.Steps) == 0 {
		return time.Time{}
	}
	return o.Steps[0].At
}

// Start is how its workflow is started again. An issued invoice is sent also if
// Teamogy does not call it ready any more, because a person asks for it.
func (o OpenInvoice) Start(connection string) flow.InvoiceStart {
	if o.Direction == flow.DirectionReceived {
		return flow.StartOfImport(flow.ImportInput{Connection: connection, KSeFNumber: o.KSeFNumber}, o.Summary)
	}
	return flow.StartOfSend(flow.SendInvoiceInput{Connection: connection, DocumentID: o.DocumentID}, o.Summary)
}

// OpenInvoices are the open invoices of a connection, whatever their age, from
// the register alone: those without an end by the names of their facts are read.
// Problems name the records that could not be read; they may be open as well.
func OpenInvoices(ctx context.Context, a *archive.Archive, connection string) (open []OpenInvoice, problems []string, err error) {
	b := base{Dependencies{Archive: a, Now: time.Now}}
	for _, direction := range []archive.Direction{archive.Received, archive.Sent} {
		for record, err := range a.Records(ctx, connection, direction) {
			var corrupt *archive.CorruptError
			switch {
			case errors.As(err, &corrupt):
				problems = append(problems, err.Error())
				continue
			case err != nil:
				return open, problems, fmt.Errorf("list what was %s: %w", direction, err)
			case hasEnded(record):
				continue
			}
			invoice, is, err := b.openInvoice(ctx, record.Key)
			switch {
			case ctx.Err() != nil:
				return open, problems, fmt.Errorf("read what was %s: %w", direction, ctx.Err())
			case err != nil:
				problems = append(problems, fmt.Sprintf("record of %s: %v", record.Key.ID, err))
			case is:
				open = append(open, invoice)
			}
		}
	}
	return open, problems, nil
}

// RegisteredInvoice looks an invoice up in the register by its workflow ID. Known
// tells whether the register has it, open whether it has not come to its end.
func RegisteredInvoice(ctx context.Context, a *archive.Archive, connection, workflowID string) (invoice OpenInvoice, known, open bool, err error) {
	b := base{Dependencies{Archive: a, Now: time.Now}}
	for _, direction := range []archive.Direction{archive.Received, archive.Sent} {
		for record, err := range a.Records(ctx, connection, direction) {
			if recordWorkflow(record.Key) != workflowID {
				continue
			}
			if err != nil {
				return invoice, true, false, err
			}
			invoice, open, err := b.openInvoice(ctx, record.Key)
			return invoice, true, open, err
		}
	}
	return invoice, false, false, nil
}

// recordWorkflow is the ID of the workflow that a record belongs to.
func recordWorkflow(key archive.RecordKey) string {
	if key.Direction == flow.DirectionReceived {
		return flow.ImportID(key.Connection, key.ID)
	}
	if id, err := strconv.ParseInt(key.ID, 10, 64); err == nil {
		return flow.SendInvoiceID(key.Connection, id)
	}
	return ""
}

// numberFact is the name of the fact that the KSeF number stands on the document.
const numberFact = "number"

// hasEnded tells from the names of a record's facts alone that the invoice has
// come to its end, or, if it is an issued one, was never submitted: Teamogy's
// ready list still has it then.
func hasEnded(record archive.RecordSummary) bool {
	if record.Key.Direction == flow.DirectionReceived {
		return record.Has(factCreated)
	}
	if record.Has(factAccepted) {
		for _, f := range record.Facts {
			if f.Kind == factWrittenBack && f.Name == numberFact {
				return true
			}
		}
		return false
	}
	return !record.Has(factSubmitted)
}

// openInvoice reads a record and tells whether the invoice is open.
func (b *base) openInvoice(ctx context.Context, key archive.RecordKey) (OpenInvoice, bool, error) {
	invoice := OpenInvoice{WorkflowID: recordWorkflow(key), Direction: string(key.Direction)}
	facts, err := b.Archive.Facts(ctx, key)
	if err != nil {
		return invoice, false, err
	}
	step := func(f archive.Fact, format string, args ...any) {
		invoice.Steps = append(invoice.Steps, Step{At: f.At, What: fmt.Sprintf(format, args...)})
	}
	if key.Direction == flow.DirectionReceived {
		invoice.KSeFNumber = key.ID
		record, err := b.receivedRecord(ctx, key.Connection, key.ID)
		if err != nil {
			return invoice, false, err
		}
		if record.Metadata != nil {
			invoice.Summary = importSummary(record.Metadata)
		}
		for _, f := range facts {
			switch f.Kind {
			case factFound:
				step(f, "found")
			case factFetched:
				step(f, "fetched")
			case factCreating:
				step(f, "creation in Teamogy begun")
			case factNotCreated:
				step(f, "that attempt created nothing")
			}
		}
		invoice.Ended = record.Created != nil
		return invoice, !invoice.Ended, nil
	}

	if invoice.DocumentID, err = strconv.ParseInt(key.ID, 10, 64); err != nil {
		return invoice, false, fmt.Errorf("%q is no ID of a Teamogy document", key.ID)
	}
	record := &sentRecord{}
	refused, content := false, "" // whether a refusal is what happened last, and of what
	for _, f := range facts {
		if err := record.fold(f); err != nil {
			return invoice, false, fmt.Errorf("fact %s %s: %w", f.Kind, f.Name, err)
		}
		switch f.Kind {
		case factFetched:
			step(f, "fetched")
		case factSubmitted:
			step(f, "submitted in session %s", record.Submissions[len(record.Submissions)-1].Session)
			refused = false
		case factSentAgain:
			step(f, "sent a second time")
		case factTaken:
			step(f, "taken by KSeF")
		case factNotProcessed, factBlocked, factRejected:
			end := record.Ends[len(record.Ends)-1]
			step(f, "%s: %s", f.Kind, end.Text)
			refused, content = f.Kind == factRejected, end.SHA256
		case factWithdrawn:
			step(f, "withdrawn")
			refused, content = true, record.Withdrawn[len(record.Withdrawn)-1].SHA256
		case factAccepted:
			step(f, "accepted as %s", record.Accepted.KSeFNumber)
		}
	}
	for _, f := range record.Fetched {
		if f.Number != "" {
			invoice.Summary = sendSummary(invoice.DocumentID, f.Number)
		}
	}
	if record.Accepted != nil {
		invoice.KSeFNumber = record.Accepted.KSeFNumber
		invoice.Ended = record.numberWritten()
		return invoice, !invoice.Ended, nil
	}
	// A refusal is no end as long as the fate of other bytes of the document is
	// not known.
	return invoice, len(record.Submissions) > 0 && (!refused || record.unsettledOther(content) != nil), nil
}
