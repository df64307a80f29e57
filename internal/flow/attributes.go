package flow

import (
	"context"
	"errors"
	"fmt"
	"strings"

	enums "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
)

// MissingSearchAttributes tells which of SearchAttributes a namespace does not
// have.
func MissingSearchAttributes(ctx context.Context, c client.Client, namespace string) ([]string, error) {
	have, err := c.OperatorService().ListSearchAttributes(ctx, &operatorservice.ListSearchAttributesRequest{Namespace: namespace})
	if err != nil {
		return nil, fmt.Errorf("list the search attributes of namespace %s: %w", namespace, err)
	}
	var missing []string
	for _, name := range SearchAttributes {
		if kind, there := have.GetCustomAttributes()[name]; !there {
			missing = append(missing, name)
		} else if kind != enums.INDEXED_VALUE_TYPE_KEYWORD {
			return nil, fmt.Errorf("the search attribute %s of namespace %s is of type %s, not Keyword", name, namespace, kind)
		}
	}
	return missing, nil
}

// CheckSearchAttributes fails when search attributes are missing, and says
// what to type. Where the login may not list them (Temporal Cloud keeps that
// to administrators) nothing can be checked, and that is no failure.
func CheckSearchAttributes(ctx context.Context, c client.Client, namespace string) error {
	missing, err := MissingSearchAttributes(ctx, c, namespace)
	var denied *serviceerror.PermissionDenied
	var absent *serviceerror.Unimplemented
	if errors.As(err, &denied) || errors.As(err, &absent) {
		return nil
	}
	if err != nil || len(missing) == 0 {
		return err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "namespace %s lacks search attributes; run starter up, or: temporal operator search-attribute create", namespace)
	for _, name := range missing {
		fmt.Fprintf(&b, " --name %s --type Keyword", name)
	}
	return fmt.Errorf("%s", b.String())
}
