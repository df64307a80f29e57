package launch

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/mock"
	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/api/serviceerror"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/mocks"
	"google.golang.org/grpc"

	"teamogy-ksef/internal/flow"
)

// operator is an operator service with some search attributes.
type operator struct {
	operatorservice.OperatorServiceClient
	have             map[string]enumspb.IndexedValueType
	listErr, addErr  error
	added            map[string]enumspb.IndexedValueType
	namespaceOfAdded string
}

func (o *operator) ListSearchAttributes(context.Context, *operatorservice.ListSearchAttributesRequest, ...grpc.CallOption) (*operatorservice.ListSearchAttributesResponse, error) {
	return &operatorservice.ListSearchAttributesResponse{CustomAttributes: o.have}, o.listErr
}

func (o *operator) AddSearchAttributes(_ context.Context, r *operatorservice.AddSearchAttributesRequest, _ ...grpc.CallOption) (*operatorservice.AddSearchAttributesResponse, error) {
	o.added, o.namespaceOfAdded = r.GetSearchAttributes(), r.GetNamespace()
	return nil, o.addErr
}

func clientWith(o *operator) client.Client {
	c := &mocks.Client{}
	c.On("OperatorService").Return(o)
	return c
}

const keyword = enumspb.INDEXED_VALUE_TYPE_KEYWORD

func TestSearchAttributes_createsOnlyWhatIsMissing(t *testing.T) {
	o := &operator{have: map[string]enumspb.IndexedValueType{"KsefNumber": keyword, "KsefState": keyword}}
	created, err := SearchAttributes(t.Context(), clientWith(o), "ns")
	require.NoError(t, err)
	assert.Equal(t, []string{"KsefConnection", "KsefDirection"}, created)
	assert.Equal(t, map[string]enumspb.IndexedValueType{"KsefConnection": keyword, "KsefDirection": keyword}, o.added)
	assert.Equal(t, "ns", o.namespaceOfAdded)
}

func TestSearchAttributes_givesTheCommandsWhereItMayNot(t *testing.T) {
	for name, o := range map[string]*operator{
		"list denied":       {listErr: serviceerror.NewPermissionDenied("no", "")},
		"list not provided": {listErr: serviceerror.NewUnimplemented("no")},
		"create denied":     {addErr: serviceerror.NewPermissionDenied("no", "")},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := SearchAttributes(t.Context(), clientWith(o), "ns")
			var notAllowed *NotAllowedError
			require.ErrorAs(t, err, &notAllowed)
			assert.Len(t, notAllowed.Commands(), len(flow.SearchAttributes))
			assert.Equal(t, "temporal operator search-attribute create --namespace ns --name KsefConnection --type Keyword", notAllowed.Commands()[0])
		})
	}
}

func TestSearchAttributes_refusesAnotherType(t *testing.T) {
	o := &operator{have: map[string]enumspb.IndexedValueType{"KsefState": enumspb.INDEXED_VALUE_TYPE_TEXT}}
	_, err := SearchAttributes(t.Context(), clientWith(o), "ns")
	assert.ErrorContains(t, err, "KsefState is Text")
	assert.Nil(t, o.added)
}

func described(status enumspb.WorkflowExecutionStatus) *workflowservice.DescribeWorkflowExecutionResponse {
	return &workflowservice.DescribeWorkflowExecutionResponse{WorkflowExecutionInfo: &workflowpb.WorkflowExecutionInfo{Status: status}}
}

func TestReceive_leavesARunningWorkflowAlone(t *testing.T) {
	c := &mocks.Client{}
	c.On("DescribeWorkflowExecution", mock.Anything, "acme/receive", "").Return(described(enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING), nil)
	outcome, err := Receive(t.Context(), c, "q", "acme")
	require.NoError(t, err)
	assert.Equal(t, AlreadyRunning, outcome)
}

func TestSend_startsWithPoliciesThatNeverStartTwice(t *testing.T) {
	c := &mocks.Client{}
	c.On("DescribeWorkflowExecution", mock.Anything, "acme/send", "").Return(described(enumspb.WORKFLOW_EXECUTION_STATUS_CANCELED), nil)
	c.On("ExecuteWorkflow", mock.Anything, mock.MatchedBy(func(o client.StartWorkflowOptions) bool {
		return o.ID == "acme/send" && o.TaskQueue == "q" && o.StaticSummary != "" &&
			o.WorkflowIDConflictPolicy == enumspb.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING &&
			o.WorkflowIDReusePolicy == enumspb.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE
	}), flow.SendInvoices, flow.SendInput{Connection: "acme"}).Return(nil, nil)
	outcome, err := Send(t.Context(), c, "q", "acme")
	require.NoError(t, err)
	assert.Equal(t, Started, outcome)
	c.AssertExpectations(t)
}

func TestEnd_cancelsWhatRunsAndNothingElse(t *testing.T) {
	c := &mocks.Client{}
	c.On("DescribeWorkflowExecution", mock.Anything, "acme/send", "").Return(described(enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING), nil)
	c.On("DescribeWorkflowExecution", mock.Anything, "acme/receive", "").Return(nil, serviceerror.NewNotFound("no"))
	c.On("CancelWorkflow", mock.Anything, "acme/send", "").Return(nil)
	outcome, err := End(t.Context(), c, "acme/send")
	require.NoError(t, err)
	assert.Equal(t, Ending, outcome)
	outcome, err = End(t.Context(), c, "acme/receive")
	require.NoError(t, err)
	assert.Equal(t, NotRunning, outcome)
}
