package cli

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"teamogy-ksef/internal/devserver"
)

// startTemporal runs a dev server and points the environment at it.
func startTemporal(t *testing.T) {
	t.Helper()
	cli, err := devserver.FindCLI(filepath.Join("..", ".."))
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	server, err := devserver.Start(t.Context(), devserver.Options{CLI: cli, Headless: true})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, server.Stop()) })
	config := filepath.Join(t.TempDir(), "temporal.toml")
	require.NoError(t, os.WriteFile(config, nil, 0o600))
	for _, name := range []string{"TEMPORAL_PROFILE", "TEMPORAL_API_KEY", "TEMPORAL_TLS", "TEMPORAL_NAMESPACE"} {
		t.Setenv(name, "")
		require.NoError(t, os.Unsetenv(name))
	}
	t.Setenv("TEMPORAL_CONFIG_FILE", config)
	t.Setenv("TEMPORAL_ADDRESS", server.HostPort())
}

// writeConnections makes a folder with one connection that sends and receives,
// one that only sends, and one whose file has mistakes.
func writeConnections(t *testing.T) {
	t.Helper()
	folder := t.TempDir()
	rest := `
KSEF_ENVIRONMENT=test
KSEF_CERTIFICATE_FILE=a.crt
KSEF_PRIVATE_KEY_FILE=a.key
TEAMOGY_URL=https://acme.teamogy.com
TEAMOGY_UNIT=1
TEAMOGY_API_KEY=x
SEND=on
SEND_READY_STATUS=READY
SEND_SENT_STATUS=SENT
SEND_REJECTED_STATUS=REJECTED
`
	for name, content := range map[string]string{
		"a.crt":    "certificate",
		"a.key":    "key",
		"acme.env": "NIP=5265877635" + rest + "RECEIVE=on\nRECEIVE_FROM=2026-02-01\nRECEIVE_OWNER=2\n",
		"beta.env": "NIP=5265877635" + rest + "RECEIVE=off\n",
		"oops.env": "NIP=1\n",
	} {
		require.NoError(t, os.WriteFile(filepath.Join(folder, name), []byte(content), 0o600))
	}
	t.Setenv("CONNECTIONS_DIR", folder)
}

func TestUpStatusDown_withoutAWorker(t *testing.T) {
	startTemporal(t)
	writeConnections(t)
	register := filepath.Join(t.TempDir(), "archive")
	t.Setenv("ARCHIVE_URL", "file://"+register)

	code, out, errs := starter(t, "up")
	assert.Equal(t, exitFailed, code, errs)
	assert.Contains(t, out, "search attribute KsefState: created\n")
	assert.Contains(t, out, "acme: receive started, send started\n")
	assert.Contains(t, out, "beta: receive off, send started\n")
	assert.Contains(t, out, "oops: NOT STARTED: ")
	assert.Contains(t, out, "KSEF_ENVIRONMENT", "every mistake of the file is named")
	assert.Contains(t, out, "NO WORKER asks task queue teamogy-ksef")

	code, out, errs = starter(t, "up", "acme", "--output", "json")
	assert.Equal(t, exitDone, code, errs)
	var up upReport
	require.NoError(t, json.Unmarshal([]byte(out), &up))
	require.Len(t, up.Connections, 1)
	assert.Equal(t, outcomes{Connection: "acme", Receive: "already running", Send: "already running"}, up.Connections[0])
	assert.Empty(t, up.SearchAttributes)

	code, out, errs = starter(t, "status")
	assert.Equal(t, exitFailed, code, errs)
	assert.Contains(t, out, "UNKNOWN: the register cannot be read: there is no archive")
	assert.Contains(t, out, "(ARCHIVE_URL=file://"+register+"; it has to be the worker's)")
	assert.NoDirExists(t, register, "who looks makes nothing")
	require.NoError(t, os.Mkdir(register, 0o700))

	code, out, errs = starter(t, "status")
	assert.Equal(t, exitDone, code, errs)
	assert.Contains(t, out, "  open       none\n")
	assert.Contains(t, out, "  receive    running; no worker answers\n")
	assert.Contains(t, out, "  settings   WRONG: ")

	code, out, errs = starter(t, "status", "beta", "-o", "json")
	assert.Equal(t, exitDone, code, errs)
	var status statusReport
	require.NoError(t, json.Unmarshal([]byte(out), &status))
	assert.Equal(t, "not started", status.Connections[0].Receive.State)
	assert.Equal(t, "running", status.Connections[0].Send.State)
	assert.False(t, status.Connections[0].Worker)

	code, out, errs = starter(t, "down", "acme", "beta", "--wait", "1ms")
	assert.Equal(t, exitFailed, code, errs)
	assert.Contains(t, out, "acme: receive ending, send ending\n")
	assert.Contains(t, out, "beta: receive not running, send ending\n")
	assert.Contains(t, out, "closes as soon as a worker runs")

	code, out, errs = starter(t, "down", "gone")
	assert.Equal(t, exitDone, code, errs)
	assert.Contains(t, out, "gone: receive not running, send not running\n")
}
