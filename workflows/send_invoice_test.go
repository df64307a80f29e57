package workflows

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"

	"teamogy-ksef/internal/flow"
)

// sendingOne gives the activities of an undisturbed SendInvoice; a test
// replaces what it is about.
type sendingOne struct {
	e         *environment
	issued    flow.IssuedInvoice
	valid     flow.Validated
	invalid   error
	transmit  func(context.Context, flow.TransmitInput) (flow.Transmitted, error)
	written   flow.Written
	writing   func() error
	tries     int
	steps     []string
	refused   []flow.RecordRejectionInput
	withdrawn []flow.WithdrawalInput
	states    []string
}

func newSendingOne(t *testing.T) *sendingOne {
	t.Helper()
	s := &sendingOne{
		e:      newEnvironment(t, "acme/send/17"),
		issued: flow.IssuedInvoice{Document: flow.Ref{SHA256: "hash", Size: 3}, Number: "FV/1", Buyer: "Alfa", Gross: "1230.00", Currency: "PLN"},
		valid:  flow.Validated{Form: "FA (3) 1-0E", TimeScale: 1},
	}
	s.transmit = func(_ context.Context, in flow.TransmitInput) (flow.Transmitted, error) { return accepts(in), nil }
	outside(s.e, "FetchIssuedXML", func(flow.SendInvoiceInput) (flow.IssuedInvoice, error) { s.step("fetch"); return s.issued, nil })
	outside(s.e, "ValidateInvoice", func(flow.ValidateInput) (flow.Validated, error) {
		s.step("check")
		return s.valid, s.invalid
	})
	s.e.RegisterActivityWithOptions(func(ctx context.Context, in flow.TransmitInput) (flow.Transmitted, error) {
		s.step("transmit")
		return s.transmit(ctx, in)
	}, activity.RegisterOptions{Name: "Transmit"})
	outside(s.e, "RecordKSeFNumber", func(in flow.RecordNumberInput) (flow.Written, error) {
		s.step("write " + in.Answer.KSeFNumber)
		if s.writing != nil {
			return s.written, s.writing()
		}
		return s.written, nil
	})
	outside(s.e, "FetchUPO", func(flow.RecordNumberInput) (flow.UPO, error) {
		s.step("upo")
		return flow.UPO{Available: true}, nil
	})
	outside(s.e, "RecordRejection", func(in flow.RecordRejectionInput) (flow.Nothing, error) {
		s.step("refuse")
		s.refused = append(s.refused, in)
		return flow.Nothing{}, nil
	})
	outside(s.e, "RecordWithdrawal", func(in flow.WithdrawalInput) (flow.Nothing, error) {
		s.step("withdraw")
		s.withdrawn = append(s.withdrawn, in)
		return flow.Nothing{}, nil
	})
	s.e.notesStates(&s.states)
	return s
}

func (s *sendingOne) step(name string) { s.steps = append(s.steps, name) }

func accepts(in flow.TransmitInput) flow.Transmitted {
	return flow.Transmitted{DocumentID: in.DocumentID, SHA256: in.Document.SHA256, KSeFNumber: "number", SessionReference: "session"}
}

func (s *sendingOne) run() (flow.SendResult, error) {
	s.e.ExecuteWorkflow(flow.SendInvoice, flow.SendInvoiceInput{Connection: "acme", DocumentID: 17})
	var result flow.SendResult
	err := s.e.GetWorkflowError()
	if err == nil {
		err = s.e.GetWorkflowResult(&result)
	}
	return result, err
}

func (s *sendingOne) endState() string { return s.states[len(s.states)-1] }

func TestSendInvoice_goesItsFiveSteps(t *testing.T) {
	s := newSendingOne(t)
	result, err := s.run()
	require.NoError(t, err)
	require.Equal(t, flow.SendResult{KSeFNumber: "number", UPO: flow.UPO{Available: true}}, result)
	require.Equal(t, []string{"fetch", "check", "transmit", "write number", "upo"}, s.steps)
	require.Equal(t, []string{flow.StateSending, flow.StateAccepted}, s.states)
}

