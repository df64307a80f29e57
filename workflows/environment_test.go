package workflows

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/mock"
	"github.com/stretchr/testify/require"
	sdk "go.temporal.io/api/sdk/v1"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/workflow"

	"teamogy-ksef/internal/flow"
)

// environment runs one workflow in skipped time. Activities are functions that
// a test gives under the activities' names; one that it does not give must
// not be called.
type environment struct {
	*testsuite.TestWorkflowEnvironment
	t       *testing.T
	updates int
	errors  *bytes.Buffer // what was logged as an error
}

func newEnvironment(t *testing.T, id string) *environment {
	t.Helper()
	e := bareEnvironment(t, id)
	Register(e)
	return e
}

// bareEnvironment is one without workflows.
func bareEnvironment(t *testing.T, id string) *environment {
	t.Helper()
	var suite testsuite.WorkflowTestSuite
	var logged bytes.Buffer
	suite.SetLogger(log.NewStructuredLogger(slog.New(slog.NewTextHandler(&logged, &slog.HandlerOptions{Level: slog.LevelError}))))
	e := &environment{TestWorkflowEnvironment: suite.NewTestWorkflowEnvironment(), t: t, errors: &logged}
	e.SetStartTime(start)
	e.SetTestTimeout(time.Minute)
	e.SetStartWorkflowOptions(client.StartWorkflowOptions{ID: id, TaskQueue: "test"})
	return e
}

// replacing registers all workflows but one, for which a test has its own.
type replacing struct {
	*environment
	name string
	with any
}

func (r replacing) RegisterWorkflowWithOptions(definition any, o workflow.RegisterOptions) {
	if o.Name == r.name {
		definition = r.with
	}
	r.environment.RegisterWorkflowWithOptions(definition, o)
}

// outside gives an activity.
func outside[A, R any](e *environment, name string, f func(A) (R, error)) {
	e.RegisterActivityWithOptions(
		func(_ context.Context, argument A) (R, error) { return f(argument) },
		activity.RegisterOptions{Name: name})
}

// after calls f at a time of the workflow.
func (e *environment) after(d time.Duration, f func()) { e.RegisterDelayedCallback(f, d) }

// update sends an update, which must be accepted and succeed.
func (e *environment) update(name string, arguments ...any) {
	e.updates++ // another one of the same ID would be taken for the first
	e.UpdateWorkflow(name, fmt.Sprintf("%s %d", name, e.updates), &testsuite.TestUpdateCallback{
		OnAccept: func() {},
		OnReject: func(err error) { e.t.Errorf("update %s is rejected: %v", name, err) },
		OnComplete: func(_ any, err error) {
			if err != nil {
				e.t.Errorf("update %s: %v", name, err)
			}
		},
	}, arguments...)
}

func ask[S any](e *environment) S {
	e.t.Helper()
	var status S
	value, err := e.QueryWorkflow(flow.QueryStatus)
	require.NoError(e.t, err)
	require.NoError(e.t, value.Get(&status))
	return status
}

// details are what the Web UI shows of the workflow.
func (e *environment) details() string {
	e.t.Helper()
	var metadata sdk.WorkflowMetadata
	value, err := e.QueryWorkflow("__temporal_workflow_metadata")
	require.NoError(e.t, err)
	require.NoError(e.t, value.Get(&metadata))
	return metadata.GetCurrentDetails()
}

// continued is the input of the next run; ok tells whether there is one.
func continued[S any](e *environment) (S, bool) {
	e.t.Helper()
	var next S
	var again *workflow.ContinueAsNewError
	if !errors.As(e.GetWorkflowError(), &again) {
		return next, false
	}
	require.NoError(e.t, converter.GetDefaultDataConverter().FromPayloads(again.Input, &next))
	return next, true
}

func failedWith(t *testing.T, err error) *temporal.ApplicationError {
	t.Helper()
	var failure *temporal.ApplicationError
	require.ErrorAs(t, err, &failure)
	return failure
}

// ofContent is an error of an activity for which the invoice is to blame.
func ofContent(errorType, text string) error {
	return temporal.NewNonRetryableApplicationError(text, errorType, nil, flow.ErrorDetails{Class: flow.Content})
}

// notesStates notes each state that is written to the search attributes.
func (e *environment) notesStates(states *[]string) {
	e.OnUpsertTypedSearchAttributes(mock.Anything).Run(func(arguments mock.Arguments) {
		attributes, is := arguments.Get(0).(temporal.SearchAttributes)
		require.True(e.t, is)
		if state, there := attributes.GetKeyword(flow.AttributeState); there {
			*states = append(*states, state)
		}
	}).Return(nil)
}
