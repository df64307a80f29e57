package integration

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/log"

	"teamogy-ksef/internal/devserver"
	"teamogy-ksef/internal/flow"
)

// ownServer is a Temporal dev server of one test, on a database file and a
// port that it keeps.
type ownServer struct {
	testing.TB
	options devserver.Options
	running *devserver.Server
	address string
	client  client.Client
	deaths  int
}

// newOwnServer starts a server that ends with the test. Settings are pairs
// KEY=VALUE of its dynamic configuration.
func newOwnServer(t testing.TB, settings ...string) *ownServer {
	t.Helper()
	return serveOwn(t, filepath.Join(t.TempDir(), "temporal.db"), settings...)
}

// newMemoryServer is the same with everything in memory: the fastest that there
// is.
func newMemoryServer(t testing.TB, settings ...string) *ownServer {
	t.Helper()
	return serveOwn(t, "", settings...)
}

func serveOwn(t testing.TB, file string, settings ...string) *ownServer {
	t.Helper()
	s := &ownServer{TB: t, options: devserver.Options{
		CLI: serverCLI, Port: quietPort(t), Headless: true, DBFile: file,
		ExtraArgs: []string{"--log-level", "error"},
	}}
	for _, name := range flow.SearchAttributes {
		s.options.SearchAttributes = append(s.options.SearchAttributes, name+"=Keyword")
	}
	for _, pair := range settings {
		s.options.ExtraArgs = append(s.options.ExtraArgs, "--dynamic-config-value", pair)
	}
	s.start()
	t.Cleanup(func() { require.NoError(t, s.running.Stop()) })
	var err error
	s.client, err = client.Dial(client.Options{HostPort: s.address, Logger: log.NewStructuredLogger(slog.New(slog.DiscardHandler))})
	require.NoError(t, err)
	t.Cleanup(s.client.Close)
	return s
}

func (s *ownServer) start() {
	s.Helper()
	running, err := devserver.Start(context.Background(), s.options)
	require.NoError(s, err)
	s.running, s.address = running, running.HostPort()
}

// kill ends the server with SIGKILL and returns when its process is gone.
func (s *ownServer) kill() {
	s.Helper()
	process, err := os.FindProcess(s.running.PID())
	require.NoError(s, err)
	require.NoError(s, process.Kill())
	<-s.running.Done()
	s.deaths++
}

var quietPorts = struct {
	sync.Mutex
	last int
}{last: 20000 + os.Getpid()%5000}

// quietPort is a free port below those that the system gives to outgoing
// connections: while the server is away nobody else gets it by chance.
func quietPort(t testing.TB) int {
	t.Helper()
	quietPorts.Lock()
	defer quietPorts.Unlock()
	for quietPorts.last++; quietPorts.last < 32000; quietPorts.last++ {
		listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", quietPorts.last))
		if err == nil {
			require.NoError(t, listener.Close())
			return quietPorts.last
		}
	}
	require.FailNow(t, "no port is free between 20000 and 32000")
	return 0
}

// temporalKilled is the Temporal server killed with SIGKILL while invoices are
// on their way, and started again on its file a moment later.
func temporalKilled() experiment {
	var own *ownServer
	watch := &requestCount{}
	return experiment{
		group: "Temporal", name: "server killed and restarted on its file",
		what:      "Temporal's server is killed (SIGKILL) in the middle of the work and started again on its database file, three times in CI and ten times in the soak.",
		direction: both,
		options: func(o *bedOptions) {
			o.noWorker = true
			o.wrapKSeF, o.wrapTeamogy = watch.wrap, watch.wrap
			o.temporal = func(t testing.TB) *ownServer {
				own = newOwnServer(t)
				return own
			}
		},
		act: func(t *trial) {
			t.startProcess(builtWorker(t))
			for range killsOfServer(t.n) {
				until := watch.made.Load() + 5 + int64(t.random.IntN(3*t.n))
				t.until("the work goes on", func() bool { return watch.made.Load() >= until })
				own.kill()
				own.start()
			}
		},
		fired: func(t *trial) bool { return own.deaths == killsOfServer(t.n) },
	}
}

func killsOfServer(n int) int {
	switch {
	case n >= 100:
		return 10
	case n >= 25:
		return 3
	}
	return 1
}

// requestCount counts what a worker asks of a simulator.
type requestCount struct{ made atomic.Int64 }

func (c *requestCount) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.URL.Path, "/_sim") {
			c.made.Add(1)
		}
		next.ServeHTTP(w, r)
	})
}

// continuedAsNewEverywhere has the server suggest to continue as new after a
// few events, so that it happens at every point of the long-running workflows.
func continuedAsNewEverywhere(events int) experiment {
	return experiment{
		group: "Temporal", name: fmt.Sprintf("continue-as-new suggested after %d events", events),
		what: fmt.Sprintf("The server suggests to continue as new after %d events instead of 4,096, so that the long-running workflows do so again and again "+
			"at whatever point they are; meanwhile they are told to pause, to resume and to ask at once.", events),
		direction: both,
		options: func(o *bedOptions) {
			o.temporal = func(t testing.TB) *ownServer {
				return newOwnServer(t, fmt.Sprintf("limit.historyCount.suggestContinueAsNew=%d", events))
			}
		},
		act: func(t *trial) {
			for _, id := range []string{flow.ReceiveID(t.connection), flow.SendID(t.connection)} {
				require.NoError(t, t.update(id, flow.UpdatePause, flow.Reason{Reason: "test"}))
				require.NoError(t, t.update(id, flow.UpdateResume))
				require.NoError(t, t.update(id, flow.UpdatePollNow))
			}
		},
		fired: func(t *trial) bool {
			for _, id := range []string{flow.ReceiveID(t.connection), flow.SendID(t.connection), flow.TransmitID(t.connection)} {
				n := t.runs(id)
				t.Logf("%s had %d runs", id, n)
				if n < 2 {
					return false
				}
			}
			return true
		},
	}
}

// runs counts the runs of a workflow.
func (t *trial) runs(id string) int64 {
	t.Helper()
	answer, err := t.client.CountWorkflow(t.within(), &workflowservice.CountWorkflowExecutionsRequest{
		Namespace: "default", Query: fmt.Sprintf("WorkflowId='%s'", id),
	})
	require.NoError(t, err)
	return answer.GetCount()
}
