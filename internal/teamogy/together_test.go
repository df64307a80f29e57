package teamogy_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"teamogy-ksef/internal/teamogy"
)

// gate lets requests through one by one while it is closed, and remembers what was asked.
type gate struct {
	mu     sync.Mutex
	closed chan struct{} // nil: open
	asked  []string
}

func (g *gate) RoundTrip(r *http.Request) (*http.Response, error) {
	g.mu.Lock()
	g.asked = append(g.asked, r.Method+" "+r.URL.Path+" "+r.URL.Query().Get("externalFilter"))
	closed := g.closed
	g.mu.Unlock()
	if closed != nil {
		<-closed
	}
	return http.DefaultTransport.RoundTrip(r)
}

func (g *gate) close() (open func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	closed := make(chan struct{})
	g.closed = closed
	return func() {
		g.mu.Lock()
		g.closed = nil
		g.mu.Unlock()
		close(closed)
	}
}

// since are the requests from the n-th on.
func (g *gate) since(n int) []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return append([]string{}, g.asked[n:]...)
}

func (g *gate) count() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.asked)
}

// gated is a client of the bed whose requests pass a gate.
func (b *bed) gated(change func(*teamogy.Options)) (*teamogy.Client, *gate) {
	g := &gate{}
	return b.fresh(func(o *teamogy.Options) {
		o.HTTP = &http.Client{Transport: g}
		if change != nil {
			change(o)
		}
	}), g
}

// taught is a client that has learnt what it can of looking for numbers.
func taught(b *bed) (*teamogy.Client, *gate) {
	c, g := b.gated(nil)
	for _, n := range []int{100, 101, 555} {
		_, _, err := c.FindDocumentByKSeFNumber(b.t.Context(), number(n))
		require.NoError(b.t, err)
	}
	return c, g
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	require.Eventually(t, is, 30*time.Second, time.Millisecond, what)
}

// lookAll looks for numbers from..to-1 at once and gives the documents that were found.
func lookAll(b *bed, c *teamogy.Client, from, to int) map[int]int64 {
	var wg sync.WaitGroup
	var mu sync.Mutex
	found := map[int]int64{}
	for n := from; n < to; n++ {
		wg.Go(func() {
			d, exists, err := c.FindDocumentByKSeFNumber(b.t.Context(), number(n))
			assert.NoError(b.t, err)
			if exists {
				mu.Lock()
				defer mu.Unlock()
				found[n] = d.ID
			}
		})
	}
	wg.Wait()
	return found
}

func TestLooks_thatWaitAtTheSameTimeShareARequest(t *testing.T) {
	t.Parallel()
	b := newBed(t, fields{})
	c, g := taught(b)
	before := g.count()
	open := g.close()
	var found map[int]int64
	done := make(chan struct{})
	go func() {
		defer close(done)
		found = lookAll(b, c, 1000, 1100)
	}()
	eventually(t, "one look is under way, and all others wait", func() bool { return g.count() == before+1 && c.LooksWaiting() == 99 })
	open()
	<-done
	assert.Empty(t, found)
	assert.Len(t, g.since(before), 3, "1, 50 and 49 numbers")
	for _, r := range g.since(before) {
		assert.Less(t, len(r)*5/4, 6000, "the address is too long")
	}
}

// Whatever a tenant does with OR between properties, documents that exist are found, and those that do not are not.
func TestLooks_togetherFindAndMissWhateverTheTenantDoesWithAlternatives(t *testing.T) {
	t.Parallel()
	for _, settings := range []fields{
		{},
		{"filterAlternatives": "refused"},
		{"filterAlternatives": "first"},
		{"filterAlternatives": "last"},
		{"filterAlternatives": "ignored"},
		{"filterProperties": "ignored"},
		{"filterProperties": "refused"},
		{"filterProperties": "matches-nothing"},
		{"pageLimit": 3},
		{"pageLimit": 3, "overLimit": "refused"},
		{"pageLimit": 3, "sortOrder": "shuffled"},
		{"nextOffsetEnd": "empty-page"},
		{"flatProperties": true, "propertyKeys": "dotted"},
		{"missingProperties": "null"},
		{"longTexts": "cut"},
		{"filterNames": "plain"},
		{"filterNames": "dotted"},
		{"answerLimitBytes": 1500},
		{"searchDelaySeconds": 7200},
	} {
		t.Run(inJSON(settings), func(t *testing.T) {
			t.Parallel()
			b := newBed(t, settings)
			c, g := taught(b)
			for range 2 {
				before := g.count()
				open := g.close()
				var found map[int]int64
				done := make(chan struct{})
				go func() {
					defer close(done)
					found = lookAll(b, c, 95, 125)
				}()
				eventually(t, "something is asked", func() bool { return g.count() > before })
				open()
				<-done
				assert.Len(t, found, 7)
				for n, id := range found {
					made := b.with(number(n))
					require.Len(t, made, 1)
					assert.Equal(t, made[0].ID, id)
				}
			}
		})
	}
}

// Only the first look of a client may read more than it needs to learn what the tenant can.
func TestLooks_doNotReadTheWholeViewWhereItCanBeFiltered(t *testing.T) {
	t.Parallel()
	b := newBed(t, fields{})
	b.fields.PageSize = 3
	c, g := b.gated(nil)
	_, found, err := c.FindDocumentByKSeFNumber(t.Context(), number(999))
	require.NoError(t, err)
	assert.False(t, found)
	assert.LessOrEqual(t, g.count(), 5, "filter, a page, the filter on what it shows, that document, and the filter once more: %v", g.since(0))
}

// A person who deletes a document that served as the proof breaks nothing.
func TestLooks_goOnWhenADocumentThatProvedThemIsGone(t *testing.T) {
	t.Parallel()
	b := newBed(t, fields{})
	c, g := taught(b)
	for _, n := range []int{100, 101, 102, 103} {
		b.control(http.MethodPatch, fmt.Sprint("documents/", b.with(number(n))[0].ID), fields{"properties": fields{"ksefNumber": "taken away"}}, nil)
	}
	assert.Len(t, lookAll(b, c, 95, 125), 3)
	assert.Len(t, lookAll(b, c, 95, 125), 3)
	var together int
	before := g.count()
	assert.Empty(t, lookAll(b, c, 2000, 2060))
	for _, r := range g.since(before) {
		if strings.Contains(r, " OR ") {
			together++
		}
	}
	assert.Positive(t, together, "they do not look together any more")
}

// A caller who is cancelled while its request serves others takes nobody along.
func TestLooks_goOnWithoutACallerWhoIsCancelled(t *testing.T) {
	t.Parallel()
	b := newBed(t, fields{})
	c, g := taught(b)
	before := g.count()
	open := g.close()
	ctx, cancel := contextOf(t)
	first := make(chan error, 1)
	go func() {
		_, _, err := c.FindDocumentByKSeFNumber(ctx, number(3000))
		first <- err
	}()
	eventually(t, "its request is under way", func() bool { return g.count() == before+1 })
	done := make(chan map[int]int64, 1)
	go func() { done <- lookAll(b, c, 95, 125) }()
	eventually(t, "the others wait", func() bool { return c.LooksWaiting() == 30 })
	cancel()
	open()
	assert.Len(t, <-done, 7)
	assert.ErrorIs(t, <-first, context.Canceled)
}

func contextOf(t *testing.T) (context.Context, context.CancelFunc) {
	t.Helper()
	return context.WithCancel(t.Context())
}
