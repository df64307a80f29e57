package cli

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"
	"go.temporal.io/sdk/client"

	"teamogy-ksef/internal/cli/inspect"
	"teamogy-ksef/internal/cli/launch"
	"teamogy-ksef/internal/connection"
)

// upReport is the answer of starter up.
type upReport struct {
	SearchAttributes attributesReport `json:"searchAttributes"`
	Connections      []outcomes       `json:"connections"`
	// NoWorker says that nobody asks the task queue for work yet.
	NoWorker string `json:"noWorker,omitempty"`
}

type attributesReport struct {
	Created []string `json:"created,omitempty"`
	// Problem says why they were not checked or created; Commands are for whoever may.
	Problem  string   `json:"problem,omitempty"`
	Commands []string `json:"commands,omitempty"`
}

func newUp() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "up [connection...]",
		Short: "Start the workflows of all or of the named connections",
		Long: `Starts ReceiveInvoices (unless RECEIVE=off) and SendInvoices (with SEND=on) of
each connection that has a file in CONNECTIONS_DIR, or of those that are named.
What runs already is left as it is, so that up can be repeated at any time.

It first creates the search attributes that the workflows need, or prints the
commands for it where this login may not. A connection whose file has mistakes
is not started and hinders no other; the exit code is then 1.`,
	}
	output := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		e, err := openEnvironment(cmd.Context(), args, false)
		if err != nil {
			return err
		}
		defer e.close()
		report := upReport{SearchAttributes: createAttributes(cmd.Context(), e)}
		for _, name := range e.names {
			settings, err := readConnection(e.settings.ConnectionsDir, name)
			report.Connections = append(report.Connections, bringUp(cmd.Context(), e.temporal, e.settings.TaskQueue, name, settings, err))
		}
		if runs, err := inspect.WorkerRuns(cmd.Context(), e.temporal, e.settings.TaskQueue); err == nil && !runs {
			report.NoWorker = noWorker(e.settings.TaskQueue)
		}
		if *output == forPrograms {
			err = writeJSON(cmd.OutOrStdout(), report)
		} else {
			printUp(cmd.OutOrStdout(), report)
		}
		if err == nil && report.failed() {
			err = errTold
		}
		return err
	}
	return cmd
}

func createAttributes(ctx context.Context, e *environment) attributesReport {
	created, err := launch.SearchAttributes(ctx, e.temporal, e.namespace)
	var notAllowed *launch.NotAllowedError
	switch {
	case errors.As(err, &notAllowed):
		return attributesReport{Problem: err.Error(), Commands: notAllowed.Commands()}
	case err != nil:
		return attributesReport{Problem: err.Error()}
	}
	return attributesReport{Created: created}
}

// bringUp starts what a connection's settings want. readErr is why they cannot
// be read.
func bringUp(ctx context.Context, c client.Client, taskQueue, name string, settings *connection.Connection, readErr error) outcomes {
	u := outcomes{Connection: name}
	if readErr != nil {
		u.note(readErr)
		return u
	}
	var err error
	u.Receive, u.Send = launch.Off, launch.Off
	if settings.Receive != connection.ReceiveOff {
		if u.Receive, err = launch.Receive(ctx, c, taskQueue, name); err != nil {
			u.note(err)
		}
	}
	if settings.Send {
		if u.Send, err = launch.Send(ctx, c, taskQueue, name); err != nil {
			u.note(err)
		}
	}
	return u
}

// failed tells whether anything did not work. Search attributes that somebody
// else has to create do not count: they may be there.
func (r upReport) failed() bool {
	if r.SearchAttributes.Problem != "" && r.SearchAttributes.Commands == nil {
		return true
	}
	for _, c := range r.Connections {
		if c.Problem != "" {
			return true
		}
	}
	return false
}

func printUp(w io.Writer, r upReport) {
	for _, name := range r.SearchAttributes.Created {
		fmt.Fprintf(w, "search attribute %s: created\n", name)
	}
	if a := r.SearchAttributes; a.Problem != "" {
		fmt.Fprintf(w, "search attributes: %s\n", a.Problem)
		if len(a.Commands) > 0 {
			fmt.Fprintln(w, "  unless they are there already, have them created by:")
		}
		for _, command := range a.Commands {
			fmt.Fprintf(w, "  %s\n", command)
		}
	}
	for _, c := range r.Connections {
		c.print(w, "NOT STARTED")
	}
	if r.NoWorker != "" {
		fmt.Fprintln(w, r.NoWorker)
	}
}

// noWorker is what to say when workflows have nobody to run them.
func noWorker(taskQueue string) string {
	return fmt.Sprintf("NO WORKER asks task queue %s for work: start one (make run)", taskQueue)
}
