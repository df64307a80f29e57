package flow

import (
	"go/ast"
	"go/parser"
	"go/token"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// stringConstants reads the string constants of a file of this package whose
// names begin with a prefix.
func stringConstants(t *testing.T, file, prefix string) map[string]string {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	require.NoError(t, err)
	constants := map[string]string{}
	ast.Inspect(parsed, func(n ast.Node) bool {
		spec, is := n.(*ast.ValueSpec)
		if !is {
			return true
		}
		for i, name := range spec.Names {
			if !strings.HasPrefix(name.Name, prefix) || i >= len(spec.Values) {
				continue
			}
			if literal, is := spec.Values[i].(*ast.BasicLit); is && literal.Kind == token.STRING {
				value, err := strconv.Unquote(literal.Value)
				require.NoError(t, err)
				constants[name.Name] = value
			}
		}
		return true
	})
	require.NotEmpty(t, constants)
	return constants
}

func TestErrorTypes_haveOneCompleteRowForEachConstant(t *testing.T) {
	rows, meanings := map[string]ErrorType{}, map[string]bool{}
	for _, e := range ErrorTypes {
		require.NotContains(t, rows, e.Type, "%s has two rows", e.Type)
		require.False(t, meanings[e.Meaning], "%s means the same as another type", e.Type)
		require.Contains(t, []Class{Content, Configuration, Transient}, e.Class, e.Type)
		for _, text := range []string{e.Meaning, e.Remedy} {
			require.True(t, len(text) > 10 && strings.HasSuffix(text, "."), "%s: %q is no sentence", e.Type, text)
		}
		rows[e.Type], meanings[e.Meaning] = e, true
	}
	constants := stringConstants(t, "errors.go", "Err")
	for name, value := range constants {
		require.Contains(t, rows, value, "%s has no row", name)
		require.Equal(t, rows[value], LookupError(value))
	}
	require.Len(t, ErrorTypes, len(constants), "a row without a constant")
}

func TestLookupError_takesWhatItDoesNotKnowForUnexpected(t *testing.T) {
	require.Equal(t, ErrUnexpected, LookupError("SomethingNewer").Type)
}

// Only a content error says that the content has to change; what passes by
// itself asks nothing of anybody.
func TestErrorTypes_remediesFitTheirClass(t *testing.T) {
	for _, e := range ErrorTypes {
		if strings.HasPrefix(e.Remedy, "Nothing:") {
			require.Equal(t, Transient, e.Class, e.Type)
		}
	}
}

func TestStates_haveOneRowForEachConstant(t *testing.T) {
	rows := map[string]bool{}
	for _, s := range States {
		require.False(t, rows[s.Name], "%s has two rows", s.Name)
		require.Contains(t, []string{DirectionReceived, DirectionSent, ""}, s.Direction)
		require.NotEmpty(t, s.Meaning)
		require.NotEmpty(t, s.NextMove)
		rows[s.Name] = true
	}
	constants := stringConstants(t, "states.go", "State")
	for name, value := range constants {
		require.True(t, rows[value], "%s has no row", name)
	}
	require.Len(t, States, len(constants))
}

// Records and histories of earlier versions carry names that have changed.
func TestLookupError_knowsFormerNames(t *testing.T) {
	require.Equal(t, "InvoiceNumberTaken", LookupError("NumberTaken").Type)
	for former, now := range formerTypes {
		require.Equal(t, now, LookupError(former).Type)
		require.NotEqual(t, ErrUnexpected, LookupError(former).Type)
		require.NotEqual(t, former, now)
	}
}
