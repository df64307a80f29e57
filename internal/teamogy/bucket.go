package teamogy

import (
	"container/heap"
	"context"
	"errors"
	"math"
	"sync"
	"time"
)

// DefaultRequestsPerMinute is the quota of the vendor's own client; the real one of a tenant is not documented.
const DefaultRequestsPerMinute = 60

const (
	// patience is the longest that a call waits for its turn, whatever its context allows.
	patience = 20 * time.Second
	// reserveForCall is kept of a deadline for the request itself: a POST cut off half way would have to be looked for.
	reserveForCall = 5 * time.Second
	// longestBlock bounds what a server may ask for with Retry-After.
	longestBlock = time.Hour
)

// Priority orders the calls that wait for the same bucket.
type Priority int

// The priorities. A KSeF number that is not written back is missed by people; an import can wait.
const (
	// High is for writing KSeF numbers and states back.
	High Priority = iota + 1
	// Normal is for everything else.
	Normal
	// Low is for imports.
	Low
)

type priorityKey struct{}

// WithPriority gives every call made with the returned context the priority. Without it, patching a sales invoice is
// High, finding and creating purchase invoices and companies is Low, and the rest is Normal.
func WithPriority(ctx context.Context, p Priority) context.Context {
	return context.WithValue(ctx, priorityKey{}, p)
}

// orPriority gives ctx the priority unless the caller chose one.
func orPriority(ctx context.Context, p Priority) context.Context {
	if _, chosen := ctx.Value(priorityKey{}).(Priority); chosen {
		return ctx
	}
	return WithPriority(ctx, p)
}

func priorityOf(ctx context.Context) Priority {
	if p, ok := ctx.Value(priorityKey{}).(Priority); ok && p >= High && p <= Low {
		return p
	}
	return Normal
}

// Bucket keeps the calls of this process to one Teamogy host within its requests per minute. It is safe for
// concurrent use, and all clients of a host must share one: Teamogy counts per subdomain and rejects what is over.
//
// It is a token bucket of a tenth of the quota, refilled so that burst and refill together make the quota. Beside it
// stands a record of the last minute in which a call counts from its grant until a minute after its answer. So no
// window of a minute, wherever it begins and however long requests travel, holds more than the quota at the server:
// the burst is within the quota, not on top of it.
//
// The waiting call with the highest priority goes first, calls of one priority in their order. Low and Normal calls
// also leave some of the burst untouched, so that a High call finds a token at once.
type Bucket struct {
	now func() time.Time
	arm func(time.Duration)

	mu           sync.Mutex
	perMinute    int
	window       time.Duration // a minute divided by the time scale
	burst        float64
	tokens       float64
	filled       time.Time   // tokens are as of this time; in the future while blocked
	answered     []time.Time // ends of calls within the last window, ascending
	inFlight     int
	blockedUntil time.Time
	queue        waiters
	arrivals     uint64
	timer        *time.Timer
}

// NewBucket makes a full bucket for perMinute requests a minute; 0 or less means DefaultRequestsPerMinute. A nil now
// means time.Now.
func NewBucket(perMinute int, now func() time.Time) *Bucket {
	return NewScaledBucket(perMinute, 1, now)
}

// NewScaledBucket is NewBucket with a minute that lasts 60 s divided by timeScale; 0 means 1.
func NewScaledBucket(perMinute int, timeScale float64, now func() time.Time) *Bucket {
	if perMinute <= 0 {
		perMinute = DefaultRequestsPerMinute
	}
	if now == nil {
		now = time.Now
	}
	b := &Bucket{
		now:       now,
		perMinute: perMinute,
		window:    scaled(time.Minute, timeScale),
		burst:     float64(max(1, perMinute/10)),
		filled:    now(),
	}
	b.tokens = b.burst
	b.arm = b.wakeIn
	return b
}

// scaled divides d by the time scale; 0 and negative scales mean 1.
func scaled(d time.Duration, timeScale float64) time.Duration {
	if timeScale <= 0 {
		return d
	}
	return max(1, time.Duration(float64(d)/timeScale))
}

// Wait returns when a request may be made now. It fails with an *Error of Kind QuotaLocal, at once if that can be
// foreseen, when the call would have to wait longer than 20 s or than its context's deadline allows (of which it
// leaves up to 5 s for the request itself), and of Kind Network when ctx is cancelled.
func (b *Bucket) Wait(ctx context.Context, p Priority) error {
	done, err := b.acquire(ctx, p)
	if err != nil {
		return err
	}
	done()
	return nil
}

// Block lets nobody through for d, at most an hour: the server said so.
func (b *Bucket) Block(d time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.now()
	until := now.Add(min(d, longestBlock))
	if !until.After(now) || !until.After(b.blockedUntil) {
		return
	}
	b.blockedUntil = until
	b.tokens = 0
	b.filled = until
	b.pump()
}

// perWindow is how many tokens a window refills.
func (b *Bucket) perWindow() float64 {
	if b.perMinute == 1 {
		return 1 // the record of the last minute alone keeps the quota
	}
	return float64(b.perMinute) - b.burst
}

// kept is how much of the burst, and of the minute, calls of the priority leave to more urgent ones.
func (b *Bucket) kept(p Priority) int {
	switch p {
	case High:
		return 0
	case Low:
		return int(b.burst / 3)
	}
	return int(b.burst / 6)
}

// advance brings tokens and record to now.
func (b *Bucket) advance(now time.Time) {
	if passed := now.Sub(b.filled); passed > 0 {
		b.tokens = min(b.burst, b.tokens+b.perWindow()*float64(passed)/float64(b.window))
		b.filled = now
	}
	expired := 0
	for expired < len(b.answered) && !b.answered[expired].Add(b.window).After(now) {
		expired++
	}
	b.answered = b.answered[expired:]
}

