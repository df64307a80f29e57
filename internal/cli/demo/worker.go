package demo

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// worker keeps a worker process running: whenever it ends, it is started
// again, as a supervisor would in production.
type worker struct {
	path string
	env  []string
	log  string           // file that takes what it prints
	say  func(string)     // one line for people
	told func(pid int)    // at each start
	quit chan struct{}    // closed to end
	done chan struct{}    // closed when no process is left
	fail chan error       // why it was given up
	clk  func() time.Time // the clock

	starts atomic.Int64
}

const (
	quickDeath  = 2 * time.Second // a worker that lives no longer never worked
	mostQuick   = 5               // such deaths in a row, then it is given up
	stopWorker  = 8 * time.Second // from the request to end until it is killed
	restartWait = 200 * time.Millisecond
)

// startWorker starts the first process and returns; errors come over fail.
func startWorker(path, log string, env []string, say func(string), told func(int)) *worker {
	w := &worker{
		path: path, env: env, log: log, say: say, told: told, clk: time.Now,
		quit: make(chan struct{}), done: make(chan struct{}), fail: make(chan error, 1),
	}
	go w.supervise()
	return w
}

// supervise stays on one thread: Linux ties the death signal of a child to the
// thread that started it.
func (w *worker) supervise() {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer close(w.done)
	quick := 0
	for {
		began := w.clk()
		err := w.runOnce()
		select {
		case <-w.quit:
			return
		default:
		}
		var exit *exec.ExitError
		killed := errors.As(err, &exit) && exit.ExitCode() < 0 // by a signal, so by somebody
		switch {
		case w.clk().Sub(began) >= quickDeath:
			quick = 0
		case !killed:
			quick++
		}
		if quick >= mostQuick {
			w.fail <- fmt.Errorf("the worker ends as soon as it is started (%w); the end of its log:\n%s", err, lastLines(w.log, 20))
			return
		}
		w.say(fmt.Sprintf("the worker has ended (%v) and is started again", err))
		select {
		case <-w.quit:
			return
		case <-time.After(restartWait):
		}
	}
}

// runOnce runs the worker until it ends or is to end.
func (w *worker) runOnce() error {
	log, err := os.OpenFile(w.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("open the worker's log: %w", err)
	}
	defer log.Close()
	cmd := exec.Command(w.path)
	cmd.Env = w.env
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = processAttributes()
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", w.path, err)
	}
	w.starts.Add(1)
	if w.told != nil {
		w.told(cmd.Process.Pid)
	}
	ended := make(chan struct{})
	go w.endWhenAsked(cmd.Process, ended)
	err = cmd.Wait()
	close(ended)
	if err == nil {
		err = errors.New("exit status 0")
	}
	return err
}

// endWhenAsked asks the process to end when the demo does, and kills it if it
// takes too long.
func (w *worker) endWhenAsked(p *os.Process, ended <-chan struct{}) {
	select {
	case <-ended:
		return
	case <-w.quit:
	}
	if err := p.Signal(syscall.SIGTERM); err != nil {
		_ = p.Kill()
	}
	select {
	case <-ended:
	case <-time.After(stopWorker):
		_ = p.Kill()
	}
}

// started is how often a process was started.
func (w *worker) started() int { return int(w.starts.Load()) }

// stop ends the worker and waits until its process is gone.
func (w *worker) stop() {
	close(w.quit)
	<-w.done
}

// workerEnvironment is this process's environment without what could lead the
// demo's worker to somebody's real systems, and with the demo's settings.
func workerEnvironment(inherited []string, s Setup, noConfig string, extra []string) []string {
	var env []string
	for _, variable := range inherited {
		name, _, _ := strings.Cut(variable, "=")
		switch {
		case strings.HasPrefix(name, "TEMPORAL_"), strings.HasPrefix(name, "KSEF_"), strings.HasPrefix(name, "TEAMOGY_"), strings.HasPrefix(name, "AWS_"):
			continue
		}
		env = append(env, variable)
	}
	env = append(env,
		"CONNECTIONS_DIR="+s.ConnectionsDir,
		"ARCHIVE_URL="+s.ArchiveURL,
		"SESSION_SECRET_FILE="+s.SecretFile,
		"TASK_QUEUE="+s.TaskQueue,
		"LOG_LEVEL=info",
		"LOG_FORMAT=console",
		"TEMPORAL_ADDRESS="+s.TemporalAddress,
		"TEMPORAL_NAMESPACE=default",
		"TEMPORAL_CONFIG_FILE="+noConfig, // an empty file, instead of the user's own
	)
	return append(env, extra...)
}

// lastLines are the last lines of a file, for an error's text.
func lastLines(path string, n int) string {
	data, err := os.ReadFile(path)
	if err != nil {
		return "(" + err.Error() + ")"
	}
	lines := strings.Split(strings.TrimRight(string(data), "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
