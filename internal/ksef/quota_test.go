package ksef

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// memoryBook is a book that several quotas share, as several processes do.
type memoryBook struct {
	mu      sync.Mutex
	n       int
	entries map[string][]Entry
	onRead  func() // nil: nothing happens between a reader's look and its note
	fails   error
}

func (b *memoryBook) Entries(_ context.Context, counter string) ([]Entry, error) {
	b.mu.Lock()
	entries := slices.Clone(b.entries[counter])
	hook := b.onRead
	b.onRead = nil
	b.mu.Unlock()
	if hook != nil {
		hook()
	}
	slices.SortFunc(entries, func(x, y Entry) int { return x.At.Compare(y.At) })
	return entries, b.fails
}

func (b *memoryBook) Note(_ context.Context, counter string, e Entry) (Entry, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.n++
	e.Mark = fmt.Sprintf("%06d", b.n)
	if b.entries == nil {
		b.entries = map[string][]Entry{}
	}
	b.entries[counter] = append(b.entries[counter], e)
	return e, b.fails
}

func (b *memoryBook) Forget(_ context.Context, counter string, e Entry) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.entries[counter] = slices.DeleteFunc(b.entries[counter], func(x Entry) bool { return x == e })
	return b.fails
}

// sharedPacers are the pacers of several processes with one clock and one book.
func sharedPacers(n int, scale float64) ([]*pacer, *memoryBook, *time.Time) {
	now := testNow
	book := &memoryBook{}
	pacers := make([]*pacer, n)
	for i := range pacers {
		pacers[i] = NewQuota(QuotaOptions{Now: func() time.Time { return now }, TimeScale: scale, Book: book}).pacer
		pacers[i].sleep = func(_ context.Context, d time.Duration) error {
			now = now.Add(d)
			return nil
		}
	}
	return pacers, book, &now
}

// Several workers, and several connections of one taxpayer, together stay below
// KSeF's limits of the groups that allow few calls, whatever they do and whenever
// one of them starts anew.
func TestQuota_processesTogetherNeverExceedAnyWindow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		scale := rapid.SampledFrom([]float64{1, 60}).Draw(t, "scale")
		limit := Limit{0, rapid.IntRange(2, 10).Draw(t, "minute"), rapid.IntRange(2, 20).Draw(t, "hour")}
		pacers, book, now := sharedPacers(3, scale)
		var arrived []time.Time
		for range rapid.IntRange(1, 60).Draw(t, "calls") {
			*now = now.Add(time.Duration(rapid.Int64Range(0, int64(2*time.Minute)).Draw(t, "pause")) / time.Duration(scale))
			i := rapid.IntRange(0, len(pacers)-1).Draw(t, "process")
			if rapid.IntRange(0, 9).Draw(t, "starts anew") == 0 {
				sleep := pacers[i].sleep
				pacers[i] = NewQuota(QuotaOptions{Now: func() time.Time { return *now }, TimeScale: scale, Book: book}).pacer
				pacers[i].sleep = sleep
			}
			pacers[i].learn(RateLimits{GroupInvoiceMetadata: limit})
			ctx := context.Background()
			if rapid.Bool().Draw(t, "spare") {
				ctx = Spare(ctx)
			}
			ticket, err := pacers[i].acquire(ctx, "query", GroupInvoiceMetadata, "")
			if err != nil {
				e, ok := AsError(err)
				require.True(t, ok)
				require.True(t, e.Local)
				require.Positive(t, e.RetryAfter)
				continue
			}
			took := time.Duration(rapid.Int64Range(0, int64(500*time.Millisecond)).Draw(t, "took")) / time.Duration(scale)
			arrived = append(arrived, now.Add(time.Duration(rapid.Int64Range(0, int64(took)).Draw(t, "arrival"))))
			*now = now.Add(took)
			ticket.done(0)
		}
		for _, w := range []struct {
			max    int
			length time.Duration
		}{{limit.PerMinute, time.Minute}, {limit.PerHour, time.Hour}} {
			length := time.Duration(float64(w.length) / scale)
			for i, last := range arrived {
				count := 0
				for _, other := range arrived[:i+1] {
					if other.After(last.Add(-length)) {
						count++
					}
				}
				require.LessOrEqual(t, count, w.max-1, "in %s", length)
			}
		}
		require.LessOrEqual(t, len(book.entries[string(GroupInvoiceMetadata)]), limit.PerHour+1, "the book is tidied up")
	})
}

