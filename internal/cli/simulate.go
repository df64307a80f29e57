package cli

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"teamogy-ksef/internal/cli/demo"
	"teamogy-ksef/internal/cli/simulators"
	"teamogy-ksef/internal/simulator/ksefsim"
)

// anywhereFlag lets the simulators listen on the network. Its name says what
// whoever sets it has to know.
const anywhereFlag = "i-know-this-is-a-simulator"

// simulateFlags are the flags of `starter simulate`.
type simulateFlags struct {
	timeScale                      float64
	seed, exportPart               int
	limits, environment, schema    string
	faults                         []string
	listFaults, noControl, verbose bool
	anywhere                       bool
}

func newSimulate() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "simulate",
		Short: "Run the simulators of KSeF and Teamogy in the foreground",
		Long: `Runs a simulated KSeF on ` + simulators.KSeFAddress + ` (API under /v2) and a simulated Teamogy
on ` + simulators.TeamogyAddress + `, until Ctrl-C. They keep everything in memory, answer only on
this machine, and enforce the production limits on requests.

` + simulators.KSeFVariable + ` and ` + simulators.TeamogyVariable + ` choose other addresses on the
loopback interface. Other addresses are refused without --` + anywhereFlag + `:
whoever reaches the simulators can read everything in them.`,
		Example: `  starter simulate --seed 5 --time-scale 60
  starter simulate --fault 'answer-dropped,operation=POST /sessions/online/{ref}/invoices,times=3'
  starter simulate --fault session-unavailable,probability=0.1,seed=7,times=-1
  starter simulate --list-faults`,
		Args: noArguments,
	}
	var f simulateFlags
	flags := cmd.Flags()
	flags.Float64Var(&f.timeScale, "time-scale", 1, "how much faster than in reality delays and limits pass")
	flags.IntVar(&f.seed, "seed", 0, "how many sample invoices to start with, in each direction")
	flags.StringVar(&f.limits, "limits", ksefsim.LimitsProduction, "limits on requests: production, tenfold (TEST until 2.5.0) or off")
	flags.StringVar(&f.environment, "environment", ksefsim.EnvironmentTest, "which KSeF to behave like: test, demo or production")
	flags.StringVar(&f.schema, "fa3-schema", "", "path of the official FA(3) schema, to validate invoices against (needs xmllint)")
	flags.StringArrayVar(&f.faults, "fault", nil, "order a fault at KSeF: NAME[,key=value...]; may be repeated")
	flags.IntVar(&f.exportPart, "export-part-size", 0, "size of an export's parts in bytes, to have several without many invoices (default 50 MB)")
	flags.BoolVar(&f.listFaults, "list-faults", false, "print every fault with what it does, and end")
	flags.BoolVar(&f.noControl, "no-control", false, "without the control API /_sim/")
	flags.BoolVar(&f.anywhere, anywhereFlag, false, "listen on addresses that others can reach, too")
	flags.BoolVarP(&f.verbose, "verbose", "v", false, "print every request, and why one was refused")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if f.listFaults {
			return printFaults(cmd.OutOrStdout())
		}
		o, err := f.options()
		if err != nil {
			return err
		}
		if f.verbose {
			o.Logger = slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: slog.LevelDebug}))
		}
		return simulate(cmd, f, o)
	}
	return cmd
}

