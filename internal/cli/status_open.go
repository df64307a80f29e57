package cli

import (
	"fmt"
	"strings"
	"time"

	"teamogy-ksef/internal/cli/inspect"
	"teamogy-ksef/internal/flow"
)

// mostOpen is how many open invoices are shown to people, mostSteps how many of
// the steps of each.
const (
	mostOpen  = 10
	mostSteps = 3
)

// printRegister shows what the register knows: closed gates, then the invoices
// that somebody should look after, then how many others are under way.
func printRegister(row func(title, text string), r *inspect.Register, at time.Time) {
	for _, g := range r.Gates {
		row("GATE", fmt.Sprintf("%s closed since %s\n%s: %s\n-> %s", g.Scope, ago(g.Since, at), g.Type, g.Text, g.Remedy))
	}
	var open []inspect.Open
	for _, o := range r.Open {
		if !o.UnderWay {
			open = append(open, o)
		}
	}
	for i, o := range open {
		if i == mostOpen {
			row("open", fmt.Sprintf("and %d more: starter status -o json lists them all", len(open)-mostOpen))
			break
		}
		row("open", openText(o, at))
	}
	if n := len(r.Open) - len(open); n > 0 {
		row("open", fmt.Sprintf("%d more under way", n))
	} else if len(open) == 0 {
		row("open", "none")
	}
	for i, p := range r.Problems {
		if i == mostOpen {
			row("UNKNOWN", fmt.Sprintf("and %d more records that cannot be read: starter status -o json lists them all", len(r.Problems)-mostOpen))
			break
		}
		row("UNKNOWN", p)
	}
}

// openText is what is known of an open invoice and whose move it is.
func openText(o inspect.Open, at time.Time) string {
	var b strings.Builder
	b.WriteString(o.WorkflowID)
	if o.Summary != "" {
		b.WriteString(" (" + o.Summary + ")")
	}
	switch {
	case o.Direction == flow.DirectionReceived:
		b.WriteString("\nno document")
	case o.KSeFNumber != "":
		b.WriteString("\nthe number " + o.KSeFNumber + " is not on the document")
	default:
		b.WriteString("\nno KSeF number")
	}
	fmt.Fprintf(&b, "; workflow %s; ", o.Workflow)
	steps := o.Steps
	if more := len(steps) - mostSteps; more > 0 {
		fmt.Fprintf(&b, "%d earlier steps, ", more)
		steps = steps[more:]
	}
	for i, s := range steps {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(s.What + " " + ago(s.At, at))
	}
	if o.Problem != nil && o.Problem.Type != "" {
		fmt.Fprintf(&b, "\n%s: %s", o.Problem.Type, o.Problem.Message)
	}
	fmt.Fprintf(&b, "\n-> %s", o.NextMove)
	return b.String()
}
