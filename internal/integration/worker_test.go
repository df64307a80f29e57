package integration

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"teamogy-ksef/internal/archive"
)

// The worker needs to be told no more than where Temporal, the connections and
// the archive are; it ends well when it is asked to.
func TestWorker_startsOnDefaultsAndStopsWhenAsked(t *testing.T) {
	if server == nil {
		t.Skip("no Temporal CLI: run `make tools`, or put one on PATH")
	}
	t.Parallel()
	worker, err := buildWorker()
	require.NoError(t, err)
	dir := t.TempDir()
	archiveURL, err := archive.FileURL(filepath.Join(dir, "archive"))
	require.NoError(t, err)
	logs := &lockedBuffer{}
	command := exec.Command(worker)
	command.Stderr = logs
	command.Env = []string{
		"HOME=" + dir, "PATH=" + os.Getenv("PATH"), "TEMPORAL_ADDRESS=" + server.FrontendHostPort(),
		"CONNECTIONS_DIR=" + dir, "ARCHIVE_URL=" + archiveURL, "TASK_QUEUE=worker-test",
	}
	require.NoError(t, command.Start())
	t.Cleanup(func() { _ = command.Process.Kill() })
	require.Eventually(t, func() bool { return strings.Contains(logs.String(), "the worker serves") }, deadline, pollEvery, "%s", logs)
	require.NoError(t, command.Process.Signal(os.Interrupt))
	require.NoError(t, command.Wait(), "%s", logs)
}
