package teamogysim

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"strings"
)

// maxFilterDepth bounds how deep an expression may nest.
const maxFilterDepth = 100

// filter is a parsed externalFilter:
//
//	or         = and { "OR" and }
//	and        = not { "AND" not }
//	not        = "NOT" not | "ANY" not | "(" or ")" | boolean | comparison
//	comparison = name ( "=" | ">" ) literal | name "=" "ANY" "(" literal { "," literal } ")"
//	literal    = "'" characters "'" | number | boolean
//
// Connectives are upper case. A string cannot contain a quote. ANY before an
// expression lets a column that is a list match by any of its elements;
// otherwise a list matches nothing.
type filter struct {
	op      string // "AND", "OR", "NOT", "ANY", "=", ">", "true", "false"
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

// compare compares like with like: text with text, numbers with numbers,
// booleans with booleans. All else is unequal, and nothing is greater than a
// value that is absent.
func compare(op string, value, literal any) bool {
	switch l := literal.(type) {
	case bool:
		v, ok := value.(bool)
		return ok && op == "=" && v == l
	case string:
		v, ok := value.(string)
		return ok && (op == "=" && v == l || op == ">" && v > l)
	case json.Number:
		v, ok := number(value)
		if !ok {
			return false
		}
		n, _ := number(l)
		c := v.Cmp(n)
		return op == "=" && c == 0 || op == ">" && c > 0
	}
	return false
}

func number(v any) (*big.Rat, bool) {
	switch v := v.(type) {
	case int64:
		return new(big.Rat).SetInt64(v), true
	case json.Number:
		if len(v) > 40 || strings.ContainsAny(v.String(), "eE") {
			return nil, false
		}
		return new(big.Rat).SetString(v.String())
	}
	return nil, false
}

// filterRows applies a filter under the tenant's rule for properties.
func filterRows(rows []row, f *filter, isBase func(name string) bool, properties string) ([]row, error) {
	if properties != FilterHonoured {
		named := f.properties(isBase)
		if len(named) > 0 && properties == FilterRefused {
			return nil, fmt.Errorf("unknown column %q", named[0])
		}
		if f = f.without(isBase); f == nil {
			return rows, nil
		}
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

// parseFilter reads an expression.
func parseFilter(text string) (*filter, error) {
	tokens, err := tokenize(text)
	if err != nil {
		return nil, err
	}
	p := &filterParser{tokens: tokens}
	f, err := p.or(0)
	if err != nil {
		return nil, err
	}
	if p.next() != "" {
		return nil, fmt.Errorf("unexpected %q", p.next())
	}
	return f, nil
}

type filterParser struct {
	tokens []string
}

// next is the next token, or "" at the end.
func (p *filterParser) next() string {
	if len(p.tokens) == 0 {
		return ""
	}
	return p.tokens[0]
}

func (p *filterParser) take() string {
	t := p.next()
	if t != "" {
		p.tokens = p.tokens[1:]
	}
	return t
}

func (p *filterParser) or(depth int) (*filter, error)  { return p.joined("OR", p.and, depth) }
func (p *filterParser) and(depth int) (*filter, error) { return p.joined("AND", p.not, depth) }

func (p *filterParser) joined(op string, part func(int) (*filter, error), depth int) (*filter, error) {
	f, err := part(depth)
	if err != nil || p.next() != op {
		return f, err
	}
	joined := &filter{op: op, parts: []*filter{f}}
	for p.next() == op {
		p.take()
		if f, err = part(depth); err != nil {
			return nil, err
		}
		joined.parts = append(joined.parts, f)
	}
	return joined, nil
}

func (p *filterParser) not(depth int) (*filter, error) {
	if depth > maxFilterDepth {
		return nil, errors.New("nested too deep")
	}
	switch t := p.take(); {
	case t == "NOT" || t == "ANY":
		f, err := p.not(depth + 1)
		if err != nil {
			return nil, err
		}
		return &filter{op: t, parts: []*filter{f}}, nil
	case t == "(":
		f, err := p.or(depth + 1)
		if err != nil {
			return nil, err
		}
		return f, p.expect(")")
	case t == "true" || t == "false":
		return &filter{op: t}, nil
	case isName(t):
		return p.comparison(t)
	case t == "":
		return nil, errors.New("ends too early")
	default:
		return nil, fmt.Errorf("unexpected %q", t)
	}
}

func (p *filterParser) comparison(name string) (*filter, error) {
	op := p.take()
	if op != "=" && op != ">" {
		return nil, fmt.Errorf("after %s: want = or >, not %q", name, op)
	}
	f := &filter{op: op, name: name}
	if op == "=" && p.next() == "ANY" {
		p.take()
		if err := p.expect("("); err != nil {
			return nil, err
		}
		for {
			l, err := p.literal(name)
			if err != nil {
				return nil, err
			}
			f.literal = append(f.literal, l)
			if p.next() != "," {
				return f, p.expect(")")
			}
			p.take()
		}
	}
	l, err := p.literal(name)
	if err != nil {
		return nil, err
	}
	f.literal = []any{l}
	return f, nil
}

func (p *filterParser) literal(name string) (any, error) {
	t := p.take()
	switch {
	case t == "true" || t == "false":
		return t == "true", nil
	case strings.HasPrefix(t, "'"):
		return t[1 : len(t)-1], nil
	case t != "" && (t[0] == '-' || isDigit(t[0])):
		if _, ok := number(json.Number(t)); ok {
			return json.Number(t), nil
		}
	}
	return nil, fmt.Errorf("%s is compared with %q, which is no text in quotes, number or boolean", name, t)
}

func (p *filterParser) expect(want string) error {
	if t := p.take(); t != want {
		return fmt.Errorf("want %q, not %q", want, t)
	}
	return nil
}
