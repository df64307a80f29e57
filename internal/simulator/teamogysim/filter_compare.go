package teamogysim

import (
	"cmp"
	"encoding/json"
	"math/big"
	"strings"
)

// compare compares like with like: text with text, numbers with numbers,
// booleans with booleans. All else is unequal, and neither greater nor less.
func compare(op string, value, literal any) bool {
	switch l := literal.(type) {
	case bool:
		v, ok := value.(bool)
		if op == "!=" || op == "<>" {
			return !ok || v != l
		}
		return ok && op == "=" && v == l
	case string:
		if v, ok := value.(string); ok {
			return holds(op, cmp.Compare(v, l))
		}
	case json.Number:
		n, _ := number(l)
		if v, ok := number(value); ok {
			return holds(op, v.Cmp(n))
		}
	}
	return op == "!=" || op == "<>"
}

// holds decides by how a value compares: below 0 for less, above for greater.
func holds(op string, compared int) bool {
	switch op {
	case "=":
		return compared == 0
	case ">":
		return compared > 0
	case "<":
		return compared < 0
	case ">=":
		return compared >= 0
	case "<=":
		return compared <= 0
	}
	return compared != 0
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
