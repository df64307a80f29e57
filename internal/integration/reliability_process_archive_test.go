package integration

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"syscall"

	"teamogy-ksef/internal/archive"
)

// faultyStore is an archive's store whose writes fail when a test says so.
type faultyStore struct {
	archive.Store

	mu     sync.Mutex
	decide func() (before, after error) // asked at each write; nil: none fails
	failed int
}

func (f *faultyStore) wrap(s archive.Store) archive.Store {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.Store = s
	return f
}

func (f *faultyStore) Create(ctx context.Context, key string, data []byte) error {
	before, after := f.next()
	if before != nil {
		return fmt.Errorf("archive %s: %w", key, before)
	}
	if err := f.Store.Create(ctx, key, data); err != nil {
		return err
	}
	if after != nil {
		return fmt.Errorf("archive %s: flush it to the disk: %w", key, after)
	}
	return nil
}

func (f *faultyStore) next() (before, after error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.decide == nil {
		return nil, nil
	}
	before, after = f.decide()
	if before != nil || after != nil {
		f.failed++
	}
	return before, after
}

func (f *faultyStore) set(decide func() (before, after error)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.decide = decide
}

func (f *faultyStore) failures() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.failed
}

// archiveRefuses is an archive that for a while takes no write at all.
func archiveRefuses(name, what string, refusal error) experiment {
	store := &faultyStore{}
	return experiment{
		group: "archive", name: name, what: what, direction: both,
		options: func(o *bedOptions) {
			*store = faultyStore{}
			o.store = store.wrap
		},
		act: func(t *trial) {
			// In the middle of the work: some writes pass first.
			pass := t.random.IntN(3 * t.n)
			store.set(func() (error, error) {
				if pass > 0 {
					pass--
					return nil, nil
				}
				return refusal, nil
			})
			t.until("writes have failed again and again", func() bool { return store.failures() >= 20+2*t.n })
			store.set(nil)
		},
		fired: func(*trial) bool { return store.failures() > 0 },
	}
}

// archiveFailsAtRandom is an archive of which a share of the writes fails, some
// although what was written is there.
func archiveFailsAtRandom() experiment {
	store := &faultyStore{}
	return experiment{
		group: "archive", name: "writes fail at random",
		what:      "Of all writes to the archive one in five fails, every second of them although it took effect (EIO).",
		direction: both,
		options: func(o *bedOptions) {
			*store = faultyStore{}
			o.store = store.wrap
		},
		arrange: func(t *trial) {
			random := rand.New(rand.NewPCG(t.seed, 2)) //nolint:gosec // a repeatable choice is wanted
			store.set(func() (error, error) {
				switch random.IntN(10) {
				case 0:
					return syscall.EIO, nil
				case 1:
					return nil, syscall.EIO
				}
				return nil, nil
			})
		},
		act: func(t *trial) {
			t.until("writes have failed", func() bool { return store.failures() >= t.n })
		},
		fired: func(*trial) bool { return store.failures() > 0 },
	}
}
