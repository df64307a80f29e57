package cli

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"teamogy-ksef/internal/cli/demo"
	"teamogy-ksef/internal/cli/simulators"
)

func newSimulate() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "simulate",
		Short: "Run the simulators of KSeF and Teamogy in the foreground",
		Long: `Runs a simulated KSeF on ` + simulators.KSeFAddress + ` (API under /v2) and a simulated Teamogy
on ` + simulators.TeamogyAddress + `, until Ctrl-C. They keep everything in memory, answer only on
this machine, and enforce the production limits on requests.

` + simulators.KSeFVariable + ` and ` + simulators.TeamogyVariable + ` choose other addresses on the
loopback interface.`,
		Args: noArguments,
	}
	timeScale := cmd.Flags().Float64("time-scale", 1, "how much faster than in reality delays and limits pass")
	seed := cmd.Flags().Int("seed", 0, "how many sample invoices to start with, in each direction")
	limits := cmd.Flags().String("limits", "production", "limits on requests: production or off")
	verbose := cmd.Flags().BoolP("verbose", "v", false, "print every request")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		o := simulators.Options{
			KSeFAddress:    orDefault(os.Getenv(simulators.KSeFVariable), simulators.KSeFAddress),
			TeamogyAddress: orDefault(os.Getenv(simulators.TeamogyVariable), simulators.TeamogyAddress),
			TimeScale:      *timeScale,
			NoLimits:       *limits == "off",
		}
		switch {
		case *timeScale <= 0:
			return usage("--time-scale %v: it must be above 0", *timeScale)
		case *seed < 0:
			return usage("--seed %d: it must not be below 0", *seed)
		case *limits != "production" && *limits != "off":
			return usage("--limits %q: it is production or off", *limits)
		}
		for variable, address := range map[string]string{simulators.KSeFVariable: o.KSeFAddress, simulators.TeamogyVariable: o.TeamogyAddress} {
			if err := simulators.CheckLoopback(address); err != nil {
				return usage("%s: %w", variable, err)
			}
		}
		if *verbose {
			o.Logger = slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: slog.LevelDebug}))
		}
		s, err := simulators.Start(o)
		var busy *simulators.BusyError
		if errors.As(err, &busy) {
			return fmt.Errorf("%w; or choose another port by %s and %s", err, simulators.KSeFVariable, simulators.TeamogyVariable)
		}
		if err != nil {
			return err
		}
		defer s.Stop()
		nip := ""
		if *seed > 0 {
			if nip, err = demo.SeedSimulators(cmd.Context(), s, *seed, 0); err != nil {
				return err
			}
		}
		printSimulators(cmd.OutOrStdout(), s, nip, *seed)
		select {
		case <-cmd.Context().Done():
			return nil
		case err := <-s.Failed():
			return err
		}
	}
	return cmd
}

func orDefault(value, otherwise string) string {
	if value == "" {
		return otherwise
	}
	return value
}

func printSimulators(w io.Writer, s *simulators.Simulators, nip string, seeded int) {
	fmt.Fprintf(w, `KSeF     %[1]s/v2          (KSEF_ENVIRONMENT=test, KSEF_URL=%[1]s/v2)
Teamogy  %[2]s/            (a page; TEAMOGY_URL=%[2]s, TEAMOGY_UNIT=1, any API key)

`, s.KSeFURL, s.TeamogyURL)
	if seeded > 0 {
		fmt.Fprintf(w, "%d invoices received by NIP %s are in KSeF, %d issued ones are READY.FOR.KSEF in Teamogy.\n\n", seeded, nip, seeded)
	}
	fmt.Fprintf(w, `Look:    curl %[1]s/v2/security/public-key-certificates
         curl %[1]s/_sim/invoices
         curl %[1]s/_sim/counters
         curl %[2]s/_sim/documents
         curl -H 'Authorization: Bearer any' '%[2]s/rest/v1/1/views/invoices.sales?columns=id,status,number'

Ctrl-C ends both.
`, s.KSeFURL, s.TeamogyURL)
}
