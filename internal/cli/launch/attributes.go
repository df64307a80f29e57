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
		commands = append(commands, fmt.Sprintf("temporal operator search-attribute create --namespace %s --name %s --type Keyword", e.Namespace, name))
	}
	return commands
}

// SearchAttributes creates the search attributes of flow that a namespace has
// not got, and names those that it created. It fails with *NotAllowedError
// where the login may not do that.
func SearchAttributes(ctx context.Context, c client.Client, namespace string) (created []string, err error) {
	service := c.OperatorService()
	have, err := service.ListSearchAttributes(ctx, &operatorservice.ListSearchAttributesRequest{Namespace: namespace})
	if notAllowed(err) {
		return nil, &NotAllowedError{Namespace: namespace, Cause: err}
	}
	if err != nil {
		return nil, fmt.Errorf("list the search attributes of namespace %s: %w", namespace, err)
	}
	var wrong []string
	add := map[string]enumspb.IndexedValueType{}
	for _, name := range flow.SearchAttributes {
		switch kind, there := have.GetCustomAttributes()[name]; {
		case !there:
			created = append(created, name)
			add[name] = enumspb.INDEXED_VALUE_TYPE_KEYWORD
		case kind != enumspb.INDEXED_VALUE_TYPE_KEYWORD:
			wrong = append(wrong, fmt.Sprintf("%s is %s", name, kind))
		}
	}
	if len(wrong) > 0 {
		return nil, fmt.Errorf("search attributes of namespace %s have another type than Keyword: %s; use another namespace, or remove and create them again",
			namespace, strings.Join(wrong, ", "))
	}
	if len(add) == 0 {
		return nil, nil
	}
	_, err = service.AddSearchAttributes(ctx, &operatorservice.AddSearchAttributesRequest{Namespace: namespace, SearchAttributes: add})
	if notAllowed(err) {
		return nil, &NotAllowedError{Namespace: namespace, Missing: created, Cause: err}
	}
	var there *serviceerror.AlreadyExists
	if err != nil && !errors.As(err, &there) {
		return nil, fmt.Errorf("create the search attributes %s in namespace %s: %w", strings.Join(created, ", "), namespace, err)
	}
	return created, nil
}

func notAllowed(err error) bool {
	var denied *serviceerror.PermissionDenied
	var absent *serviceerror.Unimplemented
	return errors.As(err, &denied) || errors.As(err, &absent)
}
