package integration

import (
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// workerProcess is a worker as it runs in production: a process of its own.
type workerProcess struct {
	bed     *bed
	process *os.Process
	logs    *lockedBuffer
	ended   chan struct{}
	err     error // how it ended; to be read after ended is closed
}

// startProcess starts a worker process for the bed's connection, which is
// killed at the test's end if it still runs.
func (b *bed) startProcess(binary string, environment ...string) *workerProcess {
	b.Helper()
	w, err := b.launch(binary, environment...)
	require.NoError(b, err)
	b.Cleanup(w.discard)
	return w
}

func (b *bed) launch(binary string, environment ...string) (*workerProcess, error) {
	w := &workerProcess{bed: b, logs: &lockedBuffer{}, ended: make(chan struct{})}
	command := exec.Command(binary)
	command.Stdout, command.Stderr = w.logs, w.logs
	command.SysProcAttr = childAttributes()
	command.Env = append([]string{
		"HOME=" + b.dir, "PATH=" + os.Getenv("PATH"), "TEMPORAL_ADDRESS=" + b.temporal,
		"CONNECTIONS_DIR=" + b.connectionsDir(), "ARCHIVE_URL=" + b.archiveURL, "SESSION_SECRET_FILE=" + b.secretFile(),
		"TASK_QUEUE=" + b.queue, "LOG_LEVEL=info",
	}, environment...)
	started := make(chan error)
	go func() {
		// Linux ties a child's death signal to the thread that started it.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := command.Start()
		w.process = command.Process
		started <- err
		if err != nil {
			return
		}
		w.err = command.Wait()
		close(w.ended)
	}()
	return w, <-started
}

// discard kills the process if it still runs, and shows its log if the test
// has failed.
func (w *workerProcess) discard() {
	w.kill()
	if w.bed.Failed() {
		w.bed.Logf("log of worker process %d (end):\n%s", w.process.Pid, w.logs.end(3000))
	}
}

// kill ends the process with SIGKILL, also a frozen one, and returns when it
// is gone.
func (w *workerProcess) kill() {
	_ = w.process.Kill() // it may have ended
	<-w.ended
}

func (w *workerProcess) freeze() { assert.NoError(w.bed, freeze(w.process)) }

func (w *workerProcess) thaw() { assert.NoError(w.bed, thaw(w.process)) }

// serves tells whether it has begun to work.
func (w *workerProcess) serves() bool { return strings.Contains(w.logs.String(), "the worker serves") }

// ask asks the process to end, as `docker stop` and systemd do.
func (w *workerProcess) ask() { assert.NoError(w.bed, w.process.Signal(os.Interrupt)) }

// crew keeps a worker process running, as a supervisor would: when it ends,
// another one is started.
type crew struct {
	bed    *bed
	binary string

	mu      sync.Mutex
	worker  *workerProcess // nil between a death and the next start
	starts  int
	dismiss bool
}

// hire starts the first worker.
func (b *bed) hire(binary string) *crew {
	c := &crew{bed: b, binary: binary}
	c.start()
	b.Cleanup(func() {
		c.mu.Lock()
		c.dismiss = true
		w := c.worker
		c.mu.Unlock()
		if w != nil {
			w.discard()
		}
	})
	return c
}

func (c *crew) start() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dismiss {
		return
	}
	w, err := c.bed.launch(c.binary)
	if !assert.NoError(c.bed, err) {
		return
	}
	c.worker = w
	c.starts++
	go func() {
		<-w.ended
		c.start()
	}()
}

// present is the worker that runs now; nil between a death and the next start.
func (c *crew) present() *workerProcess {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.worker
}

// kill kills the present worker; false if there is none at the moment.
func (c *crew) kill() bool {
	c.mu.Lock()
	w := c.worker
	c.worker = nil
	c.mu.Unlock()
	if w == nil {
		return false
	}
	w.kill()
	return true
}

// builtWorker builds the worker process once for all tests.
func builtWorker(t testing.TB) string {
	t.Helper()
	binary, err := buildWorker()
	require.NoError(t, err)
	return binary
}
