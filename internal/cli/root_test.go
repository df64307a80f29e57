package cli

import (
	"bytes"
	"context"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// starter runs a command line and gives its exit code and output.
func starter(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, err bytes.Buffer
	code = run(t.Context(), args, &out, &err)
	return code, out.String(), err.String()
}

func TestStarter_saysWhatIsWrongWithTheCommandLine(t *testing.T) {
	t.Setenv("CONNECTIONS_DIR", filepath.Join(t.TempDir(), "none"))
	tests := map[string]struct {
		args []string
		text string
	}{
		"unknown command":      {[]string{"upp"}, `Did you mean "up"?`},
		"unknown flag":         {[]string{"up", "--froce"}, "unknown flag: --froce; see starter up --help"},
		"output":               {[]string{"status", "--output", "xml"}, `"xml" is not text or json`},
		"no folder":            {[]string{"up"}, "does not exist (CONNECTIONS_DIR names it)"},
		"name":                 {[]string{"down", "Acme!"}, "is not a connection's name"},
		"unknown connection":   {[]string{"up", "acme"}, `there is no connection "acme"`},
		"retry of nothing":     {[]string{"retry"}, "needs a connection or the ID of an invoice's workflow"},
		"retry a failed ID":    {[]string{"retry", "--failed", "acme/send/1"}, "--failed goes with a connection"},
		"demo argument":        {[]string{"demo", "now"}, "takes no arguments"},
		"demo without rejects": {[]string{"demo", "--sent", "1"}, "--sent 1: at least 2"},
		"demo without imports": {[]string{"demo", "--received", "0"}, "--received 0: at least 1"},
		"simulate limits":      {[]string{"simulate", "--limits", "none"}, "production, tenfold or off"},
		"simulate environment": {[]string{"simulate", "--environment", "prod"}, "test, demo or production"},
		"simulate fault":       {[]string{"simulate", "--fault", "explode"}, "answer-dropped"},
		"simulate fault value": {[]string{"simulate", "--fault", "html,times=often"}, `times="often" of fault html is not a number`},
		"simulate fault key":   {[]string{"simulate", "--fault", "html,color=red"}, `has no "color"`},
		"simulate seed":        {[]string{"simulate", "--seed", "3", "--no-control"}, "needs the control API"},
		"simulate time scale":  {[]string{"simulate", "--time-scale", "0"}, "above 0"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			code, stdout, stderr := starter(t, test.args...)
			assert.Equal(t, exitUsage, code)
			assert.Contains(t, stderr, test.text)
			assert.Empty(t, stdout)
		})
	}
}

func TestStarter_helpsWithoutArguments(t *testing.T) {
	code, stdout, _ := starter(t)
	assert.Equal(t, exitDone, code)
	for _, command := range []string{"up", "down", "status", "retry", "demo", "simulate"} {
		assert.Contains(t, stdout, "\n  "+command+" ")
	}
}

func TestStarter_namesTheConnectionsThatThereAre(t *testing.T) {
	folder := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(folder, "beta.env"), nil, 0o600))
	t.Setenv("CONNECTIONS_DIR", folder)
	code, _, stderr := starter(t, "up", "acme")
	assert.Equal(t, exitUsage, code)
	assert.Contains(t, stderr, "has beta")
}

func TestSimulate_refusesOtherThanLoopback(t *testing.T) {
	for _, address := range []string{"0.0.0.0:8081", ":8081", "192.168.1.2:8081", "example.com:80", "8081"} {
		t.Setenv("KSEF_SIMULATOR_ADDR", address)
		code, _, stderr := starter(t, "simulate")
		assert.Equal(t, exitUsage, code, address)
		assert.Contains(t, stderr, "KSEF_SIMULATOR_ADDR", address)
	}
}

func TestSimulate_leavesLoopbackOnlyForWhoKnowsWhatItIs(t *testing.T) {
	t.Setenv("KSEF_SIMULATOR_ADDR", "0.0.0.0:8081")
	flags := simulateFlags{timeScale: 1, limits: "production", environment: "test"}
	_, err := flags.options()
	require.Error(t, err)
	flags.anywhere = true
	o, err := flags.options()
	require.NoError(t, err)
	assert.True(t, o.AnyAddress)
	assert.Equal(t, "0.0.0.0:8081", o.KSeFAddress)
}

func TestSimulate_listsItsFaults(t *testing.T) {
	code, stdout, _ := starter(t, "simulate", "--list-faults")
	assert.Equal(t, exitDone, code)
	assert.Contains(t, stdout, "answer-dropped")
	assert.Contains(t, stdout, "the connection is cut without an answer")
}

func TestSimulate_namesABusyPortAndLeavesItsOwnerAlone(t *testing.T) {
	other, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer other.Close()
	t.Setenv("KSEF_SIMULATOR_ADDR", "127.0.0.1:0")
	t.Setenv("TEAMOGY_SIMULATOR_ADDR", other.Addr().String())
	code, _, stderr := starter(t, "simulate")
	assert.Equal(t, exitFailed, code)
	assert.Contains(t, stderr, "port "+other.Addr().String()+" for the Teamogy simulator is in use")
	assert.Contains(t, stderr, "TEAMOGY_SIMULATOR_ADDR")
}

func TestSimulate_printsWhereToLookAndEndsWithItsContext(t *testing.T) {
	t.Setenv("KSEF_SIMULATOR_ADDR", "127.0.0.1:0")
	t.Setenv("TEAMOGY_SIMULATOR_ADDR", "localhost:0")
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // Ctrl-C
	var stdout, stderr bytes.Buffer
	assert.Equal(t, exitDone, run(ctx, []string{"simulate"}, &stdout, &stderr), stderr.String())
	assert.Contains(t, stdout.String(), "/v2")
	assert.Contains(t, stdout.String(), "curl http://127.0.0.1:")
}
