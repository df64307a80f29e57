package demo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"go.temporal.io/sdk/client"

	"teamogy-ksef/internal/archive"
	"teamogy-ksef/internal/cli/launch"
	"teamogy-ksef/internal/cli/simulators"
	"teamogy-ksef/internal/devserver"
	"teamogy-ksef/internal/flow"
)

// Run runs the demo until the context ends or, with Once, until every sample
// invoice has reached an end. It ends everything that it started and nothing
// else. The error is ErrMismatch when an invoice did not reach the end that
// the manifest names, ErrInterrupted when the context ended a run with Once,
// and otherwise says why the demo could not run.
func Run(ctx context.Context, o Options) (Result, error) {
	o, err := o.prepared()
	if err != nil {
		return Result{}, err
	}
	d := &demo{o: o, began: time.Now(), display: &locked{d: newDisplay(o.Out)}}
	defer d.display.finish()
	result, err := d.run(ctx)
	return result, errors.Join(err, d.stop(err))
}

// demo is one run.
type demo struct {
	o        Options
	setup    Setup
	began    time.Time
	display  display
	manifest Manifest

	simulators *simulators.Simulators
	server     *devserver.Server
	serverLog  *os.File
	temporal   client.Client
	worker     *worker
	witnesses  witnesses
	temporary  bool // the folder is ours to remove
}

func (d *demo) elapsed() time.Duration { return time.Since(d.began) }

func (d *demo) say(format string, args ...any) {
	d.display.say(d.elapsed(), fmt.Sprintf(format, args...))
}

// run starts one thing after the other and watches.
func (d *demo) run(ctx context.Context) (Result, error) {
	for _, step := range []func(context.Context) error{
		d.prepare, d.fillSimulators, d.startTemporal, d.startWorker, d.startWorkflows,
	} {
		if err := step(ctx); err != nil {
			if ctx.Err() != nil {
				err = ErrInterrupted
			}
			return Result{Setup: d.setup}, err
		}
	}
	d.introduce()
	if d.o.OnReady != nil {
		d.o.OnReady(d.setup)
	}
	result, err := d.watch(ctx)
	if d.o.BeforeStop != nil {
		d.o.BeforeStop(context.WithoutCancel(ctx), result)
	}
	return result, err
}

// prepare makes the folder and opens the simulators' addresses, so that a busy
// one is known before anything else runs.
func (d *demo) prepare(context.Context) error {
	var err error
	if d.o.CLI == "" {
		if d.o.CLI, err = devserver.FindCLI(d.o.Root); err != nil {
			return err
		}
	}
	folder := d.o.Dir
	if folder == "" {
		if folder, err = os.MkdirTemp("", "teamogy-ksef-demo-"); err != nil {
			return fmt.Errorf("make the demo's folder: %w", err)
		}
		d.temporary = true
	} else if folder, err = filepath.Abs(folder); err != nil {
		return fmt.Errorf("find the demo's folder: %w", err)
	}
	archiveURL, err := archive.FileURL(filepath.Join(folder, "archive"))
	if err != nil {
		return err
	}
	d.setup = Setup{
		Connection:     Connection,
		ArchiveURL:     archiveURL,
		ConnectionsDir: filepath.Join(folder, "connections"),
		SecretFile:     filepath.Join(folder, "session-secret"),
		TaskQueue:      flow.DefaultTaskQueue,
		Dir:            folder,
		WorkerLog:      filepath.Join(folder, "worker.log"),
	}
	return nil
}

