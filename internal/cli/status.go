package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"teamogy-ksef/internal/archive"
	"teamogy-ksef/internal/cli/inspect"
)

// statusReport is the answer of starter status.
type statusReport struct {
	At          time.Time          `json:"at"`
	Address     string             `json:"address"`
	Namespace   string             `json:"namespace"`
	TaskQueue   string             `json:"taskQueue"`
	Connections []statusConnection `json:"connections"`
	// Archive says why the register could not be read.
	Archive string `json:"archive,omitempty"`
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

From the register (ARCHIVE_URL, the same as the worker's) it lists, whatever
their age, the received invoices that have no document, and the submitted ones
that have no KSeF number or whose number does not stand on their document.
starter retry starts them again.

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
		register, err := openRegister(cmd.Context(), e.settings.ArchiveURL)
		if err != nil {
			report.Archive, complete = err.Error(), false
		} else {
			defer register.Close() //nolint:errcheck // it was only read
		}
		for _, name := range e.names {
			s := statusConnection{Report: inspect.Connection(cmd.Context(), e.temporal, e.settings.TaskQueue, name)}
			if _, err := readConnection(e.settings.ConnectionsDir, name); err != nil {
				s.Settings = err.Error()
			}
			if register != nil {
				if err := s.AddRegister(cmd.Context(), e.temporal, register); err != nil {
					s.Problems = append(s.Problems, "the register (ARCHIVE_URL="+shownURL(e.settings.ArchiveURL)+"): "+err.Error())
				} else if len(s.Register.Problems) > 0 {
					complete = false
				}
			}
			complete = complete && len(s.Problems) == 0
			report.Connections = append(report.Connections, s)
		}
		err = nil
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

// openRegister opens the archive to be read.
func openRegister(ctx context.Context, address string) (*archive.Archive, error) {
	register, err := archive.OpenExisting(ctx, address)
	if err != nil {
		return nil, fmt.Errorf("the register cannot be read: %w (ARCHIVE_URL=%s; it has to be the worker's)", err, shownURL(address))
	}
	return register, nil
}

// shownURL is an archive's URL without its parameters.
func shownURL(address string) string {
	shown, _, _ := strings.Cut(address, "?")
	return shown
}
