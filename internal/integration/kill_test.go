package integration

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"teamogy-ksef/internal/cli/demo"
)

// killer kills the demo's worker with SIGKILL at the moments that it is told,
// seen from the simulators: after a request was carried out and before its
// answer, or before it was carried out.
type killer struct {
	t      *testing.T
	mu     sync.Mutex
	pid    int
	decide func(operation string) killPoint
	kills  []string
}

type killPoint int

const (
	live killPoint = iota
	killBefore
	killAfter
)

func (k *killer) onWorker(pid int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.pid = pid
}

// at decides about a request. While no worker runs nothing is killed.
func (k *killer) at(operation string) killPoint {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.pid == 0 {
		return live
	}
	point := k.decide(operation)
	if point == live {
		return live
	}
	k.kills = append(k.kills, operation)
	return point
}

func (k *killer) kill() {
	k.mu.Lock()
	pid := k.pid
	k.pid = 0
	k.mu.Unlock()
	if pid == 0 {
		return
	}
	if process, err := os.FindProcess(pid); assert.NoError(k.t, err) {
		if err := process.Kill(); !errors.Is(err, os.ErrProcessDone) {
			assert.NoError(k.t, err)
		}
	}
}

func (k *killer) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/_sim") || !strings.HasPrefix(r.URL.Path, "/v2/") && !strings.HasPrefix(r.URL.Path, "/rest/") {
			next.ServeHTTP(w, r)
			return
		}
		switch k.at(operationOf(r)) {
		case killBefore:
			k.kill()
			panic(http.ErrAbortHandler)
		case killAfter:
			next.ServeHTTP(httptest.NewRecorder(), r)
			k.kill()
			panic(http.ErrAbortHandler)
		}
		next.ServeHTTP(w, r)
	})
}

// operationOf names a request by what its path ends in.
func operationOf(r *http.Request) string {
	path := strings.TrimSuffix(r.URL.Path, "/")
	return r.Method + " " + path[strings.LastIndexByte(path, '/')+1:]
}

// workerDir holds what buildWorker builds; TestMain removes it.
var workerDir string

var buildWorker = sync.OnceValues(func() (string, error) {
	var err error
	if workerDir, err = os.MkdirTemp("", "teamogy-ksef-worker-"); err != nil {
		return "", err
	}
	worker := filepath.Join(workerDir, "worker")
	command := exec.Command("go", "build", "-o", worker, "./worker")
	command.Dir = filepath.Join("..", "..")
	if out, err := command.CombinedOutput(); err != nil {
		return "", errors.New(string(out))
	}
	return worker, nil
})

// runDemo runs the demo to its end under a killer and looks at what the
// simulators were asked to do.
func runDemo(t *testing.T, k *killer) {
	t.Helper()
	if serverCLI == "" {
		t.Skip("no Temporal CLI: run `make tools`, or put one on PATH")
	}
	t.Parallel()
	worker, err := buildWorker()
	require.NoError(t, err)
	k.t = t
	ctx, cancel := context.WithTimeout(context.Background(), 8*time.Minute)
	defer cancel()
	result, err := demo.Run(ctx, demo.Options{
		Out: testWriter{t}, CLI: serverCLI, Worker: worker, Once: true, Timeout: 7 * time.Minute,
		WrapKSeF: k.wrap, WrapTeamogy: k.wrap, OnWorker: k.onWorker,
		BeforeStop: func(_ context.Context, r demo.Result) { checkCounts(t, r) },
	})
	require.NoError(t, err)
	require.Empty(t, result.Mismatches)
	require.Equal(t, demo.Tally{Reached: 12, Expected: 12}, result.Received)
	require.Equal(t, demo.Tally{Reached: 7, Expected: 7}, result.Sent)
	require.Equal(t, demo.Tally{Reached: 1, Expected: 1}, result.Rejected)
	assert.Zero(t, result.TooManyRequests.KSeF, "KSeF answered 429")
	assert.Zero(t, result.TooManyRequests.Teamogy, "Teamogy answered 429")
	t.Logf("%d kills: %v; %s; %s", len(k.kills), k.kills, result.Line(), result.Elapsed.Round(time.Second))
}

// checkCounts proves that each POST of an invoice is exactly one number, and
// each POST of a document exactly one document.
func checkCounts(t *testing.T, r demo.Result) {
	var submissions []struct{ SHA256 string }
	fetch(t, r.KSeFURL+"/_sim/submissions", &submissions)
	posts := map[string]int{}
	for _, s := range submissions {
		posts[s.SHA256]++
	}
	assert.Len(t, posts, 8, "invoices that KSeF was sent")
	for sha256, n := range posts {
		assert.Equal(t, 1, n, "POSTs of invoice %s", sha256)
	}
	var documents struct {
		Documents []struct {
			CreatedVia string
			Properties map[string]any
		}
	}
	fetch(t, r.TeamogyURL+"/_sim/documents", &documents)
	created := map[any]int{}
	for _, d := range documents.Documents {
		if d.CreatedVia == "post" {
			created[d.Properties["ksefNumber"]]++
		}
	}
	assert.Len(t, created, 12, "received documents")
	for number, n := range created {
		assert.Equal(t, 1, n, "documents of %v", number)
	}
}

func fetch(t *testing.T, url string, into any) {
	response, err := http.Get(url)
	if !assert.NoError(t, err) {
		return
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	assert.NoError(t, err)
	assert.NoError(t, json.Unmarshal(raw, into), "%s", raw)
}

type testWriter struct{ t *testing.T }

func (w testWriter) Write(p []byte) (int, error) {
	w.t.Log(strings.TrimRight(string(p), "\n"))
	return len(p), nil
}

func TestDemo_endsRightWhenTheWorkerIsKilledAtFiveNamedPoints(t *testing.T) {
	points := map[string]string{
		"after an export was ordered, before the answer":       "POST exports",
		"after a batch session was opened, before the answer":  "POST batch",
		"after a session was closed, before the answer":        "POST close",
		"after a document was created, before the answer":      "POST documents",
		"after a KSeF number was written back, before it said": "PATCH documents",
	}
	waiting := map[string]bool{}
	for _, operation := range points {
		waiting[operation] = true
	}
	k := &killer{decide: func(operation string) killPoint {
		if !waiting[operation] {
			return live
		}
		delete(waiting, operation)
		return killAfter
	}}
	runDemo(t, k)
	require.Empty(t, waiting, "points that never came")
	require.Len(t, k.kills, 5)
}

func TestDemo_endsRightWhenTheWorkerIsKilledAtTenRandomPoints(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	if given := os.Getenv("KILL_SEED"); given != "" {
		var err error
		seed, err = strconv.ParseUint(given, 10, 64)
		require.NoError(t, err, "KILL_SEED")
	}
	t.Logf("KILL_SEED=%d gives the same numbers of requests between kills again", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	const kills = 10
	done, until := 0, random.IntN(20)
	k := &killer{decide: func(string) killPoint {
		if done == kills {
			return live
		}
		if until > 0 {
			until--
			return live
		}
		done++
		until = random.IntN(12)
		return killBefore + killPoint(random.IntN(2))
	}}
	runDemo(t, k)
	require.Equal(t, kills, done)
}
