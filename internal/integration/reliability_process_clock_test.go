package integration

import (
	"fmt"
	"time"
)

// clockOff is a worker, or KSeF, whose clock is wrong.
func clockOff(whose string, by time.Duration) experiment {
	e := experiment{
		group: "clock", name: fmt.Sprintf("%s off by %s", whose, by),
		what:      fmt.Sprintf("The clock of %s is off by %s.", whose, by),
		direction: both,
	}
	if whose == "KSeF" {
		// What is of today would be of tomorrow in the ten minutes after midnight, and KSeF would be right to refuse it.
		e.options = func(o *bedOptions) { o.dated = -24 * time.Hour }
		e.arrange = func(t *trial) {
			t.fault(t.ksefURL, map[string]any{"name": "clock-skew", "seconds": by.Seconds(), "times": 1})
		}
		e.act = func(t *trial) {
			// A clock that was set back hides what was stored before, until it is put right.
			t.until("the issued invoices are sent", func() bool { _, numbers := t.missing(); return numbers == 0 })
			t.endFaults(t.ksefURL)
		}
		e.fired = allStruck
		return e
	}
	asked := &requestCount{}
	e.options = func(o *bedOptions) {
		asked.made.Store(0)
		o.now = func() time.Time {
			asked.made.Add(1)
			return time.Now().Add(by)
		}
	}
	e.fired = func(*trial) bool { return asked.made.Load() > 0 }
	return e
}

// missing counts the invoices without a document, and the documents without a
// number.
func (t *trial) missing() (documents, numbers int) {
	t.Helper()
	created, written := t.byNumber()
	for _, i := range t.imports {
		if created[i.KSeFNumber] == 0 {
			documents++
		}
	}
	for _, e := range t.exports {
		if written[e.ID] == "" {
			numbers++
		}
	}
	return documents, numbers
}
