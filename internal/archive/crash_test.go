package archive

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// everyChoice runs a test once for each way in which its choices can fall.
func everyChoice(run func(choose func(n int) int)) (runs int) {
	var picked, of []int
	for {
		at := 0
		run(func(n int) int {
			if at == len(picked) {
				picked, of = append(picked, 0), append(of, n)
			}
			at++
			return picked[at-1]
		})
		runs++
		last := len(picked) - 1
		for last >= 0 && picked[last] == of[last]-1 {
			last--
		}
		if last < 0 {
			return runs
		}
		picked[last]++
		picked, of = picked[:last+1], of[:last+1]
	}
}

// step is one call of a story, whose repetition must come to the same.
type step struct {
	what string
	do   func(ctx context.Context, a *Archive) error
	// key's object is then what the step has made of it, or gone.
	key, then string
	gone      bool
}

func create(key, data string) step {
	return step{"create " + key, func(ctx context.Context, a *Archive) error {
		if err := a.store.Create(ctx, key, []byte(data)); !errors.Is(err, ErrExists) {
			return err
		}
		return nil
	}, key, data, false}
}

func deletion(key string) step {
	return step{"delete " + key, func(ctx context.Context, a *Archive) error { return a.store.Delete(ctx, key) }, key, "", true}
}

func claim(connection string) step {
	return step{
		connection + " claims", func(ctx context.Context, a *Archive) error {
			return a.ClaimReceiver(ctx, "test", "5265877635", connection)
		},
		"receivers/test-5265877635.json", fmt.Sprintf("{\n  \"connection\": %q\n}\n", connection), false,
	}
}

func release(connection string) step {
	return step{connection + " releases", func(ctx context.Context, a *Archive) error {
		return a.ReleaseReceiver(ctx, "test", "5265877635", connection)
	}, "receivers/test-5265877635.json", "", true}
}

// stories are what the process is killed in the midst of.
var stories = map[string][]step{
	"a first object in new folders": {create("records/acme/sent/7/a.json", "whole a")},
	"a second object in its folder": {create("records/acme/sent/7/a.json", "whole a"), create("records/acme/sent/7/b.json", "whole b")},
	"the same object twice":         {create("documents/ab/cd", "whole"), create("documents/ab/cd", "whole")},
	"an empty object":               {create("index/acme/sent/2026/11/7", "")},
	"an object that is deleted":     {create("check/1", "whole"), deletion("check/1")},
	"a deleted one made again":      {create("check/1", "whole"), deletion("check/1"), create("check/1", "second")},
	"a binding": {{
		"freeze", func(ctx context.Context, a *Archive) error {
			return a.FreezeBinding(ctx, "acme", Binding{Environment: "test", NIP: "5265877635", TeamogyHost: "h", Unit: 1})
		},
		"bindings/acme.json", "{\n  \"environment\": \"test\",\n  \"nip\": \"5265877635\",\n  \"teamogyHost\": \"h\",\n  \"unit\": 1\n}\n", false,
	}},
	"a receiver that changes": {claim("acme"), release("acme"), claim("second")},
}

const modelRoot = "/var/lib/archive"

// tell plays a story from a step on, on a disk whose calls before decides about, and gives the number of
// steps that came to their end.
func tell(ctx context.Context, on disk, before func(string) error, story []step) (done int, err error) {
	store, err := openFileStore(tracedDisk{on, before}, modelRoot)
	if err != nil {
		return 0, err
	}
	for _, s := range story {
		if err := s.do(ctx, New(store)); err != nil {
			return done, fmt.Errorf("%s: %w", s.what, err)
		}
		done++
	}
	return done, nil
}

// objects are what a restarted process finds.
func objects(t *testing.T, on disk) map[string]string {
	t.Helper()
	store, err := openFileStore(on, modelRoot)
	require.NoError(t, err)
	keys, err := store.List(t.Context(), "")
	require.NoError(t, err)
	found := map[string]string{}
	for _, key := range keys {
		data, err := store.Read(t.Context(), key)
		require.NoError(t, err)
		found[key] = "=" + string(data)
	}
	return found
}

