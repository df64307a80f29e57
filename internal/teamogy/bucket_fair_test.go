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

// Whoever has thousands of calls to make delays another's by a turn of each owner and no more, whatever comes when.
func TestBucket_letsNobodyWaitForMoreThanATurnOfEachOwner(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		clock := newSteps()
		b := NewBucket(60, clock.Now)
		b.arm = func(time.Duration) {}
		owners := rapid.IntRange(1, 6).Draw(t, "owners")
		type call struct {
			w     *waiter
			owner int
			ahead int         // its owner's own calls before it
			past  map[int]int // calls of others that went while it waited
		}
		var waiting []*call
		for range rapid.IntRange(1, 300).Draw(t, "steps") {
			if rapid.IntRange(0, 2).Draw(t, "step") > 0 {
				owner := rapid.IntRange(0, owners-1).Draw(t, "owner")
				k := &call{owner: owner, past: map[int]int{}}
				for _, other := range waiting {
					if other.owner == owner {
						k.ahead++
					}
				}
				b.mu.Lock()
				k.w = b.enqueue(Low, owner)
				b.pump()
				b.mu.Unlock()
				waiting = append(waiting, k)
			} else {
				clock.pass(time.Duration(rapid.Int64Range(0, int64(3*time.Second)).Draw(t, "pass")))
				b.mu.Lock()
				b.pump()
				b.mu.Unlock()
			}
			var still []*call
			for _, k := range waiting {
				if !k.w.granted() {
					still = append(still, k)
					continue
				}
				b.answer()
				for _, other := range waiting {
					if other != k && other.owner != k.owner && !other.w.granted() {
						other.past[k.owner]++
					}
				}
			}
			for _, k := range still {
				for owner, n := range k.past {
					if n > k.ahead+2 { // one in the present round, and one in the next
						t.Fatalf("a call with %d of its owner before it waited for %d of owner %d", k.ahead, n, owner)
					}
				}
			}
			waiting = still
		}
	})
}

func TestBucket_letsASingleCallOfAnotherConnectionPassThousands(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBucket(60, nil)
		var wg sync.WaitGroup
		for range 1000 {
			wg.Go(func() {
				for {
					g, err := b.acquire(context.Background(), Low, "busy")
					if err == nil {
						g.answered()
						return
					}
					e, ok := AsError(err)
					if !assert.True(t, ok) {
						return
					}
					time.Sleep(e.RetryAfter)
				}
			})
		}
		synctest.Wait()
		for range 20 {
			time.Sleep(7 * time.Second)
			began := time.Now()
			g, err := b.acquire(context.Background(), Low, "single")
			require.NoError(t, err, "a full queue is the busy one's own")
			g.answered()
			assert.LessOrEqual(t, time.Since(began), 7*time.Second, "a turn, and what the minute's burst has taken ahead")
		}
		wg.Wait()
	})
}

// Hundreds that are refused at once are told different times, within two minutes, and all get their turn without the
// quota lying idle.
func TestBucket_spreadsThoseItRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBucket(60, nil)
		began := time.Now()
		var mu sync.Mutex
		told := map[time.Duration]int{}
		var wg sync.WaitGroup
		for range 400 {
			wg.Go(func() {
				for {
					g, err := b.acquire(context.Background(), Low, "one")
					if err == nil {
						g.answered()
						return
					}
					e, _ := AsError(err)
					assert.LessOrEqual(t, e.RetryAfter, 2*time.Minute+patience)
					mu.Lock()
					told[time.Since(began)+e.RetryAfter]++
					mu.Unlock()
					time.Sleep(e.RetryAfter)
				}
			})
		}
		wg.Wait()
		assert.Less(t, time.Since(began), 400*time.Second*60/50, "the quota lay idle")
		most := 0
		for _, n := range told {
			most = max(most, n)
		}
		assert.LessOrEqual(t, most, 10, "many are told the same moment")
	})
}

func TestAwaitTurn_isUsedOnceOrGivenBack(t *testing.T) {
	f := newTenant(t)
	bucket := NewBucket(100_000, nil)
	c := f.client(func(o *Options) { o.Bucket = bucket })
	ctx, give, err := c.AwaitTurn(background())
	require.NoError(t, err)
	assert.Equal(t, 1, bucket.inFlight)
	require.NoError(t, c.Ping(ctx))
	assert.Zero(t, bucket.inFlight)
	assert.Len(t, bucket.answered, 1)
	require.NoError(t, c.Ping(ctx), "the next one waits for its own")
	assert.Len(t, bucket.answered, 2)
	give()
	give()
	assert.Len(t, bucket.answered, 2)

	_, give, err = c.AwaitTurn(background())
	require.NoError(t, err)
	give()
	give()
	assert.Zero(t, bucket.inFlight)
	assert.Len(t, bucket.answered, 2, "it was not used")
}
