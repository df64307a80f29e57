package workflows

import (
	"errors"
	"fmt"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"teamogy-ksef/internal/flow"
)

const resolveExample = `{"documentId":123} or {"notCreated":true}`

// unknown is what ImportInvoice knows while nobody knows whether Teamogy has
// created the purchase invoice.
type unknown struct {
	waiting   bool
	resolving bool               // an answer is being taken over
	resolved  *flow.ImportResult // what a person has found; without a document there is none
}

// create makes the purchase invoice. Where it cannot be found out whether
// Teamogy has made one, it waits for a person to say so.
func (i *importInvoice) create(ctx workflow.Context, title string, in flow.CreateReceivedInput) (flow.ImportResult, error) {
	for {
		result, err := run(ctx, oneCall, "Create the purchase invoice in Teamogy", teamogy.CreateReceivedInvoice, in)
		var failure *temporal.ApplicationError
		if !errors.As(err, &failure) || failure.Type() != flow.ErrTeamogyOutcomeUnknown {
			return result, err
		}
		found, err := i.awaitResolution(ctx, title, failure)
		if err != nil || found.DocumentID != 0 {
			return found, err
		}
	}
}

// awaitResolution shows what to do and waits for the update Resolve.
func (i *importInvoice) awaitResolution(ctx workflow.Context, title string, failure *temporal.ApplicationError) (flow.ImportResult, error) {
	i.show(ctx, flow.StateUnknown)
	workflow.SetCurrentDetails(ctx, fmt.Sprintf(
		"%s: nobody knows whether Teamogy has created the purchase invoice.\n\n%s\n\nLook in Teamogy for a purchase invoice with the KSeF number %s, or else for one of this seller with this invoice number and amount. "+
			"Then type, with its document ID or saying that there is none:\n\n"+
			"`temporal workflow update execute --workflow-id %s --name %s --input '{\"documentId\":123}'`\n\n"+
			"`temporal workflow update execute --workflow-id %s --name %s --input '{\"notCreated\":true}'`",
		title, failure.Message(), i.in.KSeFNumber,
		workflow.GetInfo(ctx).WorkflowExecution.ID, flow.UpdateResolve, workflow.GetInfo(ctx).WorkflowExecution.ID, flow.UpdateResolve))
	i.waiting, i.resolved = true, nil
	err := workflow.Await(ctx, func() bool { return i.resolved != nil && workflow.AllHandlersFinished(ctx) })
	i.waiting = false
	if err != nil {
		return flow.ImportResult{}, err
	}
	i.show(ctx, flow.StateImporting)
	workflow.SetCurrentDetails(ctx, title)
	return *i.resolved, nil
}

// show writes a state to the search attributes.
func (i *importInvoice) show(ctx workflow.Context, state string) {
	if err := workflow.UpsertTypedSearchAttributes(ctx, flow.AttributeState.ValueSet(state)); err != nil {
		workflow.GetLogger(ctx).Error("the state was not written to the search attributes", "error", err)
	}
}

// handleResolve accepts Resolve while the workflow waits for it. What is wrong
// with the document that a person has named is the update's error, and the
// workflow goes on to wait.
func (i *importInvoice) handleResolve(ctx workflow.Context) error {
	return workflow.SetUpdateHandlerWithOptions(ctx, flow.UpdateResolve, func(ctx workflow.Context, r flow.Resolution) (flow.ImportResult, error) {
		i.resolving = true
		defer func() { i.resolving = false }()
		result, err := run(ctx, oneCall, "Take over what a person has found in Teamogy", teamogy.ResolveReceivedInvoice, flow.ResolveReceivedInput{
			Connection: i.in.Connection, KSeFNumber: i.in.KSeFNumber, Resolution: r,
		})
		if err != nil {
			return result, reason(err)
		}
		i.resolved = &result
		return result, nil
	}, workflow.UpdateHandlerOptions{
		Description: "Says whether Teamogy has created the purchase invoice: " + resolveExample + ".",
		Validator:   func(_ workflow.Context, r flow.Resolution) error { return i.mayResolve(r) },
	})
}

func (i *importInvoice) mayResolve(r flow.Resolution) error {
	problem := r.Problem()
	switch {
	case !i.waiting || i.resolved != nil:
		problem = "this workflow does not wait for an answer: it knows what has become of the purchase invoice, or is still finding out"
	case i.resolving:
		problem = "another answer is just being taken over"
	case problem != "":
		problem += "; the input looks like " + resolveExample
	default:
		return nil
	}
	return temporal.NewNonRetryableApplicationError(flow.UpdateResolve+": "+problem, flow.ErrBadInput, nil)
}
