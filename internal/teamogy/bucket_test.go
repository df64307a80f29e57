package teamogy

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// TestBucket_keepsTheQuotaInEveryMinute lets calls of all priorities come, travel and be answered at random, lets the
// server count each at any moment between grant and answer, and looks at every window of a minute that there is.
func TestBucket_keepsTheQuotaInEveryMinute(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		clock := newSteps()
		perMinute := rapid.IntRange(1, 90).Draw(t, "perMinute")
		scale := rapid.SampledFrom([]float64{1, 60}).Draw(t, "scale")
		b := NewScaledBucket(perMinute, scale, clock.Now)
		b.arm = func(time.Duration) {}
		window := b.window

		type call struct {
			w        *waiter
			granted  bool
			answered bool
			from, to time.Time
		}
		var calls []*call
		look := func() {
			for _, k := range calls {
				if !k.granted && k.w.granted() {
					k.granted, k.from = true, clock.Now()
				}
			}
		}
		for range rapid.IntRange(1, 250).Draw(t, "steps") {
			switch rapid.IntRange(0, 9).Draw(t, "step") {
			case 0, 1, 2, 3, 4:
				b.mu.Lock()
				calls = append(calls, &call{w: b.enqueue(Priority(rapid.IntRange(int(First), int(Low)).Draw(t, "priority")), nil)})
				b.pump()
				b.mu.Unlock()
			case 5, 6:
				for _, k := range calls {
					if k.granted && !k.answered {
						k.answered, k.to = true, clock.Now()
						b.answer()
						break
					}
				}
			default:
				clock.pass(time.Duration(rapid.Int64Range(0, int64(window/4)).Draw(t, "pass")))
				b.mu.Lock()
				b.pump()
				b.mu.Unlock()
			}
			look()
		}
		// The server counts a call at some moment between its grant and its answer.
		var arrivals []time.Time
		for _, k := range calls {
			if !k.granted {
				continue
			}
			at := k.from
			if k.answered {
				at = at.Add(time.Duration(rapid.Int64Range(0, int64(k.to.Sub(k.from))).Draw(t, "arrival")))
			}
			arrivals = append(arrivals, at)
		}
		for _, end := range arrivals {
			n := 0
			for _, a := range arrivals {
				if !a.After(end) && end.Sub(a) < window {
					n++
				}
			}
			if n > perMinute {
				t.Fatalf("%d calls in a minute of %d", n, perMinute)
			}
		}
	})
}

// TestBucket_neverLetsALessUrgentCallPassAMoreUrgentOne looks at who is let go while whom waits.
func TestBucket_neverLetsALessUrgentCallPassAMoreUrgentOne(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		clock := newSteps()
		b := NewBucket(rapid.IntRange(1, 60).Draw(t, "perMinute"), clock.Now)
		b.arm = func(time.Duration) {}
		var waiting []*waiter
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			if rapid.Bool().Draw(t, "arrive") {
				b.mu.Lock()
				waiting = append(waiting, b.enqueue(Priority(rapid.IntRange(int(First), int(Low)).Draw(t, "priority")), nil))
				b.pump()
				b.mu.Unlock()
			} else {
				clock.pass(time.Duration(rapid.Int64Range(0, int64(3*time.Second)).Draw(t, "pass")))
				b.mu.Lock()
				b.pump()
				b.mu.Unlock()
			}
			var still []*waiter
			for _, w := range waiting {
				if !w.granted() {
					still = append(still, w)
				}
			}
			for _, w := range waiting {
				if !w.granted() {
					continue
				}
				b.answer()
				for _, s := range still {
					if s.priority < w.priority {
						t.Fatalf("a call of priority %d went while one of priority %d waited", w.priority, s.priority)
					}
					if s.priority == w.priority && s.arrival < w.arrival {
						t.Fatalf("calls of priority %d went out of order", w.priority)
					}
				}
			}
			waiting = still
		}
	})
}

func TestBucket_spendsTheWholeQuotaInTheLongRun(t *testing.T) {
	for priority, left := range map[Priority]int{High: 0, Normal: 1, Low: 2} { // of each minute, for more urgent calls
		synctest.Test(t, func(t *testing.T) {
			b := NewBucket(60, nil)
			started := time.Now()
			calls := 20 * (60 - left)
			for range calls + 1 {
				require.NoError(t, b.Wait(context.Background(), priority))
			}
			assert.Equal(t, 20*time.Minute, time.Since(started).Round(10*time.Second), "%d calls of priority %d", calls, priority)
		})
	}
}

