package together_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"teamogy-ksef/internal/together"
)

// asking has n questions asked while the first request is on its way, and gives
// the requests in order.
func asking(t *testing.T, most, n int) (requests [][]int, took []time.Duration) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		g := together.New[int, int](most, nil)
		fetch := func(_ context.Context, take func(int) []int) (map[int]int, error) {
			if len(requests) == 0 {
				synctest.Wait()
			}
			asked := take(most)
			requests = append(requests, asked)
			answers := map[int]int{}
			for _, k := range asked {
				answers[k] = 10 * k
			}
			return answers, nil
		}
		var all sync.WaitGroup
		began := time.Now()
		took = make([]time.Duration, n)
		for k := range n {
			all.Go(func() {
				answer, err := g.Ask(t.Context(), k, fetch)
				require.NoError(t, err)
				require.Equal(t, 10*k, answer)
				took[k] = time.Since(began)
			})
		}
		all.Wait()
		require.Zero(t, g.Waiting())
	})
	return requests, took
}

func TestGathering_answersWhatIsAskedAtTheSameTimeByFewRequests(t *testing.T) {
	requests, _ := asking(t, 50, 120)
	require.Len(t, requests, 3)
	seen := map[int]bool{}
	for _, asked := range requests {
		require.LessOrEqual(t, len(asked), 50)
		for _, k := range asked {
			require.False(t, seen[k], "asked twice")
			seen[k] = true
		}
	}
	require.Len(t, seen, 120)
}

func TestGathering_answersOneAtOnce(t *testing.T) {
	requests, took := asking(t, 50, 1)
	require.Equal(t, [][]int{{0}}, requests)
	require.Zero(t, took[0])
}

func TestGathering_asksOnceForThoseWhoAskAlike(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := together.New[string, int](50, nil)
		requests := 0
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() {
				_, err := g.Ask(t.Context(), "same", func(_ context.Context, take func(int) []string) (map[string]int, error) {
					synctest.Wait()
					requests += len(take(50))
					return nil, nil
				})
				require.NoError(t, err)
			})
		}
		all.Wait()
		require.Equal(t, 1, requests)
	})
}

// The one whose request it is gives up; the others go on.
func TestGathering_goesOnWhenItsLeaderGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := together.New[int, int](50, func(err error) error { return errors.Join(errors.New("own"), err) })
		ctx, giveUp := context.WithCancel(t.Context())
		var all sync.WaitGroup
		more, leaderIn := make(chan struct{}), make(chan struct{})
		all.Go(func() {
			_, err := g.Ask(ctx, 1, func(ctx context.Context, take func(int) []int) (map[int]int, error) {
				<-more
				require.Len(t, take(50), 2)
				close(leaderIn)
				<-ctx.Done()
				return nil, ctx.Err()
			})
			require.ErrorIs(t, err, context.Canceled)
		})
		synctest.Wait() // it leads
		all.Go(func() {
			answer, err := g.Ask(t.Context(), 2, func(_ context.Context, take func(int) []int) (map[int]int, error) {
				require.Equal(t, []int{2}, take(50))
				return map[int]int{2: 7}, nil
			})
			require.NoError(t, err)
			require.Equal(t, 7, answer)
		})
		synctest.Wait()
		close(more)
		<-leaderIn
		giveUp()
		all.Wait()
	})
}
