package ksefsim

import (
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// arrival is an invoice that gets its number at a time, though nobody may look
// until later.
type arrival struct {
	at time.Time
	r  *record
}

func TestHWM_nothingIsAddedBehindItWhateverArrives(t *testing.T) {
	c := newClock()
	sim, err := New(Config{Clock: c.Now, HWMDelay: 5 * time.Second, StorageDelay: 700 * time.Millisecond})
	require.NoError(t, err)
	rapid.Check(t, func(t *rapid.T) {
		sim.reset()
		var due []arrival
		var lastHWM time.Time
		complete := []int{} // what lay behind the last high-water mark
		filters := &invoiceFilters{SubjectType: subjectBuyer}
		arrive := func(delay time.Duration) {
			due = append(due, arrival{c.Now().Add(delay), &record{buyerNIP: testNIP, document: document{deflated: []byte{3, 0}}}})
		}
		look := func() {
			now := sim.now()
			slices.SortStableFunc(due, func(a, b arrival) int { return a.at.Compare(b.at) })
			for len(due) > 0 && !due[0].at.After(now) { // as settle does: only when somebody looks
				due[0].r.acquired, due[0].r.invoicing = due[0].at, due[0].at
				sim.accept(due[0].r)
				due = due[1:]
			}
			find := func(hwm time.Time) []int {
				found := []int{}
				within := queryRange{dateType: datePermanentStorage, from: time.Unix(0, 0), to: hwm}
				for _, r := range sim.find(testNIP, filters, within, now, false, 1<<30) {
					found = append(found, r.seq)
				}
				return found
			}
			if again := find(lastHWM); !slices.Equal(complete, again) {
				t.Fatalf("behind %v there was %v, and now there is %v", lastHWM, complete, again)
			}
			lastHWM = now.Add(-sim.cfg.HWMDelay)
			complete = find(lastHWM)
			for _, r := range sim.store.order {
				if !r.stored.After(lastHWM) && r.visible.After(now) {
					t.Fatalf("an invoice stored %v cannot be seen, though the high-water mark is %v", r.stored, lastHWM)
				}
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"time passes": func(t *rapid.T) {
				c.Advance(time.Duration(rapid.Int64Range(0, int64(8*time.Second)).Draw(t, "step")))
			},
			"one arrives": func(t *rapid.T) {
				arrive(time.Duration(rapid.Int64Range(0, int64(10*time.Second)).Draw(t, "delay")))
			},
			"many arrive at once": func(t *rapid.T) {
				for range rapid.IntRange(2, 40).Draw(t, "count") {
					arrive(0)
				}
			},
			"many get one time of storage": func(t *rapid.T) {
				look()
				var list []*record
				for range rapid.IntRange(2, 20).Draw(t, "count") {
					list = append(list, &record{buyerNIP: testNIP, acquired: sim.now(), invoicing: sim.now(), document: document{deflated: []byte{3, 0}}})
				}
				sim.acceptAll(list, true)
			},
			"somebody looks": func(*rapid.T) { look() },
		})
	})
}

func TestArrivals_becomeVisibleOutOfTheirOrderButBeforeTheHWM(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.HWMDelay = time.Minute })
	list := []fa3{}
	for i := range 22 {
		list = append(list, fa3{seller: otherNIP, number: "A/" + itoa(i)})
	}
	seeded := w.seed(testNIP, list...)
	access := w.login(testNIP)
	const from = "2026-11-23T00:00:00Z"
	numbers := func(more map[string]any) []string {
		found := []string{}
		for _, i := range w.query(access, "Subject2", from, more, "?pageSize=100").json(t)["invoices"].([]any) {
			found = append(found, i.(map[string]any)["invoiceNumber"].(string))
		}
		return found
	}
	early := numbers(nil)
	assert.Less(t, len(early), 22, "all are stored, some cannot be seen yet")
	assert.Contains(t, early, "A/9")
	assert.NotContains(t, early, "A/7", "overtaken by those after it")
	assert.Empty(t, numbers(map[string]any{restrict: true}))
	path := "/invoices/ksef/" + seeded[7].(map[string]any)["ksefNumber"].(string)
	assert.Equal(t, 21165, w.do(http.MethodGet, path, access, nil).code())
	w.clock.Advance(time.Minute)
	assert.Len(t, numbers(map[string]any{restrict: true}), 22)
	assert.Equal(t, 200, w.do(http.MethodGet, path, access, nil).status)
}

func TestHWM_isTheSameOnAllPagesOfAQuery(t *testing.T) {
	w := newWorld(t, nil)
	w.generate(25, nil)
	access := w.login(testNIP)
	const from = "2026-11-01T00:00:00Z"
	hwm := func(page int, order string, more map[string]any) string {
		v := w.query(access, "Subject2", from, more, "?pageSize=10&sortOrder="+order+"&pageOffset="+itoa(page)).json(t)
		return v["permanentStorageHwmDate"].(string)
	}
	first := hwm(0, "Asc", nil)
	w.clock.Advance(time.Minute)
	assert.Equal(t, first, hwm(1, "Asc", nil))
	assert.Equal(t, first, hwm(2, "Desc", nil), "whatever the order")
	assert.Greater(t, hwm(1, "Asc", map[string]any{"sellerNip": otherNIP}), first, "another query")
	assert.Greater(t, hwm(0, "Asc", nil), first, "the first page asks anew")
	w.clock.Advance(pagedLife)
	access = w.login(testNIP)
	assert.Greater(t, hwm(1, "Asc", nil), first, "not for ever")
}

func TestLateBy_showsAnInvoiceOnlyThatLongAfterItsStorage(t *testing.T) {
	w := newWorld(t, nil)
	now := w.sim.now()
	w.sim.mu.Lock()
	r := w.sim.accept(&record{xml: []byte("x"), hash: hexSHA256([]byte("x")), buyerNIP: testNIP, acquired: now, invoicing: now, lateBy: time.Hour})
	w.sim.mu.Unlock()
	assert.Equal(t, now.Add(500*time.Millisecond), r.stored)
	assert.Equal(t, r.stored.Add(time.Hour), r.visible)
}
