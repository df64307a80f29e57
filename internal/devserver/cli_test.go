package devserver

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func program(t *testing.T, directory, name, script string) string {
	t.Helper()
	path := filepath.Join(directory, name)
	require.NoError(t, os.MkdirAll(directory, 0o755))
	require.NoError(t, os.WriteFile(path, []byte("#!/bin/sh\n"+script+"\n"), 0o755))
	return path
}

func TestFindCLI_looksInTheDocumentedOrder(t *testing.T) {
	root := t.TempDir()
	given := program(t, filepath.Join(root, "given"), "my-temporal", "exit 0")
	onPath := program(t, filepath.Join(root, "path"), "temporal", "exit 0")
	built := program(t, filepath.Join(root, "project", "bin"), "temporal", "exit 0")
	empty := t.TempDir()

	for _, c := range []struct {
		name, variable, path, project, want string
	}{
		{"TEMPORAL_CLI before PATH", given, filepath.Dir(onPath), filepath.Join(root, "project"), given},
		{"PATH before bin", "", filepath.Dir(onPath), filepath.Join(root, "project"), onPath},
		{"bin last", "", empty, filepath.Join(root, "project"), built},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Setenv("TEMPORAL_CLI", c.variable)
			t.Setenv("PATH", c.path)
			found, err := FindCLI(c.project)
			require.NoError(t, err)
			require.Equal(t, c.want, found)
		})
	}
}

func TestFindCLI_saysWhatToDoWhenThereIsNone(t *testing.T) {
	t.Setenv("TEMPORAL_CLI", "")
	t.Setenv("PATH", t.TempDir())
	_, err := FindCLI(t.TempDir())
	var missing *NotFoundError
	require.ErrorAs(t, err, &missing)
	require.ErrorContains(t, err, "make tools")
}

func TestFindCLI_refusesAWrongTEMPORAL_CLI(t *testing.T) {
	root := t.TempDir()
	program(t, filepath.Join(root, "bin"), "temporal", "exit 0")
	t.Setenv("TEMPORAL_CLI", filepath.Join(root, "mistyped"))
	_, err := FindCLI(root)
	require.ErrorContains(t, err, "mistyped")
}
