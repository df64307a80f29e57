package flow

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	enums "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
)

// MissingSearchAttributes tells which of SearchAttributes a namespace ("": the
// default one) does not have. One of another type than Keyword is an error, and
// so is a login that may not list them: see NotForThisLogin.
func MissingSearchAttributes(ctx context.Context, c client.Client, namespace string) ([]string, error) {
	namespace = cmp.Or(namespace, client.DefaultNamespace)
	have, err := c.OperatorService().ListSearchAttributes(ctx, &operatorservice.ListSearchAttributesRequest{Namespace: namespace})
	if err != nil {
		return nil, fmt.Errorf("list the search attributes of namespace %s: %w", namespace, err)
	}
	var missing, wrong []string
	for _, name := range SearchAttributes {
		if kind, there := have.GetCustomAttributes()[name]; !there {
			missing = append(missing, name)
		} else if kind != enums.INDEXED_VALUE_TYPE_KEYWORD {
			wrong = append(wrong, fmt.Sprintf("%s is %s", name, kind))
		}
	}
	if len(wrong) > 0 {
		return nil, fmt.Errorf("search attributes of namespace %s have another type than Keyword: %s; use another namespace, or remove and create them again",
			namespace, strings.Join(wrong, ", "))
	}
	return missing, nil
}

// NotForThisLogin tells that search attributes may not be listed or created by
// this login, as on Temporal Cloud or on a cluster that somebody else runs.
func NotForThisLogin(err error) bool {
	var denied *serviceerror.PermissionDenied
	var absent *serviceerror.Unimplemented
	return errors.As(err, &denied) || errors.As(err, &absent)
}

// CreateSearchAttributes is the Temporal CLI's command that creates search
// attributes in a namespace ("": the default one).
func CreateSearchAttributes(namespace string, names ...string) string {
	var b strings.Builder
	b.WriteString("temporal operator search-attribute create --namespace " + cmp.Or(namespace, client.DefaultNamespace))
	for _, name := range names {
		fmt.Fprintf(&b, " --name %s --type Keyword", name)
	}
	return b.String()
}

// CheckSearchAttributes fails when search attributes are missing in a namespace
// ("": the default one), and says what to type. Where the login may not list
// them nothing can be checked, and that is no failure.
func CheckSearchAttributes(ctx context.Context, c client.Client, namespace string) error {
	missing, err := MissingSearchAttributes(ctx, c, namespace)
	if NotForThisLogin(err) {
		return nil
	}
	if err != nil || len(missing) == 0 {
		return err
	}
	return fmt.Errorf("namespace %s lacks search attributes; run starter up, or: %s",
		cmp.Or(namespace, client.DefaultNamespace), CreateSearchAttributes(namespace, missing...))
}
