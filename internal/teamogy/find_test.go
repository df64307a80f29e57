package teamogy

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

const wantedNumber = "5265877635-20260222-0100001AF629-AF"

func received(n int) string { return fmt.Sprintf("5265877635-20260222-%012d-00", n) }

func TestFind_findsAndMissesWhateverTheViewDoes(t *testing.T) {
	for _, filter := range []string{"honoured", "ignored", "refused", "never"} {
		for _, idFilter := range []string{"", "refused"} {
			for _, flat := range []bool{false, true} {
				for _, pageLimit := range []int{3, 1000} {
					t.Run(fmt.Sprint(filter, " id", idFilter, " flat ", flat, pageLimit), func(t *testing.T) {
						f := newTenant(t)
						f.filter, f.idFilter, f.flat, f.pageLimit = filter, idFilter, flat, pageLimit
						for i := range 20 {
							f.add(map[string]any{"ksefNumber": received(i)})
							f.add(map[string]any{})
						}
						c := f.client()
						find := func(number string) (Document, bool) {
							d, found, err := c.FindDocumentByKSeFNumber(background(), number)
							require.NoError(t, err)
							return d, found
						}
						_, found := find(wantedNumber)
						assert.False(t, found)
						id := f.add(map[string]any{"ksefNumber": wantedNumber})
						d, found := find(wantedNumber)
						require.True(t, found)
						assert.Equal(t, id, d.ID)
						assert.Equal(t, wantedNumber, d.KSeFNumber)
						assert.Equal(t, "IMPORTED", d.Status)
						for range 3 {
							_, found = find(received(999))
							assert.False(t, found)
						}
						_, found = find(received(7))
						assert.True(t, found)
					})
				}
			}
		}
	}
}

func TestFind_costsOneRequestOnceTheFilterIsProven(t *testing.T) {
	f := newTenant(t)
	f.add(map[string]any{"ksefNumber": received(1)})
	c := f.client()
	_, _, err := c.FindDocumentByKSeFNumber(background(), wantedNumber) // filter, index, proof of the filter
	require.NoError(t, err)
	before := f.seen("")
	_, found, err := c.FindDocumentByKSeFNumber(background(), wantedNumber)
	require.NoError(t, err)
	assert.False(t, found)
	assert.Equal(t, 1, f.seen("")-before)
}

func TestFind_costsOneRequestWhenTheFilterIsIgnoredAndTheIndexStands(t *testing.T) {
	f := newTenant(t)
	f.filter = "ignored"
	for i := range 50 {
		f.add(map[string]any{"ksefNumber": received(i)})
	}
	c := f.client(func(o *Options) { o.Fields = DefaultFieldMap(); o.Fields.PageSize = 10 })
	_, _, err := c.FindDocumentByKSeFNumber(background(), wantedNumber)
	require.NoError(t, err)
	f.nextID += 1000
	for range 3 {
		f.add(map[string]any{"ksefNumber": received(f.seen("") + 1000)})
	}
	_, _, err = c.FindDocumentByKSeFNumber(background(), wantedNumber)
	require.NoError(t, err)
	before := f.seen("")
	_, _, err = c.FindDocumentByKSeFNumber(background(), wantedNumber)
	require.NoError(t, err)
	assert.Equal(t, 1, f.seen("")-before)
}

func TestFind_doesNotBelieveAnEmptyAnswerOfAFilterThatIsNotProven(t *testing.T) {
	f := newTenant(t)
	f.filter = "never"
	f.add(map[string]any{"ksefNumber": wantedNumber})
	_, found, err := f.client().FindDocumentByKSeFNumber(background(), wantedNumber)
	require.NoError(t, err)
	assert.True(t, found)
}

func TestFind_asksTheDocumentWhenTheViewShowsNoProperties(t *testing.T) {
	f := newTenant(t)
	f.blind = true
	id := f.add(map[string]any{"ksefNumber": wantedNumber})
	f.add(map[string]any{"ksefNumber": received(2)})
	d, found, err := f.client().FindDocumentByKSeFNumber(background(), wantedNumber)
	require.NoError(t, err)
	assert.True(t, found)
	assert.Equal(t, id, d.ID)
}

