// Package cli holds the commands of starter: up, down, status, retry,
// demo and simulate. Output is for people unless --output json asks for the form that
// programs read.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"teamogy-ksef/internal/cli/demo"
)

// Exit codes.
const (
	exitDone        = 0
	exitFailed      = 1   // in whole or in part; the output says what
	exitUsage       = 2   // the command line or the process's settings are wrong
	exitInterrupted = 130 // by Ctrl-C, where that is not the usual end
)

// usageError is a mistake in the command line or in the settings.
type usageError struct{ cause error }

func (e *usageError) Error() string { return e.cause.Error() }
func (e *usageError) Unwrap() error { return e.cause }

func usage(format string, args ...any) error {
	return &usageError{fmt.Errorf(format, args...)}
}

// errTold says that something failed and the output has said so.
var errTold = errors.New("failed in part")

// Main runs the command line and returns the exit code. SIGINT and SIGTERM end
// a command in good order; a second one ends it at once.
func Main(args []string, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)
	return run(ctx, args, stdout, stderr)
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := newRoot()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	var wrong *usageError
	switch {
	case err == nil:
		return exitDone
	case errors.Is(err, errTold), errors.Is(err, demo.ErrMismatch):
		return exitFailed
	case errors.Is(err, demo.ErrInterrupted):
		fmt.Fprintln(stderr, "interrupted")
		return exitInterrupted
	case errors.As(err, &wrong):
		fmt.Fprintf(stderr, "starter: %v\n", err)
		return exitUsage
	}
	fmt.Fprintf(stderr, "starter: %v\n", err)
	return exitFailed
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "starter",
		Short: "Starts and shows the connections between Teamogy and KSeF",
		Long: `starter starts, ends and shows the connections between Teamogy and KSeF.

The commands up, down, status and retry work on the connections of CONNECTIONS_DIR
(one settings file each) and talk to Temporal as TEMPORAL_ADDRESS,
TEMPORAL_NAMESPACE and the other variables of the Temporal CLI say. The work
itself is done by the worker.

Exit codes: 0 done; 1 failed, in whole or in part; 2 wrong usage or settings;
130 interrupted.`,
		SuggestionsMinimumDistance: 2,
		SilenceUsage:               true,
		SilenceErrors:              true,
		CompletionOptions:          cobra.CompletionOptions{HiddenDefaultCmd: true},
		Args:                       cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return cmd.Help()
			}
			hint := ""
			if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
				hint = fmt.Sprintf(" Did you mean %q?", strings.Join(near, `" or "`))
			}
			return usage("there is no command %q.%s See starter --help", args[0], hint)
		},
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usage("%w; see %s --help", err, cmd.CommandPath())
	})
	root.AddCommand(newUp(), newDown(), newStatus(), newRetry(), newSimulate(), newDemo())
	return root
}

// noArguments refuses arguments where a command takes none.
func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usage("%s takes no arguments, and was given %q; see %s --help", cmd.CommandPath(), args[0], cmd.CommandPath())
	}
	return nil
}
