package integration

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	enums "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"teamogy-ksef/internal/flow"
)

// throughputRounds are made in turn, each kind of work once a round; the
// median is reported.
const throughputRounds = 3

// How many activities an invoice's workflow has.
const (
	stepsOfImport = 3
	stepsOfSend   = 5
)

// All quotas lifted: invoices a second in both directions, beside workflows a
// second that have as many activities which do nothing, on the same Temporal
// server and in the same run. Temporal, its SQLite in memory, the worker and both
// simulators share the machine's processors, so production has more to give.
func BenchmarkThroughput(b *testing.B) {
	n := number(b, "BENCH_INVOICES", 500)
	for b.Loop() {
		server := newMemoryServer(b)
		var rounds []throughput
		for range throughputRounds {
			rounds = append(rounds, throughput{
				emptyImports: emptyWorkflows(b, server, n, stepsOfImport),
				received:     throughputOf(b, server, n, received),
				emptySends:   emptyWorkflows(b, server, n, stepsOfSend),
				sent:         throughputOf(b, server, n, sent),
			})
		}
		median := func(of func(throughput) float64) float64 {
			var values []float64
			for _, r := range rounds {
				values = append(values, of(r))
			}
			slices.Sort(values)
			return values[len(values)/2]
		}
		for _, d := range []struct {
			name  string
			work  func(throughput) spent
			empty func(throughput) spent
		}{
			{"receive", func(t throughput) spent { return t.received }, func(t throughput) spent { return t.emptyImports }},
			{"send", func(t throughput) spent { return t.sent }, func(t throughput) spent { return t.emptySends }},
		} {
			name := "throughput_" + d.name
			figure(b, name, median(func(t throughput) float64 { return d.work(t).rate }), "invoices/s")
			figure(b, name+"_of_empty_activities", median(func(t throughput) float64 { return d.empty(t).rate }), "workflows/s")
			figure(b, name+"_ratio", median(func(t throughput) float64 { return d.work(t).rate / d.empty(t).rate }), "times")
			figure(b, name+"_processor_of_worker", median(func(t throughput) float64 { return d.work(t).worker * 1000 }), "ms/invoice")
			figure(b, name+"_processor_of_temporal", median(func(t throughput) float64 { return d.work(t).temporal * 1000 }), "ms/invoice")
			figure(b, name+"_processor_of_temporal_for_empty_activities", median(func(t throughput) float64 { return d.empty(t).temporal * 1000 }), "ms/workflow")
			figure(b, name+"_processor_of_simulators", median(func(t throughput) float64 { return d.work(t).simulators * 1000 }), "ms/invoice")
		}
		b.ReportMetric(0, "ns/op")
	}
}

// throughput is one round.
type throughput struct{ received, sent, emptyImports, emptySends spent }

// spent is how many invoices passed a second, and what each took of the
// processors, in seconds.
type spent struct{ rate, worker, temporal, simulators float64 }

// throughputOf has n invoices pass in one direction.
func throughputOf(b *testing.B, server *ownServer, n int, d direction) spent {
	b.Helper()
	l := newLoad(b, lifted(server, d))
	work := flow.ImportInvoice
	if d == sent {
		work = flow.SendInvoice
		l.fillTeamogy(n)
	} else {
		l.fillKSeF(n, nil)
	}
	before := [2]float64{processorTime(b, server.running.PID()), processorTime(b, os.Getpid())}
	l.begin(d)
	elapsed := l.finished(n, work)
	out := spent{
		rate: float64(n) / elapsed.Seconds(), worker: processorTime(b, l.worker.process.Pid) / float64(n),
		temporal:   (processorTime(b, server.running.PID()) - before[0]) / float64(n),
		simulators: (processorTime(b, os.Getpid()) - before[1]) / float64(n),
	}
	l.end()
	return out
}

// emptyWorkflows runs n workflows of some activities, one after the other, that
// do nothing: started as invoices are, by an activity. Their worker has the
// product's options.
func emptyWorkflows(b *testing.B, server *ownServer, n, activities int) spent {
	b.Helper()
	c, err := client.Dial(client.Options{HostPort: server.address, Logger: log.NewStructuredLogger(slog.New(slog.DiscardHandler))})
	require.NoError(b, err)
	defer c.Close()
	name := fmt.Sprintf("Empty%d-%s", activities, random())
	w := worker.New(c, name, worker.Options{
		WorkflowTaskPollerBehavior: worker.NewPollerBehaviorAutoscaling(worker.PollerBehaviorAutoscalingOptions{}),
	})
	w.RegisterActivityWithOptions(func(context.Context) error { return nil }, activity.RegisterOptions{Name: "Nothing"})
	w.RegisterActivityWithOptions(func(ctx context.Context) error {
		for i := range n {
			_, err := activity.GetClient(ctx).ExecuteWorkflow(ctx, client.StartWorkflowOptions{
				ID: fmt.Sprintf("%s/%d", name, i), TaskQueue: name, WorkflowIDConflictPolicy: enums.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING,
			}, name)
			if err != nil {
				return err
			}
		}
		return nil
	}, activity.RegisterOptions{Name: "StartAll"})
	options := workflow.ActivityOptions{StartToCloseTimeout: 10 * time.Minute, RetryPolicy: &temporal.RetryPolicy{MaximumAttempts: 3}}
	w.RegisterWorkflowWithOptions(func(ctx workflow.Context) error {
		ctx = workflow.WithActivityOptions(ctx, options)
		for range activities {
			if err := workflow.ExecuteActivity(ctx, "Nothing").Get(ctx, nil); err != nil {
				return err
			}
		}
		return nil
	}, workflow.RegisterOptions{Name: name})
	w.RegisterWorkflowWithOptions(func(ctx workflow.Context) error {
		return workflow.ExecuteActivity(workflow.WithActivityOptions(ctx, options), "StartAll").Get(ctx, nil)
	}, workflow.RegisterOptions{Name: name + "-starter"})
	require.NoError(b, w.Start())
	defer w.Stop()

	before := processorTime(b, server.running.PID())
	began := time.Now()
	_, err = c.ExecuteWorkflow(context.Background(), client.StartWorkflowOptions{ID: name, TaskQueue: name}, name+"-starter")
	require.NoError(b, err)
	for look := time.NewTicker(250 * time.Millisecond); ; <-look.C {
		answer, err := c.CountWorkflow(context.Background(), &workflowservice.CountWorkflowExecutionsRequest{
			Query: fmt.Sprintf("WorkflowType='%s' AND ExecutionStatus='Completed'", name),
		})
		require.NoError(b, err)
		require.Less(b, time.Since(began), stalled)
		if answer.GetCount() >= int64(n) {
			look.Stop()
			return spent{rate: float64(n) / time.Since(began).Seconds(), temporal: (processorTime(b, server.running.PID()) - before) / float64(n)}
		}
	}
}
