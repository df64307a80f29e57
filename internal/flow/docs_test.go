package flow

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var workflowsPage = filepath.Join("..", "..", "docs", "workflows.md")

func stateTable() string {
	var b strings.Builder
	b.WriteString("| `KsefState` | direction | meaning | whose move |\n|---|---|---|---|\n")
	for _, s := range States {
		direction := s.Direction
		if direction == "" {
			direction = "both"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", s.Name, direction, s.Meaning, s.NextMove)
	}
	return b.String()
}

func errorTable() string {
	var b strings.Builder
	b.WriteString("| error type | class | meaning | what to do |\n|---|---|---|---|\n")
	for _, e := range ErrorTypes {
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", e.Type, e.Class, e.Meaning, e.Remedy)
	}
	return b.String()
}

// replaceTable puts a table between the page's markers of that name.
func replaceTable(t *testing.T, page, name, table string) string {
	t.Helper()
	begin, end := "<!-- "+name+": generated from internal/flow -->\n", "<!-- end of "+name+" -->"
	before, rest, found := strings.Cut(page, begin)
	require.True(t, found, "%s has no marker %q", workflowsPage, begin)
	_, after, found := strings.Cut(rest, end)
	require.True(t, found, "%s has no marker %q", workflowsPage, end)
	return before + begin + table + end + after
}

// The page shows the tables of this package. UPDATE_DOCS=1 writes them.
func TestWorkflowsPage_showsTheTablesOfStatesAndErrors(t *testing.T) {
	content, err := os.ReadFile(workflowsPage)
	require.NoError(t, err)
	want := replaceTable(t, string(content), "states", stateTable())
	want = replaceTable(t, want, "errors", errorTable())
	if os.Getenv("UPDATE_DOCS") != "" {
		require.NoError(t, os.WriteFile(workflowsPage, []byte(want), 0o644))
		return
	}
	require.Equal(t, want, string(content),
		"the tables have changed: UPDATE_DOCS=1 go test -run TestWorkflowsPage ./internal/flow")
}

// Every workflow, update, signal and query that exists is described.
func TestWorkflowsPage_namesEverythingThatCanBeTyped(t *testing.T) {
	content, err := os.ReadFile(workflowsPage)
	require.NoError(t, err)
	var names []string
	for _, prefix := range []string{"Update", "Query", "Signal"} {
		for _, value := range stringConstants(t, "names.go", prefix) {
			names = append(names, value)
		}
	}
	names = append(names, ReceiveInvoices, ImportInvoice, SendInvoices, SendInvoice, TransmitInvoices, TransmitSession)
	names = append(names, SearchAttributes...)
	for _, name := range names {
		require.Contains(t, string(content), "`"+name+"`", "%s is not on %s", name, workflowsPage)
	}
}
