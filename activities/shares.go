package activities

import (
	"context"
	"fmt"
	"math/rand/v2"
	"reflect"
	"sync"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/interceptor"

	"teamogy-ksef/internal/flow"
)

// Slots is how many activities a worker runs at once
// (worker.Options.MaxConcurrentActivityExecutionSize).
const Slots = 1000

// Shares keeps one connection from taking all of a worker's slots: if its
// Teamogy or KSeF is slow, thousands of its invoices would hold them all, and
// nobody else's single invoice would get on. Who is over its share comes again a
// little later, without having taken a slot meanwhile. Activities that do
// nothing but wait for KSeF have a share of all slots together, so that
// hundreds of connections whose sessions KSeF keeps for hours do not stop
// everything else.
type Shares struct {
	interceptor.WorkerInterceptorBase

	slots int // 0: Slots
	now   func() time.Time

	mu    sync.Mutex
	taken map[string]int       // by connection, or waits
	turn  map[string]time.Time // when the last one that was refused was told to come again
}

// waitsForKSeF are the activities that hold a slot while KSeF works:
// CollectExport for as long as it takes, AwaitSession for a minute or so.
var waitsForKSeF = map[string]bool{"AwaitSession": true, "CollectExport": true}

const (
	// waits is the name under which those are counted; no connection has it.
	waits = "/waits"
	// firstTurn is the least delay of one that is over its share.
	firstTurn = time.Second
	// turnApart is between two that come again, so that thousands do not ask
	// Temporal again and again.
	turnApart = 50 * time.Millisecond
	// longestTurn bounds the delay: those before may not come.
	longestTurn = 2 * time.Minute
)

// share is how many slots may be taken under a name.
func (s *Shares) share(name string) int {
	slots := s.slots
	if slots == 0 {
		slots = Slots
	}
	if name == waits {
		return max(1, slots/2)
	}
	return max(1, slots/5)
}

// InterceptActivity implements interceptor.WorkerInterceptor.
func (s *Shares) InterceptActivity(_ context.Context, next interceptor.ActivityInboundInterceptor) interceptor.ActivityInboundInterceptor {
	i := &sharedActivity{shares: s}
	i.Next = next
	return i
}

type sharedActivity struct {
	interceptor.ActivityInboundInterceptorBase
	shares *Shares
}

// ExecuteActivity implements interceptor.ActivityInboundInterceptor.
func (i *sharedActivity) ExecuteActivity(ctx context.Context, in *interceptor.ExecuteActivityInput) (any, error) {
	name := connectionOf(in.Args)
	if waitsForKSeF[activity.GetInfo(ctx).ActivityType.Name] {
		name = waits
	}
	if name == "" {
		return i.Next.ExecuteActivity(ctx, in)
	}
	if after, free := i.shares.take(name); !free {
		noteGate(ctx) // an attempt that did nothing counts for nothing
		return nil, asFailure(ctx, &problem{
			Type: flow.ErrWorkerBusy, gate: true, After: after,
			Text: fmt.Sprintf("this worker has %d steps of the same kind or connection under way and leaves the rest of its slots to others", i.shares.share(name)),
		}, attemptOf(ctx), 1)
	}
	defer i.shares.leave(name)
	return i.Next.ExecuteActivity(ctx, in)
}

// take takes a slot, or tells after what time to come again.
func (s *Shares) take(name string) (after time.Duration, free bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.taken == nil {
		s.taken, s.turn = map[string]int{}, map[string]time.Time{}
	}
	if s.taken[name] < s.share(name) {
		s.taken[name]++
		return 0, true
	}
	now := time.Now()
	if s.now != nil {
		now = s.now()
	}
	turn := now.Add(firstTurn + rand.N(firstTurn))
	if next := s.turn[name].Add(turnApart); next.After(turn) && next.Sub(now) <= longestTurn {
		turn = next
	}
	s.turn[name] = turn
	return turn.Sub(now), false
}

func (s *Shares) leave(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.taken[name]--; s.taken[name] <= 0 {
		delete(s.taken, name)
		delete(s.turn, name)
	}
}

// connectionOf is the connection that an activity's input names.
func connectionOf(args []any) string {
	if len(args) == 0 {
		return ""
	}
	value := reflect.Indirect(reflect.ValueOf(args[0]))
	if value.Kind() != reflect.Struct {
		return ""
	}
	if field := value.FieldByName("Connection"); field.IsValid() && field.Kind() == reflect.String {
		return field.String()
	}
	return ""
}
