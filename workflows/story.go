package workflows

import (
	"errors"
	"strings"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"teamogy-ksef/internal/flow"
)

// describe sets the search attributes of a workflow that was started by hand;
// those that the starters start have them already, at no cost in history.
func describe(ctx workflow.Context, connection, direction, state string) error {
	if _, there := workflow.GetTypedSearchAttributes(ctx).GetKeyword(flow.AttributeConnection); there {
		return nil
	}
	return workflow.UpsertTypedSearchAttributes(ctx,
		flow.AttributeConnection.ValueSet(connection),
		flow.AttributeDirection.ValueSet(direction),
		flow.AttributeState.ValueSet(state))
}

// conclude writes an invoice's final state, and its KSeF number if it has one.
func conclude(ctx workflow.Context, state, ksefNumber string) {
	updates := []temporal.SearchAttributeUpdate{flow.AttributeState.ValueSet(state)}
	if ksefNumber != "" {
		updates = append(updates, flow.AttributeNumber.ValueSet(ksefNumber))
	}
	if err := workflow.UpsertTypedSearchAttributes(ctx, updates...); err != nil {
		workflow.GetLogger(ctx).Error("the final state was not written to the search attributes", "error", err)
	}
}

// reason is the typed error behind an activity's failure: what a workflow fails
// with should say what is wrong in its first line.
func reason(err error) error {
	var failure *temporal.ApplicationError
	if err != nil && !temporal.IsCanceledError(err) && errors.As(err, &failure) {
		return failure
	}
	return err
}

// role names a subject type as people do.
func role(subject string) string {
	switch subject {
	case "Subject1":
		return "seller"
	case "Subject2":
		return "buyer"
	case "Subject3":
		return "third party"
	}
	return "authorized"
}

// invoiceTitle is an invoice's line in the Web UI: "Invoice FV/2026/11/7 from
// Alfa Sp. z o.o., 1 230.00 PLN".
func invoiceTitle(number, preposition, party, gross, currency string) string {
	var b strings.Builder
	b.WriteString("Invoice")
	if number != "" {
		b.WriteString(" " + number)
	}
	if party != "" {
		b.WriteString(" " + preposition + " " + party)
	}
	if gross != "" {
		b.WriteString(", " + strings.TrimSpace(flow.Amount(gross)+" "+currency))
	}
	return b.String()
}

func named(name, nip string) string {
	switch {
	case name == "" && nip == "":
		return "of an unreadable invoice"
	case name == "":
		return "NIP " + nip
	case nip == "":
		return name
	}
	return name + " (NIP " + nip + ")"
}
