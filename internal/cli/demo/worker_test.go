package demo

import (
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestMain lets the test program stand in for a worker.
func TestMain(m *testing.M) {
	switch os.Getenv("DEMO_TEST_WORKER") {
	case "dies":
		fmt.Println("bad settings")
		os.Exit(3)
	case "lives":
		asked := make(chan os.Signal, 1)
		signal.Notify(asked, syscall.SIGTERM)
		<-asked
		fmt.Println("ends in good order")
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func testWorker(t *testing.T, mode string, told func(int)) (w *worker, said func() []string) {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	var mu sync.Mutex
	var lines []string
	say := func(line string) {
		mu.Lock()
		defer mu.Unlock()
		lines = append(lines, line)
	}
	log := filepath.Join(t.TempDir(), "worker.log")
	w = startWorker(self, log, append(os.Environ(), "DEMO_TEST_WORKER="+mode), say, told)
	return w, func() []string {
		mu.Lock()
		defer mu.Unlock()
		return append([]string(nil), lines...)
	}
}

func TestWorker_isStartedAgainWhenKilled(t *testing.T) {
	pids := make(chan int, 10)
	w, said := testWorker(t, "lives", func(pid int) { pids <- pid })
	for range 7 { // more often than a worker may die by itself
		process, err := os.FindProcess(<-pids)
		require.NoError(t, err)
		require.NoError(t, process.Kill())
	}
	last := <-pids
	w.stop()
	assert.Equal(t, 8, w.started())
	assert.Len(t, said(), 7)
	assert.Contains(t, said()[0], "signal: killed")
	process, err := os.FindProcess(last)
	require.NoError(t, err)
	assert.ErrorIs(t, process.Signal(syscall.Signal(0)), os.ErrProcessDone, "nothing is left running")
}

func TestWorker_isGivenUpWhenItNeverWorks(t *testing.T) {
	w, _ := testWorker(t, "dies", nil)
	select {
	case err := <-w.fail:
		assert.ErrorContains(t, err, "ends as soon as it is started (exit status 3)")
		assert.ErrorContains(t, err, "bad settings", "its own words are shown")
	case <-time.After(time.Minute):
		t.Fatal("not given up")
	}
	w.stop()
	assert.Equal(t, mostQuick, w.started())
}

func TestWorkerEnvironment_keepsRealSystemsOut(t *testing.T) {
	inherited := []string{
		"PATH=/bin", "TEMPORAL_ADDRESS=prod:7233", "TEMPORAL_API_KEY=real", "KSEF_PRIVATE_KEY=real", "TEAMOGY_API_KEY=real", "AWS_SECRET_ACCESS_KEY=real", "ARCHIVE_URL=s3://real",
	}
	env := workerEnvironment(inherited, Setup{TemporalAddress: "127.0.0.1:1", ArchiveURL: "file:///demo"}, "/demo/none.toml", []string{"EXTRA=1"})
	assert.Contains(t, env, "PATH=/bin")
	assert.Contains(t, env, "EXTRA=1")
	assert.Contains(t, env, "TEMPORAL_ADDRESS=127.0.0.1:1")
	assert.Equal(t, "s3://real", lookup(env[:2], "ARCHIVE_URL"))
	assert.Equal(t, "file:///demo", lookup(env, "ARCHIVE_URL"), "the last one counts")
	for _, variable := range env {
		assert.NotContains(t, variable, "=real")
		assert.NotContains(t, variable, "prod:7233")
	}
}

// lookup finds a variable as a process does: the last one counts.
func lookup(env []string, name string) string {
	value := ""
	for _, variable := range env {
		if len(variable) > len(name) && variable[:len(name)+1] == name+"=" {
			value = variable[len(name)+1:]
		}
	}
	return value
}
