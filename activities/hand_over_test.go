package activities

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/activity"

	"teamogy-ksef/internal/flow"
)

// handingOver runs Transmit for some invoices at the same time and gives the
// signals in order, and what each activity returned.
func handingOver(t *testing.T, n int, signal func(i int) error) (signals [][]flow.HandOver, results []error) {
	t.Helper()
	b := testBase(t, nil)
	results = make([]error, n)
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		s := &Starts{base: b, handOvers: &handOvers{signal: func(_ context.Context, connection string, items []flow.HandOver) error {
			mu.Lock()
			signals = append(signals, items)
			i := len(signals)
			mu.Unlock()
			require.Equal(t, "acme", connection)
			if i == 1 {
				synctest.Wait() // the others have come meanwhile
			}
			return signal(i)
		}}}
		var all sync.WaitGroup
		for i := range n {
			all.Go(func() {
				_, results[i] = s.handOver(t.Context(), "acme", flow.HandOver{WorkflowID: fmt.Sprint(i), SHA256: "hash", DocumentID: int64(i)})
			})
		}
		all.Wait()
	})
	return signals, results
}

func TestTransmit_handsOverTogetherWhatComesAtTheSameTime(t *testing.T) {
	signals, results := handingOver(t, 500, func(int) error { return nil })
	require.LessOrEqual(t, len(signals), 4, "the first ones, the others as many as a signal takes")
	handed := map[string]int{}
	for _, items := range signals {
		require.LessOrEqual(t, len(items), flow.MostHandOvers)
		for _, item := range items {
			handed[item.WorkflowID]++
		}
	}
	require.Len(t, handed, 500)
	for _, times := range handed {
		require.Equal(t, 1, times)
	}
	for _, err := range results {
		require.ErrorIs(t, err, activity.ErrResultPending)
	}
}

func TestTransmit_failsForAllWhoseSignalFailed(t *testing.T) {
	refused := errors.New("refused")
	signals, results := handingOver(t, 20, func(i int) error {
		if i == 1 { // there may be no second one
			return refused
		}
		return nil
	})
	failed := 0
	for _, err := range results {
		if errors.Is(err, refused) {
			failed++
		} else {
			require.ErrorIs(t, err, activity.ErrResultPending)
		}
	}
	require.Equal(t, len(signals[0]), failed)
	require.Len(t, slices.Concat(signals...), 20)
}

// The size and the attachment decide about the package in which an invoice goes.
func TestTransmit_handsOverWhatIsKnownOfTheInvoice(t *testing.T) {
	for name, attachment := range map[string]bool{"with an attachment": true, "without": false} {
		t.Run(name, func(t *testing.T) {
			var signalled []flow.HandOver
			s := &Starts{base: testBase(t, nil), handOvers: &handOvers{signal: func(_ context.Context, connection string, items []flow.HandOver) error {
				require.Equal(t, "acme", connection)
				signalled = append(signalled, items...)
				return nil
			}}}
			env := activityEnvironment(t)
			env.RegisterActivity(s.Transmit)
			_, err := env.ExecuteActivity(s.Transmit, flow.TransmitInput{
				Connection: "acme", DocumentID: 17, Document: flow.Ref{SHA256: "hash", Size: 2_900_000}, Form: "FA (3) 1-0E", Attachment: attachment,
			})
			require.ErrorIs(t, err, activity.ErrResultPending)
			require.Len(t, signalled, 1)
			item := signalled[0]
			for _, id := range []string{item.WorkflowID, item.RunID, item.ActivityID} {
				require.NotEmpty(t, id, "nobody could answer %+v", item)
			}
			item.WorkflowID, item.RunID, item.ActivityID = "", "", ""
			require.Equal(t, flow.HandOver{DocumentID: 17, SHA256: "hash", Form: "FA (3) 1-0E", Attachment: attachment, Size: 2_900_000}, item)
		})
	}
}
