// Package demo runs the product's main job in one go: a Temporal dev server,
// both simulators filled with sample invoices, the worker, and a connection
// whose workflows bring every invoice to the end that a manifest named before
// the run.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

// Connection is the name of the demo's connection.
const Connection = "demo"

// TimeScale is the demo's factor of time: what takes an hour under KSeF's
// production limits takes a minute.
const TimeScale = 60

// Ports are the demo's ports on 127.0.0.1. Zero takes a free one.
type Ports struct{ KSeF, Teamogy, Temporal, WebUI int }

// FixedPorts are those of `make simulators` and of Temporal's own defaults.
func FixedPorts() Ports { return Ports{KSeF: 8081, Teamogy: 8082, Temporal: 7233, WebUI: 8233} }

// Options say what the demo does. The zero value of every field has a meaning.
type Options struct {
	Out io.Writer // where progress goes; nil: nowhere. A terminal gets a live picture
	// Root is the project's folder, in which bin/temporal and bin/worker are
	// looked for; "" is the current one.
	Root   string
	CLI    string // path of the Temporal CLI; "": found as devserver.FindCLI does
	Worker string // path of the worker's binary; "": bin/worker in Root
	Ports  Ports

	Received int    // generated received invoices; 0: 12
	Sent     int    // generated issued invoices; 0: 8
	Seed     int64  // of the generator
	Invoices string // folder with FA(3) files (*.xml) to use instead of generated ones

	Once    bool          // end when every invoice has reached its end
	Timeout time.Duration // of Once; 0: 10 minutes
	Dir     string        // where the demo's files go, kept; "": a temporary folder
	Keep    bool          // keep the temporary folder

	// For tests. Wrap stands between the network and a simulator; OnWorker is
	// told the process ID at each start of the worker; OnReady is called when
	// the workflows have been started; BeforeStop when the run has ended and
	// everything still runs. WorkerEnv is added to the worker's environment.
	WrapKSeF, WrapTeamogy func(http.Handler) http.Handler
	OnWorker              func(pid int)
	OnReady               func(Setup)
	BeforeStop            func(context.Context, Result)
	WorkerEnv             []string
}

// Setup tells where everything of a running demo is.
type Setup struct {
	Connection      string
	NIP             string // the demo company's
	TemporalAddress string // host:port
	WebUI           string // URL
	KSeFURL         string // URL of the simulator, without /v2
	TeamogyURL      string // URL of the simulator and its page
	ArchiveURL      string
	ConnectionsDir  string
	SecretFile      string // SESSION_SECRET_FILE
	TaskQueue       string
	Dir             string // holds all of the demo's files
	WorkerLog       string // path
}

// Result tells how a run ended. The folders of its Setup are gone unless they
// were to be kept.
type Result struct {
	Setup
	Received Tally // invoices that were to be imported
	Sent     Tally // invoices that were to be accepted by KSeF
	Rejected Tally // invoices that were to be rejected, for the reason that was to be given
	// Mismatches are the invoices that ended otherwise than the manifest says,
	// or did not end in time.
	Mismatches []Mismatch
	// TooManyRequests counts the simulators' answers 429.
	TooManyRequests struct{ KSeF, Teamogy int }
	WorkerStarts    int
	Elapsed         time.Duration
}

// Tally counts invoices that reached the end that the manifest names.
type Tally struct{ Reached, Expected int }

func (t Tally) String() string { return fmt.Sprintf("%d/%d", t.Reached, t.Expected) }

// Mismatch is an invoice that did not reach its end.
type Mismatch struct {
	Invoice string // direction, number and party
	Want    string
	Got     string
}

func (m Mismatch) String() string {
	return fmt.Sprintf("%s: expected %s, but %s", m.Invoice, m.Want, m.Got)
}

// Line is the last line of the demo.
func (r Result) Line() string {
	return fmt.Sprintf("demo: received %s, sent %s, rejected as expected %s", r.Received, r.Sent, r.Rejected)
}

// ErrMismatch says that some invoice did not reach its end; the Result has
// been printed.
var ErrMismatch = errors.New("not every invoice has reached its end")

// ErrInterrupted says that a run with Once was interrupted.
var ErrInterrupted = errors.New("interrupted")

// prepared fills in the defaults and refuses what cannot work.
func (o Options) prepared() (Options, error) {
	if o.Out == nil {
		o.Out = io.Discard
	}
	if o.Root == "" {
		o.Root = "."
	}
	if o.Received == 0 {
		o.Received = 12
	}
	if o.Sent == 0 {
		o.Sent = 8
	}
	if o.Timeout == 0 {
		o.Timeout = 10 * time.Minute
	}
	if o.Received < 1 || o.Sent < 2 {
		return o, fmt.Errorf("the demo needs at least 1 received and 2 sent invoices (one of them is made to be rejected), not %d and %d", o.Received, o.Sent)
	}
	if o.Worker == "" {
		o.Worker = filepath.Join(o.Root, "bin", "worker")
	}
	worker, err := filepath.Abs(o.Worker)
	if err != nil {
		return o, fmt.Errorf("find the worker %s: %w", o.Worker, err)
	}
	if info, err := os.Stat(worker); err != nil || info.IsDir() {
		return o, fmt.Errorf("there is no worker at %s: build it with `go build -o bin/worker ./worker`, or use `make demo`", o.Worker)
	}
	o.Worker = worker
	return o, nil
}
