package flow

// States of a workflow, the values of the search attribute KsefState.
const (
	StateImporting    = "importing"
	StateImported     = "imported"
	StateNeedsCheck   = "imported-check"
	StateUnknown      = "outcome-unknown"
	StateSending      = "sending"
	StateAccepted     = "accepted"
	StateRejected     = "rejected"
	StateWithdrawn    = "withdrawn"
	StateFailed       = "failed"
	StateAcceptedMore = "accepted-adopted"

	// The long-running workflows have a state of their own.
	StatePolling      = "polling"
	StateTransmitting = "transmitting"
)

// State is one row of the table of states.
type State struct {
	Name      string
	Direction string
	Meaning   string
	NextMove  string // whose move it is
}

// States is the table that the documentation shows.
var States = []State{
	{StateImporting, DirectionReceived, "The invoice is being fetched from KSeF and created in Teamogy.", "teamogy-ksef"},
	{StateImported, DirectionReceived, "The purchase invoice is in Teamogy.", "the approval process in Teamogy"},
	{StateNeedsCheck, DirectionReceived, "The purchase invoice is in Teamogy, with a note on what to check.", "the accountant: follow the note on the document"},
	{StateUnknown, DirectionReceived, "Teamogy did not answer when the purchase invoice was created, and it cannot be found out whether it exists (`TeamogyOutcomeUnknown`). The workflow waits.", "the accountant: look in Teamogy; then the engineer: the update `Resolve`"},
	{StateSending, DirectionSent, "The invoice is on its way to KSeF.", "teamogy-ksef, then KSeF"},
	{StateAccepted, DirectionSent, "KSeF has accepted it; number and confirmation are recorded.", "nobody"},
	{StateAcceptedMore, DirectionSent, "KSeF held the invoice already, as we had sent it; that number was taken over.", "nobody"},
	{StateRejected, DirectionSent, "The invoice broke a rule; the reason stands on the document.", "the accountant: correct the invoice and mark it ready again"},
	{StateWithdrawn, DirectionSent, "The workflow was cancelled before the invoice was sent.", "whoever cancelled it"},
	{StatePolling, "", "The connection's ReceiveInvoices or SendInvoices: it asks again and again.", "nobody"},
	{StateTransmitting, DirectionSent, "The connection's TransmitInvoices: it collects invoices for KSeF sessions.", "nobody"},
	{StateFailed, "", "The workflow ended with an error that is not the invoice's.", "the engineer: the workflow's failure says what to do"},
}
