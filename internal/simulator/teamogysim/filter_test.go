package teamogysim

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func sampleRow() row {
	d := &document{
		ID: 7, Type: "INVOICE.SALES", Status: "APPROVED", Number: "FV/7", Tags: []string{"check", "ksef"}, ParticipantIDs: []int64{2, 3},
		Properties: map[string]any{"extStatus": "EXT.READY", "gross": json.Number("1230.50"), "paid": true, "list": []any{"a"}, "issueDate": "2026-11-22"},
	}
	return row{columns: documentColumns, column: d.column, properties: d.Properties}
}

func TestFilter_decides(t *testing.T) {
	for text, want := range map[string]bool{
		"id=7":                                true,
		"id>6":                                true,
		"id>7":                                false,
		"id>6.9":                              true,
		"id='7'":                              false,
		"id=-7":                               false,
		"isDisabled=false":                    true,
		"isDisabled=true":                     false,
		"isDisabled=0":                        false,
		"paid=true":                           true,
		"true":                                true,
		"NOT false":                           true,
		"status='APPROVED'":                   true,
		"status='approved'":                   false,
		"(type='INVOICE.SALES' AND id>5)":     true,
		"type='X' OR id=7":                    true,
		"id=7 OR id=7 AND id=8":               true,
		"(id=7 OR id=7) AND id=8":             false,
		"NOT id=8 AND NOT (id=9 OR id=10)":    true,
		"NOT NOT id=7":                        true,
		"properties.extStatus='EXT.READY'":    true,
		"extStatus='EXT.READY'":               true,
		"properties.gross=1230.5":             true,
		"gross>1230.49":                       true,
		"gross='1230.50'":                     false,
		"issueDate>'2026-11-21'":              true,
		"properties.missing='x'":              false,
		"missing>'x'":                         false,
		"companyId=0":                         false,
		"status = ANY ('OPEN', 'APPROVED')":   true,
		"id=ANY(1,2)":                         false,
		"tags='check'":                        false,
		"ANY tags='check'":                    true,
		"ANY (tags='other' OR tags='ksef')":   true,
		"ANY participantIds>2":                true,
		"ANY list='a'":                        true,
		"number='FV/7'":                       true,
		"  id  =\t7 ":                         true,
		"status=''":                           false,
		"status='it is > = ( ) AND OR there'": false,
	} {
		f, err := parseFilter(text, dialect{})
		if assert.NoError(t, err, text) {
			assert.Equal(t, want, f.keep(sampleRow(), false), text)
		}
	}
}

func TestFilter_refusesWhatIsNoExpression(t *testing.T) {
	for _, text := range []string{
		"id", "id=", "=7", "id==7", "id<7", "id!=7", "id>=7", "id=7 id=8", "id=7 AND", "AND id=7", "(id=7", "id=7)", "()", "status='A", "status=A",
		"status='it''s'", "id=7 and id=8", "NOT", "ANY", "id=ANY", "id=ANY()", "id=ANY(1,)", "id>ANY(1)", "id=1.2.3", "id=-", "id=1e9", "id+7", "7=id", "'a'='a'",
		"status=\"A\"", strings.Repeat("(", 5000) + "id=7" + strings.Repeat(")", 5000), strings.Repeat("NOT ", 5000) + "id=7",
	} {
		_, err := parseFilter(text, dialect{})
		assert.Error(t, err, text)
	}
}

// printed writes an expression with more or fewer parentheses and spaces.
func printed(t *rapid.T, f *filter) string {
	space := rapid.SampledFrom([]string{" ", "  ", "\t"}).Draw(t, "space")
	var text string
	switch f.op {
	case "AND", "OR":
		var parts []string
		for _, p := range f.parts {
			part := printed(t, p)
			if p.op == "AND" || p.op == "OR" {
				part = "(" + part + ")"
			}
			parts = append(parts, part)
		}
		text = strings.Join(parts, space+f.op+space)
	case "NOT", "ANY":
		text = printed(t, f.parts[0])
		if f.parts[0].op == "AND" || f.parts[0].op == "OR" {
			text = "(" + text + ")"
		}
		text = f.op + space + text
	case "true", "false":
		text = f.op
	default:
		var literals []string
		for _, l := range f.literal {
			if s, ok := l.(string); ok {
				l = "'" + s + "'"
			}
			literals = append(literals, fmt.Sprint(l))
		}
		text = f.name + space + f.op + space + strings.Join(literals, ",")
		if len(literals) > 1 {
			text = f.name + "=" + "ANY" + space + "(" + strings.Join(literals, ",") + ")"
		}
	}
	if rapid.Bool().Draw(t, "parentheses") {
		return "(" + text + ")"
	}
	return text
}

func expression(depth int) *rapid.Generator[*filter] {
	literal := rapid.OneOf(
		rapid.Map(rapid.StringMatching(`[A-Z. ()=>ąż]{0,8}`), func(s string) any { return s }),
		rapid.Map(rapid.IntRange(-99, 99), func(n int) any { return json.Number(fmt.Sprint(n)) }),
		rapid.Map(rapid.Bool(), func(b bool) any { return b }),
	)
	return rapid.Custom(func(t *rapid.T) *filter {
		ops := []string{"=", "=", "=", ">", "true", "false", "AND", "OR", "NOT", "ANY"}
		if depth == 0 {
			ops = ops[:6]
		}
		op := rapid.SampledFrom(ops).Draw(t, "op")
		switch op {
		case "AND", "OR":
			parts := rapid.SliceOfN(expression(depth-1), 2, 3).Draw(t, "parts")
			return &filter{op: op, parts: parts}
		case "NOT", "ANY":
			return &filter{op: op, parts: []*filter{expression(depth-1).Draw(t, "part")}}
		case "=", ">":
			name := rapid.SampledFrom([]string{"id", "status", "isDisabled", "properties.extStatus", "gross", "tags", "missing"}).Draw(t, "name")
			most := 1
			if op == "=" {
				most = 3
			}
			return &filter{op: op, name: name, literal: rapid.SliceOfN(literal, 1, most).Draw(t, "literal")}
		}
		return &filter{op: op}
	})
}

func TestFilter_readsBackWhatWasPrinted(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		f := expression(4).Draw(rt, "expression")
		read, err := parseFilter(printed(rt, f), dialect{})
		require.NoError(rt, err)
		require.Equal(rt, f, read)
	})
}

func TestFilter_ignoringPropertiesNeverNamesOne(t *testing.T) {
	isBase := func(name string) bool {
		return name == "id" || name == "status" || name == "isDisabled" || name == "tags"
	}
	rapid.Check(t, func(rt *rapid.T) {
		f := expression(4).Draw(rt, "expression").without(isBase)
		if f != nil {
			require.Empty(rt, f.properties(isBase))
			f.keep(sampleRow(), false)
		}
	})
}
