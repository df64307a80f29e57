package teamogysim

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// dialect is what externalFilter knows beyond the documented examples.
type dialect struct {
	comparators string // ComparatorsDocumented or ComparatorsAll
	quotes      string // QuotesNone, QuotesDoubled or QuotesBackslash
}

// parseFilter reads an expression.
func parseFilter(text string, d dialect) (*filter, error) {
	tokens, err := tokenize(text, d.quotes)
	if err != nil {
		return nil, err
	}
	p := &filterParser{tokens: tokens, operators: []string{"=", ">"}}
	if d.comparators == ComparatorsAll {
		p.operators = append(p.operators, "<", ">=", "<=", "!=", "<>")
	}
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
	tokens    []string
	operators []string
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
	if !slices.Contains(p.operators, op) {
		return nil, fmt.Errorf("after %s: want %s, not %q", name, strings.Join(p.operators, " or "), op)
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
