// Package workflows holds the deterministic part: one file per workflow,
// which reads like the business process, and the pure rules of windows and
// pacing. Whatever touches the outside is an activity.
package workflows

import (
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"teamogy-ksef/internal/flow"
)

// Register registers every workflow. Worker, tests and replayer share this
// one list.
func Register(r worker.WorkflowRegistry) {
	for name, definition := range map[string]any{
		flow.ReceiveInvoices:  ReceiveInvoices,
		flow.ImportInvoice:    ImportInvoice,
		flow.SendInvoices:     SendInvoices,
		flow.SendInvoice:      SendInvoice,
		flow.TransmitInvoices: TransmitInvoices,
		flow.TransmitSession:  TransmitSession,
	} { //workflowcheck:ignore runs at start, not in a workflow
		r.RegisterWorkflowWithOptions(definition, workflow.RegisterOptions{Name: name})
	}
}
