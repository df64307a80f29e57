package inspect

import (
	"errors"
	"strings"

	failurepb "go.temporal.io/api/failure/v1"
	"go.temporal.io/sdk/temporal"

	"teamogy-ksef/internal/flow"
)

// problemOf reads an error of a workflow or activity. What is not one of ours,
// such as a time-out or a panic, gets the row for unexpected errors and keeps
// its own message.
func problemOf(err error) Problem {
	var failure *temporal.ApplicationError
	if errors.As(err, &failure) {
		row := flow.LookupError(failure.Type())
		p := Problem{Type: failure.Type(), Class: row.Class, Message: failure.Message(), Remedy: row.Remedy}
		var details flow.ErrorDetails
		if failure.HasDetails() && failure.Details(&details) == nil && details.Remedy != "" {
			p.Class, p.Remedy = details.Class, details.Remedy
		}
		// The message ends with the remedy, for those who see only the message.
		if text, repeated := strings.CutSuffix(p.Message, p.Remedy); repeated && text != "" {
			p.Message = strings.TrimSuffix(text, " - What to do: ")
		}
		return p
	}
	row := flow.LookupError(flow.ErrUnexpected)
	p := Problem{Type: row.Type, Class: row.Class, Message: err.Error(), Remedy: row.Remedy}
	var cancelled *temporal.CanceledError
	var timeout *temporal.TimeoutError
	switch {
	case errors.As(err, &cancelled):
		p.Type = "Canceled"
	case errors.As(err, &timeout):
		p.Type = "Timeout"
		p.Remedy = "Nothing: it is tried again. If it lasts, see whether a worker runs."
	}
	return p
}

// problemOfFailure reads the last failure of a pending activity.
func problemOfFailure(f *failurepb.Failure) Problem {
	return problemOf(temporal.GetDefaultFailureConverter().FailureToError(f))
}
