package inspect

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/mock"
	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	taskqueuepb "go.temporal.io/api/taskqueue/v1"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/mocks"
	"go.temporal.io/sdk/temporal"
	"google.golang.org/protobuf/types/known/timestamppb"

	"teamogy-ksef/internal/flow"
)

func applicationError(errorType, message string) error {
	row := flow.LookupError(errorType)
	return temporal.NewNonRetryableApplicationError(message, errorType, nil, flow.ErrorDetails{Class: row.Class, Remedy: row.Remedy})
}

func TestProblemOf_takesClassAndRemedyFromTheError(t *testing.T) {
	row := flow.LookupError(flow.ErrTeamogyStatus)
	p := problemOf(applicationError(flow.ErrTeamogyStatus, "status X is unknown - What to do: "+row.Remedy))
	assert.Equal(t, Problem{Type: flow.ErrTeamogyStatus, Class: flow.Configuration, Message: "status X is unknown", Remedy: row.Remedy}, p)
}

func TestProblemOf_keepsTheMessageOfWhatItDoesNotKnow(t *testing.T) {
	p := problemOf(errors.New("boom"))
	assert.Equal(t, "boom", p.Message)
	assert.NotEmpty(t, p.Remedy)
	assert.Equal(t, "Timeout", problemOf(temporal.NewTimeoutError(enumspb.TIMEOUT_TYPE_HEARTBEAT, nil)).Type)
}

func TestPending_listsOnlyWhatHasFailed(t *testing.T) {
	failure := temporal.GetDefaultFailureConverter().ErrorToFailure(applicationError(flow.ErrKSeFPermission, "InvoiceWrite is missing"))
	next := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	d := &workflowservice.DescribeWorkflowExecutionResponse{
		WorkflowExecutionInfo: &workflowpb.WorkflowExecutionInfo{
			Status: enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING, Execution: &commonpb.WorkflowExecution{WorkflowId: "acme/send/1"},
		},
		PendingActivities: []*workflowpb.PendingActivityInfo{
			{ActivityType: &commonpb.ActivityType{Name: "Transmit"}, Attempt: 1},
			{ActivityType: &commonpb.ActivityType{Name: "OpenSession"}, Attempt: 7, LastFailure: failure, NextAttemptScheduleTime: timestamppb.New(next)},
		},
	}
	waiting := pending(d)
	require.Len(t, waiting, 1)
	assert.Equal(t, "OpenSession", waiting[0].Activity)
	assert.Equal(t, int32(7), waiting[0].Attempt)
	assert.Equal(t, next, waiting[0].Next)
	assert.Equal(t, flow.ErrKSeFPermission, waiting[0].Type)

	d.PendingWorkflowTask = &workflowpb.PendingWorkflowTaskInfo{Attempt: stuckAttempt}
	assert.Len(t, pending(d), 2, "a workflow whose code fails is reported")
	d.WorkflowExecutionInfo.Status = enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED
	assert.Empty(t, pending(d))
}

func TestConnection_withoutAWorkerAsksNobody(t *testing.T) {
	c := &mocks.Client{}
	c.On("DescribeTaskQueue", mock.Anything, "q", enumspb.TASK_QUEUE_TYPE_WORKFLOW).Return(&workflowservice.DescribeTaskQueueResponse{
		Pollers: []*taskqueuepb.PollerInfo{{LastAccessTime: timestamppb.New(time.Now().Add(-time.Hour))}},
	}, nil)
	running := &workflowservice.DescribeWorkflowExecutionResponse{WorkflowExecutionInfo: &workflowpb.WorkflowExecutionInfo{Status: enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING}}
	c.On("DescribeWorkflowExecution", mock.Anything, "acme/receive", "").Return(running, nil)
	c.On("DescribeWorkflowExecution", mock.Anything, mock.Anything, "").Return(nil, serviceerror.NewNotFound("none"))
	c.On("ListWorkflow", mock.Anything, mock.Anything).Return(&workflowservice.ListWorkflowExecutionsResponse{}, nil)

	r := Connection(t.Context(), c, "q", "acme")
	assert.False(t, r.Worker)
	assert.Equal(t, "no worker answers", r.Receive.Problem)
	assert.Equal(t, StateNotStarted, r.Send.State)
	assert.Empty(t, r.Problems)
	c.AssertNotCalled(t, "QueryWorkflow", mock.Anything, mock.Anything, mock.Anything, mock.Anything)
}

