package cli

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"teamogy-ksef/internal/cli/inspect"
	"teamogy-ksef/internal/flow"
)

// printStatus shows the report to people.
func printStatus(w io.Writer, r statusReport) {
	for n, c := range r.Connections {
		if n > 0 {
			fmt.Fprintln(w)
		}
		printConnection(w, c, r.At, r.TaskQueue)
	}
	if r.Archive != "" {
		fmt.Fprintf(w, "\nUNKNOWN: %s\nNot shown: open invoices that Temporal has forgotten.\n", r.Archive)
	}
}

func printConnection(w io.Writer, c statusConnection, at time.Time, taskQueue string) {
	row := func(title, text string) {
		fmt.Fprintf(w, "  %-10s %s\n", title, strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n"+margin))
	}
	fmt.Fprintln(w, c.Connection)
	if c.Settings != "" {
		row("settings", "WRONG: "+c.Settings)
	}
	if !c.Worker {
		row("worker", noWorker(taskQueue))
	}
	row("receive", receiveText(c.Receive, at))
	row("send", sendText(c.Send, at))
	row("transmit", transmitText(c.Transmit, at))
	row("received", countsText(c.Received))
	row("sent", countsText(c.Sent))
	for _, f := range c.Failed {
		title := f.WorkflowID
		if f.Summary != "" {
			title += " (" + f.Summary + ")"
		}
		row("failed", title+", "+ago(f.Closed, at)+problemText(f.Problem))
	}
	if more := c.FailedInAll - len(c.Failed); more > 0 {
		row("failed", fmt.Sprintf("and %d more: temporal workflow list --query \"%s\"", more, inspect.InvoicesOf(c.Connection, " AND ExecutionStatus = 'Failed'")))
	}
	for _, group := range grouped(c.Waiting) {
		row("retrying", waitingText(group, at)+problemText(group[0].Problem))
	}
	if c.LookedAt < c.RunningInAll {
		row("retrying", fmt.Sprintf("only %d of %d invoices under way were looked at", c.LookedAt, c.RunningInAll))
	}
	if c.Register != nil {
		printRegister(row, c.Register, at)
	}
	for _, p := range c.Problems {
		row("UNKNOWN", p)
	}
}

// problemText goes below what has the problem.
func problemText(p inspect.Problem) string {
	text := ""
	if p.Type != "" {
		text += "\n" + p.Type + ": " + p.Message
	}
	if p.Remedy != "" {
		text += "\n-> " + p.Remedy
	}
	return text
}

func receiveText(l inspect.LongRunning[flow.ReceiveStatus], at time.Time) string {
	if l.Status == nil {
		return stateText(l.State, l.Problem)
	}
	s := l.Status
	parts := []string{stateUnlessPaused(l.State, s.Paused)}
	for _, subject := range slices.Sorted(maps.Keys(s.Cursors)) {
		parts = append(parts, fmt.Sprintf("%s complete up to %s", subjectName(subject), moment(s.Cursors[subject].At)))
	}
	for _, subject := range slices.Sorted(maps.Keys(s.Stuck)) {
		parts = append(parts, fmt.Sprintf("STUCK as %s at %s: KSeF stored more invoices at that moment than it shows of one query (10,000); those behind it are imported, the rest of it is asked for again once a day",
			subjectName(subject), moment(s.Stuck[subject])))
	}
	parts = append(parts, polls(s.LastPoll, s.NextPoll, s.Paused != "", at)...)
	if s.LastPreview > 0 {
		parts = append(parts, fmt.Sprintf("preview: %d invoices would be imported", s.LastPreview))
	}
	if s.Preflight != nil {
		parts = append(parts, s.Preflight.Warnings...)
	}
	return withDoing(s.Doing, parts)
}

func sendText(l inspect.LongRunning[flow.SendStatus], at time.Time) string {
	if l.Status == nil {
		return stateText(l.State, l.Problem)
	}
	s := l.Status
	parts := []string{stateUnlessPaused(l.State, s.Paused)}
	switch {
	case s.Last == nil:
	case s.Last.Unread > 0:
		parts = append(parts, fmt.Sprintf("%d under way, others were not looked for at the last poll", s.Last.UnderWay))
	case s.Last.Partly:
		parts = append(parts, fmt.Sprintf("%d or more ready at the last poll, %d started", s.Last.Ready, s.Last.Started))
	default:
		parts = append(parts, fmt.Sprintf("%d ready at the last poll, %d started", s.Last.Ready, s.Last.Started))
	}
	parts = append(parts, fmt.Sprintf("%d started in all", s.Totals.Started))
	if len(s.Held) > 0 {
		parts = append(parts, fmt.Sprintf("%d held", len(s.Held)))
	}
	parts = append(parts, polls(s.LastPoll, s.NextPoll, s.Paused != "", at)...)
	return withDoing(s.Doing, parts)
}

func transmitText(l inspect.LongRunning[flow.TransmitStatus], at time.Time) string {
	switch {
	case l.Status != nil:
	case l.State == inspect.StateNotStarted:
		return "not started (the first invoice to send starts it)"
	case l.State == inspect.StateRunning || l.Problem != "":
		return stateText(l.State, l.Problem)
	default:
		return l.State + " (the next invoice to send starts it again)"
	}
	s := l.Status
	parts := []string{
		l.State,
		fmt.Sprintf("%d pending", s.Pending),
		fmt.Sprintf("%d in flight", s.InFlight),
		fmt.Sprintf("%d sessions so far", s.Totals.Sessions),
	}
	for _, session := range s.Sessions {
		parts = append(parts, fmt.Sprintf("%s since %s", session.ID, ago(session.Since, at)))
	}
	return withDoing(s.Doing, parts)
}

// stateText describes a workflow that gave no status.
func stateText(state, problem string) string {
	switch {
	case state == inspect.StateNotStarted:
		return "not started (starter up starts it)"
	case state == "canceled":
		return "ended (starter up starts it again)"
	case problem != "":
		return state + "; " + problem
	case state != inspect.StateRunning:
		return state + " (the Web UI shows why; starter up starts it again)"
	}
	return state
}

func stateUnlessPaused(state, reason string) string {
	if reason != "" {
		return "PAUSED: " + reason
	}
	return state
}

func withDoing(doing string, parts []string) string {
	if doing != "" && !strings.HasPrefix(doing, "waiting until ") { // the next poll is said already
		parts = append(parts, "now: "+doing)
	}
	return strings.Join(parts, "; ")
}

func polls(last, next time.Time, paused bool, at time.Time) []string {
	var parts []string
	if !last.IsZero() {
		parts = append(parts, "last poll "+ago(last, at))
	}
	if !next.IsZero() && !paused {
		parts = append(parts, "next "+until(next, at))
	}
	return parts
}

// subjectNames are KSeF's subject types as the settings call them.
var subjectNames = map[string]string{"Subject1": "seller", "Subject2": "buyer", "Subject3": "third party", "SubjectAuthorized": "authorized"}

func subjectName(subject string) string {
	if name, there := subjectNames[subject]; there {
		return name
	}
	return subject
}

func countsText(counts []inspect.Count) string {
	if len(counts) == 0 {
		return "none"
	}
	parts := make([]string, 0, len(counts))
	for _, c := range counts {
		parts = append(parts, fmt.Sprintf("%d %s", c.Count, c.State))
	}
	return strings.Join(parts, ", ")
}

// grouped puts together the same trouble of several workflows, so that one
// cause that stops a hundred invoices is one entry.
func grouped(waiting []inspect.Waiting) [][]inspect.Waiting {
	type cause struct{ activity, errorType, message string }
	var order []cause
	groups := map[cause][]inspect.Waiting{}
	for _, w := range waiting {
		k := cause{w.Activity, w.Type, w.Message}
		if groups[k] == nil {
			order = append(order, k)
		}
		groups[k] = append(groups[k], w)
	}
	out := make([][]inspect.Waiting, 0, len(order))
	for _, k := range order {
		out = append(out, groups[k])
	}
	return out
}

func waitingText(group []inspect.Waiting, at time.Time) string {
	first := group[0]
	text := first.Activity + " of " + first.WorkflowID
	if more := len(group) - 1; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	text += fmt.Sprintf(", attempt %d", first.Attempt)
	if !first.Next.IsZero() {
		text += ", next " + until(first.Next, at)
	}
	return text
}

// moment is a time as people read it, here.
func moment(t time.Time) string {
	if t.IsZero() {
		return "nothing yet"
	}
	return t.Local().Format("2006-01-02 15:04:05")
}

func ago(t, at time.Time) string {
	if t.IsZero() {
		return "never"
	}
	d := at.Sub(t)
	switch {
	case d < time.Second:
		return "just now"
	case d < 48*time.Hour:
		return short(d) + " ago"
	}
	return moment(t)
}

func until(t, at time.Time) string {
	if d := t.Sub(at); d >= time.Second {
		return "in " + short(d)
	}
	return "at any moment"
}

// short is a duration in its two largest units: 1h5m, 12s.
func short(d time.Duration) string {
	switch {
	case d >= time.Hour:
		d = d.Round(time.Minute)
		return fmt.Sprintf("%dh%dm", d/time.Hour, d%time.Hour/time.Minute)
	case d >= time.Minute:
		d = d.Round(time.Second)
		return fmt.Sprintf("%dm%ds", d/time.Minute, d%time.Minute/time.Second)
	}
	return fmt.Sprintf("%ds", d.Round(time.Second)/time.Second)
}

// margin is where the text of a connection's rows begins.
const margin = "             "
