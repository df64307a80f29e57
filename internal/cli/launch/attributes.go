package launch

import (
	"context"
	"errors"
	"fmt"
	"strings"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"

	"teamogy-ksef/internal/flow"
)

// NotAllowedError says that this login may not create search attributes, as on
// Temporal Cloud or on a cluster that somebody else runs.
type NotAllowedError struct {
	Namespace string
	Missing   []string // names; nil when it may not even list them
	Cause     error
}

func (e *NotAllowedError) Error() string {
	return fmt.Sprintf("the search attributes of namespace %s may not be changed from here (%v)", e.Namespace, e.Cause)
}

func (e *NotAllowedError) Unwrap() error { return e.Cause }

// Commands are the Temporal CLI's commands that create what is missing, for
// whoever is allowed to.
func (e *NotAllowedError) Commands() []string {
	names := e.Missing
	if names == nil {
		names = flow.SearchAttributes
	}
	commands := make([]string, 0, len(names))
	for _, name := range names {
		commands = append(commands, flow.CreateSearchAttributes(e.Namespace, name))
	}
	return commands
}

// SearchAttributes creates the search attributes of flow that a namespace has
// not got, and names those that it created. It fails with *NotAllowedError
// where the login may not do that.
func SearchAttributes(ctx context.Context, c client.Client, namespace string) (created []string, err error) {
	missing, err := flow.MissingSearchAttributes(ctx, c, namespace)
	if flow.NotForThisLogin(err) {
		return nil, &NotAllowedError{Namespace: namespace, Cause: err}
	}
	if err != nil || len(missing) == 0 {
		return nil, err
	}
	add := map[string]enumspb.IndexedValueType{}
	for _, name := range missing {
		add[name] = enumspb.INDEXED_VALUE_TYPE_KEYWORD
	}
	_, err = c.OperatorService().AddSearchAttributes(ctx, &operatorservice.AddSearchAttributesRequest{Namespace: namespace, SearchAttributes: add})
	if flow.NotForThisLogin(err) {
		return nil, &NotAllowedError{Namespace: namespace, Missing: missing, Cause: err}
	}
	var there *serviceerror.AlreadyExists
	if err != nil && !errors.As(err, &there) {
		return nil, fmt.Errorf("create the search attributes %s in namespace %s: %w", strings.Join(missing, ", "), namespace, err)
	}
	return missing, nil
}
