package integration

import (
	"context"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"

	"teamogy-ksef/internal/cli/demo"
)

// Ctrl-C, also in the middle of work, ends everything that the demo has started
// and nothing else. Its ports are looked at afterwards, so this test does not run in
// parallel with others, which could take one of them.
func TestDemo_endsWhatItStartedAndNothingElseWhenInterrupted(t *testing.T) {
	if serverCLI == "" {
		t.Skip("no Temporal CLI: run `make tools`, or put one on PATH")
	}
	worker, err := buildWorker()
	require.NoError(t, err)
	for name, c := range map[string]struct {
		once bool
		want error
	}{
		"running until Ctrl-C":               {once: false, want: nil},
		"running until everything has ended": {once: true, want: demo.ErrInterrupted},
	} {
		t.Run(name, func(t *testing.T) {
			listener, sleeper := startForeigners(t)
			ctx, interrupt := context.WithTimeout(t.Context(), 2*time.Minute)
			defer interrupt()
			var (
				mu    sync.Mutex
				pids  []int
				setup demo.Setup
			)
			atWork := make(chan struct{})
			seen := sync.OnceFunc(func() { close(atWork) })
			_, err := demo.Run(ctx, demo.Options{
				Out: testWriter{t}, CLI: serverCLI, Worker: worker, Once: c.once,
				WrapKSeF: func(next http.Handler) http.Handler {
					return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
						if r.URL.Path == "/v2/auth/challenge" { // only the worker logs in
							defer seen()
						}
						next.ServeHTTP(w, r)
					})
				},
				OnWorker: func(pid int) {
					mu.Lock()
					defer mu.Unlock()
					pids = append(pids, pid)
				},
				OnReady: func(s demo.Setup) {
					setup = s
					assert.DirExists(t, s.Dir)
					for _, address := range addressesOf(t, s) {
						assert.True(t, answers(address), "nobody listens on %s", address)
					}
					select {
					case <-atWork:
					case <-ctx.Done():
						assert.Fail(t, "the worker never logged in to KSeF")
					}
					interrupt()
				},
			})
			require.ErrorIs(t, err, c.want)

			mu.Lock()
			defer mu.Unlock()
			assert.Len(t, pids, 1, "starts of the worker")
			for _, pid := range pids {
				process, err := os.FindProcess(pid)
				require.NoError(t, err)
				assert.ErrorIs(t, process.Signal(syscall.Signal(0)), os.ErrProcessDone, "the worker, process %d, still runs", pid)
			}
			for _, address := range addressesOf(t, setup) {
				assert.False(t, answers(address), "somebody still listens on %s", address)
			}
			assert.NoDirExists(t, setup.Dir)

			assert.True(t, answers(listener.Addr().String()), "a listener of somebody else is gone")
			_, err = server.Client().CheckHealth(t.Context(), &client.CheckHealthRequest{})
			assert.NoError(t, err, "a Temporal server of somebody else is gone")
			requireEndsOf(t, sleeper, syscall.SIGALRM) // under nohup SIGHUP would do nothing
		})
	}
}

// startForeigners starts what is none of the demo's business.
func startForeigners(t *testing.T) (net.Listener, *exec.Cmd) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	sleeper := exec.Command("sleep", "600")
	require.NoError(t, sleeper.Start())
	t.Cleanup(func() { _ = sleeper.Process.Kill() })
	return listener, sleeper
}

// requireEndsOf ends a process and proves that nothing else has ended it before.
func requireEndsOf(t *testing.T, command *exec.Cmd, signal syscall.Signal) {
	t.Helper()
	require.NoError(t, command.Process.Signal(signal))
	require.Error(t, command.Wait())
	status, known := command.ProcessState.Sys().(syscall.WaitStatus)
	require.True(t, known)
	require.Equal(t, signal, status.Signal(), "a process of somebody else was ended")
}

// addressesOf are the addresses on which a demo serves.
func addressesOf(t *testing.T, s demo.Setup) []string {
	t.Helper()
	addresses := []string{s.TemporalAddress}
	for _, raw := range []string{s.WebUI, s.KSeFURL, s.TeamogyURL} {
		parsed, err := url.Parse(raw)
		require.NoError(t, err)
		addresses = append(addresses, parsed.Host)
	}
	return addresses
}

func answers(address string) bool {
	connection, err := net.DialTimeout("tcp", address, 5*time.Second)
	if err != nil {
		return false
	}
	_ = connection.Close()
	return true
}
