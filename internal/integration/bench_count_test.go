package integration

import (
	"math"
	"net/http"
	"slices"
)

// ksefCounts is what the KSeF simulator has counted.
type ksefCounts struct {
	Requests map[string]map[string]int
	Groups   map[string]struct {
		Requests        int `json:"requests"`
		TooManyRequests int `json:"tooManyRequests"`
	}
	TooManyRequests int `json:"tooManyRequests"`
}

func (b *bed) ksefCounts() ksefCounts {
	b.Helper()
	var out ksefCounts
	b.control(http.MethodGet, b.ksefURL+"/_sim/counters", nil, &out)
	return out
}

// scarceBelow: quotas of fewer requests an hour decide how fast invoices pass;
// the others are never near.
const scarceBelow = 200

// scarce are the quotas that count, in order. "other" is a quota of each single
// endpoint outside the work with invoices.
func (b *bed) scarce() []string {
	b.Helper()
	var limits map[string]struct {
		PerHour int `json:"perHour"`
	}
	b.control(http.MethodGet, b.ksefURL+"/_sim/limits", nil, &limits)
	var groups []string
	for group, limit := range limits {
		if limit.PerHour > 0 && limit.PerHour < scarceBelow && group != "other" && group != "collectiveIdentifier" {
			groups = append(groups, group)
		}
	}
	slices.Sort(groups)
	return groups
}

// KSeF's bounds, and ours, that decide how few requests can do.
const (
	mostInPackage = 10_000 // invoices of an export
	mostInSession = 2_000  // our own bound on invoices in flight; KSeF's is 10,000
)

// leastToReceive: one query tells that there are invoices and how many, and
// each export brings as many as KSeF puts into one.
func leastToReceive(n int) map[string]int {
	return map[string]int{"invoiceMetadata": 1, "invoiceExport": parts(n, mostInPackage)}
}

// leastToSend: each batch session takes as many as may be in flight.
func leastToSend(n int) map[string]int {
	sessions := parts(n, mostInSession)
	return map[string]int{"batchSession": sessions, "batchSessionClose": sessions}
}

func parts(n, most int) int { return int(math.Ceil(float64(n) / float64(most))) }

// teamogyPerMinute is the quota that Teamogy's own client assumes, and our
// default. One request an invoice is the least: each document is created, or
// has its number written, by one of its own.
const teamogyPerMinute = 60

// leastHours is how long n invoices take in one direction if Teamogy's quota is
// used to the full and nothing else takes any time.
func leastHours(n int) float64 { return float64(n) / teamogyPerMinute / 60 }

// allRequests counts the requests that a simulator has answered, its control
// API's left out.
func (b *bed) allRequests(base string) int {
	b.Helper()
	var out struct{ Requests map[string]map[string]int }
	b.control(http.MethodGet, base+"/_sim/counters", nil, &out)
	n := 0
	for _, answers := range out.Requests {
		for _, count := range answers {
			n += count
		}
	}
	return n
}
