package cli

import (
	"time"

	"github.com/spf13/cobra"

	"teamogy-ksef/internal/cli/inspect"
)

// statusReport is the answer of starter status.
type statusReport struct {
	At          time.Time          `json:"at"`
	Address     string             `json:"address"`
	Namespace   string             `json:"namespace"`
	TaskQueue   string             `json:"taskQueue"`
	Connections []statusConnection `json:"connections"`
}

type statusConnection struct {
	inspect.Report
	// Settings says what is wrong with the connection's file; the worker may
	// still work with its last good version.
	Settings string `json:"settings,omitempty"`
}

func newStatus() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "status [connection...]",
		Short: "Show how the connections stand and what needs attention",
		Long: `Shows for each connection what its long-running workflows do, how many
invoices are in which state, the last invoices that failed with what to do
about them, and the steps that fail at present and are tried again.

The exit code is 0 whenever the answer is complete, whatever it says.`,
	}
	output := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		e, err := openEnvironment(cmd.Context(), args, true)
		if err != nil {
			return err
		}
		defer e.close()
		report := statusReport{At: time.Now(), Address: e.address, Namespace: e.namespace, TaskQueue: e.settings.TaskQueue}
		complete := true
		for _, name := range e.names {
			s := statusConnection{Report: inspect.Connection(cmd.Context(), e.temporal, e.settings.TaskQueue, name)}
			if _, err := readConnection(e.settings.ConnectionsDir, name); err != nil {
				s.Settings = err.Error()
			}
			complete = complete && len(s.Problems) == 0
			report.Connections = append(report.Connections, s)
		}
		if *output == forPrograms {
			err = writeJSON(cmd.OutOrStdout(), report)
		} else {
			printStatus(cmd.OutOrStdout(), report)
		}
		if err == nil && !complete {
			err = errTold
		}
		return err
	}
	return cmd
}