func TestFind_refusesToSayNoWhenTheViewCannotShowTheNumber(t *testing.T) {
	f := newTenant(t)
	f.blind, f.filter = true, "ignored"
	c := f.client()
	for i := range 5 {
		f.add(map[string]any{"ksefNumber": received(i)})
	}
	_, err := c.CreatePurchaseInvoice(background(), NewPurchaseInvoice{KSeFNumber: wantedNumber})
	require.NoError(t, err)
	_, found, err := c.FindDocumentByKSeFNumber(background(), wantedNumber)
	require.NoError(t, err)
	assert.True(t, found, "our own are remembered")
	_, _, err = c.FindDocumentByKSeFNumber(background(), received(77))
	assert.Equal(t, NotSearchable, kindOfError(t, err))
}

func TestFind_takesTheOldestOfSeveralAndBelievesTheDocumentNotTheView(t *testing.T) {
	f := newTenant(t)
	gone := f.add(map[string]any{"ksefNumber": wantedNumber})
	first := f.add(map[string]any{"ksefNumber": wantedNumber})
	f.add(map[string]any{"ksefNumber": wantedNumber})
	c := f.client(func(o *Options) { o.Fields = DefaultFieldMap(); o.Fields.PropertyFilter = "" })
	d, found, err := c.FindDocumentByKSeFNumber(background(), wantedNumber)
	require.NoError(t, err)
	require.True(t, found)
	assert.Equal(t, gone, d.ID)
	f.document(gone)["properties"] = map[string]any{"ksefNumber": nil, "x": 1}
	d, found, err = c.FindDocumentByKSeFNumber(background(), wantedNumber)
	require.NoError(t, err)
	require.True(t, found)
	assert.Equal(t, first, d.ID)
}

func TestFind_saysNotSearchableBeyondTheScanLimit(t *testing.T) {
	f := newTenant(t)
	f.filter = "refused"
	for range 60 {
		f.add(nil)
	}
	c := f.client(func(o *Options) {
		o.Fields = DefaultFieldMap()
		o.Fields.PageSize, o.Fields.ScanLimit = 10, 50
	})
	_, _, err := c.FindDocumentByKSeFNumber(background(), wantedNumber)
	assert.Equal(t, NotSearchable, kindOfError(t, err))
	assert.Contains(t, err.Error(), "scanLimit")
}

func TestFind_goesOnWhereTheQuotaStoppedIt(t *testing.T) {
	clock := newSteps()
	f := newTenant(t)
	f.filter = "refused"
	for range 1500 {
		f.add(map[string]any{"ksefNumber": received(len(f.documents))})
	}
	f.add(map[string]any{"ksefNumber": wantedNumber})
	c := f.client(func(o *Options) {
		o.Now = clock.Now
		o.Bucket = NewBucket(60, clock.Now)
		o.Fields = DefaultFieldMap()
		o.Fields.PageSize = 100
	})
	attempts := 0
	for {
		attempts++
		require.Less(t, attempts, 10)
		_, found, err := c.FindDocumentByKSeFNumber(noWaiting{background(), clock.Now()}, wantedNumber)
		if err == nil {
			assert.True(t, found)
			break
		}
		require.Equal(t, QuotaLocal, kindOfError(t, err))
		clock.pass(time.Minute)
	}
	assert.Greater(t, attempts, 1)
}

// noWaiting is a context whose deadline is now but that does not end.
type noWaiting struct {
	context.Context
	deadline time.Time
}

func (n noWaiting) Deadline() (time.Time, bool) { return n.deadline, true }

func TestFind_isUnsettledWhileALostCreateMayBeInvisible(t *testing.T) {
	clock := newSteps()
	f := newTenant(t)
	f.loseAfterPost = 1
	c := f.client(func(o *Options) { o.Now = clock.Now })
	_, err := c.CreatePurchaseInvoice(background(), NewPurchaseInvoice{KSeFNumber: wantedNumber})
	assert.Equal(t, Network, kindOfError(t, err))

	var waits []time.Duration
	for range 4 {
		_, _, err = c.FindDocumentByKSeFNumber(background(), wantedNumber)
		e, ok := AsError(err)
		require.True(t, ok)
		assert.Equal(t, Unsettled, e.Kind)
		waits = append(waits, e.RetryAfter)
		clock.pass(e.RetryAfter)
	}
	assert.Equal(t, []time.Duration{5 * time.Second, 5 * time.Second, 10 * time.Second, 20 * time.Second}, waits, "looks become rarer")
	_, _, err = c.FindDocumentByKSeFNumber(background(), received(1))
	require.NoError(t, err, "another number is not in doubt")

	f.mu.Lock()
	clear(f.hidden) // the view has caught up
	f.mu.Unlock()
	_, found, err := c.FindDocumentByKSeFNumber(background(), wantedNumber)
	require.NoError(t, err)
	assert.True(t, found, "it is found before the doubt has passed")
}

