package teamogysim

import (
	"fmt"
	"slices"
	"strings"
)

// reach is what becomes of the answer when a fault strikes.
type reach int

const (
	reachAnswer    reach = iota // another answer is sent
	reachDropped                // the connection is closed without an answer
	reachReset                  // the connection is reset (TCP RST)
	reachHeld                   // nothing is sent for as long as the caller waits
	reachTruncated              // the answer ends in the middle
)

// faultKind is a misbehaviour that can be ordered by its name.
type faultKind struct {
	Name    string   `json:"name"`
	Aliases []string `json:"aliases,omitempty"`
	Does    string   `json:"does"`

	after bool // the request does its work first
	reach reach
}

// Names of faults. Those ending in -after, and answer-dropped and truncated,
// let the request do its work and spoil the answer only.
const (
	faultAnswerDropped   = "answer-dropped"
	faultRequestDropped  = "request-dropped"
	faultReset           = "reset"
	faultResetAfter      = "reset-after"
	faultTimeout         = "timeout"
	faultTimeoutAfter    = "timeout-after"
	faultBadGateway      = "bad-gateway"
	faultBadGatewayAfter = "bad-gateway-after"
	faultHTML            = "html"
	faultTooMany         = "too-many-requests"
	faultStatus          = "status"
	faultTruncated       = "truncated"
)

var faultKinds = []faultKind{
	{
		Name: faultAnswerDropped, Aliases: []string{"drop-after"}, after: true, reach: reachDropped,
		Does: "The request does its work, then the connection is closed without an answer.",
	},
	{
		Name: faultRequestDropped, Aliases: []string{"drop-before"}, reach: reachDropped,
		Does: "The connection is closed without an answer, and nothing was done.",
	},
	{Name: faultReset, reach: reachReset, Does: "The connection is reset (TCP RST), and nothing was done."},
	{
		Name: faultResetAfter, after: true, reach: reachReset,
		Does: "The request does its work, then the connection is reset (TCP RST).",
	},
	{
		Name: faultTimeout, reach: reachHeld,
		Does: "Nothing is done and no answer comes until the caller leaves or, where \"seconds\" is given, until then: 504.",
	},
	{
		Name: faultTimeoutAfter, after: true, reach: reachHeld,
		Does: "The request does its work, but no answer comes until the caller leaves or, where \"seconds\" is given, until then: 504.",
	},
	{
		Name: faultBadGateway, Aliases: []string{"502-before"},
		Does: "The answer is 502 with an HTML page, and nothing was done.",
	},
	{
		Name: faultBadGatewayAfter, Aliases: []string{"502-after"}, after: true,
		Does: "The request does its work, then the answer is 502 with an HTML page.",
	},
	{Name: faultHTML, Does: "The answer is 200 with a firewall's HTML page, and nothing was done."},
	{
		Name: faultTooMany, Aliases: []string{"429"},
		Does: "The answer is 429 with Retry-After (\"retryAfter\" seconds, 1 unless given, -1: without the header), and nothing was done.",
	},
	{
		Name: faultStatus,
		Does: "The answer is the given \"status\" with the given \"body\", and nothing was done.",
	},
	{
		Name: faultTruncated, after: true, reach: reachTruncated,
		Does: "The request does its work, then the answer ends in the middle of its body.",
	},
}

// faultKindOf finds a kind by its name or an alias.
func faultKindOf(name string) (faultKind, error) {
	names := make([]string, 0, len(faultKinds))
	for _, k := range faultKinds {
		if k.Name == name || slices.Contains(k.Aliases, name) {
			return k, nil
		}
		names = append(names, strings.Join(append([]string{k.Name}, k.Aliases...), " = "))
	}
	if name == "" {
		return faultKind{}, fmt.Errorf("action is missing: want one of %s", strings.Join(names, ", "))
	}
	return faultKind{}, fmt.Errorf("unknown action %q: want one of %s", name, strings.Join(names, ", "))
}
