package teamogy

import (
	"slices"
	"sync"
	"time"
)

// stateHolds is how long ago a document's state may have been read when it is written to, in real time. Until then a
// person's change goes unseen; somebody else's KSeF number would be written over.
const stateHolds = 45 * time.Second

// aheadHolds is how long ago it may have been read ahead when it is asked for: the write has to wait for its turn.
const aheadHolds = 32 * time.Second

// statesAhead are the states of issued invoices that were read before anybody asked for them.
type statesAhead struct {
	mu      sync.Mutex
	coming  []int64 // will be asked for, and were not read
	reading []int64 // those of the look under way, or of one that failed
	read    map[int64]salesState
}

// Foresee tells which issued invoices will soon have their KSeF number written to them. Their states are read with the
// next look that somebody else needs: invoices that come as fast as the quota takes them, and no faster, would need
// a look each. More than fill a request are forgotten, the earliest first.
func (c *Client) Foresee(ids ...int64) {
	a := &c.sales.ahead
	a.mu.Lock()
	defer a.mu.Unlock()
	a.coming = append(a.coming, ids...)
	a.coming = slices.Delete(a.coming, 0, max(0, len(a.coming)-mostRows))
}

// ask gives the state of a document that is asked for now, if it was read a short time ago. It is given once: who asks
// again wants to know what has become of it.
func (a *statesAhead) ask(id int64, now time.Time) (salesState, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	is := func(other int64) bool { return other == id }
	a.coming, a.reading = slices.DeleteFunc(a.coming, is), slices.DeleteFunc(a.reading, is)
	s, read := a.read[id]
	delete(a.read, id)
	return s, read && now.Before(s.at.Add(aheadHolds))
}

// with are some documents that are asked for, and those that will be, at most so many.
func (a *statesAhead) with(asked []int64, most int) []int64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	coming := slices.DeleteFunc(append(a.reading, a.coming...), func(c int64) bool { return slices.Contains(asked, c) })
	n := min(len(coming), max(0, most-len(asked)))
	a.reading, a.coming = slices.Clone(coming[:n]), slices.Clone(coming[n:])
	return append(slices.Clone(asked), a.reading...)
}

// keep keeps what was read of documents that nobody has asked for since.
func (a *statesAhead) keep(states map[int64]salesState, now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.read == nil {
		a.read = map[int64]salesState{}
	}
	for id, s := range a.read {
		if !now.Before(s.at.Add(aheadHolds)) {
			delete(a.read, id)
		}
	}
	for _, id := range a.reading {
		if s := states[id]; s.told {
			a.read[id] = s
		}
	}
	a.reading = nil
}
