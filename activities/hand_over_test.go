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
