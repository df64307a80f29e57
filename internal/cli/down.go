package cli

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
	"go.temporal.io/sdk/client"

	"teamogy-ksef/internal/cli/launch"
	"teamogy-ksef/internal/flow"
)

func newDown() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "down [connection...]",
		Short: "End the polling of all or of the named connections",
		Long: `Ends ReceiveInvoices and SendInvoices of each connection, by cancelling them:
no new invoice is started. Invoices under way are not touched, nor is
TransmitInvoices: what was handed to KSeF still gets its number written back.

It waits until both have closed, which needs a running worker, and says so if
they do not in time. starter up starts them again; received invoices that are
known already are not imported twice.`,
	}
	output := outputFlag(cmd)
	wait := cmd.Flags().Duration("wait", 30*time.Second, "how long to wait until they have closed")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		e, err := openEnvironment(cmd.Context(), args, true)
		if err != nil {
			return err
		}
		defer e.close()
		report := bringDown(cmd.Context(), e.temporal, e.names, *wait)
		if *output == forPrograms {
			err = writeJSON(cmd.OutOrStdout(), map[string]any{"connections": report})
		} else {
			printDown(cmd.OutOrStdout(), report, e.settings.TaskQueue)
		}
		for _, d := range report {
			if err == nil && (d.Problem != "" || d.ending()) {
				err = errTold
			}
		}
		return err
	}
	return cmd
}

// bringDown asks everything to end first and waits afterwards, so that the
// waits run together.
func bringDown(ctx context.Context, c client.Client, names []string, wait time.Duration) []outcomes {
	report := make([]outcomes, len(names))
	parts := func(d *outcomes) map[string]*launch.Outcome {
		return map[string]*launch.Outcome{flow.ReceiveID(d.Connection): &d.Receive, flow.SendID(d.Connection): &d.Send}
	}
	for n, name := range names {
		report[n].Connection = name
		for id, outcome := range parts(&report[n]) {
			var err error
			if *outcome, err = launch.End(ctx, c, id); err != nil {
				report[n].note(err)
			}
		}
	}
	waiting, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	for n := range report {
		for id, outcome := range parts(&report[n]) {
			if *outcome != launch.Ending {
				continue
			}
			var err error
			if *outcome, err = launch.AwaitEnd(waiting, c, id); err != nil {
				report[n].note(err)
			}
		}
	}
	return report
}

func printDown(w io.Writer, report []outcomes, taskQueue string) {
	slow := false
	for _, d := range report {
		d.print(w, "NOT ENDED")
		slow = slow || d.ending()
	}
	if slow {
		fmt.Fprintf(w, "What is still ending has been asked to; it closes as soon as a worker runs on task queue %s.\n", taskQueue)
	}
}
