package demo

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"teamogy-ksef/internal/cli/inspect"
	"teamogy-ksef/internal/flow"
)

// lane is the progress of one direction.
type lane struct {
	title      string
	ended, all int
	states     []stateCount // only those with invoices, in the order of travel
	wrong      int
}

type stateCount struct {
	state string
	count int
}

// progress is what the terminal shows at one time.
type progress struct {
	elapsed  time.Duration
	lanes    []lane
	now      []string // what is happening
	warnings []string
	over     bool // every invoice has ended
}

// Orders of travel.
var (
	receivedStates = []string{stateWaiting, flow.StateImporting, flow.StateImported, flow.StateNeedsCheck, flow.StateFailed}
	sentStates     = []string{stateWaiting, flow.StateSending, stateAtKSeF, flow.StateAccepted, flow.StateAcceptedMore, flow.StateRejected, flow.StateWithdrawn, flow.StateFailed}
)

// stateNames are the states as people read them.
var stateNames = map[string]string{
	stateWaiting:           "waiting",
	flow.StateNeedsCheck:   "imported with a note",
	flow.StateAcceptedMore: "accepted before",
}

func stateName(state string) string {
	if name, there := stateNames[state]; there {
		return name
	}
	return state
}

// newProgress counts verdicts and says in words what is going on.
func newProgress(m Manifest, verdicts []verdict, troubles []inspect.Waiting, elapsed time.Duration) progress {
	p := progress{elapsed: elapsed, over: true}
	received := newLane("received", flow.DirectionReceived, receivedStates, m, verdicts)
	sent := newLane("sent", flow.DirectionSent, sentStates, m, verdicts)
	p.lanes = []lane{received, sent}
	p.over = received.ended == received.all && sent.ended == sent.all
	p.now = happening(received, sent, m, verdicts)
	p.warnings = troubleLines(troubles)
	return p
}

func newLane(title, direction string, order []string, m Manifest, verdicts []verdict) lane {
	l := lane{title: title}
	counts := map[string]int{}
	for n, i := range m {
		if i.Direction != direction {
			continue
		}
		l.all++
		counts[verdicts[n].state]++
		if verdicts[n].ended {
			l.ended++
		}
		if verdicts[n].wrong != "" {
			l.wrong++
		}
	}
	for _, state := range order {
		if counts[state] > 0 {
			l.states = append(l.states, stateCount{state, counts[state]})
		}
	}
	return l
}

func (l lane) count(state string) int {
	for _, s := range l.states {
		if s.state == state {
			return s.count
		}
	}
	return 0
}

// text is the lane's states in one line: "2 waiting, 3 importing, 7 imported".
func (l lane) text() string {
	parts := make([]string, 0, len(l.states))
	for _, s := range l.states {
		parts = append(parts, fmt.Sprintf("%d %s", s.count, stateName(s.state)))
	}
	if l.wrong > 0 {
		parts = append(parts, fmt.Sprintf("%d otherwise than expected", l.wrong))
	}
	return strings.Join(parts, ", ")
}

// happening says what is going on, in the order of travel.
func happening(received, sent lane, m Manifest, verdicts []verdict) []string {
	var now []string
	add := func(n int, one, many string) {
		switch {
		case n == 1:
			now = append(now, one)
		case n > 1:
			now = append(now, fmt.Sprintf(many, n))
		}
	}
	first := func(direction, state string) string {
		for n, i := range m {
			if i.Direction == direction && verdicts[n].state == state {
				return i.Label
			}
		}
		return ""
	}
	add(received.count(flow.StateImporting), "importing "+first(flow.DirectionReceived, flow.StateImporting), "importing %d invoices from KSeF into Teamogy")
	if len(now) == 0 {
		add(received.count(stateWaiting), "1 received invoice waits in KSeF for the next poll", "%d received invoices wait in KSeF for the next poll, or until its limits allow more downloads")
	}
	add(sent.count(flow.StateSending), "preparing "+first(flow.DirectionSent, flow.StateSending), "preparing %d invoices for the next KSeF session")
	add(sent.count(stateAtKSeF), "KSeF checks "+first(flow.DirectionSent, stateAtKSeF), "KSeF checks %d invoices")
	if sent.count(flow.StateSending)+sent.count(stateAtKSeF) == 0 {
		add(sent.count(stateWaiting), "1 issued invoice waits in Teamogy for the next poll", "%d issued invoices wait in Teamogy for the next poll")
	}
	if len(now) == 0 {
		now = append(now, "every sample invoice has ended; polling for more")
	}
	return now
}

// troubleLines names what fails and is tried again, once for each kind.
func troubleLines(troubles []inspect.Waiting) []string {
	type kind struct{ activity, errorType string }
	counts := map[kind]int{}
	firsts := map[kind]inspect.Waiting{}
	for _, t := range troubles {
		k := kind{t.Activity, t.Type}
		if counts[k]++; counts[k] == 1 {
			firsts[k] = t
		}
	}
	var lines []string
	for k, t := range firsts {
		who := t.WorkflowID
		if counts[k] > 1 {
			who = fmt.Sprintf("%d workflows", counts[k])
		}
		lines = append(lines, fmt.Sprintf("%s of %s: %s: %s", k.activity, who, t.Type, t.Message))
	}
	slices.Sort(lines)
	return lines
}

// mostReason bounds how much of a rejection's reason is shown; Teamogy has it
// all.
const mostReason = 160

// events names the invoices that have ended since the verdicts before.
func events(m Manifest, before, after []verdict) []string {
	var lines []string
	for n, i := range m {
		v := after[n]
		if !v.ended || (before != nil && before[n].ended) {
			continue
		}
		switch {
		case v.wrong != "":
			lines = append(lines, fmt.Sprintf("%-8s  %s: NOT AS EXPECTED: %s", i.Direction, i.Label, v.wrong))
		case i.End == Rejected:
			lines = append(lines, fmt.Sprintf("%-8s  %s: rejected as expected: %s", i.Direction, i.Label, cut(v.detail, mostReason)))
		default:
			lines = append(lines, fmt.Sprintf("%-8s  %s: %s, %s", i.Direction, i.Label, stateName(v.state), v.detail))
		}
	}
	return lines
}

// clock is an elapsed time as 01:05.
func clock(d time.Duration) string {
	s := int(d.Round(time.Second) / time.Second)
	if s >= 3600 {
		return fmt.Sprintf("%d:%02d:%02d", s/3600, s/60%60, s%60)
	}
	return fmt.Sprintf("%02d:%02d", s/60, s%60)
}
