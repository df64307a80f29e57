package activities

import (
	"sync"
	"time"

	"teamogy-ksef/internal/flow"
)

// vainPauses are the waits after looks that brought nothing; the last one
// repeats.
var vainPauses = []time.Duration{time.Minute, 5 * time.Minute, 15 * time.Minute, 30 * time.Minute, time.Hour}

// vainLooks remembers what was looked for in vain, so that looking for it again
// spends little of KSeF's quotas, whichever activity or session asks. It is
// memory of this worker only: forgetting it costs one more look. A nil one
// remembers nothing.
type vainLooks struct {
	mu   sync.Mutex
	last map[string]vainLook
}

type vainLook struct {
	times int
	next  time.Time
}

// wait tells how long something is still to be left alone.
func (v *vainLooks) wait(key string, now time.Time) time.Duration {
	if v == nil {
		return 0
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	return max(0, v.last[key].next.Sub(now))
}

// vain notes a look that brought nothing, and tells how long to wait.
func (v *vainLooks) vain(key string, now time.Time, timeScale float64) time.Duration {
	if v == nil {
		return 0
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	for other, look := range v.last {
		if now.Sub(look.next) > 7*24*time.Hour {
			delete(v.last, other) // nobody asks any more
		}
	}
	look := v.last[key]
	pause := flow.Scaled(vainPauses[min(look.times, len(vainPauses)-1)], timeScale)
	if v.last == nil {
		v.last = map[string]vainLook{}
	}
	v.last[key] = vainLook{times: look.times + 1, next: now.Add(pause)}
	return pause
}

func (v *vainLooks) forget(key string) {
	if v == nil {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	delete(v.last, key)
}
