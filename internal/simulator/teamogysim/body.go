package teamogysim

import (
	"bytes"
	"encoding/json"
	"errors"
	"mime"
	"net/http"
	"reflect"
	"slices"
	"strings"
)

// readJSON reads the body of a request that must be declared as JSON. It
// answers the request when it fails.
func readJSON(a *answer, r *http.Request) ([]byte, bool) {
	if kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); kind != "application/json" {
		a.fail(http.StatusUnsupportedMediaType, "Content-Type must be application/json")
		return nil, false
	}
	var body bytes.Buffer
	if _, err := body.ReadFrom(r.Body); err != nil {
		a.fail(http.StatusRequestEntityTooLarge, "the request's body cannot be read or is larger than 10 MB")
		return nil, false
	}
	return body.Bytes(), true
}

// decodeJSON reads a request's body strictly: it must be declared as JSON, hold
// one value and no field that is not known. It answers the request when it
// fails.
func decodeJSON(a *answer, r *http.Request, into any) bool {
	return decode(a, r, into, FieldsRefused, "")
}

// decodeFields is decodeJSON with the tenant's rule for fields that are not
// known.
func decodeFields(a *answer, r *http.Request, into any, set *settings) bool {
	return decode(a, r, into, set.UnknownFields, "")
}

// decodeControl is decodeJSON for the control API: it names the fields that
// there are.
func decodeControl(a *answer, r *http.Request, into any) bool {
	return decode(a, r, into, FieldsRefused, "; the fields are "+strings.Join(fieldNames(into), ", "))
}

func decode(a *answer, r *http.Request, into any, unknownFields, hint string) bool {
	body, ok := readJSON(a, r)
	if !ok {
		return false
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	if unknownFields == FieldsRefused {
		d.DisallowUnknownFields()
	}
	if err := d.Decode(into); err != nil {
		var wrong *json.UnmarshalTypeError
		if errors.As(err, &wrong) {
			a.fail(http.StatusBadRequest, "%s is %s, which it cannot be%s", wrong.Field, wrong.Value, hint)
			return false
		}
		a.fail(http.StatusBadRequest, "the body is not a valid object: %v%s", err, hint)
		return false
	}
	if d.More() {
		a.fail(http.StatusBadRequest, "the body holds more than one object")
		return false
	}
	return true
}

// knownFields answers the request when an object has a field that a struct has
// not.
func knownFields(a *answer, object json.RawMessage, of any) bool {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(object, &fields); err != nil {
		a.fail(http.StatusBadRequest, "the body is not a valid object: %v", err)
		return false
	}
	names := fieldNames(of)
	for name := range fields {
		if !slices.Contains(names, name) {
			a.fail(http.StatusBadRequest, "there is no %q; there are %s", name, strings.Join(names, ", "))
			return false
		}
	}
	return true
}

// fieldNames are the names in JSON of the fields of a struct, given as a pointer.
func fieldNames(of any) []string { return namesOf(reflect.TypeOf(of).Elem()) }

func namesOf(t reflect.Type) []string {
	var names []string
	for f := range t.Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case f.Anonymous:
			names = append(names, namesOf(f.Type)...)
		case f.IsExported() && name != "":
			names = append(names, name)
		}
	}
	return names
}
