package teamogysim

import "time"

// sight is what a view sees of the documents: perhaps not the newest ones, or
// not their newest versions.
type sight struct {
	newest  time.Time  // documents made later are missing
	changed time.Time  // changes made later are not seen
	numbers string     // how numbers in properties are shown
	among   []*history // the documents that can be seen, ascending by id
}

// sight is that of a request at the present time. The caller holds the lock.
func (s *Simulator) sight(set *settings, filtered bool) sight {
	ago := func(seconds float64) time.Time {
		return s.clock.now().Add(-time.Duration(seconds / s.timeScale * float64(time.Second)))
	}
	hidden := max(set.ViewDelaySeconds, set.NewDelaySeconds)
	if filtered {
		hidden = max(hidden, set.SearchDelaySeconds)
	}
	return sight{newest: ago(hidden), changed: ago(max(set.ViewDelaySeconds, set.ChangeDelaySeconds)), numbers: set.NumberProperties}
}

// version is the version of a document that is seen, or nil.
func (seen sight) version(h *history) *document {
	if h.current().created.After(seen.newest) {
		return nil
	}
	return h.asOf(seen.changed)
}