// options checks the flags and the environment.
func (f simulateFlags) options() (simulators.Options, error) {
	o := simulators.Options{
		KSeFAddress:    orDefault(os.Getenv(simulators.KSeFVariable), simulators.KSeFAddress),
		TeamogyAddress: orDefault(os.Getenv(simulators.TeamogyVariable), simulators.TeamogyAddress),
		TimeScale:      f.timeScale, Limits: f.limits, Environment: f.environment, FA3Schema: f.schema,
		ExportPart: f.exportPart, NoControl: f.noControl, AnyAddress: f.anywhere,
	}
	switch {
	case f.timeScale <= 0:
		return o, usage("--time-scale %v: it must be above 0", f.timeScale)
	case f.seed < 0:
		return o, usage("--seed %d: it must not be below 0", f.seed)
	case f.exportPart < 0:
		return o, usage("--export-part-size %d: it must not be below 0", f.exportPart)
	case f.seed > 0 && f.noControl:
		return o, usage("--seed needs the control API: leave --no-control out")
	case !slices.Contains([]string{ksefsim.LimitsProduction, ksefsim.LimitsTenfold, ksefsim.LimitsOff}, f.limits):
		return o, usage("--limits %q: it is production, tenfold or off", f.limits)
	case !slices.Contains([]string{ksefsim.EnvironmentTest, ksefsim.EnvironmentDemo, ksefsim.EnvironmentProduction}, f.environment):
		return o, usage("--environment %q: it is test, demo or production", f.environment)
	}
	for _, text := range f.faults {
		fault, err := simulators.ParseFault(text)
		if err != nil {
			return o, usage("--fault: %w", err)
		}
		o.Faults = append(o.Faults, fault)
	}
	for variable, address := range map[string]string{simulators.KSeFVariable: o.KSeFAddress, simulators.TeamogyVariable: o.TeamogyAddress} {
		if err := simulators.CheckLoopback(address); err != nil && !f.anywhere {
			return o, usage("%s: %w", variable, err)
		}
	}
	return o, nil
}

func simulate(cmd *cobra.Command, f simulateFlags, o simulators.Options) error {
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
	if f.seed > 0 {
		if nip, err = demo.SeedSimulators(cmd.Context(), s, f.seed, 0); err != nil {
			return err
		}
	}
	printSimulators(cmd.OutOrStdout(), s, nip, f)
	select {
	case <-cmd.Context().Done():
		return nil
	case err := <-s.Failed():
		return err
	}
}

func orDefault(value, otherwise string) string {
	if value == "" {
		return otherwise
	}
	return value
}

// printFaults lists what --fault takes.
func printFaults(w io.Writer) error {
	width := 0
	for _, name := range ksefsim.FaultNames() {
		width = max(width, len(name))
	}
	for _, name := range ksefsim.FaultNames() {
		where := ""
		if len(ksefsim.FaultOperations(name)) == 0 {
			where = " (operation= has to be said)"
		}
		if _, err := fmt.Fprintf(w, "%-*s  %s%s\n", width, name, ksefsim.FaultEffect(name), where); err != nil {
			return err
		}
	}
	return nil
}

func printSimulators(w io.Writer, s *simulators.Simulators, nip string, f simulateFlags) {
	fmt.Fprintf(w, `KSeF     %[1]s/v2          (KSEF_ENVIRONMENT=test, KSEF_URL=%[1]s/v2)
Teamogy  %[2]s/            (a page; TEAMOGY_URL=%[2]s, TEAMOGY_UNIT=1, any API key)

`, s.KSeFURL, s.TeamogyURL)
	if f.environment != ksefsim.EnvironmentTest {
		fmt.Fprintf(w, "KSeF behaves like its %s environment. (A connection's file says KSEF_ENVIRONMENT=test all the same: only that admits a KSEF_URL.)\n\n",
			strings.ToUpper(f.environment))
	}
	for _, fault := range f.faults {
		fmt.Fprintf(w, "A fault is ordered: %s\n", fault)
	}
	if len(f.faults) > 0 {
		fmt.Fprintln(w)
	}
	if f.seed > 0 {
		fmt.Fprintf(w, "%d invoices received by NIP %s are in KSeF, %d issued ones are READY.FOR.KSEF in Teamogy.\n\n", f.seed, nip, f.seed)
	}
	if !f.noControl {
		fmt.Fprintf(w, `Look:    curl %[1]s/v2/security/public-key-certificates
         curl %[1]s/_sim/invoices
         curl %[1]s/_sim/counters
         curl %[2]s/_sim/documents
         curl -H 'Authorization: Bearer any' '%[2]s/rest/v1/1/views/invoices.sales?columns=id,status,number'

`, s.KSeFURL, s.TeamogyURL)
	}
	fmt.Fprintln(w, "Ctrl-C ends both.")
}
