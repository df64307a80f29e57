package activities

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"teamogy-ksef/internal/connection"
	"teamogy-ksef/internal/flow"
	"teamogy-ksef/internal/teamogy"
)

// importing is a call of StartImports at a Temporal whose imports end when the
// test says so.
type importing struct {
	*importStarts
	mu      sync.Mutex
	running map[string]bool
	started map[string]int
	failing map[string]bool
	most    int // that were ever under way at once
	found   []foundInvoice
}

func startingImports(t *testing.T, in flow.StartImportsInput, count int) *importing {
	t.Helper()
	s := &Starts{base: testBase(t, nil)}
	stopClock(&s.base)
	in.Connection = "acme"
	i := &importing{running: map[string]bool{}, started: map[string]int{}, failing: map[string]bool{}}
	for n := range count {
		i.found = append(i.found, foundInvoice{KSeFNumber: fmt.Sprintf("number %d", n)})
	}
	i.call(s, in)
	return i
}

// call begins another call.
func (i *importing) call(s *Starts, in flow.StartImportsInput) {
	i.importStarts = &importStarts{
		Starts: s, in: in, scale: 1, begun: s.Now(),
		running: func(context.Context, string) (int, error) { return len(i.running), nil },
		begin: func(_ context.Context, _ flow.StartImportsInput, m *foundInvoice) (bool, error) {
			i.mu.Lock()
			defer i.mu.Unlock()
			if i.failing[m.KSeFNumber] {
				return false, errors.New("Temporal says no")
			}
			if i.started[m.KSeFNumber]++; i.started[m.KSeFNumber] > 1 {
				return false, nil
			}
			i.running[m.KSeFNumber] = true
			i.most = max(i.most, len(i.running))
			return true, nil
		},
	}
	i.out.Next = in.From
}

func (i *importing) created(t *testing.T, numbers ...int) {
	t.Helper()
	for _, n := range numbers {
		require.NoError(t, i.note(t.Context(), receivedKey("acme", i.found[n].KSeFNumber), factCreated, "document", createdFact{DocumentID: int64(n + 1)}))
	}
}

func TestStartImports_ofAPackageTakesNothingOfTheQuotaOfDownloads(t *testing.T) {
	i := startingImports(t, flow.StartImportsInput{Packed: true, Most: 1}, 100)
	i.created(t, 3, 50, 99)
	require.NoError(t, i.all(t.Context(), i.found))
	require.Equal(t, flow.StartImportsResult{Next: 100, Started: 97, Known: 3}, i.out)
}

func TestStartImports_stopsAtTheQuotaOfDownloads(t *testing.T) {
	i := startingImports(t, flow.StartImportsInput{Most: 15}, 100)
	i.created(t, 0, 5, 16)
	require.NoError(t, i.all(t.Context(), i.found))
	require.Equal(t, flow.StartImportsResult{Next: 18, Started: 15, Known: 3}, i.out, "what is known behind them is passed over")
	// A repeat, after a crash, counts those that it has started before: they may
	// still have to download.
	i.call(i.Starts, i.in)
	require.NoError(t, i.all(t.Context(), i.found))
	require.Equal(t, flow.StartImportsResult{Next: 18, Started: 15, Known: 3}, i.out)
	for n, count := range i.started {
		require.LessOrEqual(t, count, 2, n)
	}
	require.Len(t, i.running, 15)
}

// At most so many imports of a connection are under way: the rest waits, goes on
// as others end, and if none ends for a minute the workflow is told.
func TestStartImports_keepsToTheBoundOfImportsUnderWay(t *testing.T) {
	i := startingImports(t, flow.StartImportsInput{Packed: true, Most: 1}, mostImports+40)
	ends := 0
	wait := i.wait
	i.wait = func(ctx context.Context, d time.Duration) error {
		for n := range i.running {
			if ends++; ends > 25 {
				break
			}
			delete(i.running, n)
		}
		return wait(ctx, d)
	}
	require.NoError(t, i.all(t.Context(), i.found))
	require.Equal(t, flow.StartImportsResult{Next: mostImports + 25, Started: mostImports + 25, Full: true}, i.out)
	require.Equal(t, mostImports, i.most)
	clear(i.running)
	i.in.From = i.out.Next
	i.call(i.Starts, i.in)
	require.NoError(t, i.all(t.Context(), i.found))
	require.Equal(t, flow.StartImportsResult{Next: mostImports + 40, Started: 15}, i.out)
}

// More than Teamogy takes in two minutes would only wait for their turn.
func TestStartImports_boundsWhatIsUnderWayByTeamogysQuota(t *testing.T) {
	for perMinute, want := range map[int]int{0: mostImports, 1: fewestImports, 60: 120, 1000: mostImports} {
		require.Equal(t, want, importsUnderWay(perMinute), perMinute)
	}
	i := startingImports(t, flow.StartImportsInput{Packed: true, Most: 1}, 200)
	i.perMinute = 60
	require.NoError(t, i.all(t.Context(), i.found))
	require.Equal(t, flow.StartImportsResult{Next: 120, Started: 120, Full: true}, i.out)
}