func TestQuota_isOpenAgainWhenItSays(t *testing.T) {
	pacers, _, now := sharedPacers(2, 1)
	for i := range 19 {
		*now = now.Add(10 * time.Second)
		ticket, err := pacers[i%2].acquire(t.Context(), "query", GroupInvoiceMetadata, "")
		require.NoError(t, err)
		ticket.done(0)
	}
	for _, p := range pacers {
		_, err := p.acquire(t.Context(), "query", GroupInvoiceMetadata, "")
		e, is := AsError(err)
		require.True(t, is, "the twentieth call is held back in both")
		require.Greater(t, e.RetryAfter, 55*time.Minute)
	}
	_, err := pacers[0].acquire(t.Context(), "query", GroupInvoiceMetadata, "")
	e, _ := AsError(err)
	*now = now.Add(e.RetryAfter)
	_, err = pacers[1].acquire(t.Context(), "query", GroupInvoiceMetadata, "")
	require.NoError(t, err)
}

// Of two that look at the same moment, when there is room for one, one goes.
func TestQuota_ofTwoAtOnceTheFirstGoes(t *testing.T) {
	pacers, book, now := sharedPacers(2, 1)
	limit := RateLimits{GroupInvoiceExport: {PerHour: 2}} // one is held back
	pacers[0].learn(limit)
	pacers[1].learn(limit)
	var other error
	book.onRead = func() {
		*now = now.Add(time.Millisecond)
		_, other = pacers[1].acquire(context.Background(), "order", GroupInvoiceExport, "")
	}
	_, err := pacers[0].acquire(t.Context(), "order", GroupInvoiceExport, "")
	require.True(t, (err == nil) != (other == nil), "%v, %v", err, other)
	require.Len(t, book.entries[string(GroupInvoiceExport)], 1)
}

// KSeF makes a block longer when it is asked before its end.
func TestQuota_nobodyAsksABlockedGroupBeforeRetryAfter(t *testing.T) {
	ksef := newFakeKSeF(t)
	book := &memoryBook{}
	const route = "POST /invoices/query/metadata"
	ksef.on(route, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "2492")
		writeProblem(w, http.StatusTooManyRequests, `{"title":"Too Many Requests","status":429}`)
	})
	ksef.on("GET /rate-limits", answerJSON(200, `{"other":{"perSecond":10,"perMinute":30,"perHour":120},"invoiceMetadata":{"perSecond":8,"perMinute":16,"perHour":20}}`))
	worker := func() *Client {
		return ksef.client(func(o *Options) { o.Quota = NewQuota(QuotaOptions{Now: ksef.clock, Book: book}) })
	}
	query := func(c *Client) *Error {
		_, err := c.QueryMetadata(t.Context(), MetadataQuery{SubjectType: SubjectBuyer, From: testNow})
		e, is := AsError(err)
		require.True(t, is, "%v", err)
		return e
	}
	first := worker()
	require.False(t, query(first).Local)
	for minute := range 41 {
		e := query([]*Client{first, worker()}[minute%2]) // the one that was refused, or one that has just started
		require.True(t, e.Local)
		require.Equal(t, KindRateLimited, e.Kind)
		require.Equal(t, 1, ksef.called(route))
		ksef.advance(time.Minute)
	}
	_, err := worker().RateLimits(t.Context())
	require.NoError(t, err, "another group is not concerned")
	ksef.advance(time.Minute)
	require.False(t, query(worker()).Local, "the block is over")
	require.Equal(t, 2, ksef.called(route))
}