// A view that follows later than viewLagSeconds must not make a second document.
func TestFind_doesNotBelieveNoneBeforeTheDoubtHasPassed(t *testing.T) {
	for _, search := range []string{SearchFilter, SearchScan} {
		clock := newSteps()
		f := newTenant(t)
		f.add(map[string]any{"ksefNumber": received(3)})
		c := f.client(func(o *Options) { o.Now, o.Fields = clock.Now, DefaultFieldMap(); o.Fields.ReceivedSearch = search })
		c.RecallDoubt(wantedNumber, clock.Now(), 0)
		for looks := 0; ; looks++ {
			_, found, err := c.FindDocumentByKSeFNumber(background(), wantedNumber)
			assert.False(t, found)
			if err == nil {
				assert.Equal(t, 9, looks, "looks in doubt")
				break
			}
			e, ok := AsError(err)
			require.True(t, ok)
			require.Equal(t, Unsettled, e.Kind)
			clock.pass(e.RetryAfter)
		}
		assert.Equal(t, 905*time.Second, clock.Now().Sub(newSteps().Now()), "how long none was not believed")
	}
}

// Entities are fresh although views are late, and ids are given in order.
func TestFind_readsTheDocumentsRightAboveTheHighestKnownIDInDoubt(t *testing.T) {
	clock := newSteps()
	f := newTenant(t)
	f.add(map[string]any{"ksefNumber": received(3)})
	c := f.client(func(o *Options) { o.Now = clock.Now })
	_, _, err := c.FindDocumentByKSeFNumber(background(), wantedNumber)
	require.NoError(t, err)
	f.add(nil) // somebody else's
	f.loseAfterPost = 1
	_, err = c.CreatePurchaseInvoice(background(), NewPurchaseInvoice{KSeFNumber: wantedNumber})
	require.Equal(t, Network, kindOfError(t, err))
	d, found, err := c.FindDocumentByKSeFNumber(background(), wantedNumber)
	require.NoError(t, err)
	require.True(t, found)
	assert.Equal(t, wantedNumber, d.KSeFNumber)
	require.Len(t, f.hidden, 1, "the view must not have shown it")

	again := f.client(func(o *Options) { o.Now = clock.Now }) // after a crash
	again.RecallDoubt(wantedNumber, clock.Now(), 101)
	_, found, err = again.FindDocumentByKSeFNumber(background(), wantedNumber)
	require.NoError(t, err)
	assert.True(t, found)
}

func TestFind_neverBelievesNoneInDoubtWhereNothingCanBeSearched(t *testing.T) {
	clock := newSteps()
	f := newTenant(t)
	c := f.client(func(o *Options) { o.Now, o.Fields = clock.Now, DefaultFieldMap(); o.Fields.ReceivedSearch = SearchNone })
	_, found, err := c.FindDocumentByKSeFNumber(background(), wantedNumber)
	require.NoError(t, err)
	assert.False(t, found)
	f.loseAfterPost = 1
	_, err = c.CreatePurchaseInvoice(background(), NewPurchaseInvoice{KSeFNumber: wantedNumber})
	require.Equal(t, Network, kindOfError(t, err))
	for range 3 {
		_, _, err = c.FindDocumentByKSeFNumber(background(), wantedNumber)
		assert.Equal(t, OutcomeUnknown, kindOfError(t, err))
		clock.pass(24 * time.Hour)
	}
	assert.Zero(t, f.seen("GET views"), "no view may be asked")
	c.RecallDoubt(wantedNumber, time.Time{}, 0)
	_, found, err = c.FindDocumentByKSeFNumber(background(), wantedNumber)
	require.NoError(t, err, "a person has settled it")
	assert.False(t, found)
}

// An outage of POST must not leave one doubtful create per waiting invoice.
func TestMayCreate_letsOneThroughAtATimeWhileNoneIsAnswered(t *testing.T) {
	clock := newSteps()
	f := newTenant(t)
	c := f.client(func(o *Options) { o.Now = clock.Now })
	create := func(n int) error {
		if err := c.MayCreate(); err != nil {
			return err
		}
		_, err := c.CreatePurchaseInvoice(background(), NewPurchaseInvoice{KSeFNumber: received(n)})
		return err
	}
	require.NoError(t, create(0))
	f.mu.Lock()
	f.loseAfterPost = 1000
	f.mu.Unlock()
	for n := range 360 { // an hour
		err := create(1 + n)
		assert.Contains(t, []Kind{Network, Unsettled}, kindOfError(t, err))
		clock.pass(10 * time.Second)
	}
	assert.Less(t, f.seen("POST"), 22)
	f.mu.Lock()
	f.loseAfterPost = 0
	f.mu.Unlock()
	clock.pass(longestTurn)
	require.NoError(t, create(500))
	require.NoError(t, create(501), "all go on once one is answered")
}

