package integration

import (
	"context"
	"fmt"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
)

// askPerson does what the product asks a person for when it cannot find out
// whether a create whose answers were lost has worked: look in Teamogy, and say
// what is there.
func (t *trial) askPerson() {
	t.Helper()
	answer, err := t.client.ListWorkflow(t.within(), &workflowservice.ListWorkflowExecutionsRequest{
		Query: fmt.Sprintf("TaskQueue='%s' AND ExecutionStatus='Running' AND KsefState='outcome-unknown'", t.queue),
	})
	require.NoError(t, err)
	for _, e := range answer.GetExecutions() {
		id := e.GetExecution().GetWorkflowId()
		number := id[len(t.connection+"/receive/"):]
		said := map[string]any{"notCreated": true, "who": "the suite", "reason": "it is not in Teamogy"}
		if found := t.received(number); len(found) > 0 {
			said = map[string]any{"documentId": found[0].ID, "who": "the suite", "reason": "found by its number"}
		}
		handle, err := t.client.UpdateWorkflow(t.within(), client.UpdateWorkflowOptions{
			WorkflowID: id, UpdateName: "Resolve", Args: []any{said}, WaitForStage: client.WorkflowUpdateStageCompleted,
		})
		if err == nil {
			err = handle.Get(context.Background(), nil)
		}
		if err != nil {
			t.Logf("%s: Resolve: %v", id, err) // the list is a moment late; next time
			continue
		}
		t.asked[number]++
	}
}