func TestBucket_letsAWriteBackGoAtOnceWhileImportsWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBucket(60, nil)
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() { assert.NoError(t, b.Wait(context.Background(), Low)) })
		}
		synctest.Wait()
		started := time.Now()
		require.NoError(t, b.Wait(context.Background(), High))
		assert.Zero(t, time.Since(started), "a part of the burst is kept for it")
		wg.Wait()
	})
}

// A page of the ready list brings a hundred invoices on: it does not wait behind hundreds of numbers.
func TestBucket_letsTheReadyListPassWriteBacks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBucket(60, nil)
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() { assert.NoError(t, b.Wait(context.Background(), High)) })
		}
		synctest.Wait()
		started := time.Now()
		require.NoError(t, b.Wait(context.Background(), First))
		assert.Less(t, time.Since(started), 1200*time.Millisecond, "that is one token")
		wg.Wait()
	})
}

func TestBucket_refusesAtOnceWhoWouldWaitTooLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBucket(6, nil)
		require.NoError(t, b.Wait(context.Background(), Normal))
		started := time.Now()

		ctx, cancel := context.WithTimeout(context.Background(), 8*time.Second)
		defer cancel()
		err := b.Wait(ctx, Normal)
		e, ok := AsError(err)
		require.True(t, ok)
		assert.Equal(t, QuotaLocal, e.Kind)
		assert.GreaterOrEqual(t, e.RetryAfter, 10*time.Second)
		assert.Zero(t, time.Since(started), "nothing is gained by waiting for a refusal")

		require.NoError(t, b.Wait(context.Background(), Normal), "10 s are within 20 s")
		b.Block(30 * time.Second)
		e, _ = AsError(b.Wait(context.Background(), High))
		assert.Equal(t, QuotaLocal, e.Kind)
		assert.GreaterOrEqual(t, e.RetryAfter, 30*time.Second)
	})
}

func TestBucket_refusesWhoIsOvertakenForTooLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBucket(5, nil)
		require.NoError(t, b.Wait(context.Background(), High))
		low := make(chan error, 1)
		go func() { low <- b.Wait(context.Background(), Low) }()
		synctest.Wait()
		require.NoError(t, b.Wait(context.Background(), High))
		e, ok := AsError(<-low)
		require.True(t, ok)
		assert.Equal(t, QuotaLocal, e.Kind)
		assert.Empty(t, b.queue)
	})
}

func TestBucket_endsTheWaitWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBucket(6, nil)
		require.NoError(t, b.Wait(context.Background(), High))
		ctx, cancel := context.WithCancel(context.Background())
		result := make(chan error, 1)
		go func() { result <- b.Wait(ctx, High) }()
		synctest.Wait()
		cancel()
		err := <-result
		require.ErrorIs(t, err, context.Canceled)
		e, _ := AsError(err)
		assert.False(t, e.mayHaveHappened())
		assert.Empty(t, b.queue)
		require.ErrorIs(t, b.Wait(ctx, High), context.Canceled)
	})
}

func TestBucket_blockHoldsAndIsNotShortened(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBucket(600, nil)
		b.Block(15 * time.Second)
		b.Block(time.Second)
		started := time.Now()
		require.NoError(t, b.Wait(context.Background(), High))
		assert.GreaterOrEqual(t, time.Since(started), 15*time.Second)
	})
}

func TestBuckets_shareOnePerHostAtTheLowestQuota(t *testing.T) {
	var s Buckets
	a := s.For("https://acme.teamogy.com", 60, 1, nil)
	assert.Same(t, a, s.For("https://ACME.teamogy.com/", 30, 1, nil))
	assert.Equal(t, 30, a.perMinute)
	assert.Same(t, a, s.For("https://acme.teamogy.com", 100, 1, nil))
	assert.Equal(t, 30, a.perMinute)
	assert.NotSame(t, a, s.For("https://other.teamogy.com", 60, 1, nil))
}

func TestPriority_isTheCallersOrThatOfTheWork(t *testing.T) {
	ctx := context.Background()
	assert.Equal(t, Normal, priorityOf(ctx))
	assert.Equal(t, Low, priorityOf(orPriority(ctx, Low)))
	assert.Equal(t, High, priorityOf(orPriority(WithPriority(ctx, High), Low)))
}
