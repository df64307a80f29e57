package cli

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"teamogy-ksef/internal/cli/demo"
	"teamogy-ksef/internal/cli/simulators"
	"teamogy-ksef/internal/simulator/ksefsim"
)

// simulatorPage is what strangers read about the KSeF simulator.
var simulatorPage = filepath.Join("..", "..", "docs", "simulator.md")

// TestSimulatorPage_listsEveryFault compares the page's table with the faults
// that there are. UPDATE_DOCS=1 writes it.
func TestSimulatorPage_listsEveryFault(t *testing.T) {
	data, err := os.ReadFile(simulatorPage)
	require.NoError(t, err)
	page := string(data)
	const begin, end = "UPDATE_DOCS=1 go test ./internal/cli writes it -->\n", "<!-- end of faults -->"
	from := strings.Index(page, begin)
	to := strings.Index(page, end)
	require.Positive(t, from, "the page has no place for the table")
	require.Greater(t, to, from)
	var table strings.Builder
	table.WriteString("\n| fault | what happens | where, unless `operation` says otherwise |\n|---|---|---|\n")
	for _, name := range ksefsim.FaultNames() {
		where := "has to be said"
		switch operations := ksefsim.FaultOperations(name); {
		case slices.Contains(operations, "*"):
			where = "everywhere"
		case len(operations) > 0:
			where = "`" + strings.Join(operations, "`, `") + "`"
		}
		fmt.Fprintf(&table, "| `%s` | %s | %s |\n", name, ksefsim.FaultEffect(name), where)
	}
	table.WriteString("\n")
	written := page[:from+len(begin)] + table.String() + page[to:]
	if os.Getenv("UPDATE_DOCS") != "" {
		require.NoError(t, os.WriteFile(simulatorPage, []byte(written), 0o644)) //nolint:gosec // a page for everybody
		return
	}
	assert.Equal(t, written, page, "the table of faults is out of date: UPDATE_DOCS=1 go test ./internal/cli")
}

// TestSimulatorPages_commandsWorkAsTheyStand runs every curl example of the two
// simulators' pages, each page against simulators of its own.
func TestSimulatorPages_commandsWorkAsTheyStand(t *testing.T) {
	for _, tool := range []string{"bash", "curl", "sed", "base64"} {
		if _, err := exec.LookPath(tool); err != nil {
			if os.Getenv("CI") != "" {
				t.Fatalf("%s is not installed", tool)
			}
			t.Skipf("%s is not installed: the pages' commands are not run", tool)
		}
	}
	for _, name := range []string{"simulator.md", "teamogy-simulator.md"} {
		t.Run(name, func(t *testing.T) {
			page, err := os.ReadFile(filepath.Join("..", "..", "docs", name))
			require.NoError(t, err)
			s, err := simulators.Start(simulators.Options{KSeFAddress: "127.0.0.1:0", TeamogyAddress: "127.0.0.1:0"})
			require.NoError(t, err)
			defer s.Stop()
			_, err = demo.SeedSimulators(t.Context(), s, 5, 0)
			require.NoError(t, err)
			// What the control API refuses ends the script; the APIs themselves
			// may refuse what an example shows to be refused.
			script := "set -euo pipefail\n" +
				"curl() { case \"$*\" in */_sim/*) command curl --fail-with-body \"$@\" ;; *) command curl \"$@\" ;; esac; }\n"
			commands := 0
			for _, block := range shellBlocks(string(page)) {
				if strings.Contains(block, "curl ") {
					script += block + "\n"
					commands += strings.Count(block, "curl ")
				}
			}
			require.GreaterOrEqual(t, commands, 5, "the page has lost its examples")
			script = strings.NewReplacer(
				"localhost:8081", strings.TrimPrefix(s.KSeFURL, "http://"), "127.0.0.1:8081", strings.TrimPrefix(s.KSeFURL, "http://"),
				"localhost:8082", strings.TrimPrefix(s.TeamogyURL, "http://"), "127.0.0.1:8082", strings.TrimPrefix(s.TeamogyURL, "http://"),
			).Replace(script)
			run := exec.CommandContext(t.Context(), "bash", "-x", "-c", script)
			run.Dir = t.TempDir()
			out, err := run.CombinedOutput()
			if err != nil {
				lines := strings.Split(string(out), "\n")
				t.Fatalf("%v:\n%s", err, strings.Join(lines[max(0, len(lines)-12):], "\n"))
			}
		})
	}
}

// shellBlocks are the blocks of a page that are marked as shell commands.
func shellBlocks(page string) []string {
	var blocks []string
	for {
		_, after, found := strings.Cut(page, "```sh\n")
		if !found {
			return blocks
		}
		block, rest, _ := strings.Cut(after, "```")
		blocks, page = append(blocks, block), rest
	}
}
