package devserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
)

// Limits of patience. A start takes about half a second; a busy machine
// with a database file needed two seconds.
const (
	startTimeout = 60 * time.Second
	stopTimeout  = 10 * time.Second
	pollInterval = 50 * time.Millisecond
)

// workflowService is the service whose health says that workflows can be started.
const workflowService = "temporal.api.workflowservice.v1.WorkflowService"

// Options say how the server is to run. Only CLI is required.
type Options struct {
	// CLI is the path of the Temporal CLI, as FindCLI returns it.
	CLI string
	// IP is the address to listen on; "" means 127.0.0.1.
	IP string
	// Port is that of the gRPC API and UIPort that of the Web UI; 0 chooses a free one.
	Port, UIPort int
	// Headless leaves the Web UI out.
	Headless bool
	// DBFile is the SQLite file that keeps the server's state; "" keeps it in memory.
	// A file is always used with journal_mode=WAL and synchronous=NORMAL, which is
	// several times faster than SQLite's defaults and safe against a killed process.
	DBFile string
	// Namespace is created at the start if it does not exist; "" means "default".
	Namespace string
	// SearchAttributes are created at the start, each as "Name=Type", such as "KsefState=Keyword".
	SearchAttributes []string
	// ExtraArgs are appended to the command line.
	ExtraArgs []string
	// Log receives everything that the server prints; nil discards it.
	Log io.Writer
}

// Server is a running development server. Its methods may be called from several
// goroutines.
type Server struct {
	hostPort, uiURL string
	output          *output
	process         *os.Process
	stop            sync.Once
	done            chan struct{}
	// exit is how the process ended; to be read after done is closed.
	exit error
}

// Start runs the server and returns when it serves workflows, which takes about a
// second. ctx bounds the start only; the server runs until Stop, and on Linux
// at most as long as this process. A port that another program listens on is a
// *BusyPortError; a server that ends or does not serve within a minute is an
// error with its last lines.
func Start(ctx context.Context, o Options) (*Server, error) {
	if o.CLI == "" {
		return nil, errors.New("start Temporal dev server: no CLI given")
	}
	if o.IP == "" {
		o.IP = "127.0.0.1"
	}
	var err error
	if o.Port, err = claimPort(o.IP, o.Port, "Temporal server"); err != nil {
		return nil, fmt.Errorf("start Temporal dev server: %w", err)
	}
	if !o.Headless {
		if o.UIPort, err = claimPort(o.IP, o.UIPort, "Temporal Web UI"); err != nil {
			return nil, fmt.Errorf("start Temporal dev server: %w", err)
		}
	}

	s := &Server{
		hostPort: net.JoinHostPort(o.IP, strconv.Itoa(o.Port)),
		output:   &output{log: o.Log},
		done:     make(chan struct{}),
	}
	if !o.Headless {
		s.uiURL = "http://" + net.JoinHostPort(browserHost(o.IP), strconv.Itoa(o.UIPort))
	}
	if err := s.run(o); err != nil {
		return nil, fmt.Errorf("start Temporal dev server: %w", err)
	}
	if err := s.waitUntilServing(ctx); err != nil {
		_ = s.Stop()
		return nil, fmt.Errorf("start Temporal dev server on %s: %w; %s", s.hostPort, err, s.output.last())
	}
	return s, nil
}

// arguments is the command line for the options.
func arguments(o Options) []string {
	args := []string{"server", "start-dev", "--ip", o.IP, "--port", strconv.Itoa(o.Port)}
	if o.Headless {
		args = append(args, "--headless")
	} else {
		args = append(args, "--ui-port", strconv.Itoa(o.UIPort))
	}
	if o.Namespace != "" {
		args = append(args, "--namespace", o.Namespace)
	}
	if o.DBFile != "" {
		args = append(args, "--db-filename", o.DBFile, "--sqlite-pragma", "journal_mode=WAL", "--sqlite-pragma", "synchronous=NORMAL")
	}
	for _, attribute := range o.SearchAttributes {
		args = append(args, "--search-attribute", attribute)
	}
	return append(args, o.ExtraArgs...)
}

// environment is ours without TEMPORAL_*: those variables say which server a client is to
// use and must not bend the one that is being started.
func environment() []string {
	var kept []string
	for _, variable := range os.Environ() {
		if !strings.HasPrefix(variable, "TEMPORAL_") {
			kept = append(kept, variable)
		}
	}
	return kept
}

// run starts the process and watches it until it ends.
func (s *Server) run(o Options) error {
	cmd := exec.Command(o.CLI, arguments(o)...)
	cmd.Env = environment()
	cmd.Stdout, cmd.Stderr = s.output, s.output
	cmd.SysProcAttr = processAttributes()
	cmd.WaitDelay = time.Second

	started := make(chan error)
	go func() {
		// Linux ties the death signal to the thread that started the child, so that thread
		// stays with it to the end.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		s.process = cmd.Process
		started <- err
		if err != nil {
			return
		}
		s.exit = cmd.Wait()
		close(s.done)
	}()
	return <-started
}

func (s *Server) waitUntilServing(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, startTimeout, fmt.Errorf("not serving within %s", startTimeout))
	defer cancel()
	connection, err := grpc.NewClient("passthrough:///"+s.hostPort, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return fmt.Errorf("connect to it: %w", err)
	}
	defer connection.Close()
	health := grpc_health_v1.NewHealthClient(connection)
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		// An attempt that fails has no news: the server is simply not there yet.
		answer, err := health.Check(ctx, &grpc_health_v1.HealthCheckRequest{Service: workflowService})
		if err == nil && answer.GetStatus() == grpc_health_v1.HealthCheckResponse_SERVING {
			return nil
		}
		// Back-off after a refused connection would outlast the server's start.
		connection.ResetConnectBackoff()
		select {
		case <-s.done:
			return fmt.Errorf("it ended at once (%s)", describeExit(s.exit))
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
}

func describeExit(err error) string {
	if err == nil {
		return "exit status 0"
	}
	return err.Error()
}

// HostPort is the address of the gRPC API, for TEMPORAL_ADDRESS.
func (s *Server) HostPort() string { return s.hostPort }

// UIURL is the address of the Web UI, or "" for a headless server.
func (s *Server) UIURL() string { return s.uiURL }

// PID is the process ID of the server.
func (s *Server) PID() int { return s.process.Pid }

// Done is closed when the server's process has ended, whoever ended it.
func (s *Server) Done() <-chan struct{} { return s.done }

// Stop ends the server and returns when its process is gone: it asks with SIGTERM
// and, when ten seconds have not been enough, kills. It touches no other process,
// may be called again, and is no error for a server that has ended already.
func (s *Server) Stop() error {
	s.stop.Do(func() {
		select {
		case <-s.done:
			return
		default:
		}
		if err := s.process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
			_ = s.process.Kill() // where there is no SIGTERM
		}
		patience := time.NewTimer(stopTimeout)
		defer patience.Stop()
		select {
		case <-s.done:
		case <-patience.C:
			_ = s.process.Kill()
		}
	})
	hope := time.NewTimer(stopTimeout + time.Second)
	defer hope.Stop()
	select {
	case <-s.done:
		return nil
	case <-hope.C:
		return fmt.Errorf("stop Temporal dev server: process %d does not end", s.process.Pid)
	}
}

// browserHost is how a person writes the address: a loopback address is localhost.
func browserHost(ip string) string {
	if parsed := net.ParseIP(ip); parsed != nil && parsed.Equal(net.IPv4(127, 0, 0, 1)) {
		return "localhost"
	}
	return ip
}
