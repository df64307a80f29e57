package teamogysim

import "maps"

// counters count every request of the REST API by operation and status. An
// answer that was never sent counts as "dropped".
type counters struct {
	requests        map[string]map[string]int
	tooManyRequests int
}

func newCounters() *counters {
	return &counters{requests: map[string]map[string]int{}}
}

func (c *counters) count(op, status string, tooMany bool) {
	if c.requests[op] == nil {
		c.requests[op] = map[string]int{}
	}
	c.requests[op][status]++
	if tooMany {
		c.tooManyRequests++
	}
}

func (c *counters) snapshot() countersJSON {
	out := countersJSON{Requests: map[string]map[string]int{}, TooManyRequests: c.tooManyRequests}
	for op, statuses := range c.requests {
		out.Requests[op] = maps.Clone(statuses)
	}
	return out
}

type countersJSON struct {
	Requests map[string]map[string]int `json:"requests"`
	// TooManyRequests counts refusals over the quota, whatever their status, and
	// answers 429 made by a fault.
	TooManyRequests int `json:"tooManyRequests"`
}
