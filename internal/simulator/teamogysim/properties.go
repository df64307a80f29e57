package teamogysim

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// propertyKinds are the types that a configured property can have.
var propertyKinds = []string{"any", "text", "number", "boolean", "date", "list", "object"}

// isKind reports whether a value is of a property's type. Null is of any.
func isKind(v any, kind string) bool {
	if v == nil || kind == "any" {
		return true
	}
	switch v := v.(type) {
	case string:
		if kind == "date" {
			_, err := time.Parse(time.DateOnly, v)
			return err == nil
		}
		return kind == "text"
	case json.Number:
		return kind == "number"
	case bool:
		return kind == "boolean"
	case []any:
		return kind == "list"
	case map[string]any:
		return kind == "object"
	}
	return false
}

// mergeProperties writes the properties of a body into those of a document, by
// the tenant's rules for keys, types and null.
func mergeProperties(into, from map[string]any, set *settings) error {
	for _, key := range slices.Sorted(maps.Keys(from)) {
		v := from[key]
		kind, known := set.KnownProperties[key]
		switch {
		case !known && set.UnknownProperties == PropertiesRefused:
			return fmt.Errorf("property %q is not configured", key)
		case !known && set.UnknownProperties == PropertiesDropped:
			continue
		case known && !isKind(v, kind):
			return fmt.Errorf("property %q is not of type %s", key, kind)
		}
		mergeValue(into, key, v, set)
	}
	return nil
}

func mergeValue(into map[string]any, key string, v any, set *settings) {
	if v == nil {
		switch set.NullProperties {
		case NullRemoves:
			delete(into, key)
		case NullKept:
			into[key] = nil
		}
		return
	}
	former, wasObject := into[key].(map[string]any)
	object, isObject := v.(map[string]any)
	if set.PatchDepth == DepthAll && wasObject && isObject {
		merged := maps.Clone(former)
		for inner, value := range object {
			mergeValue(merged, inner, value, set)
		}
		v = merged
	}
	into[key] = v
}

// shownProperties are properties as the API shows them: with numbers as they
// were sent, or as text, or text that is a number as one.
func shownProperties(properties map[string]any, numbers string) map[string]any {
	if numbers == NumbersAsSent {
		return properties
	}
	out := make(map[string]any, len(properties))
	for key, v := range properties {
		out[key] = shownValue(v, numbers)
	}
	return out
}

func shownValue(v any, numbers string) any {
	switch v := v.(type) {
	case json.Number:
		if numbers == NumbersAsText {
			return v.String()
		}
	case string:
		if numbers == TextAsNumbers && v != "" && (v[0] == '-' || isDigit(v[0])) && isDigit(v[len(v)-1]) && json.Valid([]byte(v)) {
			return json.Number(v)
		}
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = shownValue(e, numbers)
		}
		return out
	case map[string]any:
		return shownProperties(v, numbers)
	}
	return v
}

// longText is how many characters of a property every view shows.
const longText = 64

// shownText is a property as a view shows it, and whether it does.
func shownText(properties map[string]any, name, rule string) (any, bool) {
	v, there := properties[name]
	text, is := v.(string)
	if !is || utf8.RuneCountInString(text) <= longText {
		return v, there
	}
	switch rule {
	case TextsCut:
		return string([]rune(text)[:longText]), true
	case TextsStripped:
		return strings.Join(strings.Fields(text), " "), true
	case TextsLeftOut:
		return nil, false
	}
	return text, true
}
