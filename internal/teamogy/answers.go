package teamogy

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
)

// object is a JSON object whose values are kept as they came.
type object map[string]json.RawMessage

// wrappers are the names under which an answer may hold what was asked for. Only "data" has been seen.
var wrappers = []string{"data", "result"}

// maxNesting is how deep what is looked for may lie in arrays and wrappers. Every level is read anew, so a large
// answer of thousands of levels would take hours.
const maxNesting = 20

// objects reads the objects of an answer: a single one, an array, or either inside {"data": ...}. Bare numbers and
// numeric texts become objects with an id, for answers to POST and PATCH.
func objects(answer []byte, idName string) ([]object, bool) {
	answer = bytes.TrimSpace(answer)
	if len(answer) == 0 || !json.Valid(answer) {
		return nil, false
	}
	return objectsIn(answer, idName, maxNesting)
}

func objectsIn(answer []byte, idName string, levels int) ([]object, bool) {
	answer = bytes.TrimSpace(answer)
	if levels == 0 {
		return nil, false
	}
	switch answer[0] {
	case '{':
		var o object
		if json.Unmarshal(answer, &o) != nil {
			return nil, false
		}
		if _, has := o[idName]; !has {
			for _, name := range wrappers {
				if inner, ok := o[name]; ok {
					return objectsIn(inner, idName, levels-1)
				}
			}
		}
		return []object{o}, true
	case '[':
		var list []json.RawMessage
		if json.Unmarshal(answer, &list) != nil {
			return nil, false
		}
		found := []object{}
		for _, item := range list {
			inner, ok := objectsIn(item, idName, levels-1)
			if !ok {
				return nil, false
			}
			found = append(found, inner...)
		}
		return found, true
	case 'n':
		return []object{}, true
	}
	if id, ok := readID(answer); ok {
		return []object{{idName: encode(id)}}, true
	}
	return nil, false
}

// readID reads an id as number or text, also one like 123.0.
func readID(raw json.RawMessage) (int64, bool) {
	text := strings.TrimSpace(scalarText(raw))
	if whole, fraction, ok := strings.Cut(text, "."); ok && strings.Trim(fraction, "0") == "" {
		text = whole
	}
	id, err := strconv.ParseInt(text, 10, 64)
	if err != nil || id <= 0 {
		return 0, false
	}
	return id, true
}

func (o object) id(name string) (int64, bool) { return readID(o[name]) }

// text is the text of the first field that has any.
func (o object) text(names ...string) string {
	for _, name := range names {
		if s := scalarText(o[name]); s != "" {
			return s
		}
	}
	return ""
}

// flag reads a boolean, also as text or number.
func (o object) flag(names ...string) bool {
	for _, name := range names {
		switch strings.ToLower(scalarText(o[name])) {
		case "true", "1", "yes":
			return true
		}
	}
	return false
}

// inner is a field that is an object, nil otherwise.
func (o object) inner(name string) object {
	var inner object
	if json.Unmarshal(o[name], &inner) != nil {
		return nil
	}
	return inner
}

// property finds a property in a view's row, whose shape is not documented: inside "properties", beside the columns
// as "properties.key", or as the bare key.
func (o object) property(key string) (json.RawMessage, bool) {
	if v, ok := o.inner("properties")[key]; ok {
		return v, true
	}
	if v, ok := o["properties."+key]; ok {
		return v, true
	}
	v, ok := o[key]
	return v, ok
}

// texts collects every text and number below a path of field names joined by dots, also where the path itself is the
// name of a field, or the beginning of one ("registrations.vatId").
func (o object) texts(path string) []string {
	var found []string
	for name, v := range o {
		if name == path || strings.HasPrefix(name, path+".") {
			found = appendTexts(found, v, maxNesting)
		}
	}
	if first, rest, ok := strings.Cut(path, "."); ok {
		found = append(found, o.inner(first).texts(rest)...)
	}
	return found
}

func appendTexts(found []string, raw json.RawMessage, levels int) []string {
	raw = bytes.TrimSpace(raw)
	if len(raw) == 0 || levels == 0 {
		return found
	}
	switch raw[0] {
	case '{':
		var o object
		if json.Unmarshal(raw, &o) == nil {
			for _, v := range o {
				found = appendTexts(found, v, levels-1)
			}
		}
	case '[':
		var list []json.RawMessage
		if json.Unmarshal(raw, &list) == nil {
			for _, v := range list {
				found = appendTexts(found, v, levels-1)
			}
		}
	default:
		if s := scalarText(raw); s != "" {
			found = append(found, s)
		}
	}
	return found
}
