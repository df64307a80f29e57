package activities

import (
	"crypto/sha256"
	"encoding/hex"
	"sync"
	"time"

	"teamogy-ksef/internal/flow"
)

// comparisons remembers when a refused document's content was last compared,
// so that it costs Teamogy's quota little. It is memory of this worker only:
// forgetting it costs one more comparison.
type comparisons struct {
	mu   sync.Mutex
	now  func() time.Time
	last map[comparisonKey]comparison
}

const (
	// comparisonPause is how long a refused document's content is left alone.
	comparisonPause = time.Hour
	// comparisonLater is the pause after the first day, and that day.
	comparisonLater = 24 * time.Hour
)

type comparisonKey struct {
	connection string
	documentID int64
}

type comparison struct {
	first, last time.Time
}

func newComparisons(now func() time.Time) *comparisons {
	return &comparisons{now: now, last: map[comparisonKey]comparison{}}
}

// due tells whether a document should be compared now: hourly on its first
// day, daily from then on.
func (c *comparisons) due(connection string, documentID int64, timeScale float64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	seen, there := c.last[comparisonKey{connection, documentID}]
	if !there {
		return true
	}
	pause := comparisonPause
	if seen.last.Sub(seen.first) >= flow.Scaled(comparisonLater, timeScale) {
		pause = comparisonLater
	}
	return c.now().Sub(seen.last) >= flow.Scaled(pause, timeScale)
}

func (c *comparisons) note(connection string, documentID int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	key := comparisonKey{connection, documentID}
	seen := c.last[key]
	if seen.first.IsZero() {
		seen.first = c.now()
	}
	seen.last = c.now()
	c.last[key] = seen
}

// keep forgets the documents of a connection that are not in the ready list:
// one that comes back is compared at once.
func (c *comparisons) keep(connection string, ready func(documentID int64) bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for key := range c.last {
		if key.connection == connection && !ready(key.documentID) {
			delete(c.last, key)
		}
	}
}

func hashBytes(xml []byte) []byte {
	sum := sha256.Sum256(xml)
	return sum[:]
}

func hashHex(xml []byte) string { return hex.EncodeToString(hashBytes(xml)) }
