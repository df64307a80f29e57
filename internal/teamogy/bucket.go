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
	// First is for the few requests each of which brings many issued invoices on: behind the numbers of all that are
	// written back, each would wait for seconds, and together for as long as the others take.
	First Priority = iota + 1
	// High is for writing KSeF numbers and states back.
	High
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
	if p, ok := ctx.Value(priorityKey{}).(Priority); ok && p >= First && p <= Low {
		return p
	}
	return Normal
}

// Bucket keeps the calls of this process to one Teamogy host within its requests per minute. It is safe for
// concurrent use, and all clients of a host must share one: Teamogy counts per subdomain and rejects what is over.
//
// It is a token bucket of a tenth of the quota, which spreads the calls over the minute. Beside it stands a record of the
// last minute in which a call counts from its grant until a minute after its answer. So no window of a minute, wherever
// it begins and however long requests travel, holds more than the quota at the server: the burst is within the quota,
// not on top of it.
//
// The waiting call with the highest priority goes first. Those of one priority go by turns among their owners (the
// clients of a host, one for each connection), and those of one owner in their order: who has thousands of calls to make
// delays another owner's single call by a turn of each owner and no more. Low and Normal calls also leave some of the
// burst untouched, so that a more urgent call finds a token at once.
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
	rounds       map[ownedPriority]uint64 // the latest round that an owner has a call in
	round        map[Priority]uint64      // the round of the call that went last
	appointed    map[any]time.Time        // when the last caller of an owner was told to come again
	timer        *time.Timer
}

// ownedPriority is an owner's place among the calls of one priority.
type ownedPriority struct {
	owner    any
	priority Priority
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
		rounds:    map[ownedPriority]uint64{},
		round:     map[Priority]uint64{},
		appointed: map[any]time.Time{},
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
	g, err := b.acquire(ctx, p, nil)
	if err != nil {
		return err
	}
	g.answered()
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

// perWindow is how many tokens a window refills: all of the quota, which the record of the last minute keeps.
func (b *Bucket) perWindow() float64 { return float64(b.perMinute) }

// kept is how much of the burst, and of the minute, calls of the priority leave to more urgent ones.
func (b *Bucket) kept(p Priority) int {
	switch p {
	case First, High:
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

// grant is the right to make one request. It must be ended by one of its methods.
type grant struct{ bucket *Bucket }

// answered ends it after the request, once its answer is here.
func (g *grant) answered() { g.bucket.answer() }

// unused ends it without a request.
func (g *grant) unused() {
	g.bucket.mu.Lock()
	defer g.bucket.mu.Unlock()
	g.bucket.takeBack()
}

// takeBack gives a token back that was never used.
func (b *Bucket) takeBack() {
	b.inFlight--
	b.tokens = min(b.burst, b.tokens+1)
	b.pump()
}

// acquire is Wait for a call of an owner whose end is known.
func (b *Bucket) acquire(ctx context.Context, p Priority, owner any) (*grant, error) {
	if err := ctx.Err(); err != nil {
		return nil, waitCancelled(err)
	}
	b.mu.Lock()
	now := b.now()
	b.advance(now)
	limit := waitingLimit(ctx, now)
	if foreseen := b.waitFor(now, p, b.queue.ahead(p, b.nextRound(p, owner))); foreseen > limit {
		foreseen = b.appoint(now, owner, foreseen)
		b.mu.Unlock()
		return nil, quotaLocal(foreseen)
	}
	w := b.enqueue(p, owner)
	b.pump()
	b.mu.Unlock()

	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-w.ready:
		return &grant{b}, nil
	case <-timer.C:
	case <-ctx.Done():
	}

	b.mu.Lock()
	defer b.mu.Unlock()
	cancelled := ctx.Err()
	switch {
	case w.granted() && cancelled == nil:
		return &grant{b}, nil
	case w.granted():
		b.takeBack()
	default:
		heap.Remove(&b.queue, w.index)
	}
	if cancelled != nil && !errors.Is(cancelled, context.DeadlineExceeded) {
		return nil, waitCancelled(cancelled)
	}
	now = b.now()
	b.advance(now)
	return nil, quotaLocal(max(time.Millisecond, b.waitFor(now, p, b.queue.ahead(p, w.round))))
}

// foreseen is how long a call of an owner would wait.
func (b *Bucket) foreseen(p Priority, owner any) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.now()
	b.advance(now)
	return b.waitFor(now, p, b.queue.ahead(p, b.nextRound(p, owner)))
}

// appoint tells a call that is refused at once when to come again. Of one owner's calls each is told a later time, as
// fast as the bucket refills: hundreds that come again at the same moment would be refused again. What would be more
// than two minutes ahead begins anew, since those before may not come.
func (b *Bucket) appoint(now time.Time, owner any, foreseen time.Duration) time.Duration {
	next := now.Add(foreseen)
	if after := b.appointed[owner].Add(time.Duration(float64(b.window) / b.perWindow())); after.After(next) && after.Sub(now) <= 2*b.window {
		next = after
	}
	for o, at := range b.appointed {
		if at.Before(now) {
			delete(b.appointed, o)
		}
	}
	b.appointed[owner] = next
	return next.Sub(now)
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

// nextRound is the round that an owner's next call goes in: the present one, or the one after its latest.
func (b *Bucket) nextRound(p Priority, owner any) uint64 {
	if latest, waits := b.rounds[ownedPriority{owner, p}]; waits {
		return max(b.round[p], latest+1)
	}
	return b.round[p]
}

func (b *Bucket) enqueue(p Priority, owner any) *waiter {
	if len(b.queue) == 0 {
		clear(b.rounds)
	}
	b.arrivals++
	w := &waiter{priority: p, round: b.nextRound(p, owner), arrival: b.arrivals, ready: make(chan struct{})}
	b.rounds[ownedPriority{owner, p}] = w.round
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
		b.round[w.priority] = w.round
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
	round    uint64
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

// waiters is a heap: the most urgent first, then those of the earliest round, then the earliest.
type waiters []*waiter

// ahead counts the calls that go before one that comes now.
func (q waiters) ahead(p Priority, round uint64) int {
	n := 0
	for _, w := range q {
		if w.priority < p || w.priority == p && w.round <= round {
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
	if q[i].round != q[j].round {
		return q[i].round < q[j].round
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
