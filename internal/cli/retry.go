package cli

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"teamogy-ksef/internal/cli/retry"
	"teamogy-ksef/internal/flow"
)

// retryReport is the answer of starter retry.
type retryReport struct {
	Invoices []retry.Outcome `json:"invoices"`
	Summary  retrySummary    `json:"summary"`
}

type retrySummary struct {
	Started    int `json:"started"`
	Running    int `json:"running"` // and left alone
	EndedWell  int `json:"endedWell"`
	NotStarted int `json:"notStarted"`
}

func newRetry() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "retry [--failed] CONNECTION|WORKFLOW-ID...",
		Short: "Start invoices again that have not come to their end",
		Long: `With a workflow ID (acme/send/17, acme/receive/<KSeF number>) it starts this
invoice's workflow again, also if the invoice was rejected or withdrawn: the
same content is sent again because you say so.

With a connection's name it starts every open invoice of the register that has
no running workflow: received ones without a document, submitted ones without a
KSeF number, and those whose number does not stand on their document; with
--failed also every invoice whose last run failed, rejected ones too. What was
cancelled, or taken back in Teamogy, is left alone.

A workflow that runs is left as it is, and one that ended well is not started.
Nothing is created or sent twice: each workflow looks into its record, and at
KSeF or Teamogy, first. ARCHIVE_URL has to be the worker's.

The exit code is 1 if any could not be started.`,
	}
	output := outputFlag(cmd)
	alsoFailed := cmd.Flags().Bool("failed", false, "of a connection, start also the invoices whose last run failed, rejected ones too")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return usage("starter retry needs a connection or the ID of an invoice's workflow; see starter retry --help")
		}
		var connections, workflows []string
		for _, arg := range args {
			if strings.Contains(arg, "/") {
				workflows = append(workflows, arg)
			} else {
				connections = append(connections, arg)
			}
		}
		if *alsoFailed && len(connections) == 0 {
			return usage("--failed goes with a connection: a workflow ID is started again also if it failed")
		}
		e, err := openEnvironment(cmd.Context(), connections, false)
		if err != nil {
			return err
		}
		defer e.close()
		for _, id := range workflows {
			if err := refuseLongRunning(id, e.names); err != nil {
				return err
			}
		}
		register, err := openRegister(cmd.Context(), e.settings.ArchiveURL)
		if err != nil {
			return err
		}
		defer register.Close() //nolint:errcheck // it was only read
		r := retry.Retrier{Temporal: e.temporal, TaskQueue: e.settings.TaskQueue, Archive: register}
		report := retryReport{Invoices: []retry.Outcome{}}
		for _, id := range workflows {
			report.add(r.Invoice(cmd.Context(), id))
		}
		if len(connections) > 0 {
			retryConnections(cmd.Context(), r, e.names, *alsoFailed, &report)
		}
		if *output == forPrograms {
			err = writeJSON(cmd.OutOrStdout(), report)
		} else {
			printRetry(cmd.OutOrStdout(), report)
		}
		if err == nil && report.Summary.NotStarted > 0 {
			err = errTold
		}
		return err
	}
	return cmd
}

// retryConnections retries the invoices of connections; what goes wrong with one
// hinders no other.
func retryConnections(ctx context.Context, r retry.Retrier, names []string, alsoFailed bool, report *retryReport) {
	for _, name := range names {
		outcomes, running, err := r.Connection(ctx, name, alsoFailed)
		report.Summary.Running += running
		for _, o := range outcomes {
			report.add(o)
		}
		if err != nil {
			report.add(retry.Outcome{WorkflowID: name, Result: retry.NotStarted, Note: err.Error()})
		}
	}
}

// refuseLongRunning says what to use for the workflows that are no invoice's.
func refuseLongRunning(id string, connections []string) error {
	for _, name := range connections {
		switch {
		case slices.Contains([]string{flow.ReceiveID(name), flow.SendID(name)}, id):
			return usage("%s runs for ever and is no invoice's workflow: use starter up %s", id, name)
		case id == flow.TransmitID(name):
			return usage("%s is no invoice's workflow: the next invoice to send starts it", id)
		case strings.HasPrefix(id, name+"/session/"):
			return usage("%s is a KSeF session and no invoice's workflow: its invoices go into another session by themselves", id)
		}
	}
	return nil
}

func (r *retryReport) add(o retry.Outcome) {
	r.Invoices = append(r.Invoices, o)
	switch o.Result {
	case retry.Started:
		r.Summary.Started++
	case retry.Running:
		r.Summary.Running++
	case retry.EndedWell:
		r.Summary.EndedWell++
	case retry.NotStarted:
		r.Summary.NotStarted++
	}
}

func printRetry(w io.Writer, r retryReport) {
	for _, o := range r.Invoices {
		line := fmt.Sprintf("%s: %s", o.WorkflowID, o.Result)
		if o.Summary != "" {
			line += " (" + o.Summary + ")"
		}
		if o.Note != "" {
			line += ": " + indent(o.Note)
		}
		fmt.Fprintln(w, line)
	}
	s := r.Summary
	fmt.Fprintf(w, "%d started again, %d running already, %d ended well, %d not started\n", s.Started, s.Running, s.EndedWell, s.NotStarted)
}
