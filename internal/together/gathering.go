// Package together lets what many ask for at the same time share a request.
package together

import (
	"context"
	"slices"
	"sync"
	"time"
)

// Gathering lets many questions of one kind share a request. One request is made at a time; what is asked while it
// travels, or while the next one waits for its turn within the quota, goes with the next one. So a question is always
// answered by a request that began after it was asked.
//
// Where several are asked at a time, the next request begins gatherFor after the last one at the earliest, or when enough
// wait to fill it: what comes one by one, but fast, shares requests too. A question that is asked alone never waits.
type Gathering[K comparable, A any] struct {
	most int // what fills a request
	own  Own
	turn chan struct{} // holds the caller who makes the request

	mu      sync.Mutex
	waiting []*question[K, A]
	began   time.Time     // the last request
	several bool          // it was about more than one question
	full    chan struct{} // told when as many wait as fill a request
}

// gatherFor is how long questions are gathered, in real time: what fills it is how fast this machine is, not how fast a
// clock is scaled.
const gatherFor = 500 * time.Millisecond

// question is what one or more callers ask alike.
type question[K comparable, A any] struct {
	key     K
	callers int
	done    chan struct{} // closed when answered
	answer  A
	err     error
}

// Own makes an error of a shared request, or of a context that ended before a request was made, into one caller's own.
type Own func(error) error

// Fetch makes the request. take gives the keys to ask about, at most so many, and must be called when the request's
// turn has come. What the answers lack is answered with a zero A.
type Fetch[K comparable, A any] func(ctx context.Context, take func(most int) []K) (map[K]A, error)

// New returns a Gathering of requests that are full with so many questions; own may be nil.
func New[K comparable, A any](most int, own Own) *Gathering[K, A] {
	if own == nil {
		own = func(err error) error { return err }
	}
	return &Gathering[K, A]{most: most, own: own, turn: make(chan struct{}, 1), full: make(chan struct{}, 1)}
}

// Ask asks together with others. The request is made in the context of one of them; if it fails because that one is
// cancelled, the others go on without it.
func (g *Gathering[K, A]) Ask(ctx context.Context, key K, fetch Fetch[K, A]) (A, error) {
	q := g.join(key)
	defer g.leave(q)
	for {
		select {
		case <-q.done:
			if q.err != nil {
				return q.answer, g.own(q.err)
			}
			return q.answer, nil
		default:
		}
		select {
		case <-q.done:
		case g.turn <- struct{}{}:
			if answered, err := g.lead(ctx, q, fetch); !answered {
				var none A
				return none, err
			}
		case <-ctx.Done():
			var none A
			return none, g.own(ctx.Err())
		}
	}
}

func (g *Gathering[K, A]) join(key K) *question[K, A] {
	g.mu.Lock()
	defer g.mu.Unlock()
	i := slices.IndexFunc(g.waiting, func(q *question[K, A]) bool { return q.key == key })
	if i < 0 {
		i = len(g.waiting)
		g.waiting = append(g.waiting, &question[K, A]{key: key, done: make(chan struct{})})
	}
	g.waiting[i].callers++
	if len(g.waiting) >= g.most {
		select {
		case g.full <- struct{}{}:
		default:
		}
	}
	return g.waiting[i]
}

// Waiting is how many questions wait for a request.
func (g *Gathering[K, A]) Waiting() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.waiting)
}

// gather waits for more questions, if there are several at a time.
func (g *Gathering[K, A]) gather(ctx context.Context) error {
	for {
		g.mu.Lock()
		left := time.Until(g.began.Add(gatherFor))
		if left <= 0 || len(g.waiting) >= g.most || !g.several && len(g.waiting) < 2 {
			g.began = time.Now()
			g.mu.Unlock()
			return nil
		}
		g.mu.Unlock()
		timer := time.NewTimer(left)
		select {
		case <-timer.C:
		case <-g.full:
		case <-ctx.Done():
			timer.Stop()
			return g.own(ctx.Err())
		}
		timer.Stop()
	}
}

func (g *Gathering[K, A]) leave(q *question[K, A]) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if q.callers--; q.callers == 0 {
		g.waiting = slices.DeleteFunc(g.waiting, func(w *question[K, A]) bool { return w == q })
	}
}

// lead makes a request for a question and for others that wait, and tells whether the question was answered. If not,
// no request was made, or it ended with ctx, and the error is this caller's alone.
func (g *Gathering[K, A]) lead(ctx context.Context, q *question[K, A], fetch Fetch[K, A]) (bool, error) {
	defer func() { <-g.turn }()
	select {
	case <-q.done:
		return true, nil
	default:
	}
	if err := g.gather(ctx); err != nil {
		return false, err
	}
	var taken []*question[K, A]
	answers, err := fetch(ctx, func(most int) []K {
		taken = g.takeOut(q, most)
		keys := make([]K, len(taken))
		for i, t := range taken {
			keys[i] = t.key
		}
		return keys
	})
	if len(taken) == 0 {
		return false, err
	}
	if err != nil && ctx.Err() != nil {
		g.putBack(taken)
		return false, err
	}
	for _, t := range taken {
		t.answer, t.err = answers[t.key], err
		close(t.done)
	}
	return true, nil
}

// takeOut takes a question and those that wait longest out of the queue.
func (g *Gathering[K, A]) takeOut(first *question[K, A], most int) []*question[K, A] {
	g.mu.Lock()
	defer g.mu.Unlock()
	taken := []*question[K, A]{first}
	g.waiting = slices.DeleteFunc(g.waiting, func(q *question[K, A]) bool {
		if q == first {
			return true
		}
		if len(taken) < most {
			taken = append(taken, q)
			return true
		}
		return false
	})
	g.several = len(taken) > 1
	return taken
}

// putBack lets questions wait again, apart from those that nobody asks any more.
func (g *Gathering[K, A]) putBack(taken []*question[K, A]) {
	g.mu.Lock()
	defer g.mu.Unlock()
	taken = slices.DeleteFunc(taken, func(q *question[K, A]) bool { return q.callers == 0 })
	g.waiting = append(taken, g.waiting...)
}
