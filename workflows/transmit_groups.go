package workflows

import (
	"fmt"
	"slices"
	"time"

	"teamogy-ksef/internal/flow"
)

const (
	// mostOnline is how many invoices go one by one through an online session;
	// more are packed into a batch session.
	mostOnline = 3
	// mostInBatch and mostBytes bound a package: the invoices that may be under
	// way, and KSeF's 5 GB before compression, which is more than it counts.
	mostInBatch = 2000
	mostBytes   = 4_900_000_000
	// failedOften is after how many sessions without KSeF's decision an invoice
	// is kept apart from the others: it may be what its packages failed for.
	failedOften = 2
	// mostApart is how many of those go one by one through an online session. Of
	// more, packages are made that are an eighth as large with each further try.
	mostApart = 25
)

// group is what the invoices of one session have in common.
type group struct {
	form                string
	attachment, offline bool
	tries               int // of those that are kept apart: after so many sessions
}

func groupOf(w flow.Waiting) group {
	g := group{form: w.Form, attachment: w.Attachment, offline: w.Offline}
	if w.Tries >= failedOften {
		g.tries = w.Tries
	}
	return g
}

// name is the group in the state and the Status query.
func (g group) name() string {
	name := g.form
	if g.attachment {
		name += ", with attachment"
	}
	if g.offline {
		name += ", offline"
	}
	if g.tries > 0 {
		name += fmt.Sprintf(", after %d sessions", g.tries)
	}
	return name
}

// mostPacked is how many invoices of the group a package may have.
func (g group) mostPacked() int {
	if g.tries == 0 {
		return mostInBatch
	}
	return max(1, mostInBatch>>min(3*(g.tries-failedOften+1), 30))
}

// online tells whether so many ready invoices of the group go through an online
// session, for which few are few.
func (g group) online(ready, few int) bool {
	switch {
	case g.attachment:
		return false
	case g.tries > 0:
		return min(ready, g.mostPacked()) <= mostApart
	}
	return ready <= few
}

// most is how many invoices of the group one session takes.
func (g group) most(online bool, few int) int {
	switch {
	case online && g.tries > 0:
		return mostApart
	case online:
		return few
	}
	return g.mostPacked()
}

// fewOf is how many invoices go one by one: mostOnline, or ONE_BY_ONE.
func fewOf(pace flow.Pace) int {
	if pace.OneByOne > 0 {
		return min(pace.OneByOne, mostInSession)
	}
	return mostOnline
}

// readyGroup is a group with invoices whose time has come.
type readyGroup struct {
	group
	count int
}

// readyGroups are the groups of the ready invoices, the one first whose oldest
// invoice has waited longest.
func (q *queue) readyGroups(now time.Time) []readyGroup {
	var groups []readyGroup
	at := map[group]int{}
	for _, p := range q.Pending {
		if p.NotBefore.After(now) {
			continue
		}
		g := groupOf(p)
		i, there := at[g]
		if !there {
			i = len(groups)
			at[g], groups = i, append(groups, readyGroup{group: g})
		}
		groups[i].count++
	}
	return groups
}

// beingSent tells whether a session of the same kind for the same group is still
// being sent. One of which the group is not known is in the way of all.
func (q *queue) beingSent(g group, batch bool, after time.Time) bool {
	return slices.ContainsFunc(q.Sessions, func(s flow.WaitingSession) bool {
		return !s.Sent && s.Since.After(after) && (s.Group == "" || s.Group == g.name() && s.Batch == batch)
	})
}

// takeGroup takes the first ready invoices of a group out of the queue.
func (q *queue) takeGroup(now time.Time, g group, most int) []flow.Waiting {
	var items, rest []flow.Waiting
	var bytes int64
	for _, p := range q.Pending {
		if len(items) < most && !p.NotBefore.After(now) && groupOf(p) == g && (len(items) == 0 || bytes+p.Size <= mostBytes) {
			items, bytes = append(items, p), bytes+p.Size
		} else {
			rest = append(rest, p)
		}
	}
	q.Pending = rest
	return items
}

// plannedSession is the next session that may be opened.
type plannedSession struct {
	group
	batch bool
	most  int
}

// plan chooses the next session: of the groups that are not being sent, that
// which may be sent first, and among those the one that waits longest. The pause
// is how long to wait for it. There is none if nothing is ready, or all of it
// waits for sessions that are being sent.
func (q *queue) plan(now time.Time, pace flow.Pace) (next plannedSession, pause time.Duration, there bool) {
	stuck := now.Add(-flow.Scaled(stuckAfter, pace.TimeScale))
	for _, g := range q.readyGroups(now) {
		p, wait := q.planGroup(now, pace, g)
		if q.beingSent(g.group, p.batch, stuck) || there && wait >= pause {
			continue
		}
		next, pause, there = p, wait, true
	}
	return next, pause, there
}

func (q *queue) planGroup(now time.Time, pace flow.Pace, g readyGroup) (plannedSession, time.Duration) {
	opens, sends, batches := q.quotas(pace)
	apart := time.Duration(0)
	for _, spent := range [][]flow.Spent{q.Opens, q.Batches} {
		if n := len(spent); n > 0 {
			// Never within a second, also in scaled time: a session's ID is its second.
			apart = max(apart, spent[n-1].At.Add(max(flow.Scaled(betweenOpens, pace.TimeScale), time.Second)).Sub(now))
		}
	}
	byBatch, few := max(apart, batches.waitFor(now, 1)), fewOf(pace)
	if !g.online(g.count, few) {
		return plannedSession{g.group, true, g.most(false, few)}, byBatch
	}
	most := min(g.most(true, few), g.count)
	one := max(apart, opens.waitFor(now, 1), sends.waitFor(now, 1))
	if all := max(one, sends.waitFor(now, most)); all > apart && byBatch <= apart && g.tries == 0 && pace.OneByOne == 0 {
		// The single sends are used up: a package needs none.
		return plannedSession{g.group, true, g.most(false, few)}, byBatch
	}
	return plannedSession{g.group, false, min(most, max(1, sends.allowed(now.Add(one))))}, one
}

// quotas are what opening and sending may spend, as they stand.
func (q *queue) quotas(pace flow.Pace) (opens, sends, batches ledger) {
	l := pace.Limits
	of := func(perMinute, perHour int, spent []flow.Spent, group string) ledger {
		return ledger{
			perMinute: reserved(perMinute), perHour: reserved(perHour), timeScale: pace.TimeScale, spent: spent,
			notBefore: flow.BlockedUntil(pace.Blocked, group),
		}
	}
	return of(l.OpensPerMinute, l.OpensPerHour, q.Opens, flow.GroupOpens), of(l.SendsPerMinute, l.SendsPerHour, q.Sends, flow.GroupSends),
		of(l.BatchesPerMinute, l.BatchesPerHour, q.Batches, flow.GroupBatches)
}