// after is what the objects are when so many steps of a story were done.
func after(story []step, done int) map[string]string {
	all := map[string]string{}
	for _, s := range story[:done] {
		all[s.key] = "=" + s.then
		if s.gone {
			delete(all, s.key)
		}
	}
	return all
}

// The process dies before each of its calls to the system, and after the last one. What it leaves, with
// the power on or off, is what it was before the step or what it is after it; repeated, the step succeeds,
// and what succeeded outlives a loss of power.
func TestFileStore_survivesACrashAtAnyCall(t *testing.T) {
	for name, story := range stories {
		t.Run(name, func(t *testing.T) {
			calls := 0
			_, err := tell(t.Context(), newModelDisk(), func(string) error { calls++; return nil }, story)
			require.NoError(t, err)
			images := 0
			for killedAt := range calls + 1 {
				crash := func() (*modelDisk, int, string) {
					left, n, at := newModelDisk(), 0, "the end"
					done, err := tell(t.Context(), left, func(call string) error {
						if n++; n > killedAt {
							if n == killedAt+1 {
								at = call
							}
							return errDied
						}
						return nil
					}, story)
					require.True(t, err == nil && killedAt == calls || errors.Is(err, errDied) || done == len(story), "%v", err)
					return left, done, fmt.Sprintf("killed before call %d, %s", killedAt+1, at)
				}
				check := func(on *modelDisk, done int, where string) {
					found, before := objects(t, on), after(story, done)
					if next := min(done+1, len(story)); fmt.Sprint(found) != fmt.Sprint(after(story, next)) {
						require.Equal(t, before, found, where)
					}
				}
				repeat := func(on *modelDisk, done int, where string) {
					_, err := tell(t.Context(), on, func(string) error { return nil }, story[min(done, len(story)-1):])
					require.NoError(t, err, where)
					require.Equal(t, after(story, len(story)), objects(t, on), where)
				}

				// Only the process dies: its successor finds what the system holds, goes on, and then the
				// power fails.
				left, done, where := crash()
				check(left, done, where)
				repeat(left, done, where)
				images += everyChoice(func(choose func(int) int) {
					require.Equal(t, after(story, len(story)), objects(t, left.afterPowerLoss(choose)), "%s, repeated, then the power failed", where)
				})

				// The power fails at once.
				left, done, where = crash()
				images += everyChoice(func(choose func(int) int) {
					on := left.afterPowerLoss(choose)
					check(on, done, where+", the power failed")
					repeat(on, done, where+", the power failed")
				})
			}
			t.Logf("%d calls, %d disks after a loss of power", calls, images)
		})
	}
}

// A call that fails, for a full or a failing disk, spoils nothing: the object is absent or whole, and the
// step succeeds when it is repeated.
func TestFileStore_survivesTheFailureOfAnyCall(t *testing.T) {
	for name, story := range stories {
		t.Run(name, func(t *testing.T) {
			for failing := 0; ; failing++ {
				on, n, failed := newModelDisk(), 0, ""
				done, err := tell(t.Context(), on, func(call string) error {
					if n++; n == failing+1 {
						failed = call
						return syscall.ENOSPC
					}
					return nil
				}, story)
				if failed == "" {
					break
				}
				if err != nil {
					require.ErrorIs(t, err, syscall.ENOSPC, failed)
				}
				found := objects(t, on)
				if fmt.Sprint(found) != fmt.Sprint(after(story, min(done+1, len(story)))) {
					require.Equal(t, after(story, done), found, failed)
				}
				_, err = tell(t.Context(), on, func(string) error { return nil }, story[min(done, len(story)-1):])
				require.NoError(t, err, failed)
				require.Equal(t, after(story, len(story)), objects(t, on), failed)
				everyChoice(func(choose func(int) int) {
					require.Equal(t, after(story, len(story)), objects(t, on.afterPowerLoss(choose)), failed)
				})
			}
		})
	}
}

