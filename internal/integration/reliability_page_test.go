package integration

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"teamogy-ksef/internal/simulator/ksefsim"
)

// reliabilityPage is what the suite writes its table into.
var reliabilityPage = filepath.Join("..", "..", "docs", "reliability.md")

// between replaces what stands on the page after the line that begins with one
// mark and before another; it is kept up to date by UPDATE_DOCS.
func between(t *testing.T, begin, end, text string) {
	t.Helper()
	data, err := os.ReadFile(reliabilityPage)
	require.NoError(t, err)
	page := string(data)
	from := strings.Index(page, begin)
	require.Positive(t, from, "the page has no place for it: %s", begin)
	from += strings.Index(page[from:], "\n") + 1
	to := strings.Index(page, end)
	require.GreaterOrEqual(t, to, from)
	written := page[:from] + "\n" + text + "\n" + page[to:]
	if os.Getenv("UPDATE_DOCS") != "" {
		require.NoError(t, os.WriteFile(reliabilityPage, []byte(written), 0o644)) //nolint:gosec // a page for everybody
		return
	}
	assert.Equal(t, written, page, "the page is out of date: UPDATE_DOCS=1 writes it")
}

// writeTable puts the suite's rows into the page, or compares them.
func writeTable(t *testing.T, rows []row) {
	t.Helper()
	between(t, "<!-- table:", "<!-- end of table -->", tableOf(rows))
}

// tableOf is a table for each group, in the order in which allExperiments has
// them.
func tableOf(rows []row) string {
	place := map[string]int{}
	var groups []string
	for _, e := range allExperiments() {
		for _, r := range e.stands() {
			if _, is := place[r.group+"\x00"]; !is {
				place[r.group+"\x00"] = len(place)
				groups = append(groups, r.group)
			}
			if _, is := place[r.group+"\x00"+r.name]; !is {
				place[r.group+"\x00"+r.name] = len(place)
			}
		}
	}
	slices.SortStableFunc(rows, func(a, b row) int {
		return cmp.Or(cmp.Compare(place[a.group+"\x00"+a.name], place[b.group+"\x00"+b.name]), cmp.Compare(a.direction, b.direction))
	})
	var text strings.Builder
	var all row
	for i, group := range groups {
		if i > 0 {
			text.WriteString("\n")
		}
		fmt.Fprintf(&text, "### %s\n\n| fault | what it does | direction | invoices | runs | lost | doubled |\n|---|---|---|---|---|---|---|\n", group)
		for _, r := range rows {
			if r.group != group {
				continue
			}
			fmt.Fprintf(&text, "| `%s` | %s | %s | %d | %d | %d | %d |\n", r.name, strings.ReplaceAll(r.what, "|", "\\|"), r.direction, r.invoices, r.runs, r.lost, r.doubled)
			all.invoices += r.invoices * r.runs
			all.lost += r.lost
			all.doubled += r.doubled
		}
	}
	fmt.Fprintf(&text, "\nIn all: %d rows, lost %d, doubled %d.\n", len(rows), all.lost, all.doubled)
	return text.String()
}

// exceptions are all faults and switches that have no experiment, by the
// system, with the reason.
func exceptions() map[string]map[string]string {
	return map[string]map[string]string{ofSwitches: notSwitched}
}

// TestReliabilityPage_listsWhatHasNoExperiment keeps the list of exceptions on
// the page.
func TestReliabilityPage_listsWhatHasNoExperiment(t *testing.T) {
	var text strings.Builder
	for _, group := range sortedKeys(exceptions()) {
		for _, name := range sortedKeys(exceptions()[group]) {
			fmt.Fprintf(&text, "- %s, `%s`: %s.\n", group, name, exceptions()[group][name])
		}
	}
	between(t, "<!-- exceptions:", "<!-- end of exceptions -->", text.String())
}

// TestReliability_forgetsNoFault compares the experiments with the faults and
// switches that the simulators have.
func TestReliability_forgetsNoFault(t *testing.T) {
	there := map[string][]string{ofKSeF: ksefsim.FaultNames()}
	for _, k := range teamogyFaultKinds() {
		there[ofTeamogy] = append(there[ofTeamogy], k.Name)
	}
	for _, s := range teamogySwitches() {
		there[ofSwitches] = append(there[ofSwitches], s.Name)
		require.True(t, s.Positions != nil || freePositions[s.Name] != nil, "no position is tried of %s, which takes %s", s.Name, s.Form)
	}
	tried, titles := map[string][]string{}, map[string]bool{}
	for _, e := range allExperiments() {
		require.False(t, titles[e.title()], "two experiments are called %s", e.title())
		titles[e.title()] = true
		for _, r := range e.stands() {
			require.NotEmpty(t, r.what, e.title())
			if !slices.Contains(tried[r.group], r.name) {
				tried[r.group] = append(tried[r.group], r.name)
			}
		}
	}
	for group, names := range there {
		for _, name := range names {
			has, left := slices.Contains(tried[group], name), exceptions()[group][name] != ""
			assert.True(t, has != left, "%s, %s: it has to have an experiment or a reason why it has none, and not both", group, name)
		}
		for name := range exceptions()[group] {
			assert.Contains(t, names, name, "%s: there is no such fault", group)
		}
	}
}
