package devserver

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/operatorservice/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// runAsParent makes this test binary a parent that starts a server and then waits to be killed.
const runAsParent = "DEVSERVER_TEST_PARENT"

func TestMain(m *testing.M) {
	if cli := os.Getenv(runAsParent); cli != "" {
		server, err := Start(context.Background(), Options{CLI: cli, Headless: true})
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println(server.HostPort())
		select {}
	}
	os.Exit(m.Run())
}

func cli(t *testing.T) string {
	t.Helper()
	path, err := FindCLI(filepath.Join("..", ".."))
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	return path
}

func start(t *testing.T, o Options) *Server {
	t.Helper()
	o.CLI = cli(t)
	server, err := Start(t.Context(), o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, server.Stop()) })
	return server
}

// nothingListens waits until connections to the address are refused.
func nothingListens(t *testing.T, address string) {
	t.Helper()
	require.Eventually(t, func() bool {
		connection, err := net.Dial("tcp", address)
		if err != nil {
			return true
		}
		connection.Close()
		return false
	}, 20*time.Second, 50*time.Millisecond, "something still listens on %s", address)
}

func TestStart_servesWorkflowsAndUIAndStopLeavesNothing(t *testing.T) {
	var log bytes.Buffer
	server := start(t, Options{SearchAttributes: []string{"KsefState=Keyword"}, Log: &log})

	connection, err := grpc.NewClient(server.HostPort(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	defer connection.Close()
	attributes, err := operatorservice.NewOperatorServiceClient(connection).
		ListSearchAttributes(t.Context(), &operatorservice.ListSearchAttributesRequest{Namespace: "default"})
	require.NoError(t, err)
	require.Contains(t, attributes.GetCustomAttributes(), "KsefState")

	page, err := http.Get(server.UIURL())
	require.NoError(t, err)
	defer page.Body.Close()
	_, err = io.Copy(io.Discard, page.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, page.StatusCode)
	require.Positive(t, server.PID())

	require.NoError(t, server.Stop())
	require.NoError(t, server.Stop(), "a second Stop is harmless")
	select {
	case <-server.Done():
	default:
		t.Fatal("Done is open after Stop")
	}
	nothingListens(t, server.HostPort())
	nothingListens(t, strings.TrimPrefix(server.UIURL(), "http://"))
	require.NotEmpty(t, log.String(), "what the server printed goes to Log")
}

func TestStart_namesABusyPortAndLeavesItsOwnerAlone(t *testing.T) {
	owner, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer owner.Close()
	port := owner.Addr().(*net.TCPAddr).Port

	for purpose, o := range map[string]Options{
		"Temporal server": {Port: port},
		"Temporal Web UI": {UIPort: port},
	} {
		o.CLI = "never started"
		_, err := Start(t.Context(), o)
		var busy *BusyPortError
		require.ErrorAs(t, err, &busy)
		require.Equal(t, purpose, busy.Purpose)
		require.ErrorContains(t, err, owner.Addr().String())
	}

	go func() {
		if accepted, err := owner.Accept(); err == nil {
			accepted.Close()
		}
	}()
	connection, err := net.Dial("tcp", owner.Addr().String())
	require.NoError(t, err, "the owner of the port still listens")
	connection.Close()
}

func TestStart_quotesTheLastLinesOfAServerThatEnds(t *testing.T) {
	broken := program(t, t.TempDir(), "temporal", "echo starting; echo disk is full >&2; exit 7")
	_, err := Start(t.Context(), Options{CLI: broken})
	require.ErrorContains(t, err, "disk is full")
	require.ErrorContains(t, err, "exit status 7")
}

func TestStart_leavesNothingWhenItsContextEnds(t *testing.T) {
	directory := t.TempDir()
	alive := filepath.Join(directory, "alive")
	silent := program(t, directory, "temporal", "trap 'rm "+alive+"; exit 0' TERM; touch "+alive+"; while :; do sleep 0.05; done")
	ctx, cancel := context.WithCancelCause(t.Context())
	go func() {
		for {
			if _, err := os.Stat(alive); err == nil {
				cancel(fmt.Errorf("enough of it"))
				return
			}
			runtime.Gosched()
		}
	}()
	_, err := Start(ctx, Options{CLI: silent})
	require.ErrorContains(t, err, "enough of it")
	require.NoFileExists(t, alive, "the process was asked to end and did")
}

func TestStart_keepsAFileDatabaseFast(t *testing.T) {
	file := filepath.Join(t.TempDir(), "temporal.db")
	start(t, Options{DBFile: file, Headless: true})
	require.FileExists(t, file)
	require.FileExists(t, file+"-wal", "journal_mode=WAL is in force")
	require.Contains(t, arguments(Options{DBFile: file}), "synchronous=NORMAL")
}

func TestStart_ignoresTheVariablesOfClients(t *testing.T) {
	t.Setenv("TEMPORAL_ADDRESS", "elsewhere.example:7233")
	t.Setenv("TEMPORAL_CONFIG_FILE", filepath.Join(t.TempDir(), "missing.toml"))
	start(t, Options{Headless: true})
	for _, variable := range environment() {
		require.False(t, strings.HasPrefix(variable, "TEMPORAL_"), variable)
	}
}

func TestServer_diesWithAParentThatIsKilled(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux ties a child's life to its parent's")
	}
	parent := exec.Command(os.Args[0])
	parent.Env = append(os.Environ(), runAsParent+"="+cli(t))
	said, err := parent.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, parent.Start())
	var address string
	_, err = fmt.Fscanln(said, &address)
	require.NoError(t, err)
	connection, err := net.Dial("tcp", address)
	require.NoError(t, err, "the parent says: %s", address)
	connection.Close()

	require.NoError(t, parent.Process.Kill())
	_ = parent.Wait()
	nothingListens(t, address)
}
