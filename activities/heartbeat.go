package activities

import (
	"context"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/interceptor"
)

// beatEvery is the period of heartbeats. The SDK itself sends at most one in five
// seconds (worker.Options.MaxHeartbeatThrottleInterval).
const beatEvery = 3 * time.Second

// Heartbeats beats for every activity that has a heartbeat time-out, so that
// the server notices a dead worker within seconds, and a worker that was only
// frozen notices that it may have been taken for dead (lease). Transmit has none: it is
// completed from outside.
type Heartbeats struct {
	interceptor.WorkerInterceptorBase
}

// InterceptActivity implements interceptor.WorkerInterceptor.
func (h *Heartbeats) InterceptActivity(_ context.Context, next interceptor.ActivityInboundInterceptor) interceptor.ActivityInboundInterceptor {
	i := &beatingActivity{}
	i.Next = next
	return i
}

type beatingActivity struct {
	interceptor.ActivityInboundInterceptorBase
}

// ExecuteActivity implements interceptor.ActivityInboundInterceptor.
func (i *beatingActivity) ExecuteActivity(ctx context.Context, in *interceptor.ExecuteActivityInput) (any, error) {
	if info := activity.GetInfo(ctx); info.HeartbeatTimeout > 0 {
		var met []any // is kept for the next attempt
		if before := metBefore(ctx); before.MetGate > 0 {
			met = append(met, before)
		}
		var right *lease
		ctx, right = withLease(ctx, time.Now)
		defer right.lost(nil)
		right.asks(info.HeartbeatTimeout, info.StartedTime, func(ctx context.Context) error {
			return activity.GetClient(ctx).RecordActivityHeartbeat(ctx, info.TaskToken, met...)
		})
		done := make(chan struct{})
		defer close(done)
		go func() {
			ticker := time.NewTicker(beatEvery)
			defer ticker.Stop()
			for {
				select {
				case <-done:
					return
				case <-ctx.Done():
					return
				case <-ticker.C:
					if right.beat() != nil {
						return
					}
					activity.RecordHeartbeat(ctx, met...)
				}
			}
		}()
	}
	return i.Next.ExecuteActivity(ctx, in)
}