// waitFor says how long a call of the priority with so many calls ahead of it will wait; 0 means it may go now.
// Longer than that it can only take when more urgent calls come.
func (b *Bucket) waitFor(now time.Time, p Priority, ahead int) time.Duration {
	wait := max(0, b.blockedUntil.Sub(now))
	if missing := float64(1+ahead+b.kept(p)) - b.tokens; missing > 1e-9 {
		refill := time.Duration(math.Ceil(missing * float64(b.window) / b.perWindow()))
		wait = max(wait, refill+max(0, b.filled.Sub(now)))
	}
	if over := len(b.answered) + b.inFlight + 1 + ahead + b.kept(p) - b.perMinute; over > 0 {
		if over <= len(b.answered) {
			wait = max(wait, b.answered[over-1].Add(b.window).Sub(now))
		} else {
			wait = max(wait, b.window) // hangs on answers that are still out; they wake the queue
		}
	}
	return wait
}

// acquire is Wait for a call whose end is known: done must be called once it has its answer.
func (b *Bucket) acquire(ctx context.Context, p Priority) (done func(), err error) {
	if err := ctx.Err(); err != nil {
		return nil, waitCancelled(err)
	}
	b.mu.Lock()
	now := b.now()
	b.advance(now)
	limit := waitingLimit(ctx, now)
	if foreseen := b.waitFor(now, p, b.queue.ahead(p)); foreseen > limit {
		b.mu.Unlock()
		return nil, quotaLocal(foreseen)
	}
	w := b.enqueue(p)
	b.pump()
	b.mu.Unlock()

	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-w.ready:
		return b.answer, nil
	case <-timer.C:
	case <-ctx.Done():
	}

	b.mu.Lock()
	defer b.mu.Unlock()
	cancelled := ctx.Err()
	switch {
	case w.granted() && cancelled == nil:
		return b.answer, nil
	case w.granted():
		b.inFlight-- // never used
		b.tokens = min(b.burst, b.tokens+1)
		b.pump()
	default:
		heap.Remove(&b.queue, w.index)
	}
	if cancelled != nil && !errors.Is(cancelled, context.DeadlineExceeded) {
		return nil, waitCancelled(cancelled)
	}
	now = b.now()
	b.advance(now)
	return nil, quotaLocal(max(time.Millisecond, b.waitFor(now, p, b.queue.ahead(p))))
}

// waitingLimit is how long a call with this context may wait for its turn.
func waitingLimit(ctx context.Context, now time.Time) time.Duration {
	limit := patience
	if deadline, ok := ctx.Deadline(); ok {
		left := deadline.Sub(now)
		limit = min(limit, left-min(reserveForCall, left/2))
	}
	return max(0, limit)
}

// answer records the end of a call.
func (b *Bucket) answer() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.inFlight--
	b.answered = append(b.answered, b.now())
	b.pump()
}

func (b *Bucket) enqueue(p Priority) *waiter {
	b.arrivals++
	w := &waiter{priority: p, arrival: b.arrivals, ready: make(chan struct{})}
	heap.Push(&b.queue, w)
	return w
}

// pump lets go who may go, and sees to it that it is called again when the next one may.
func (b *Bucket) pump() {
	now := b.now()
	b.advance(now)
	for len(b.queue) > 0 {
		if wait := b.waitFor(now, b.queue[0].priority, 0); wait > 0 {
			b.arm(wait)
			return
		}
		w := heap.Pop(&b.queue).(*waiter)
		b.tokens--
		b.inFlight++
		close(w.ready)
	}
}

func (b *Bucket) wakeIn(d time.Duration) {
	if b.timer != nil {
		b.timer.Reset(d)
		return
	}
	b.timer = time.AfterFunc(d, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.pump()
	})
}

func quotaLocal(wait time.Duration) *Error {
	return &Error{Operation: "wait for a turn within the request quota", Kind: QuotaLocal, RetryAfter: wait}
}

func waitCancelled(cause error) *Error {
	return &Error{
		Operation: "wait for a turn within the request quota", Kind: Network,
		Detail: "given up before a request was made", cause: cause, unsent: true,
	}
}

// waiter is a call in the queue.
type waiter struct {
	priority Priority
	arrival  uint64
	index    int
	ready    chan struct{} // closed when granted
}

func (w *waiter) granted() bool {
	select {
	case <-w.ready:
		return true
	default:
		return false
	}
}

// waiters is a heap: the most urgent first, then the earliest.
type waiters []*waiter

func (q waiters) ahead(p Priority) int {
	n := 0
	for _, w := range q {
		if w.priority <= p {
			n++
		}
	}
	return n
}

// Len is part of heap.Interface.
func (q waiters) Len() int { return len(q) }

// Less is part of heap.Interface.
func (q waiters) Less(i, j int) bool {
	if q[i].priority != q[j].priority {
		return q[i].priority < q[j].priority
	}
	return q[i].arrival < q[j].arrival
}

// Swap is part of heap.Interface.
func (q waiters) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].index, q[j].index = i, j
}

// Push is part of heap.Interface.
func (q *waiters) Push(x any) {
	w := x.(*waiter)
	w.index = len(*q)
	*q = append(*q, w)
}

// Pop is part of heap.Interface.
func (q *waiters) Pop() any {
	old := *q
	w := old[len(old)-1]
	*q = old[:len(old)-1]
	return w
}
