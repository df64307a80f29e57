package integration

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
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
	s := &ownServer{TB: t, options: devserver.Options{
		CLI: serverCLI, Port: quietPort(t), Headless: true, DBFile: filepath.Join(t.TempDir(), "temporal.db"),
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
