package cli

import (
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"teamogy-ksef/internal/cli/demo"
)

func newDemo() *cobra.Command {
	o := demo.Options{Ports: demo.FixedPorts()}
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Show the whole thing at work on simulators",
		Long: `Starts a Temporal dev server with its Web UI, simulators of KSeF and Teamogy
filled with sample invoices, and the worker; starts the workflows of a demo
connection and shows how the invoices travel. Time runs 60 times faster than in
reality, under KSeF's production limits.

It runs until Ctrl-C, which ends everything that it has started and nothing
else. With --once it ends when every sample invoice has reached its end; the
exit code is 0 only if each reached the end that was written down before.

It uses the ports 8081 (KSeF), 8082 (Teamogy), 7233 (Temporal) and 8233 (Web
UI) of 127.0.0.1, and says so if one is taken.`,
		Args: noArguments,
	}
	f := cmd.Flags()
	f.BoolVar(&o.Once, "once", false, "end when every sample invoice has reached its end")
	f.DurationVar(&o.Timeout, "timeout", 0, "give up --once after this time (default 10m)")
	f.StringVar(&o.Invoices, "invoices", "", "`folder` with FA(3) files (*.xml) to use instead of generated invoices")
	f.IntVar(&o.Received, "received", 12, "how many received invoices to generate")
	f.IntVar(&o.Sent, "sent", 8, "how many issued invoices to generate")
	f.Int64Var(&o.Seed, "seed", 0, "of the generator: another number, other invoices")
	f.StringVar(&o.Worker, "worker", "", "the worker's `binary` (default bin/worker)")
	f.BoolVar(&o.Keep, "keep", false, "keep the folder with the demo's files")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		switch {
		case o.Received < 1:
			return usage("--received %d: at least 1", o.Received)
		case o.Sent < 2:
			return usage("--sent %d: at least 2, because one of them is made to be rejected", o.Sent)
		case o.Timeout < 0:
			return usage("--timeout %s: it must be above 0", o.Timeout)
		}
		o.Out, o.Root = cmd.OutOrStdout(), projectRoot()
		_, err := demo.Run(cmd.Context(), o)
		return err
	}
	return cmd
}

// projectRoot is the folder whose bin/ holds this program, else the current
// one.
func projectRoot() string {
	if self, err := os.Executable(); err == nil {
		if folder := filepath.Dir(self); filepath.Base(folder) == "bin" {
			return filepath.Dir(folder)
		}
	}
	return "."
}
