package integration

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	enums "go.temporal.io/api/enums/v1"

	"teamogy-ksef/internal/flow"
)

// rollingRestart is a worker replaced by one of another build, again and again
// while invoices are on their way. The newer build has one step more in the
// workflows of invoices, under workflow.GetVersion.
func rollingRestart() experiment {
	g := &gate{}
	switches := 0
	return experiment{
		group: "worker", name: "rolling restart between two builds",
		what: "The worker is asked to end in the middle of a request while one of another build takes over, five times in CI and eleven times in the soak, " +
			"to and fro; the newer build has a step more in the workflows of invoices, under GetVersion.",
		direction: both,
		options: func(o *bedOptions) {
			o.noWorker, o.wrapKSeF, o.wrapTeamogy = true, g.wrap, g.wrap
			switches = 0
		},
		act: func(t *trial) {
			t.Cleanup(g.release)
			builds := [2]string{builtWorker(t), changedWorker(t)}
			old := t.startProcess(builds[0])
			// The newer build is the last one: the older does not know its step.
			for n := 1; n <= rollsFor(t.n); n++ {
				t.until("the worker serves", old.serves)
				g.closeWith(true, 1, t.random.IntN(2*t.n), func(r *http.Request) bool { return !strings.HasPrefix(r.URL.Path, "/_sim") })
				next := t.startProcess(builds[n%2])
				t.until("the next worker serves", next.serves)
				t.until("a request is under way", func() bool { return g.holds() > 0 })
				old.ask()
				t.until("the worker has begun to end", old.stops)
				g.release()
				<-old.ended
				require.NoError(t, old.err, "the worker did not end well:\n%s", old.logs)
				old = next
				switches++
			}
		},
		fired: func(t *trial) bool {
			require.Zero(t, t.timedOut(), "activities were left behind by workers that were asked to end")
			return switches == rollsFor(t.n)
		},
	}
}

func rollsFor(n int) int {
	switch {
	case n >= 100:
		return 11
	case n >= 25:
		return 5
	}
	return 1
}

// stops tells whether the worker has heard that it should end.
func (w *workerProcess) stops() bool { return strings.Contains(w.logs.String(), "the worker stops") }

// timedOut counts the attempts of invoices' activities that ended without a
// word.
func (t *trial) timedOut() int {
	t.Helper()
	n := 0
	look := func(id string) {
		for _, e := range t.events(id) {
			if a := e.GetActivityTaskStartedEventAttributes(); a.GetLastFailure().GetTimeoutFailureInfo() != nil &&
				a.GetLastFailure().GetTimeoutFailureInfo().GetTimeoutType() == enums.TIMEOUT_TYPE_HEARTBEAT {
				n++
			}
		}
	}
	for _, i := range t.imports {
		look(flow.ImportID(t.connection, i.KSeFNumber))
	}
	for _, e := range t.exports {
		look(flow.SendInvoiceID(t.connection, e.ID))
	}
	return n
}

// newStep is what the changed build does first in a workflow of an invoice.
const newStep = `
	if workflow.GetVersion(ctx, "step-of-a-newer-build", workflow.DefaultVersion, 1) == 1 {
		if err := rest(ctx, 10_000_000, "A step of a newer build"); err != nil {
			return none, err
		}
	}
`

var changedBuild = sync.OnceValues(func() (string, error) {
	unchanged, err := buildWorker()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(filepath.Dir(unchanged), "changed")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return "", err
	}
	overlay := struct{ Replace map[string]string }{map[string]string{}}
	for file, anchor := range map[string]string{
		"import_invoice.go": "	var none flow.ImportResult\n", "send_invoice.go": "	var none flow.SendResult\n",
	} {
		path, err := filepath.Abs(filepath.Join("..", "..", "workflows", file))
		if err != nil {
			return "", err
		}
		source, err := os.ReadFile(path)
		if err != nil {
			return "", err
		}
		before, after, found := strings.Cut(string(source), anchor)
		if !found || strings.Contains(after, anchor) {
			return "", fmt.Errorf("%s does not have the line %q once: the new step needs another place", path, anchor)
		}
		changed := filepath.Join(dir, file)
		if err := os.WriteFile(changed, []byte(before+anchor+newStep+after), 0o600); err != nil {
			return "", err
		}
		overlay.Replace[path] = changed
	}
	raw, err := json.Marshal(overlay)
	if err != nil {
		return "", err
	}
	if err := os.WriteFile(filepath.Join(dir, "overlay.json"), raw, 0o600); err != nil {
		return "", err
	}
	binary := filepath.Join(dir, "worker")
	command := exec.Command("go", "build", "-overlay", filepath.Join(dir, "overlay.json"), "-o", binary, "./worker")
	command.Dir = filepath.Join("..", "..")
	if out, err := command.CombinedOutput(); err != nil {
		return "", errors.New(string(out))
	}
	return binary, nil
})

// changedWorker builds the worker with a step more in its workflows.
func changedWorker(t testing.TB) string {
	t.Helper()
	binary, err := changedBuild()
	require.NoError(t, err)
	return binary
}
