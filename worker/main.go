// Command worker is the process that does the work: it serves the workflows
// and activities of every connection from one Temporal task queue.
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"
	_ "time/tzdata" // KSeF reckons in Polish days, also in an image without zone files

	"github.com/google/uuid"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/contrib/envconfig"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/worker"

	"teamogy-ksef/activities"
	"teamogy-ksef/internal/archive"
	"teamogy-ksef/internal/config"
	"teamogy-ksef/internal/connection"
	"teamogy-ksef/internal/flow"
	"teamogy-ksef/internal/sessionkey"
	"teamogy-ksef/workflows"
)

// stopTimeout is how long activities may go on when the worker is asked to
// stop; what is longer is taken up by another worker after its heartbeat.
const stopTimeout = 10 * time.Second

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "worker:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	settings, err := config.Load()
	if err != nil {
		return err
	}
	logger, err := config.NewLogger(settings, os.Stderr)
	if err != nil {
		return err
	}
	slog.SetDefault(logger)

	kept, err := archive.Open(ctx, settings.ArchiveURL)
	if err != nil {
		return fmt.Errorf("ARCHIVE_URL: %w", err)
	}
	defer func() { _ = kept.Close() }()
	if err := kept.Check(ctx); err != nil {
		return fmt.Errorf("ARCHIVE_URL: %w", err)
	}
	secret, err := sessionkey.LoadOrCreateSecret(settings.SessionSecretFile)
	if err != nil {
		return fmt.Errorf("SESSION_SECRET_FILE: %w", err)
	}
	if err := activities.CheckTemporaryFolder(); err != nil {
		return err
	}
	identity := identify()
	logger = logger.With("worker", identity)
	temporalClient, err := dial(ctx, identity, logger)
	if err != nil {
		return err
	}
	defer temporalClient.Close()

	w := worker.New(temporalClient, settings.TaskQueue, worker.Options{
		// With simple pollers workflow tasks of long-running workflows were seen
		// to stall for 15 to 30 s.
		WorkflowTaskPollerBehavior: worker.NewPollerBehaviorAutoscaling(worker.PollerBehaviorAutoscalingOptions{}),
		WorkerStopTimeout:          stopTimeout,
		// Activities mostly wait, for Teamogy's and KSeF's quotas and answers.
		MaxConcurrentActivityExecutionSize: activities.Slots,
		// Of the 15 s after which a worker is taken for dead the SDK would let 12 pass
		// between two beats, which a busy server misses now and then.
		MaxHeartbeatThrottleInterval: 5 * time.Second,
		Interceptors:                 []interceptor.WorkerInterceptor{&activities.Shares{}, &activities.Heartbeats{}},
	})
	workflows.Register(w)
	store := connection.NewStore(settings.ConnectionsDir, logger, activities.CheckSettings(time.Now))
	activities.Register(w, activities.Dependencies{
		Connections: activities.NewClients(store, kept, time.Now, logger),
		Archive:     kept, Secret: secret, Now: time.Now, Logger: logger,
	})
	if err := w.Start(); err != nil {
		return fmt.Errorf("start the worker: %w", err)
	}
	logger.Info("the worker serves", "taskQueue", settings.TaskQueue, "connectionsDir", settings.ConnectionsDir)
	<-ctx.Done()
	logger.Info("the worker stops")
	w.Stop()
	return nil
}

// identify names this process among the workers, in Temporal's histories and
// in the logs. A process ID would not do: in containers every worker has the
// same one.
func identify() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown-host"
	}
	return host + "/" + uuid.NewString()[:8]
}

// dial connects to Temporal by the TEMPORAL_* variables, the same that the
// Temporal CLI reads, and keeps trying: a worker that starts before the server
// is normal. It checks that the search attributes are there.
func dial(ctx context.Context, identity string, logger *slog.Logger) (client.Client, error) {
	options, err := envconfig.LoadDefaultClientOptions()
	if err != nil {
		return nil, fmt.Errorf("TEMPORAL_* settings: %w", err)
	}
	options.Namespace = cmp.Or(options.Namespace, client.DefaultNamespace)
	options.HostPort = cmp.Or(options.HostPort, client.DefaultHostPort)
	options.Identity = identity
	options.Logger = log.NewStructuredLogger(logger)
	for wait := time.Second; ; wait = min(2*wait, 30*time.Second) {
		c, err := client.DialContext(ctx, options)
		if err == nil {
			if err = flow.CheckSearchAttributes(ctx, c, options.Namespace); err == nil {
				return c, nil
			}
			c.Close()
		}
		if errors.Is(ctx.Err(), context.Canceled) {
			return nil, ctx.Err()
		}
		logger.Error("not ready yet; trying again", "address", options.HostPort, "namespace", options.Namespace, "in", wait, "error", err)
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(wait):
		}
	}
}