// Duplicates find room however busy the owner is, and the owner finds room
// however many duplicates there are.
func TestSpare_neitherTheOwnerNorSingleInvoicesAreLeftWithoutQueries(t *testing.T) {
	take := func(p *pacer, now *time.Time, most int, ctx context.Context) (taken int) {
		for taken < most {
			*now = now.Add(5 * time.Second)
			ticket, err := p.acquire(ctx, "query", GroupInvoiceMetadata, "")
			if err != nil {
				return taken
			}
			ticket.done(0)
			taken++
		}
		return taken
	}
	owner, spare := context.Background(), Spare(context.Background())
	t.Run("a busy owner", func(t *testing.T) {
		pacers, _, now := sharedPacers(1, 1)
		assert.Equal(t, 14, take(pacers[0], now, 14, owner))
		assert.Equal(t, 5, take(pacers[0], now, 20, spare))
		assert.Zero(t, take(pacers[0], now, 1, owner))
	})
	t.Run("many duplicates", func(t *testing.T) {
		pacers, _, now := sharedPacers(1, 1)
		assert.Equal(t, 15, take(pacers[0], now, 20, spare))
		assert.Equal(t, 4, take(pacers[0], now, 20, owner))
	})
}

func TestQuota_aBookThatFailsHindersNoCall(t *testing.T) {
	pacers, book, _ := sharedPacers(1, 1)
	book.fails = errors.New("the archive is away")
	ticket, err := pacers[0].acquire(t.Context(), "query", GroupInvoiceMetadata, "")
	require.NoError(t, err)
	ticket.done(time.Hour)
	pacers[0].remember(t.Context(), GroupInvoiceMetadata, "", time.Hour)
	_, err = pacers[0].acquire(t.Context(), "query", GroupInvoiceMetadata, "")
	require.Error(t, err, "this process knows of the block all the same")
}

// A worker whose clock is wrong neither hinders the others nor is hindered.
func TestQuota_aWrongClockHindersNobody(t *testing.T) {
	for _, wrong := range []time.Duration{-48 * time.Hour, 48 * time.Hour} {
		pacers, book, now := sharedPacers(2, 1)
		pacers[0].now = func() time.Time { return now.Add(wrong) }
		pacers[0].noteClock(-wrong)
		for i := range 18 {
			*now = now.Add(10 * time.Second)
			ticket, err := pacers[i%2].acquire(t.Context(), "query", GroupInvoiceMetadata, "")
			require.NoError(t, err)
			ticket.done(0)
		}
		pacers[0].remember(t.Context(), GroupInvoiceMetadata, "", 10*time.Minute)
		_, err := pacers[1].acquire(t.Context(), "query", GroupInvoiceMetadata, "")
		e, is := AsError(err)
		require.True(t, is)
		require.InDelta(t, 10*time.Minute, e.RetryAfter, float64(time.Second))
		require.Len(t, book.entries[string(GroupInvoiceMetadata)], 19)
	}
}

// What KSeF counts by address, many connections share.
func TestPublicQuota_manyClientsStayBelowTheAddressesLimit(t *testing.T) {
	now := testNow
	public := NewPublicQuota(QuotaOptions{Now: func() time.Time { return now }})
	var waits int
	public.pacer.sleep = func(_ context.Context, d time.Duration) error {
		waits++
		now = now.Add(d)
		return nil
	}
	for range 200 {
		ticket, err := public.pacer.acquire(t.Context(), "log in", GroupAnonymous, "")
		require.NoError(t, err)
		ticket.done(0)
	}
	require.Greater(t, now.Sub(testNow), 5*time.Second, "200 calls at less than 30 a second")
	public.pacer.learn(RateLimits{GroupAnonymous: {PerSecond: 10}})
	require.Equal(t, 5, public.pacer.limitOf(GroupAnonymous).PerSecond)
}
