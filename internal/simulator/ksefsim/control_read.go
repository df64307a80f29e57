package ksefsim

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strings"
	"time"
)

// read decodes a control request and refuses unknown fields, so that a typing
// error shows. Its errors say what is allowed.
func read(r *http.Request, v any) error {
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	err := d.Decode(v)
	var wrongType *json.UnmarshalTypeError
	var wrongTime *time.ParseError
	switch {
	case err == nil, errors.Is(err, io.EOF):
		return nil
	case errors.As(err, &wrongType):
		return fmt.Errorf("%s: must be %s, not %s", wrongType.Field, jsonKind(wrongType.Type), wrongType.Value)
	case errors.As(err, &wrongTime):
		return fmt.Errorf("%s is no time such as 2027-03-28T00:59:00Z", wrongTime.Value)
	case strings.Contains(err.Error(), "unknown field"):
		return fmt.Errorf("%s; there are %q", strings.TrimPrefix(err.Error(), "json: "), jsonFields(reflect.TypeOf(v)))
	}
	return fmt.Errorf("the request is no JSON object: %w", err)
}

// jsonKind is a type in the words of JSON.
func jsonKind(t reflect.Type) string {
	switch t.Kind() {
	case reflect.String:
		return "a text"
	case reflect.Bool:
		return "true or false"
	case reflect.Slice, reflect.Array:
		return "a list"
	case reflect.Struct, reflect.Map:
		return "an object"
	case reflect.Pointer:
		return jsonKind(t.Elem())
	}
	return "a number"
}

// jsonFields are the names of the fields that a request can have.
func jsonFields(t reflect.Type) []string {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	var names []string
	if t.Kind() != reflect.Struct {
		return names
	}
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		if name != "" && name != "-" {
			names = append(names, name)
		}
	}
	return names
}