// What woke up late must not send a create that others believe was never sent.
func TestCreatePrepared_isNotSentLongAfterItWasRecorded(t *testing.T) {
	clock := newSteps()
	f := newTenant(t)
	c := f.client(func(o *Options) { o.Now = clock.Now })
	p, err := c.PreparePurchaseInvoice(NewPurchaseInvoice{KSeFNumber: wantedNumber})
	require.NoError(t, err)
	begun := clock.Now()
	clock.pass(c.CreateWithin() + time.Second)
	_, err = c.CreatePrepared(background(), p, begun)
	e, ok := AsError(err)
	require.True(t, ok)
	assert.False(t, e.MayHaveHappened())
	assert.Zero(t, f.seen("POST"))
}

func TestFind_forgetsACreatedDocumentThatWasRemoved(t *testing.T) {
	f := newTenant(t)
	c := f.client()
	d, err := c.CreatePurchaseInvoice(background(), NewPurchaseInvoice{KSeFNumber: wantedNumber})
	require.NoError(t, err)
	f.mu.Lock()
	delete(f.documents, d.ID)
	f.mu.Unlock()
	_, found, err := c.FindDocumentByKSeFNumber(background(), wantedNumber)
	require.NoError(t, err)
	assert.False(t, found)
}

func TestFind_isSafeForManyAtOnce(t *testing.T) {
	f := newTenant(t)
	f.filter = "ignored"
	c := f.client()
	for i := range 30 {
		f.add(map[string]any{"ksefNumber": received(i)})
	}
	var wg sync.WaitGroup
	for i := range 40 {
		wg.Go(func() {
			_, found, err := c.FindDocumentByKSeFNumber(background(), received(i))
			assert.NoError(t, err)
			assert.Equal(t, i < 30, found)
		})
	}
	wg.Wait()
}

func TestFind_refusesNumbersThatAreNone(t *testing.T) {
	c := newTenant(t).client()
	for _, bad := range []string{"", "x' OR id>0 OR type='"} {
		_, _, err := c.FindDocumentByKSeFNumber(background(), bad)
		assert.Equal(t, Invalid, kindOfError(t, err))
	}
}

// TestFind_withCreateMakesEachInvoiceOnce plays imports with lost answers, new processes and all kinds of views, and
// counts the documents of each number.
func TestFind_withCreateMakesEachInvoiceOnce(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		clock := newSteps()
		f := newTenant(t)
		defer f.server.Close()
		f.filter = rapid.SampledFrom([]string{"honoured", "ignored", "refused", "never"}).Draw(r, "filter")
		f.idFilter = rapid.SampledFrom([]string{"", "refused"}).Draw(r, "idFilter")
		f.pageLimit = rapid.SampledFrom([]int{1, 2, 5, 1000}).Draw(r, "pageLimit")
		c := f.client(func(o *Options) { o.Now = clock.Now })
		for range rapid.IntRange(1, 25).Draw(r, "steps") {
			switch rapid.IntRange(0, 6).Draw(r, "step") {
			case 0:
				c = f.client(func(o *Options) { o.Now = clock.Now }) // the process died; it starts again after the view's lag
				f.mu.Lock()
				clear(f.hidden)
				f.mu.Unlock()
			case 1:
				clock.pass(6 * time.Second)
				f.mu.Lock()
				clear(f.hidden)
				f.mu.Unlock()
			case 2:
				f.mu.Lock()
				f.loseAfterPost = 1
				f.mu.Unlock()
			case 3:
				f.add(nil)
			default:
				number := received(rapid.IntRange(0, 5).Draw(r, "number"))
				_, found, err := c.FindDocumentByKSeFNumber(background(), number)
				if err != nil {
					if !isKind(err, Unsettled) {
						r.Fatal(err)
					}
					continue
				}
				if !found {
					_, _ = c.CreatePurchaseInvoice(background(), NewPurchaseInvoice{KSeFNumber: number})
				}
			}
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		count := map[any]int{}
		for _, d := range f.documents {
			if p, ok := d["properties"].(map[string]any); ok && p["ksefNumber"] != nil {
				if count[p["ksefNumber"]]++; count[p["ksefNumber"]] > 1 {
					r.Fatalf("%v was created twice", p["ksefNumber"])
				}
			}
		}
	})
}