// Imports of a package are started as fast as Teamogy takes them, and no faster
// while others wait there: whose turn does not come would ask for it again.
func TestStartImports_ofAPackageKeepsStepWithTeamogy(t *testing.T) {
	i := startingImports(t, flow.StartImportsInput{Packed: true, Most: 1}, 200)
	client := &queued{queue: func() time.Duration { return time.Duration(len(i.started)) * time.Second }}
	pace := func() {
		i.step = i.keepStepOfImports(client, &connection.Connection{TeamogyRequestsPerMinute: 60, TimeScale: 1})
	}
	pace()
	require.NoError(t, i.all(t.Context(), i.found))
	require.LessOrEqual(t, i.out.Next, 16+2*startsAtOnce, "nobody was done, so nobody else began")
	require.False(t, i.out.Full)
	require.Equal(t, teamogy.Low, client.asked, "the priority that imports ask with")

	// Looks share a request, but each is followed by a create.
	client.queue = func() time.Duration { return 0 }
	client.looking = func() int { return len(i.started) - i.in.From }
	i.in.From = i.out.Next
	i.call(i.Starts, i.in)
	pace()
	require.NoError(t, i.all(t.Context(), i.found))
	require.LessOrEqual(t, i.out.Started, 16+2*startsAtOnce)

	client.looking = nil
	i.in.From = i.out.Next
	i.call(i.Starts, i.in)
	pace()
	begun := i.Now()
	require.NoError(t, i.all(t.Context(), i.found))
	require.Greater(t, i.out.Started, 80, "until no more may be under way")
	require.Less(t, i.Now().Sub(begun), 2*time.Minute, "other workers take their part of Teamogy's quota")
}

// A list that is downloaded one by one goes at KSeF's pace, not at Teamogy's.
func TestStartImports_keepsStepForPackagesOnly(t *testing.T) {
	for packed, want := range map[bool]bool{true: true, false: false} {
		b := teamogyBase(t, &queued{queue: func() time.Duration { return 0 }})
		b.Connections.(*fakeConnections).settings.TeamogyRequestsPerMinute = 60
		w := (&Starts{base: b}).newImportStarts(t.Context(), flow.StartImportsInput{Connection: "acme", Packed: packed})
		require.Equal(t, want, w.step != nil && w.step.client != nil)
		require.Equal(t, 60, w.perMinute)
	}
}

func TestStartImports_returnsAfterSomeMinutesWithWhatIsDone(t *testing.T) {
	i := startingImports(t, flow.StartImportsInput{Packed: true, Most: 1}, 100)
	begin := i.begin
	i.begin = func(ctx context.Context, in flow.StartImportsInput, m *foundInvoice) (bool, error) {
		i.mu.Lock()
		_ = i.wait(ctx, 10*time.Second)
		i.mu.Unlock()
		return begin(ctx, in, m)
	}
	require.NoError(t, i.all(t.Context(), i.found))
	require.Equal(t, 24, i.out.Next, "eight take 80 s")
	require.False(t, i.out.Full)
}

func TestStartImports_passesOverWhatCannotBeStarted(t *testing.T) {
	i := startingImports(t, flow.StartImportsInput{Packed: true, Most: 1}, 20)
	i.failing["number 7"] = true
	require.NoError(t, i.all(t.Context(), i.found))
	require.Equal(t, flow.StartImportsResult{Next: 20, Started: 19, Failed: 1}, i.out)
	require.ErrorContains(t, i.last, "number 7")
}

// Whatever is known, runs or fails: a list is gone through once, each new one is
// started once, in the order of the list, and the quota is not exceeded.
func TestStartImports_goesThroughAListOnceWhateverIsKnown(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		count := rapid.IntRange(1, 40).Draw(rt, "count")
		most := rapid.IntRange(1, 20).Draw(rt, "most")
		i := startingImports(t, flow.StartImportsInput{Most: most, Packed: rapid.Bool().Draw(rt, "packed")}, count)
		known := map[int]bool{}
		for range rapid.IntRange(0, 10).Draw(rt, "known") {
			known[rapid.IntRange(0, count-1).Draw(rt, "position")] = true
		}
		for n := range known {
			i.created(t, n)
		}
		calls := 0
		for next := 0; next < count; calls++ {
			require.Less(rt, calls, count+1, "it does not go on")
			i.in.From = next
			i.call(i.Starts, i.in)
			require.NoError(rt, i.all(t.Context(), i.found))
			if !i.in.Packed {
				require.LessOrEqual(rt, i.out.Started, most)
			}
			next = i.out.Next
		}
		for n := range count {
			want := 1
			if known[n] {
				want = 0
			}
			require.Equal(rt, want, i.started[fmt.Sprintf("number %d", n)])
		}
	})
}
