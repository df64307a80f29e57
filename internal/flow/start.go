package flow

import (
	enums "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
)

// InvoiceStart is how the workflow of one invoice is started, by the polls and
// by a person alike.
type InvoiceStart struct {
	ID         string
	Type       string
	Summary    string // the Web UI's line
	Input      any
	Attributes temporal.SearchAttributes
	Priority   temporal.Priority
}

// StartOfImport is the start of a received invoice's ImportInvoice.
func StartOfImport(in ImportInput, summary string) InvoiceStart {
	return InvoiceStart{
		ID: ImportID(in.Connection, in.KSeFNumber), Type: ImportInvoice, Summary: summary, Input: in,
		Attributes: temporal.NewSearchAttributes(
			AttributeConnection.ValueSet(in.Connection), AttributeDirection.ValueSet(DirectionReceived),
			AttributeNumber.ValueSet(in.KSeFNumber), AttributeState.ValueSet(StateImporting)),
		Priority: Fairness(in.Connection),
	}
}

// StartOfSend is the start of an issued invoice's SendInvoice.
func StartOfSend(in SendInvoiceInput, summary string) InvoiceStart {
	return InvoiceStart{
		ID: SendInvoiceID(in.Connection, in.DocumentID), Type: SendInvoice, Summary: summary, Input: in,
		Attributes: temporal.NewSearchAttributes(
			AttributeConnection.ValueSet(in.Connection), AttributeDirection.ValueSet(DirectionSent),
			AttributeState.ValueSet(StateSending)),
		Priority: Fairness(in.Connection),
	}
}

// Fairness is how tasks of a connection's workflows stand in Temporal's queue:
// by turns among the connections, so that one connection's thousands do not
// delay another's few. Activities and sessions inherit it. It does nothing on a
// server where fairness is switched off.
func Fairness(connection string) temporal.Priority {
	return temporal.Priority{FairnessKey: connection}
}

// OwnersFirst is Fairness for the workflows that run for ever: their few tasks
// go before those of single invoices.
func OwnersFirst(connection string) temporal.Priority {
	return temporal.Priority{PriorityKey: 2, FairnessKey: connection} // 3 is the server's default
}

// Options are Temporal's options for the start. A running workflow of the same
// ID always makes it fail with WorkflowExecutionAlreadyStarted; reuse says what
// a closed one does.
func (s InvoiceStart) Options(taskQueue string, reuse enums.WorkflowIdReusePolicy) client.StartWorkflowOptions {
	return client.StartWorkflowOptions{
		ID:                                       s.ID,
		TaskQueue:                                taskQueue,
		WorkflowIDReusePolicy:                    reuse,
		WorkflowIDConflictPolicy:                 enums.WORKFLOW_ID_CONFLICT_POLICY_FAIL,
		WorkflowExecutionErrorWhenAlreadyStarted: true,
		TypedSearchAttributes:                    s.Attributes,
		StaticSummary:                            Summary(s.Summary),
		Priority:                                 s.Priority,
	}
}
