package workflows

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/testsuite"

	"teamogy-ksef/internal/flow"
)

const unknownNumber = "5265877635-20250826-0100001AF629-AF"

// unknownImport is an ImportInvoice whose first creates end without an answer.
type unknownImport struct {
	*environment
	unanswered int
	creates    int
	resolved   []flow.Resolution
	refuse     error // of the next answer
	states     []string
}

func newUnknownImport(t *testing.T, unanswered int) *unknownImport {
	u := &unknownImport{environment: newEnvironment(t, flow.ImportID("acme", unknownNumber)), unanswered: unanswered}
	u.notesStates(&u.states)
	outside(u.environment, "FetchInvoiceXML", func(flow.ImportInput) (flow.FetchedInvoice, error) {
		return flow.FetchedInvoice{Number: "FV/1", SellerName: "Alfa", Gross: "1230.00", Currency: "PLN"}, nil
	})
	outside(u.environment, "FindSupplier", func(flow.FindSupplierInput) (flow.Supplier, error) { return flow.Supplier{}, nil })
	outside(u.environment, "CreateReceivedInvoice", func(flow.CreateReceivedInput) (flow.ImportResult, error) {
		if u.creates++; u.creates <= u.unanswered {
			return flow.ImportResult{}, ofContent(flow.ErrTeamogyOutcomeUnknown, "a create was begun at noon")
		}
		return flow.ImportResult{DocumentID: 77}, nil
	})
	outside(u.environment, "ResolveReceivedInvoice", func(in flow.ResolveReceivedInput) (flow.ImportResult, error) {
		u.resolved = append(u.resolved, in.Resolution)
		if err := u.refuse; err != nil {
			u.refuse = nil
			return flow.ImportResult{}, err
		}
		if in.Resolution.NotCreated {
			return flow.ImportResult{}, nil
		}
		return flow.ImportResult{DocumentID: in.Resolution.DocumentID, Existed: true}, nil
	})
	return u
}

func (u *unknownImport) run() (flow.ImportResult, error) {
	u.ExecuteWorkflow(flow.ImportInvoice, flow.ImportInput{Connection: "acme", KSeFNumber: unknownNumber})
	require.True(u.t, u.IsWorkflowCompleted())
	var result flow.ImportResult
	if err := u.GetWorkflowError(); err != nil {
		return result, err
	}
	return result, u.GetWorkflowResult(&result)
}

// answer sends the update, and gives why it was refused or failed.
func (u *unknownImport) answer(at time.Duration, id string, r flow.Resolution) *error {
	failure := new(error)
	u.after(at, func() {
		u.UpdateWorkflow(flow.UpdateResolve, id, &testsuite.TestUpdateCallback{
			OnAccept: func() {}, OnReject: func(err error) { *failure = err }, OnComplete: func(_ any, err error) { *failure = err },
		}, r)
	})
	return failure
}

// It waits for as long as it takes, shows what to do, and takes over the document that a person names.
func TestImportInvoice_waitsForAPersonWhereTheOutcomeOfACreateIsUnknown(t *testing.T) {
	u := newUnknownImport(t, 1)
	u.refuse = ofContent(flow.ErrBadInput, "it is of the type INVOICE.SALES")
	wrong := u.answer(time.Hour, "1", flow.Resolution{DocumentID: 6})
	right := u.answer(72*time.Hour, "2", flow.Resolution{DocumentID: 5, Who: "A. Nowak"})
	result, err := u.run()
	require.NoError(t, err)
	require.ErrorContains(t, *wrong, "INVOICE.SALES")
	require.NoError(t, *right)
	require.Equal(t, flow.ImportResult{DocumentID: 5, Existed: true}, result)
	require.Equal(t, 1, u.creates)
	require.Equal(t, "A. Nowak", u.resolved[1].Who)
	require.Equal(t, []string{flow.StateUnknown, flow.StateImporting, flow.StateImported}, u.states[len(u.states)-3:])
}

// Where there is none, it is created; and that may end unknown again.
func TestImportInvoice_createsAgainWhatAPersonDidNotFind(t *testing.T) {
	u := newUnknownImport(t, 2)
	first := u.answer(time.Hour, "1", flow.Resolution{NotCreated: true})
	second := u.answer(2*time.Hour, "2", flow.Resolution{NotCreated: true})
	result, err := u.run()
	require.NoError(t, err)
	require.NoError(t, *first)
	require.NoError(t, *second)
	require.Equal(t, int64(77), result.DocumentID)
	require.Equal(t, 3, u.creates)
}

func TestImportInvoice_refusesAnswersThatAreNone(t *testing.T) {
	u := newUnknownImport(t, 1)
	refused := map[string]*error{
		"not both":    u.answer(time.Hour, "1", flow.Resolution{DocumentID: 5, NotCreated: true}),
		"is missing":  u.answer(time.Hour, "2", flow.Resolution{}),
		"is negative": u.answer(time.Hour, "3", flow.Resolution{DocumentID: -5}),
	}
	u.answer(2*time.Hour, "4", flow.Resolution{DocumentID: 5})
	_, err := u.run()
	require.NoError(t, err)
	for words, failure := range refused {
		require.ErrorContains(t, *failure, words)
		require.ErrorContains(t, *failure, resolveExample)
	}
	require.Len(t, u.resolved, 1)
}

// Whoever answers a question that was not asked is told so.
func TestImportInvoice_refusesAnAnswerWhileItDoesNotWait(t *testing.T) {
	u := newUnknownImport(t, 0)
	early := u.answer(0, "1", flow.Resolution{DocumentID: 5})
	_, err := u.run()
	require.NoError(t, err)
	require.ErrorContains(t, *early, "does not wait for an answer")
	require.Empty(t, u.resolved)
}

// Cancelled while it waits, it ends; started again it would wait again, because the record says so.
func TestImportInvoice_canBeCancelledWhileItWaits(t *testing.T) {
	u := newUnknownImport(t, 1)
	u.after(time.Hour, u.CancelWorkflow)
	_, err := u.run()
	require.Error(t, err)
	require.Equal(t, flow.StateFailed, u.states[len(u.states)-1])
}