// By form, attachment and size TransmitInvoices chooses the session.
func TestSendInvoice_transmitsWhatItsStepsFoundOut(t *testing.T) {
	s := newSendingOne(t)
	s.issued.Document.Size = 2_900_000
	s.valid.Form, s.valid.Attachment = "FA (4) 1-0E", true
	var transmitted flow.TransmitInput
	s.transmit = func(_ context.Context, in flow.TransmitInput) (flow.Transmitted, error) {
		transmitted = in
		return accepts(in), nil
	}
	_, err := s.run()
	require.NoError(t, err)
	require.Equal(t, flow.TransmitInput{
		Connection: "acme", DocumentID: 17, Document: flow.Ref{SHA256: "hash", Size: 2_900_000}, Form: "FA (4) 1-0E", Attachment: true,
	}, transmitted)
}

func TestSendInvoice_doesNotSendWhatTheRecordKnowsAsAccepted(t *testing.T) {
	s := newSendingOne(t)
	s.issued.Accepted = &flow.Transmitted{DocumentID: 17, SHA256: "earlier content", KSeFNumber: "earlier", Adopted: true}
	result, err := s.run()
	require.NoError(t, err)
	require.Equal(t, "earlier", result.KSeFNumber)
	require.Equal(t, []string{"fetch", "write earlier", "upo"}, s.steps)
	require.Equal(t, flow.StateAcceptedMore, s.endState())
}

func TestSendInvoice_saysWhenTheDocumentIsGone(t *testing.T) {
	s := newSendingOne(t)
	s.written.Gone = true
	result, err := s.run()
	require.NoError(t, err)
	require.True(t, result.Gone)
}

// What the accountant can mend is written to the document; what only the
// engineer can, is not. The workflow fails with it in both cases.
func TestSendInvoice_writesToTheDocumentWhatTheAccountantCanMend(t *testing.T) {
	for _, row := range flow.ErrorTypes {
		if row.Class != flow.Content {
			continue
		}
		t.Run(row.Type, func(t *testing.T) {
			s := newSendingOne(t)
			s.transmit = func(context.Context, flow.TransmitInput) (flow.Transmitted, error) {
				return flow.Transmitted{}, ofContent(row.Type, "the reason")
			}
			_, err := s.run()
			require.Equal(t, row.Type, failedWith(t, err).Type())
			switch row.Type {
			case flow.ErrInvoiceInvalid, flow.ErrInvoiceRejected, flow.ErrNumberTaken, flow.ErrAttachmentBatch, flow.ErrInvoiceMissing, flow.ErrIssueDateFuture, flow.ErrIssuedOtherwise:
				require.Equal(t, []flow.RecordRejectionInput{{
					Connection: "acme", DocumentID: 17, SHA256: "hash", Type: row.Type, Reason: "the reason",
				}}, s.refused)
				require.Equal(t, flow.StateRejected, s.endState())
			case flow.ErrNotReady:
				require.Empty(t, s.refused)
				require.Equal(t, flow.StateWithdrawn, s.endState())
			default:
				require.Empty(t, s.refused)
				require.Equal(t, flow.StateFailed, s.endState())
			}
			require.NotContains(t, s.steps, "upo")
		})
	}
}

func TestSendInvoice_doesNotTransmitWhatIsInvalid(t *testing.T) {
	s := newSendingOne(t)
	s.invalid = ofContent(flow.ErrInvoiceInvalid, "no P_2")
	_, err := s.run()
	require.Equal(t, flow.ErrInvoiceInvalid, failedWith(t, err).Type())
	require.Equal(t, []string{"fetch", "check", "refuse"}, s.steps)
}

func TestSendInvoice_refusesAnAnswerAboutOtherContent(t *testing.T) {
	for _, wrong := range []flow.Transmitted{
		{DocumentID: 18, SHA256: "hash", KSeFNumber: "number"},
		{DocumentID: 17, SHA256: "other", KSeFNumber: "number"},
	} {
		s := newSendingOne(t)
		s.transmit = func(context.Context, flow.TransmitInput) (flow.Transmitted, error) { return wrong, nil }
		_, err := s.run()
		failure := failedWith(t, err)
		require.Equal(t, flow.ErrWrongAnswer, failure.Type())
		require.True(t, failure.NonRetryable())
		require.Equal(t, []string{"fetch", "check", "transmit"}, s.steps, "a wrong number was written")
		require.Equal(t, flow.StateFailed, s.endState())
	}
}

