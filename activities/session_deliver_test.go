package activities

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/worker"

	"teamogy-ksef/internal/flow"
)

// completing is a Temporal that notes which activities were completed from
// outside.
type completing struct {
	client.Client // nil: nothing else is asked of it

	mu        sync.Mutex
	completed []string
	before    func(workflowID string) // runs before an answer counts
}

func (a *completing) CompleteActivityByID(_ context.Context, _, workflowID, _, _ string, _ any, _ error) error {
	a.before(workflowID)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.completed = append(a.completed, workflowID)
	return nil
}

// outboundWith gives activities a client of Temporal. C is the type of what
// activity.GetClient returns, which has no name outside of the SDK.
type outboundWith[C any] struct {
	interceptor.ActivityOutboundInterceptorBase
	client C
}

func (o *outboundWith[C]) GetClient(context.Context) C { return o.client }

func outboundOf[C any](_ func(context.Context) C, c client.Client, next interceptor.ActivityOutboundInterceptor) interceptor.ActivityOutboundInterceptor {
	o := &outboundWith[C]{client: c.(C)}
	o.Next = next
	return any(o).(interceptor.ActivityOutboundInterceptor)
}

type withClient struct {
	interceptor.WorkerInterceptorBase
	client client.Client
}

func (w *withClient) InterceptActivity(_ context.Context, next interceptor.ActivityInboundInterceptor) interceptor.ActivityInboundInterceptor {
	i := &activityWithClient{client: w.client}
	i.Next = next
	return i
}

type activityWithClient struct {
	interceptor.ActivityInboundInterceptorBase
	client client.Client
}

func (i *activityWithClient) Init(outbound interceptor.ActivityOutboundInterceptor) error {
	return i.Next.Init(outboundOf(activity.GetClient, i.client, outbound))
}

// foreseeing is a Teamogy that notes whose numbers will soon be written.
type foreseeing struct {
	queued
	mu sync.Mutex
}

func (f *foreseeing) Foresee(ids ...int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.queued.Foresee(ids...)
}

func (f *foreseeing) told() []int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.foreseen)
}

// Whoever is answered writes its number to Teamogy next, which reads several
// documents at once if it knows of them in time: each is told once, in the order
// of the answers, and before its own.
func TestDeliverResults_tellsTeamogyWhoseNumbersComeNext(t *testing.T) {
	const documents = 60 // three times as many as are told ahead
	b := testBase(t, nil)
	stopClock(&b)
	teamogy := &foreseeing{}
	teamogy.queue = func() (none time.Duration) { return none }
	connections := b.Connections.(*fakeConnections)
	connections.teamogy, connections.settings.TeamogyRequestsPerMinute, connections.settings.TimeScale = teamogy, 60, 1
	var items []flow.HandOver
	for i := range documents + 1 {
		item := flow.HandOver{WorkflowID: fmt.Sprint(i), RunID: "run1", ActivityID: "17", DocumentID: int64(i), SHA256: fmt.Sprintf("hash %d", i)}
		items = append(items, item)
		require.NoError(t, (&Session{b}).noteAccepted(t.Context(), "acme", item, flow.Transmitted{DocumentID: item.DocumentID, SHA256: item.SHA256, KSeFNumber: "number"}, ""))
	}
	list := func(items []flow.HandOver) flow.ListRef {
		ref, err := b.Archive.PutList(t.Context(), items, len(items))
		require.NoError(t, err)
		return flow.ListRef(ref)
	}
	in := flow.DeliverInput{Connection: "acme", List: list(items[:40]), More: []flow.ListRef{list(items[40:])}}
	var want []int64
	for i := documents; i > 0; i-- { // not the order of the list, and not all of it
		in.Indexes, want = append(in.Indexes, i), append(want, int64(i))
	}
	temporal := &completing{before: func(workflowID string) {
		if told := teamogy.told(); !slices.ContainsFunc(told, func(id int64) bool { return fmt.Sprint(id) == workflowID }) {
			t.Errorf("document %s was answered and not told, after %v", workflowID, told)
		}
	}}
	env := activityEnvironment(t)
	env.SetWorkerOptions(worker.Options{Interceptors: []interceptor.WorkerInterceptor{&withClient{client: temporal}}})
	env.RegisterActivity((&Session{b}).DeliverResults)
	value, err := env.ExecuteActivity((&Session{b}).DeliverResults, in)
	require.NoError(t, err)
	var out flow.Delivered
	require.NoError(t, value.Get(&out))
	require.Equal(t, documents, out.Delivered)
	require.Len(t, temporal.completed, documents)
	require.Equal(t, want, teamogy.told())
}
