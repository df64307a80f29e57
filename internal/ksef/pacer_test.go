package ksef

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// fakePacer is a pacer on a clock that only its own waits and the test move.
func fakePacer(scale float64) (*pacer, *time.Time) {
	now := testNow
	p := newPacer(func() time.Time { return now }, scale)
	p.sleep = func(_ context.Context, d time.Duration) error {
		now = now.Add(d)
		return nil
	}
	return p, &now
}

// TestPacer_neverExceedsAnyWindow makes calls at random distances that take
// random times, and counts them as a server would: at any moment between
// sending and answer.
func TestPacer_neverExceedsAnyWindow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := Limit{rapid.IntRange(1, 6).Draw(t, "second"), rapid.IntRange(1, 10).Draw(t, "minute"), rapid.IntRange(0, 15).Draw(t, "hour")}
		scale := rapid.SampledFrom([]float64{1, 60, 600}).Draw(t, "scale")
		p, now := fakePacer(scale)
		p.learn(RateLimits{GroupInvoiceSend: limit})
		var arrived []time.Time
		var running []*ticket
		for range rapid.IntRange(1, 80).Draw(t, "calls") {
			*now = now.Add(time.Duration(rapid.Int64Range(0, int64(20*time.Second)).Draw(t, "pause")) / time.Duration(scale))
			ticket, err := p.acquire(context.Background(), "send", GroupInvoiceSend, "")
			if err != nil {
				e, ok := AsError(err)
				require.True(t, ok)
				require.Equal(t, KindRateLimited, e.Kind)
				require.True(t, e.Local)
				require.Positive(t, e.RetryAfter)
				if len(running) > 0 {
					running[0].done(0)
					running = running[1:]
				}
				continue
			}
			took := time.Duration(rapid.Int64Range(0, int64(2*time.Second)).Draw(t, "took")) / time.Duration(scale)
			arrived = append(arrived, now.Add(time.Duration(rapid.Int64Range(0, int64(took)).Draw(t, "arrival"))))
			*now = now.Add(took)
			if rapid.Bool().Draw(t, "ends later") {
				running = append(running, ticket)
			} else {
				ticket.done(0)
			}
		}
		for _, w := range []struct {
			max    int
			length time.Duration
		}{{limit.PerSecond, time.Second}, {limit.PerMinute, time.Minute}, {limit.PerHour, time.Hour}} {
			length := p.window(w.length)
			for i, last := range arrived {
				count := 0
				for _, other := range arrived[:i+1] {
					if !other.Before(last.Add(-length + 1)) {
						count++
					}
				}
				if w.max > 0 {
					require.LessOrEqual(t, count, max(w.max-1, 1), "in %s, one call is held back", length)
				}
			}
		}
	})
}

// TestPacer_isOpenAgainWhenItSays proves that the time in the error is enough.
func TestPacer_isOpenAgainWhenItSays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, now := fakePacer(1)
		var wait time.Duration
		for range 30 {
			*now = now.Add(time.Duration(rapid.Int64Range(0, int64(10*time.Minute)).Draw(t, "pause")))
			ticket, err := p.acquire(context.Background(), "query", GroupInvoiceMetadata, "")
			if e, ok := AsError(err); ok {
				wait = e.RetryAfter
				break
			}
			ticket.done(0)
		}
		if wait == 0 {
			return
		}
		*now = now.Add(wait)
		_, err := p.acquire(context.Background(), "query", GroupInvoiceMetadata, "")
		require.NoError(t, err)
	})
}

func TestPacer_holdsOneCallOfTheHourBack(t *testing.T) {
	p, now := fakePacer(1)
	calls := 0
	for {
		*now = now.Add(10 * time.Second)
		ticket, err := p.acquire(context.Background(), "query invoice metadata", GroupInvoiceMetadata, "")
		if err != nil {
			e, _ := AsError(err)
			assert.Equal(t, time.Hour-19*10*time.Second, e.RetryAfter)
			assert.Contains(t, err.Error(), "not called, the request quota is used up; free again in 56m50s")
			break
		}
		ticket.done(0)
		calls++
	}
	assert.Equal(t, 19, calls)
}

func TestPacer_neverTriesBeforeRetryAfter(t *testing.T) {
	p, now := fakePacer(60) // the server's time is real, it is not scaled
	ticket, err := p.acquire(context.Background(), "x", GroupInvoiceDownload, "")
	require.NoError(t, err)
	ticket.done(40 * time.Minute)
	for range 39 {
		*now = now.Add(time.Minute)
		_, err = p.acquire(context.Background(), "x", GroupInvoiceDownload, "")
		require.Error(t, err)
	}
	_, err = p.acquire(context.Background(), "x", GroupInvoiceSend, "")
	require.NoError(t, err, "another group is not concerned")
	*now = now.Add(time.Minute)
	_, err = p.acquire(context.Background(), "x", GroupInvoiceDownload, "")
	require.NoError(t, err)
}

func TestPacer_doesNotWaitBeyondTheDeadline(t *testing.T) {
	p, _ := fakePacer(1)
	ticket, err := p.acquire(context.Background(), "x", GroupInvoiceDownload, "")
	require.NoError(t, err)
	ticket.done(4 * time.Second)
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	_, err = p.acquire(ctx, "x", GroupInvoiceDownload, "")
	e, ok := AsError(err)
	require.True(t, ok)
	assert.True(t, e.Local)
	assert.Equal(t, 4*time.Second, e.RetryAfter)
	_, err = p.acquire(context.Background(), "x", GroupInvoiceDownload, "")
	assert.NoError(t, err, "without a deadline it waits up to five seconds")

	cancel()
	_, err = p.acquire(ctx, "x", GroupInvoiceDownload, "")
	assert.ErrorIs(t, err, context.Canceled)
}

func TestPacer_countsEachOtherEndpointByItself(t *testing.T) {
	p, _ := fakePacer(1)
	p.learn(RateLimits{GroupOther: {PerHour: 2}, GroupGlobal: {PerSecond: -1, PerMinute: -1, PerHour: -1}})
	for _, endpoint := range []string{"a", "b"} {
		_, err := p.acquire(context.Background(), "x", GroupOther, endpoint)
		require.NoError(t, err)
	}
	_, err := p.acquire(context.Background(), "x", GroupOther, "a")
	require.Error(t, err)
	for range 50 {
		_, err := p.acquire(context.Background(), "x", GroupAnonymous, "")
		require.NoError(t, err)
	}
	p.learn(RateLimits{GroupGlobal: {PerHour: 3}})
	_, err = p.acquire(context.Background(), "x", GroupOther, "c")
	require.Error(t, err, "the global limit counts all groups together")
}

func TestRateLimits_fallBackToTheRelatedGroup(t *testing.T) {
	l := RateLimits{GroupOnlineSession: {1, 2, 3}, GroupBatchSession: {4, 5, 6}, GroupOther: {7, 8, 9}}
	assert.Equal(t, Limit{1, 2, 3}, l.Of(GroupOnlineSessionClose))
	assert.Equal(t, Limit{4, 5, 6}, l.Of(GroupBatchSessionClose))
	assert.Equal(t, Limit{7, 8, 9}, l.Of("something new"))
	assert.Equal(t, Limit{}, RateLimits{}.Of("something new"))
}
