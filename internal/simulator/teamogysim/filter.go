package teamogysim

import (
	"errors"
	"fmt"
	"strings"
)

// maxFilterDepth bounds how deep an expression may nest.
const maxFilterDepth = 100

// filter is a parsed externalFilter:
//
//	or         = and { "OR" and }
//	and        = not { "AND" not }
//	not        = "NOT" not | "ANY" not | "(" or ")" | boolean | comparison
//	comparison = name operator literal | name "=" "ANY" "(" literal { "," literal } ")"
//	operator   = "=" | ">", and where it is switched on "<" | ">=" | "<=" | "!=" | "<>"
//	literal    = "'" characters "'" | number | boolean
//
// Connectives are upper case. A string cannot contain a quote, unless a way to
// write one is switched on. ANY before an
// expression lets a column that is a list match by any of its elements;
// otherwise a list matches nothing.
type filter struct {
	op      string // "AND", "OR", "NOT", "ANY", "true", "false" or an operator
	parts   []*filter
	name    string
	literal []any // string, json.Number or bool
}

// keep decides about one row. Lists are looked into below ANY.
func (f *filter) keep(r row, lists bool) bool {
	switch f.op {
	case "AND":
		for _, p := range f.parts {
			if !p.keep(r, lists) {
				return false
			}
		}
		return true
	case "OR":
		for _, p := range f.parts {
			if p.keep(r, lists) {
				return true
			}
		}
		return false
	case "NOT":
		return !f.parts[0].keep(r, lists)
	case "ANY":
		return f.parts[0].keep(r, true)
	case "true":
		return true
	case "false":
		return false
	}
	for _, literal := range f.literal {
		for _, v := range elements(r.value(f.name), lists) {
			if compare(f.op, v, literal) {
				return true
			}
		}
	}
	return false
}

func elements(v any, lists bool) []any {
	var out []any
	switch v := v.(type) {
	case []string:
		for _, e := range v {
			out = append(out, e)
		}
	case []int64:
		for _, e := range v {
			out = append(out, e)
		}
	case []any:
		out = v
	default:
		return []any{v}
	}
	if !lists {
		return nil
	}
	return out
}

// filterRows applies a filter under the tenant's rule for properties.
func filterRows(rows []row, f *filter, isBase func(name string) bool, set *settings) ([]row, error) {
	properties := set.FilterProperties
	for _, name := range f.properties(isBase) {
		dotted := strings.HasPrefix(name, "properties.")
		if set.FilterNames == NamesDotted && !dotted || set.FilterNames == NamesPlain && dotted {
			return nil, fmt.Errorf("unknown column %q", name)
		}
	}
	if properties != FilterHonoured {
		named := f.properties(isBase)
		if len(named) > 0 && properties == FilterRefused {
			return nil, fmt.Errorf("unknown column %q", named[0])
		}
		if properties == FilterMatchesNothing {
			f = f.failing(isBase)
		} else if f = f.without(isBase); f == nil {
			return rows, nil
		}
	}
	f, err := f.alternatives(isBase, set.FilterAlternatives)
	if err != nil {
		return nil, err
	}
	if f == nil {
		return rows, nil
	}
	var kept []row
	for _, r := range rows {
		if f.keep(r, false) {
			kept = append(kept, r)
		}
	}
	return kept, nil
}

// properties are the names in the expression that are no base columns.
func (f *filter) properties(isBase func(string) bool) []string {
	var out []string
	if f.name != "" && !isBase(f.name) {
		out = append(out, f.name)
	}
	for _, p := range f.parts {
		out = append(out, p.properties(isBase)...)
	}
	return out
}

// without is the expression less its terms about properties; nil if nothing is
// left.
func (f *filter) without(isBase func(string) bool) *filter {
	if f.name != "" && !isBase(f.name) {
		return nil
	}
	if len(f.parts) == 0 {
		return f
	}
	var parts []*filter
	for _, p := range f.parts {
		if p = p.without(isBase); p != nil {
			parts = append(parts, p)
		}
	}
	if len(parts) == 0 {
		return nil
	}
	return &filter{op: f.op, parts: parts}
}

// alternatives is the expression as the tenant takes OR between properties;
// nil if nothing is left.
func (f *filter) alternatives(isBase func(string) bool, rule string) (*filter, error) {
	if rule == AlternativesHonoured || len(f.parts) == 0 {
		return f, nil
	}
	var parts []*filter
	for _, p := range f.parts {
		p, err := p.alternatives(isBase, rule)
		if err != nil {
			return nil, err
		}
		if p != nil {
			parts = append(parts, p)
		}
	}
	if len(parts) == 0 {
		return nil, nil
	}
	if f.op == "OR" && len(f.properties(isBase)) > 1 {
		switch rule {
		case AlternativesRefused:
			return nil, errors.New("OR between properties is not supported")
		case AlternativesFirst:
			return parts[0], nil
		case AlternativesLast:
			return parts[len(parts)-1], nil
		case AlternativesIgnored:
			return nil, nil
		}
	}
	return &filter{op: f.op, parts: parts}, nil
}

// failing is the expression with all terms about properties false.
func (f *filter) failing(isBase func(string) bool) *filter {
	if f.name != "" && !isBase(f.name) {
		return &filter{op: "false"}
	}
	out := *f
	out.parts = nil
	for _, p := range f.parts {
		out.parts = append(out.parts, p.failing(isBase))
	}
	return &out
}
