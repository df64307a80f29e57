package ksefsim

import (
	"net/http"
	"strconv"
)

// groupCount is what came under a quota: answered requests, and those of them
// that were refused with 429.
type groupCount struct {
	Requests        int `json:"requests"`
	TooManyRequests int `json:"tooManyRequests"`
}

// simCounters answers GET /_sim/counters: requests by operation and status, and
// by the quota that they count under.
func (s *Simulator) simCounters(*http.Request) (any, error) {
	group := map[string]string{}
	for _, op := range s.operations() {
		group[op.name] = op.group
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	requests, groups := map[string]map[string]int{}, map[string]groupCount{}
	for op, byStatus := range s.requests {
		requests[op] = map[string]int{}
		under := groups[group[op]]
		for status, n := range byStatus {
			requests[op][status] = n
			under.Requests += n
			if status == strconv.Itoa(http.StatusTooManyRequests) {
				under.TooManyRequests += n
			}
		}
		if group[op] != "" {
			groups[group[op]] = under
		}
	}
	return map[string]any{"requests": requests, "groups": groups, "tooManyRequests": s.tooManyRequests}, nil
}
