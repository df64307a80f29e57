package teamogy

import (
	"slices"
	"sync"
	"time"
)

// stateHolds is how long a state that was read ahead is taken for the document's, in real time. The document may be
// changed meanwhile, as it may while a state that was asked for waits for the write's turn.
const stateHolds = 30 * time.Second

// statesAhead are the states of issued invoices that were read before anybody asked for them.
type statesAhead struct {
	mu     sync.Mutex
	coming []int64 // will be asked for, and were not read
	read   map[int64]stateAhead
}

type stateAhead struct {
	salesState
	at time.Time
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
	a.coming = slices.DeleteFunc(a.coming, func(c int64) bool { return c == id })
	s, read := a.read[id]
	delete(a.read, id)
	return s.salesState, read && now.Before(s.at.Add(stateHolds))
}

// with are some documents that are asked for, and those that will be, at most so many.
func (a *statesAhead) with(asked []int64, most int) []int64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.coming = slices.DeleteFunc(a.coming, func(c int64) bool { return slices.Contains(asked, c) })
	n := min(len(a.coming), max(0, most-len(asked)))
	all := append(slices.Clone(asked), a.coming[:n]...)
	a.coming = slices.Delete(a.coming, 0, n)
	return all
}

// keep keeps what was read at a time of documents that nobody has asked for.
func (a *statesAhead) keep(states map[int64]salesState, asked []int64, at time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.read == nil {
		a.read = map[int64]stateAhead{}
	}
	for id, s := range a.read {
		if !at.Before(s.at.Add(stateHolds)) {
			delete(a.read, id)
		}
	}
	for id, s := range states {
		if s.told && !slices.Contains(asked, id) {
			a.read[id] = stateAhead{s, at}
		}
	}
}
