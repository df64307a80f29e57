package integration

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// suite says how large a run is: RELIABILITY=ci, =soak, =small for everything
// with few invoices, or a sample of it in every run of the tests.
type suite struct {
	invoices int // of each experiment in each direction
	repeats  int // of each experiment
	only     []string
	seed     uint64 // RELIABILITY_SEED
}

func chosenSuite(t *testing.T) suite {
	t.Helper()
	s := suite{seed: 4}
	if text := os.Getenv("RELIABILITY_SEED"); text != "" {
		seed, err := strconv.ParseUint(text, 10, 64)
		require.NoError(t, err, "RELIABILITY_SEED has to be a whole number")
		s.seed = seed
	}
	switch size := os.Getenv("RELIABILITY"); size {
	case "ci":
		s.invoices, s.repeats = 25, 1
	case "small":
		s.invoices, s.repeats = 6, 1
	case "soak":
		s.invoices, s.repeats = 100, 3
	case "":
		s.invoices, s.repeats, s.only = 4, 1, sampleOfExperiments
	default:
		require.Fail(t, "RELIABILITY has to be ci, soak, small or nothing", size)
	}
	return s
}

// sampleOfExperiments are those that every run of the tests makes.
var sampleOfExperiments = []string{"KSeF: answer-dropped", "Teamogy: answer-dropped", `Teamogy's unknowns: filterProperties "ignored"`, "archive: full"}

func allExperiments() []experiment {
	return slices.Concat(ksefExperiments(), packageExperiments(), teamogyExperiments(), processExperiments())
}

// row is a line of the table in docs/reliability.md.
type row struct {
	group, name, what string
	direction         direction
	invoices, runs    int
	lost, doubled     int
}

// TestReliability proves that under every fault each invoice arrives once.
func TestReliability(t *testing.T) {
	s := chosenSuite(t)
	t.Logf("RELIABILITY_SEED=%d", s.seed)
	experiments := allExperiments()
	if s.only != nil {
		experiments = slices.DeleteFunc(experiments, func(e experiment) bool { return !slices.Contains(s.only, e.title()) })
		require.Len(t, experiments, len(s.only))
	}
	order := rand.New(rand.NewPCG(s.seed, 0)).Perm(len(experiments)) //nolint:gosec // a repeatable order is wanted
	var mu sync.Mutex
	var rows []row
	t.Run("experiments", func(t *testing.T) {
		for _, i := range order {
			e := experiments[i]
			for again := range max(e.runs, 1) * s.repeats {
				t.Run(fmt.Sprintf("%s/%d", e.title(), again+1), func(t *testing.T) {
					t.Parallel()
					found := s.run(t, e, seedOf(s.seed, e.title(), again))
					mu.Lock()
					rows = add(rows, e, found)
					mu.Unlock()
				})
			}
		}
	})
	switch {
	case t.Failed():
	case os.Getenv("RELIABILITY") == "ci" && complete(rows, experiments):
		writeTable(t, rows)
	default:
		t.Logf("\n%s", tableOf(rows))
	}
}

// mostRuns is how often an experiment is made whose fault did not happen: some
// have to meet a moment, which they miss on a machine that has other things to do.
const mostRuns = 8

// run makes an experiment until its fault has happened. A run in which it did
// not counts for nothing, but must lose nothing either.
func (s suite) run(t *testing.T, e experiment, seed uint64) map[direction]counts {
	t.Helper()
	for n := range uint64(mostRuns) {
		var found map[direction]counts
		fired := false
		t.Run(fmt.Sprintf("seed %d", seed+n), func(t *testing.T) {
			found, fired = e.try(t, s.size(e), seed+n)
			report(t, e, seed+n, found)
		})
		if fired || t.Failed() {
			return found
		}
		t.Logf("the fault did not happen: %s (seed %d)", e.title(), seed+n)
	}
	require.Failf(t, "the fault did not happen", "%s, in %d runs from seed %d on", e.title(), mostRuns, seed)
	return nil
}

// complete says whether every experiment was run as often as it is to be, and
// not only some with -run.
func complete(rows []row, experiments []experiment) bool {
	planned, run := 0, 0
	for _, e := range experiments {
		directions := 1
		if e.direction == both {
			directions = 2
		}
		planned += max(e.runs, 1) * directions * len(e.stands())
	}
	for _, r := range rows {
		run += r.runs
	}
	return run == planned
}

func (s suite) size(e experiment) int {
	if e.n != 0 {
		return e.n
	}
	return s.invoices
}

// seedOf gives each run of each experiment a seed of its own, whatever others
// there are.
func seedOf(seed uint64, title string, again int) uint64 {
	h := fnv.New64a()
	fmt.Fprintf(h, "%d %s %d", seed, title, again)
	return h.Sum64()
}

// report fails the test on anything lost, doubled or failed.
func report(t *testing.T, e experiment, seed uint64, found map[direction]counts) {
	t.Helper()
	for d, c := range found {
		t.Logf("%s, %s, seed %d: %d of %d arrived, lost %d, doubled %d; %d POSTs, at most %d of one; %d failed workflows",
			e.title(), d, seed, c.Arrived, c.Invoices, c.Lost, c.Doubled, c.Posts, c.MaxPosts, c.Failed)
		if c.Lost > 0 || c.Doubled > 0 || c.Failed > 0 && e.mayFail == "" {
			t.Errorf("%s, %s:\n%s", e.title(), d, strings.Join(c.Troubles, "\n"))
		}
	}
}

// stands are the rows that an experiment stands for, without counts.
func (e experiment) stands() []row {
	if e.name == "" {
		return e.rows
	}
	return append([]row{{group: e.group, name: e.name, what: e.what}}, e.rows...)
}

// add puts an experiment's counts into its rows.
func add(rows []row, e experiment, found map[direction]counts) []row {
	for d, c := range found {
		for _, r := range e.stands() {
			i := slices.IndexFunc(rows, func(other row) bool {
				return other.group == r.group && other.name == r.name && other.direction == d
			})
			if i < 0 {
				r.direction, r.invoices = d, c.Invoices
				rows = append(rows, r)
				i = len(rows) - 1
			}
			rows[i].runs++
			rows[i].lost += c.Lost
			rows[i].doubled += c.Doubled
		}
	}
	return rows
}