// Cancelling means "if it is not sent yet". That Transmit waits for the session
// also when it is cancelled is proven on a real server (internal/integration);
// here, that nothing after it is cancelled.
func TestSendInvoice_recordsTheNumberAlthoughCancelled(t *testing.T) {
	s := newSendingOne(t)
	s.writing = func() error {
		if s.tries++; s.tries == 1 {
			s.e.CancelWorkflow()
			return errors.New("Teamogy does not answer")
		}
		return nil
	}
	result, err := s.run()
	require.NoError(t, err)
	require.Equal(t, "number", result.KSeFNumber)
	require.Equal(t, []string{"fetch", "check", "transmit", "write number", "write number", "upo"}, s.steps)
	require.Equal(t, flow.StateAccepted, s.endState())
}

func TestSendInvoice_notesAWithdrawalBeforeItWasSent(t *testing.T) {
	s := newSendingOne(t)
	s.transmit = func(context.Context, flow.TransmitInput) (flow.Transmitted, error) {
		return flow.Transmitted{}, activity.ErrResultPending
	}
	s.e.after(time.Minute, s.e.CancelWorkflow)
	_, err := s.run()
	var canceled *temporal.CanceledError
	require.True(t, errors.As(err, &canceled), "%v", err)
	require.Equal(t, []flow.WithdrawalInput{{Connection: "acme", DocumentID: 17, SHA256: "hash"}}, s.withdrawn)
	require.Equal(t, flow.StateWithdrawn, s.endState())
}

// A hand-over that got lost is handed over again, for as long as it takes.
func TestSendInvoice_handsOverAgainWhenNoAnswerComes(t *testing.T) {
	s := newSendingOne(t)
	times := 0
	s.transmit = func(_ context.Context, in flow.TransmitInput) (flow.Transmitted, error) {
		if times++; times < 4 {
			return flow.Transmitted{}, temporal.NewTimeoutError(1, nil)
		}
		return accepts(in), nil
	}
	_, err := s.run()
	require.NoError(t, err)
	require.Equal(t, 4, times)
}

func TestSendInvoice_saysWhatToTypeWhenItsInputIsIncomplete(t *testing.T) {
	for _, in := range []flow.SendInvoiceInput{{}, {Connection: "acme"}, {DocumentID: 17}} {
		e := newEnvironment(t, "x")
		e.ExecuteWorkflow(flow.SendInvoice, in)
		failure := failedWith(t, e.GetWorkflowError())
		require.Equal(t, flow.ErrBadInput, failure.Type())
		require.Contains(t, failure.Message(), sendExample)
	}
}

func TestImportInvoice_namesItsStateAtTheEnd(t *testing.T) {
	for state, c := range map[string]struct {
		result flow.ImportResult
		err    error
	}{
		flow.StateImported:   {flow.ImportResult{DocumentID: 5}, nil},
		flow.StateNeedsCheck: {flow.ImportResult{DocumentID: 5, Notes: []string{"look"}}, nil},
		flow.StateFailed:     {flow.ImportResult{}, ofContent(flow.ErrInvoiceUnknown, "no")},
	} {
		e := newEnvironment(t, "acme/receive/x")
		outside(e, "FetchInvoiceXML", func(flow.ImportInput) (flow.FetchedInvoice, error) {
			return flow.FetchedInvoice{SellerNIP: "5265877635"}, nil
		})
		outside(e, "FindSupplier", func(in flow.FindSupplierInput) (flow.Supplier, error) {
			require.Equal(t, "5265877635", in.NIP)
			return flow.Supplier{CompanyID: 9, Found: true}, nil
		})
		outside(e, "CreateReceivedInvoice", func(in flow.CreateReceivedInput) (flow.ImportResult, error) {
			require.Equal(t, int64(9), in.Supplier.CompanyID)
			return c.result, c.err
		})
		var states []string
		e.notesStates(&states)
		e.ExecuteWorkflow(flow.ImportInvoice, flow.ImportInput{Connection: "acme", KSeFNumber: "x"})
		require.Equal(t, c.err == nil, e.GetWorkflowError() == nil)
		require.Equal(t, []string{flow.StateImporting, state}, states)
	}
}
