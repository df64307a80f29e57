package integration

import (
	"context"
	"fmt"
	"slices"

	"github.com/stretchr/testify/require"
	enums "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/history/v1"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"

	"teamogy-ksef/internal/flow"
)

// cost is what invoices take of Temporal: events of histories, and actions as
// Temporal Cloud counts them.
type cost struct {
	own           float64 // events of an invoice's own workflow, on average
	sharedEvents  float64 // per invoice, of the workflows that serve many
	ownActions    float64
	sharedActions float64
	longest       int64 // events in the longest history of those that serve many
}

// historiesRead bounds how many of the invoices' histories are read for their
// actions: they are all alike.
const historiesRead = 200

// costs looks at all workflows of the connection after n invoices, whose own
// workflows are of the given type; others are those that serve them.
func (l *load) costs(n int, own string, others ...string) cost {
	l.Helper()
	var c cost
	read, events, actions := 0, int64(0), 0
	for _, w := range l.executions() {
		switch name := w.GetType().GetName(); {
		case name == own:
			events += l.length(w)
			if read < historiesRead {
				read++
				actions += actionsOf(l.eventsOf(w))
			}
		case slices.Contains(others, name):
			c.longest = max(c.longest, l.length(w))
			c.sharedEvents += float64(l.length(w))
			c.sharedActions += float64(actionsOf(l.eventsOf(w)))
		}
	}
	require.NotZero(l, read)
	c.own, c.ownActions = float64(events)/float64(n), float64(actions)/float64(read)
	c.sharedEvents /= float64(n)
	c.sharedActions /= float64(n)
	return c
}

// receiving and sending are the workflows that serve many invoices.
var (
	receiving = []string{flow.ReceiveInvoices}
	sending   = []string{flow.SendInvoices, flow.TransmitInvoices, flow.TransmitSession}
)

// executions are all runs of the connection's workflows.
func (b *bed) executions() []*workflowpb.WorkflowExecutionInfo {
	b.Helper()
	var all []*workflowpb.WorkflowExecutionInfo
	request := &workflowservice.ListWorkflowExecutionsRequest{
		PageSize: 1000, Query: fmt.Sprintf("WorkflowId STARTS_WITH '%s/'", b.connection),
	}
	for {
		page, err := b.client.ListWorkflow(context.Background(), request)
		require.NoError(b, err)
		all = append(all, page.GetExecutions()...)
		if request.NextPageToken = page.GetNextPageToken(); len(request.NextPageToken) == 0 {
			return all
		}
	}
}

// length is the number of events of a run; visibility knows it of ended ones.
func (b *bed) length(w *workflowpb.WorkflowExecutionInfo) int64 {
	b.Helper()
	if w.GetHistoryLength() > 0 {
		return w.GetHistoryLength()
	}
	description, err := b.client.DescribeWorkflowExecution(context.Background(), w.GetExecution().GetWorkflowId(), w.GetExecution().GetRunId())
	require.NoError(b, err)
	return description.GetWorkflowExecutionInfo().GetHistoryLength()
}

func (b *bed) eventsOf(w *workflowpb.WorkflowExecutionInfo) []*history.HistoryEvent {
	b.Helper()
	var events []*history.HistoryEvent
	iterator := b.client.GetWorkflowHistory(context.Background(), w.GetExecution().GetWorkflowId(), w.GetExecution().GetRunId(), false, enums.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	for iterator.HasNext() {
		event, err := iterator.Next()
		require.NoError(b, err)
		events = append(events, event)
	}
	return events
}

// versionAttribute is set by GetVersion and not billed.
const versionAttribute = "TemporalChangeVersion"

// actionsOf counts a history's actions as Temporal Cloud bills them: one for
// each start (two for a child's), continuation as new, activity and repeat of
// it, timer, signal, update and change of search attributes; queries and
// heartbeats leave no trace. A signal that starts its workflow is billed as
// one and counted as two here.
func actionsOf(events []*history.HistoryEvent) int {
	actions := 0
	for _, e := range events {
		switch e.GetEventType() {
		case enums.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED, // of a child too: its second one
			enums.EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_INITIATED,
			enums.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED,
			enums.EVENT_TYPE_TIMER_STARTED,
			enums.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED,
			enums.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED,
			enums.EVENT_TYPE_WORKFLOW_PROPERTIES_MODIFIED:
			actions++
		case enums.EVENT_TYPE_ACTIVITY_TASK_STARTED:
			actions += int(e.GetActivityTaskStartedEventAttributes().GetAttempt()) - 1
		case enums.EVENT_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES:
			fields := e.GetUpsertWorkflowSearchAttributesEventAttributes().GetSearchAttributes().GetIndexedFields()
			if _, version := fields[versionAttribute]; !version {
				actions++
			}
		case enums.EVENT_TYPE_MARKER_RECORDED:
			if e.GetMarkerRecordedEventAttributes().GetMarkerName() == "LocalActivity" {
				actions++
			}
		}
	}
	return actions
}