func (d *demo) fillSimulators(ctx context.Context) error {
	var in invoices
	if d.o.Invoices != "" {
		var err error
		if in, err = fromFolder(d.o.Invoices, d.o.Seed, d.began); err != nil {
			return err
		}
	} else {
		in = generated(d.o.Seed, d.o.Received, d.o.Sent, d.began)
	}
	login, err := newCredentials(in.us, d.began)
	if err != nil {
		return err
	}
	d.simulators, err = simulators.Start(simulators.Options{
		KSeFAddress:    loopback(d.o.Ports.KSeF),
		TeamogyAddress: loopback(d.o.Ports.Teamogy),
		TimeScale:      TimeScale,
		APIKey:         login.apiKey,
		WrapKSeF:       d.o.WrapKSeF,
		WrapTeamogy:    d.o.WrapTeamogy,
	})
	if err != nil {
		return err
	}
	d.setup.NIP, d.setup.KSeFURL, d.setup.TeamogyURL = in.us.nip, d.simulators.KSeFURL, d.simulators.TeamogyURL
	d.witnesses.ksef = simulators.NewControl(d.setup.KSeFURL)
	d.witnesses.teamogy = simulators.NewControl(d.setup.TeamogyURL)
	if d.manifest, err = fill(ctx, d.witnesses.ksef, d.witnesses.teamogy, in); err != nil {
		return err
	}
	received, sent, rejected := d.manifest.tally(d.manifest.judgeAll(Evidence{}))
	d.say("KSeF and Teamogy are simulated, with %d received invoices, %d to be accepted and %d to be rejected", received.Expected, sent.Expected, rejected.Expected)
	return writeConnection(d.setup.ConnectionsDir, in.us, login, d.setup.KSeFURL, d.setup.TeamogyURL, d.began)
}

func loopback(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }

func (d *demo) startTemporal(ctx context.Context) error {
	var err error
	if d.serverLog, err = os.Create(filepath.Join(d.setup.Dir, "temporal.log")); err != nil {
		return fmt.Errorf("make the log of the Temporal dev server: %w", err)
	}
	attributes := make([]string, 0, len(flow.SearchAttributes))
	for _, name := range flow.SearchAttributes {
		attributes = append(attributes, name+"=Keyword")
	}
	d.server, err = devserver.Start(ctx, devserver.Options{
		CLI: d.o.CLI, Port: d.o.Ports.Temporal, UIPort: d.o.Ports.WebUI,
		SearchAttributes: attributes, Log: d.serverLog,
	})
	if err != nil {
		return err
	}
	d.setup.TemporalAddress, d.setup.WebUI = d.server.HostPort(), d.server.UIURL()
	d.temporal, err = client.DialContext(ctx, client.Options{HostPort: d.setup.TemporalAddress, Logger: launch.Silent()})
	if err != nil {
		return fmt.Errorf("connect to the Temporal dev server: %w", err)
	}
	d.witnesses.temporal = d.temporal
	d.say("the Temporal dev server runs on %s", d.setup.TemporalAddress)
	return nil
}

func (d *demo) startWorker(context.Context) error {
	noConfig := filepath.Join(d.setup.Dir, "temporal.toml")
	if err := os.WriteFile(noConfig, nil, 0o600); err != nil {
		return fmt.Errorf("prepare the worker: %w", err)
	}
	env := workerEnvironment(os.Environ(), d.setup, noConfig, d.o.WorkerEnv)
	d.worker = startWorker(d.o.Worker, d.setup.WorkerLog, env, func(line string) { d.say("%s", line) }, d.o.OnWorker)
	return nil
}

func (d *demo) startWorkflows(ctx context.Context) error {
	for _, start := range []func(context.Context, client.Client, string, string) (launch.Outcome, error){launch.Receive, launch.Send} {
		if _, err := start(ctx, d.temporal, d.setup.TaskQueue, Connection); err != nil {
			return fmt.Errorf("start the demo's workflows: %w", err)
		}
	}
	return nil
}

// stop ends whatever was started, in the opposite order, and removes the
// folder unless it is wanted.
func (d *demo) stop(cause error) error {
	var problem error
	if d.worker != nil {
		d.worker.stop()
	}
	if d.temporal != nil {
		d.temporal.Close()
	}
	if d.server != nil {
		problem = d.server.Stop()
	}
	if d.serverLog != nil {
		_ = d.serverLog.Close()
	}
	if d.simulators != nil {
		d.simulators.Stop()
	}
	if !d.temporary {
		return problem
	}
	_, logged := os.Stat(d.setup.WorkerLog)
	if d.o.Keep || (cause != nil && !errors.Is(cause, ErrInterrupted) && logged == nil) {
		return problem
	}
	return errors.Join(problem, os.RemoveAll(d.setup.Dir))
}
