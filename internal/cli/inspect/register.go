package inspect

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"

	"teamogy-ksef/activities"
	"teamogy-ksef/internal/archive"
	"teamogy-ksef/internal/flow"
)

// Register is what the archive knows of a connection, and Temporal may have
// forgotten.
type Register struct {
	// Open are the invoices that have not come to their end: first those that
	// somebody should look after, then those under way, the oldest first.
	Open []Open `json:"open"`
	// Gates are closed: something of the set-up is refused, and the connection
	// waits.
	Gates []Gate `json:"gates,omitempty"`
	// Problems name the records that could not be read. They may be open as well.
	Problems []string `json:"problems,omitempty"`
}

// Open is an invoice of the register that has not come to its end.
type Open struct {
	activities.OpenInvoice
	// Workflow is how its latest run stands: running, failed, ..., or forgotten.
	Workflow string `json:"workflow"`
	// UnderWay says that its workflow runs and nothing fails.
	UnderWay bool `json:"underWay"`
	// Problem is the error of the last run, or of the step that fails now, as far
	// as Temporal still knows one.
	Problem  *Problem `json:"problem,omitempty"`
	NextMove string   `json:"nextMove"` // whose move it is
}

// Gate is a closed gate.
type Gate struct {
	Scope  string    `json:"scope"`
	Since  time.Time `json:"since"`
	Type   string    `json:"type"`
	Text   string    `json:"text"`
	Remedy string    `json:"remedy"`
}

// WorkflowForgotten is the state of a workflow that Temporal does not know (any
// more).
const WorkflowForgotten = "forgotten"

// lookOpen is of how many open invoices the error of the last run is read.
const lookOpen = 50

// AddRegister reads what the register knows of the report's connection, and
// joins it with what Temporal knows.
func (r *Report) AddRegister(ctx context.Context, c client.Client, a *archive.Archive) error {
	known, err := a.Connections(ctx)
	if err != nil {
		return fmt.Errorf("list the connections of the archive: %w", err)
	}
	if !slices.Contains(known, r.Connection) && len(r.latest) > 0 {
		return fmt.Errorf("the archive does not know %s, but Temporal does: it is not the worker's archive", r.Connection)
	}
	open, problems, err := activities.OpenInvoices(ctx, a, r.Connection)
	if err != nil {
		return err
	}
	register := &Register{Problems: problems, Open: make([]Open, 0, len(open))}
	if register.Gates, err = closedGates(ctx, a, r.Connection); err != nil {
		register.Problems = append(register.Problems, err.Error())
	}
	failing := map[string]*Problem{}
	for i, w := range r.Waiting {
		failing[w.WorkflowID] = &r.Waiting[i].Problem
	}
	asked := 0
	for _, o := range open {
		joined := Open{OpenInvoice: o, Workflow: WorkflowForgotten, Problem: failing[o.WorkflowID]}
		if run := r.latest[o.WorkflowID]; run != nil {
			joined.Workflow = statusName(run.GetStatus())
			if run.GetStatus() == enumspb.WORKFLOW_EXECUTION_STATUS_FAILED && asked < lookOpen {
				asked++
				if failed, err := failedInvoice(ctx, c, run); err == nil {
					joined.Problem = &failed.Problem
				}
			}
		}
		joined.UnderWay = joined.Workflow == StateRunning && joined.Problem == nil
		joined.NextMove = joined.nextMove()
		register.Open = append(register.Open, joined)
	}
	slices.SortStableFunc(register.Open, func(x, y Open) int {
		return cmp.Or(compareBool(x.UnderWay, y.UnderWay), x.Since().Compare(y.Since()))
	})
	r.Register = register
	return nil
}

func compareBool(x, y bool) int {
	switch {
	case x == y:
		return 0
	case y:
		return -1
	}
	return 1
}

// nextMove says whose move an open invoice is.
func (o Open) nextMove() string {
	retry := "you: starter retry " + o.WorkflowID
	switch {
	case o.Workflow == StateRunning && o.Problem != nil:
		return o.Problem.Remedy
	case o.Workflow == StateRunning && o.Direction == flow.DirectionSent && o.KSeFNumber == "":
		return "KSeF, then teamogy-ksef: it is under way"
	case o.Workflow == StateRunning:
		return "teamogy-ksef: it is under way"
	case o.Problem != nil && o.Problem.Remedy != "":
		return o.Problem.Remedy + " Then: starter retry " + o.WorkflowID
	}
	return retry
}

// closedGates are the connection's closed gates; what cannot be read is the error
// beside the others.
func closedGates(ctx context.Context, a *archive.Archive, connection string) ([]Gate, error) {
	closed, err := a.Gates(ctx, connection)
	var gates []Gate
	for _, g := range closed {
		gates = append(gates, Gate{Scope: g.Scope, Since: g.Since, Type: g.ErrorType, Text: g.Text, Remedy: g.Remedy})
	}
	return gates, err
}
