package ksefsim

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"pgregory.net/rapid"
)

// Whatever is added, held, released and rescheduled: each invoice comes out
// once, not before its time, never while its number is held, and those that
// are due come in the order of their times.
func TestWaitingLine_givesEachInvoiceOnceInOrder(t *testing.T) {
	start := newClock().Now()
	rapid.Check(t, func(t *rapid.T) {
		var line waitingLine
		held := map[string]bool{}
		now := start
		added, out := 0, map[*sentInvoice]bool{}
		drain := func() {
			last := time.Time{}
			for i := line.next(now, held); i != nil; i = line.next(now, held) {
				assert.False(t, out[i], "once")
				assert.False(t, i.dueAt.After(now), "not early")
				assert.False(t, i.dueAt.Before(last), "in order")
				assert.False(t, held[i.invoice.number], "not while held")
				out[i], last = true, i.dueAt
			}
		}
		number := rapid.SampledFrom([]string{"A", "B", "C"})
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				i := &sentInvoice{dueAt: now.Add(time.Duration(rapid.IntRange(0, 5).Draw(t, "delay")) * time.Second)}
				i.invoice.number = number.Draw(t, "number")
				i.stuck = rapid.Bool().Draw(t, "stuck")
				i.forEver = i.stuck && rapid.Bool().Draw(t, "for ever")
				line.add(i)
				added++
			},
			"hold": func(t *rapid.T) { held[number.Draw(t, "number")] = true },
			"release": func(t *rapid.T) {
				n := number.Draw(t, "number")
				delete(held, n)
				line.release(n, now)
			},
			"wait": func(t *rapid.T) {
				now = now.Add(time.Duration(rapid.IntRange(0, 3).Draw(t, "seconds")) * time.Second)
				drain()
			},
			"": func(t *rapid.T) {
				assert.Equal(t, added, len(out)+len(line.due)+len(line.held), "none is lost")
			},
		})
		now = now.Add(time.Hour)
		held = map[string]bool{}
		for _, n := range []string{"A", "B", "C"} {
			line.release(n, now)
		}
		drain()
		assert.Len(t, out, added)
	})
}

func TestWaitingLine_keepsTheOrderOfArrivalAmongEquals(t *testing.T) {
	var line waitingLine
	due := newClock().Now()
	want := []string{}
	for i := range 100 {
		inv := &sentInvoice{dueAt: due}
		inv.invoice.number = itoa(i)
		want = append(want, inv.invoice.number)
		line.add(inv)
	}
	got := []string{}
	for i := line.next(due, nil); i != nil; i = line.next(due, nil) {
		got = append(got, i.invoice.number)
	}
	assert.Equal(t, want, got)
}