func TestConnection_namesWhatItCouldNotRead(t *testing.T) {
	c := &mocks.Client{}
	gone := serviceerror.NewUnavailable("gone")
	c.On("DescribeTaskQueue", mock.Anything, mock.Anything, mock.Anything).Return(nil, gone)
	c.On("DescribeWorkflowExecution", mock.Anything, mock.Anything, "").Return(nil, gone)
	c.On("ListWorkflow", mock.Anything, mock.Anything).Return(nil, gone)
	r := Connection(t.Context(), c, "q", "acme")
	assert.Equal(t, "unknown", r.Send.State)
	assert.Contains(t, r.Send.Problem, "gone")
	assert.Len(t, r.Problems, 3)
}

// run is a run of an invoice's workflow as visibility lists it.
func run(workflowType, id, runID, state string, status enumspb.WorkflowExecutionStatus, started int) *workflowpb.WorkflowExecutionInfo {
	payload, _ := converter.GetDefaultDataConverter().ToPayload(state)
	at := time.Date(2026, 11, 22, 12, started, 0, 0, time.UTC)
	return &workflowpb.WorkflowExecutionInfo{
		Execution: &commonpb.WorkflowExecution{WorkflowId: id, RunId: runID}, Type: &commonpb.WorkflowType{Name: workflowType}, Status: status,
		StartTime: timestamppb.New(at), CloseTime: timestamppb.New(at.Add(time.Second)),
		SearchAttributes: &commonpb.SearchAttributes{IndexedFields: map[string]*commonpb.Payload{flow.AttributeState.GetName(): payload}},
	}
}

const (
	runningNow = enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING
	completed  = enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED
	failed     = enumspb.WORKFLOW_EXECUTION_STATUS_FAILED
	terminated = enumspb.WORKFLOW_EXECUTION_STATUS_TERMINATED
)

func TestLatestRuns_countAnInvoiceOnceHoweverOftenItWasStarted(t *testing.T) {
	pages := [][]*workflowpb.WorkflowExecutionInfo{
		{
			run(flow.SendInvoice, "acme/send/1", "b", flow.StateAccepted, completed, 2),
			run(flow.SendInvoice, "acme/send/2", "a", flow.StateRejected, failed, 1),
			run(flow.ImportInvoice, "acme/receive/1", "a", flow.StateImporting, terminated, 1),
			run(flow.ImportInvoice, "acme/receive/3", "a", flow.StateFailed, failed, 1),
		},
		{
			run(flow.SendInvoice, "acme/send/1", "a", flow.StateRejected, failed, 1),
			run(flow.ImportInvoice, "acme/receive/1", "b", flow.StateImporting, runningNow, 3),
			run(flow.ImportInvoice, "acme/receive/2", "a", flow.StateImporting, terminated, 1),
			run(flow.ImportInvoice, "acme/receive/3", "b", flow.StateFailed, failed, 2),
		},
	}
	c := &mocks.Client{}
	c.On("ListWorkflow", mock.Anything, mock.MatchedBy(func(r *workflowservice.ListWorkflowExecutionsRequest) bool { return len(r.GetNextPageToken()) == 0 })).
		Return(&workflowservice.ListWorkflowExecutionsResponse{Executions: pages[0], NextPageToken: []byte("more")}, nil).Once()
	c.On("ListWorkflow", mock.Anything, mock.Anything).Return(&workflowservice.ListWorkflowExecutionsResponse{Executions: pages[1]}, nil)
	latest, cut, err := LatestRuns(t.Context(), c, "acme")
	require.NoError(t, err)
	assert.False(t, cut)
	assert.Len(t, latest, 5)
	assert.Equal(t, []Count{{flow.StateAccepted, 1}, {flow.StateRejected, 1}}, countStates(latest, flow.DirectionSent))
	assert.Equal(t, []Count{{flow.StateImporting, 1}, {flow.StateFailed, 1}, {StateAborted, 1}}, countStates(latest, flow.DirectionReceived))
	last := failedRuns(latest)
	require.Len(t, last, 2)
	assert.Equal(t, "b", last[0].GetExecution().GetRunId(), "the latest first")
}