// Processes that create one key take turns call by call, in thousands of orders, and at some call the
// power fails: exactly one is told that it won, and as soon as any of them was told anything, the
// winner's object is there for ever.
func TestFileStore_twoProcessesTakingTurnsCallByCall(t *testing.T) {
	const processes, key = 2, "records/acme/sent/7/a.json"
	for seed := range uint64(2000) {
		random := rand.New(rand.NewPCG(seed, 7))
		on := newModelDisk()
		require.NoError(t, on.Mkdir("/var"))
		type answer struct {
			process int
			err     error
		}
		var turns [processes]chan error
		arrived, answers := make(chan int), make(chan answer)
		for p := range processes {
			turns[p] = make(chan error)
			go func() {
				_, err := tell(context.Background(), on, func(string) error {
					arrived <- p
					return <-turns[p]
				}, []step{{key: key, do: func(ctx context.Context, a *Archive) error {
					return a.store.Create(ctx, key, fmt.Appendf(nil, "whole %d", p))
				}}})
				answers <- answer{p, err}
			}()
		}
		// The processes' reads run between the calls that change something: one process runs at a time,
		// because all others wait for their turn.
		waiting, running, told, died := []int{}, processes, false, false
		winners, losers := []int{}, 0
		powerFailsAt := random.IntN(60)
		for calls := 0; running > 0; {
			for len(waiting) < running {
				select {
				case p := <-arrived:
					waiting = append(waiting, p)
				case a := <-answers:
					running--
					switch {
					case a.err == nil:
						winners, told = append(winners, a.process), true
					case errors.Is(a.err, ErrExists):
						losers, told = losers+1, true
					default:
						require.ErrorIs(t, a.err, errDied)
					}
				}
			}
			if running == 0 {
				break
			}
			var order error
			if calls++; calls > powerFailsAt {
				order, died = errDied, true
			}
			next := random.IntN(len(waiting))
			p := waiting[next]
			waiting = append(waiting[:next], waiting[next+1:]...)
			turns[p] <- order
		}
		if !died {
			require.Len(t, winners, 1, "seed %d", seed)
			require.Equal(t, processes-1, losers, "seed %d", seed)
		}
		for range 20 {
			left := on.afterPowerLoss(random.IntN)
			found := objects(t, left)
			content, there := found[key]
			require.True(t, there || !told, "seed %d: who was told that it is there does not find it", seed)
			if there && len(winners) == 1 {
				require.Equal(t, fmt.Sprintf("=whole %d", winners[0]), content, "seed %d", seed)
			}
			require.True(t, !there || content == "=whole 0" || content == "=whole 1", "seed %d: %q", seed, content)
		}
	}
}

// An archive that is gone, as when its disk is not mounted, is no archive without records.
func TestFileStore_tellsAnAbsentObjectFromAnAbsentArchive(t *testing.T) {
	on := newModelDisk()
	store, err := openFileStore(on, modelRoot)
	require.NoError(t, err)
	require.NoError(t, store.Create(t.Context(), "a/b", nil))
	require.NoError(t, on.Remove(modelRoot))
	_, err = store.Read(t.Context(), "a/b")
	require.ErrorContains(t, err, "the archive's folder is gone")
	require.NotErrorIs(t, err, ErrNotFound)
	_, err = store.Exists(t.Context(), "a/b")
	require.ErrorContains(t, err, "gone")
	_, err = store.List(t.Context(), "a/")
	require.ErrorContains(t, err, "gone")
	require.ErrorContains(t, store.Create(t.Context(), "a/c", nil), "gone")
	require.ErrorContains(t, store.Delete(t.Context(), "a/b"), "gone")
}
