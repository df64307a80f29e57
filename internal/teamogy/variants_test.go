package teamogy_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestVariants_theClientIsRightUnderEveryPositionOfEverySwitch drives the client against the simulator once per
// position of each switch, over HTTP. Everything works, apart from what the table of exceptions names. The switches
// and their positions come from the simulator, so that a new one cannot be forgotten.
func TestVariants_theClientIsRightUnderEveryPositionOfEverySwitch(t *testing.T) {
	t.Parallel()
	unused := maps.Clone(exceptions)
	for _, s := range switches(t) {
		for _, position := range s.positions(t) {
			name := s.Name + "=" + inWords(position)
			delete(unused, name)
			for i, settings := range s.alongside(position) {
				t.Run(fmt.Sprintf("%s/%d", name, i), func(t *testing.T) {
					t.Parallel()
					try(t, settings, exceptions[name])
				})
			}
		}
	}
	assert.Empty(t, unused, "exceptions for positions that are not tried")
}

// try takes all steps as the product is out of the box, and where an exception says what it must be told, once more.
func try(t *testing.T, settings fields, e exception) {
	b := newBed(t, settings)
	b.open()
	b.take(e.fails)
	if e.told != nil {
		b := newBed(t, settings)
		e.told(b)
		b.open()
		b.take(e.still)
	}
}

// take takes all steps; those that are named fail with an error that has this text, all others work.
func (b *bed) take(fails map[string]string) {
	for _, s := range steps {
		err := s.run(b)
		text, ok := fails[s.name]
		if !ok {
			text, ok = fails[everyStep]
		}
		if ok {
			assert.ErrorContains(b.t, err, text, "%s: it is an exception, but does not fail as it should", s.name)
		} else {
			assert.NoError(b.t, err, s.name)
		}
	}
}

// switchOf is a switch as the simulator tells of it.
type switchOf struct {
	Name      string `json:"name"`
	Positions []any  `json:"positions"`
	Form      string `json:"form"`
}

func switches(t *testing.T) []switchOf {
	t.Helper()
	var told struct{ Settings []switchOf }
	newBed(t, fields{}).control(http.MethodGet, "settings/names", nil, &told)
	require.NotEmpty(t, told.Settings)
	return told.Settings
}

// positions are all that there are, or the samples of a switch that takes any value of a form.
func (s switchOf) positions(t *testing.T) []any {
	t.Helper()
	if s.Form == "" {
		require.NotEmpty(t, s.Positions, s.Name)
		return s.Positions
	}
	require.NotEmpty(t, samples[s.Name], "the switch %s takes %s: name samples", s.Name, s.Form)
	return samples[s.Name]
}

// alongside are the settings under which a position is tried.
func (s switchOf) alongside(position any) []fields {
	companions := companions[s.Name]
	if companions == nil {
		companions = []fields{{}}
	}
	var all []fields
	for _, c := range companions {
		settings := maps.Clone(c)
		settings[s.Name] = position
		all = append(all, settings)
	}
	return all
}

func inWords(position any) string {
	if text, ok := position.(string); ok {
		return text
	}
	return inJSON(position)
}

func inJSON(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// saying is nil for an error that holds a word.
func saying(err error, word string) error {
	switch {
	case err == nil:
		return fmt.Errorf("it was not refused")
	case !strings.Contains(err.Error(), word):
		return fmt.Errorf("the error does not speak of %q: %w", word, err)
	}
	return nil
}
