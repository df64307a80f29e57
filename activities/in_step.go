package activities

import (
	"context"
	"time"

	"teamogy-ksef/internal/connection"
	"teamogy-ksef/internal/flow"
	"teamogy-ksef/internal/teamogy"
)

const (
	// stepShare is which part of Teamogy's quota workflows are let go on with: a
	// twentieth is left to what comes meanwhile.
	stepShare = 0.95
	// stepBurst is how many may go on at once after the first one.
	stepBurst = 5
	// longestQueue is how long a call may have to wait for its turn at Teamogy's
	// quota for the next workflow to be let go on, in real time: a call waits 20 s
	// at most and is tried again then.
	longestQueue = 8 * time.Second
	// queueOfImports is the same for imports, of which each waits twice: the more wait,
	// the more share a look for documents that exist.
	queueOfImports = 16 * time.Second
	// importsAtOnce is how many times faster than this worker's quota imports may be
	// started while its queue is short: other workers have parts of Teamogy's quota, too.
	importsAtOnce = 4
	// longestStep is the longest for each answer that is delivered in step, in real
	// time: two thousand take 40 minutes at most, before those that wait for them
	// hand over again (flow of Transmit).
	longestStep = 1200 * time.Millisecond
	// blockedQueue is a queue that nobody made who waits: Teamogy has asked for a
	// pause. What goes on then is told once when to come again.
	blockedQueue = 2 * time.Minute
	// foreseenFor is how far ahead Teamogy's client is told whose turn comes, on the
	// connection's clock: what it reads of a document before is older by so much.
	foreseenFor = 25 * time.Second
	// mostForeseen is how many that are at most: the client forgets more.
	mostForeseen = 50
	// stepLook is the pause before the queue is looked at again.
	stepLook = 200 * time.Millisecond
)

// inStep lets workflows go on to their next request to Teamogy no faster than its
// quota takes them. Thousands that wait for their turn would ask for it again and
// again: each time costs Temporal an attempt, and brings nobody forward.
type inStep struct {
	base     *base
	client   TeamogyClient // nil: there is no pace to keep
	priority teamogy.Priority
	request  time.Duration // what one takes of the quota
	every    time.Duration
	foreseen int // how many go on within foreseenFor
	queue    time.Duration
	looks    bool // those that wait to look for a KSeF number count as if in the queue: a request follows each
	next     time.Time
	ends     time.Time
	// passBlocked lets workflows go on while Teamogy is blocked for long: they are
	// done with KSeF, and others may wait for their place.
	passBlocked bool
}

// keepStep begins to keep step with a connection's Teamogy for a while.
func (b *base) keepStep(client TeamogyClient, c *connection.Connection, priority teamogy.Priority, longest time.Duration) *inStep {
	s := &inStep{base: b, queue: longestQueue, ends: b.Now().Add(longest)}
	if client != nil && c != nil && c.TeamogyRequestsPerMinute > 0 {
		s.client, s.priority = client, priority
		s.request = flow.Scaled(time.Minute/time.Duration(c.TeamogyRequestsPerMinute), c.TimeScale)
		s.every = flow.Scaled(time.Duration(float64(time.Minute)/stepShare/float64(c.TeamogyRequestsPerMinute)), c.TimeScale)
		s.foreseen = min(mostForeseen, int(foreseenFor.Minutes()*stepShare*float64(c.TeamogyRequestsPerMinute)))
	}
	return s
}

// keepStepOfImports is keepStep for imports, whose requests come after all others.
func (b *base) keepStepOfImports(client TeamogyClient, c *connection.Connection) *inStep {
	s := b.keepStep(client, c, teamogy.Low, longestStarting)
	s.queue, s.looks = queueOfImports, true
	s.every /= importsAtOnce
	return s
}

// wait waits until the next workflow may go on. It tells whether that has come
// within the time.
func (s *inStep) wait(ctx context.Context) (inTime bool, err error) {
	if s == nil || s.client == nil {
		return true, nil
	}
	for {
		now := s.base.Now()
		if !now.Before(s.ends) {
			return false, nil
		}
		wait := s.next.Sub(now)
		queue := s.client.Queue(s.priority)
		if s.looks {
			queue += time.Duration(s.client.LooksWaiting()) * s.request
		}
		if s.passBlocked && queue > blockedQueue {
			return true, nil
		}
		if queue > s.queue {
			wait = max(wait, stepLook)
		}
		if wait <= 0 {
			earliest := now.Add(-stepBurst * s.every)
			if s.next.Before(earliest) {
				s.next = earliest
			}
			s.next = s.next.Add(s.every)
			return true, nil
		}
		if err := s.base.pause(ctx, min(wait, s.ends.Sub(now))); err != nil {
			return false, err
		}
	}
}

// foresee tells Teamogy's client whose numbers will be written soon, before the
// i-th of some invoices goes on.
func (s *inStep) foresee(items []flow.HandOver, i int) {
	if s.client == nil {
		return
	}
	from := i + s.foreseen
	if i == 0 {
		from = 0 // the first ones all at once, later those that come into sight
	}
	var ids []int64
	for _, item := range items[min(from, len(items)):min(i+s.foreseen+1, len(items))] {
		ids = append(ids, item.DocumentID)
	}
	s.client.Foresee(ids...)
}
