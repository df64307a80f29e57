// Package flow holds what the workflows, the activities, the worker and the
// command line must agree on: names, workflow IDs, inputs, results, queries,
// updates, search attributes, states and error types. It is a leaf: it
// imports nothing of this module.
package flow

import (
	"fmt"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"go.temporal.io/sdk/temporal"
)

// DefaultTaskQueue is the task queue of the worker unless TASK_QUEUE says
// otherwise.
const DefaultTaskQueue = "teamogy-ksef"

// The workflow types, as the Temporal CLI's --type takes them.
const (
	ReceiveInvoices  = "ReceiveInvoices"
	ImportInvoice    = "ImportInvoice"
	SendInvoices     = "SendInvoices"
	SendInvoice      = "SendInvoice"
	TransmitInvoices = "TransmitInvoices"
	TransmitSession  = "TransmitSession"
)

// Updates, the query and the signals of the long-running workflows.
const (
	// UpdatePollNow ends the present wait of ReceiveInvoices or SendInvoices.
	UpdatePollNow = "PollNow"
	// UpdateSetCursor moves the cursor of one subject type of ReceiveInvoices; input CursorChange.
	UpdateSetCursor = "SetCursor"
	// UpdatePause stops polling until UpdateResume; input Reason.
	UpdatePause = "Pause"
	// UpdateResume ends UpdatePause.
	UpdateResume = "Resume"
	// UpdateHold keeps a document of SendInvoices out, or lets it in again; input HoldChange.
	UpdateHold = "Hold"
	// UpdateResolve tells an ImportInvoice that waits in StateUnknown what a person has found out; input Resolution.
	UpdateResolve = "Resolve"
	// QueryStatus answers ReceiveStatus, SendStatus or TransmitStatus.
	QueryStatus = "Status"
	// SignalTransmit hands an invoice over to TransmitInvoices; input HandOver. Workers
	// of before TransmitMany sent it; it is taken in for their sake.
	SignalTransmit = "Transmit"
	// SignalTransmitMany hands invoices over to TransmitInvoices, one or several; input
	// HandOvers. All come by this one signal, so that they stay in their order.
	SignalTransmitMany = "TransmitMany"
	// SignalSessionSent tells TransmitInvoices that a session has been closed; input SessionSent.
	SignalSessionSent = "SessionSent"
	// SignalSessionNews tells TransmitInvoices that a session is done with some of its invoices; input SessionNews.
	SignalSessionNews = "SessionNews"
)

// Search attributes of the invoice workflows, all of type Keyword.
var (
	// AttributeConnection is the connection's name.
	AttributeConnection = temporal.NewSearchAttributeKeyKeyword("KsefConnection")
	// AttributeDirection is DirectionReceived or DirectionSent.
	AttributeDirection = temporal.NewSearchAttributeKeyKeyword("KsefDirection")
	// AttributeNumber is the invoice's KSeF number.
	AttributeNumber = temporal.NewSearchAttributeKeyKeyword("KsefNumber")
	// AttributeState is one of States.
	AttributeState = temporal.NewSearchAttributeKeyKeyword("KsefState")
)

// SearchAttributes lists the search attributes for the commands that create
// them, all Keyword.
var SearchAttributes = []string{
	AttributeConnection.GetName(), AttributeDirection.GetName(),
	AttributeNumber.GetName(), AttributeState.GetName(),
}

// Directions of an invoice, as in AttributeDirection and in the archive.
const (
	DirectionReceived = "received"
	DirectionSent     = "sent"
)

// ReceiveID is the workflow ID of a connection's ReceiveInvoices.
func ReceiveID(connection string) string { return connection + "/receive" }

// ImportID is the workflow ID of the ImportInvoice of one KSeF number.
func ImportID(connection, ksefNumber string) string {
	return connection + "/receive/" + ksefNumber
}

// SendID is the workflow ID of a connection's SendInvoices.
func SendID(connection string) string { return connection + "/send" }

// SendInvoiceID is the workflow ID of the SendInvoice of one Teamogy document.
func SendInvoiceID(connection string, documentID int64) string {
	return fmt.Sprintf("%s/send/%d", connection, documentID)
}

// TransmitID is the workflow ID of a connection's TransmitInvoices.
func TransmitID(connection string) string { return connection + "/transmit" }

// SessionID is the workflow ID of the TransmitSession opened at a time.
func SessionID(connection string, opened time.Time) string {
	return connection + "/session/" + opened.UTC().Format("20060102T150405Z")
}

var connectionName = regexp.MustCompile(`^[a-z0-9-]{1,40}$`)

// ValidConnection reports whether a connection's name has the form
// [a-z0-9-]{1,40}, the name of its settings file.
func ValidConnection(name string) bool { return connectionName.MatchString(name) }

// longestSummary bounds summaries in the Web UI; an invoice's number and party
// may be 256 and 512 characters long.
const longestSummary = 200

// Summary cuts a line for the Web UI to at most 200 bytes, at a character's
// end.
func Summary(line string) string {
	if len(line) <= longestSummary {
		return line
	}
	cut := longestSummary - len("…")
	for cut > 0 && !utf8.RuneStart(line[cut]) {
		cut--
	}
	return line[:cut] + "…"
}

// Amount writes an amount as people read it: "1 230.00" for "1230.00".
func Amount(amount string) string {
	sign, digits := "", amount
	if strings.HasPrefix(digits, "-") {
		sign, digits = "-", digits[1:]
	}
	whole, fraction, pointed := strings.Cut(digits, ".")
	var b strings.Builder
	for i, d := range whole {
		if i > 0 && (len(whole)-i)%3 == 0 {
			b.WriteByte(' ')
		}
		b.WriteRune(d)
	}
	if pointed {
		b.WriteString("." + fraction)
	}
	return sign + b.String()
}

// Scaled shortens a duration of a workflow by the connection's TIME_SCALE
// (1 or 0: real time). Every interval, gathering, pace and back-off passes
// through it; activity time-outs do not.
func Scaled(d time.Duration, timeScale float64) time.Duration {
	if timeScale <= 0 || timeScale == 1 {
		return d
	}
	return time.Duration(float64(d) / timeScale)
}

// Unscaled is the duration that Scaled has shortened to d.
func Unscaled(d time.Duration, timeScale float64) time.Duration {
	if timeScale <= 0 || timeScale == 1 {
		return d
	}
	return time.Duration(float64(d) * timeScale)
}
