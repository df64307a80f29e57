package teamogysim

import (
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
)

// switchInfo tells of one switch: one thing that is unknown about the real
// Teamogy and can be either way here.
type switchInfo struct {
	Name      string `json:"name"`
	Positions []any  `json:"positions,omitempty"` // all there are; a switch without takes what Form says
	Form      string `json:"form,omitempty"`
	Default   any    `json:"default"` // of DefaultConfig
	StandsFor string `json:"standsFor"`

	check func(v any) bool // whether a value has the form
}

// choice is a switch between positions, of which the first is the default.
func choice[T any](name, standsFor string, positions ...T) switchInfo {
	info := switchInfo{Name: name, Default: positions[0], StandsFor: standsFor}
	for _, p := range positions {
		info.Positions = append(info.Positions, p)
	}
	return info
}

// free is a switch that takes any value of a form.
func free(name, standsFor, form string, byDefault any, check func(v any) bool) switchInfo {
	return switchInfo{Name: name, Form: form, Default: byDefault, StandsFor: standsFor, check: check}
}

func atLeast(least float64) func(any) bool {
	return func(v any) bool {
		n := reflect.ValueOf(v)
		if n.CanFloat() {
			return n.Float() >= least && !math.IsInf(n.Float(), 0)
		}
		return float64(n.Int()) >= least
	}
}

func anything(any) bool { return true }

// switchInfos are all switches, in the order of the page that documents them.
func switchInfos() []switchInfo {
	return slices.Concat(gatewayInfos(), documentInfos(), companyInfos(), viewInfos())
}

// wrong tells what is wrong with a value, or nothing.
func (i switchInfo) wrong(v any) error {
	if i.check != nil {
		if !i.check(v) {
			return fmt.Errorf("%s %s: want %s", i.Name, quoted(v), i.Form)
		}
		return nil
	}
	if slices.Contains(i.Positions, v) {
		return nil
	}
	words := make([]string, len(i.Positions))
	for n, p := range i.Positions {
		words[n] = fmt.Sprint(p)
	}
	last := len(words) - 1
	return fmt.Errorf("%s %s: want %s or %s", i.Name, quoted(v), strings.Join(words[:last], ", "), words[last])
}

func quoted(v any) string {
	if text, ok := v.(string); ok {
		return fmt.Sprintf("%q", text)
	}
	return fmt.Sprint(v)
}

// fieldOf is the field of a struct with a name in JSON, also of an embedded one.
func fieldOf(v reflect.Value, name string) reflect.Value {
	for f, field := range v.Fields() {
		if f.Anonymous {
			if found := fieldOf(field, name); found.IsValid() {
				return found
			}
		} else if f.Tag.Get("json") == name {
			return field
		}
	}
	return reflect.Value{}
}
