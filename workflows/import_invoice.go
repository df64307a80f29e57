package workflows

import (
	"fmt"

	"go.temporal.io/sdk/workflow"

	"teamogy-ksef/internal/flow"
)

const importExample = `{"connection":"acme","ksefNumber":"5265877635-20250826-0100001AF629-AF"}`

// ImportInvoice brings one received invoice from KSeF to Teamogy.
func ImportInvoice(ctx workflow.Context, in flow.ImportInput) (flow.ImportResult, error) {
	i, err := newImport(ctx, in)
	if err != nil {
		return flow.ImportResult{}, err
	}
	result, err := i.run(ctx)
	i.finish(ctx, result, err)
	return result, reason(err)
}

type importInvoice struct {
	in flow.ImportInput
	unknown
}

func newImport(ctx workflow.Context, in flow.ImportInput) (*importInvoice, error) {
	if err := checkConnection(flow.ImportInvoice, importExample, in.Connection); err != nil {
		return nil, err
	}
	if in.KSeFNumber == "" {
		return nil, badInput(flow.ImportInvoice, importExample, "the ksefNumber is missing")
	}
	if err := describe(ctx, in.Connection, flow.DirectionReceived, flow.StateImporting); err != nil {
		return nil, err
	}
	i := &importInvoice{in: in}
	return i, i.handleResolve(ctx)
}

func (i *importInvoice) run(ctx workflow.Context) (flow.ImportResult, error) {
	var none flow.ImportResult

	invoice, err := run(ctx, oneCall, "Fetch the XML of "+i.in.KSeFNumber, ksef.FetchInvoiceXML, i.in)
	if err != nil {
		return none, err
	}
	title := invoiceTitle(invoice.Number, "from", invoice.SellerName, invoice.Gross, invoice.Currency)
	workflow.SetCurrentDetails(ctx, title)

	supplier, err := run(ctx, oneCall, "Find the supplier "+named(invoice.SellerName, invoice.SellerNIP), teamogy.FindSupplier, flow.FindSupplierInput{
		Connection: i.in.Connection, KSeFNumber: i.in.KSeFNumber, NIP: invoice.SellerNIP,
	})
	if err != nil {
		return none, err
	}

	result, err := i.create(ctx, title, flow.CreateReceivedInput{
		Connection: i.in.Connection, KSeFNumber: i.in.KSeFNumber, Document: invoice.Document, Supplier: supplier,
	})
	if err != nil {
		return none, err
	}
	workflow.SetCurrentDetails(ctx, fmt.Sprintf("%s: Teamogy document %d", title, result.DocumentID))
	return result, nil
}

// finish writes the state once, at the end.
func (i *importInvoice) finish(ctx workflow.Context, result flow.ImportResult, err error) {
	state := flow.StateImported
	switch {
	case err != nil:
		state = flow.StateFailed
	case len(result.Notes) > 0:
		state = flow.StateNeedsCheck
	}
	conclude(ctx, state, i.in.KSeFNumber)
}
