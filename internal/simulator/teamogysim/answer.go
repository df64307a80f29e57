package teamogysim

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"reflect"
	"strings"
)

const (
	// maxAnswer is the most that Teamogy's API gateway returns.
	maxAnswer = 10 << 20
	// maxBody is the most that it takes.
	maxBody = 10 << 20
)

// answer is a response held back until it is known whether it is sent at all.
type answer struct {
	status int
	header http.Header
	body   bytes.Buffer
}

func newAnswer() *answer {
	return &answer{status: http.StatusOK, header: http.Header{}}
}

func (a *answer) Header() http.Header { return a.header }

func (a *answer) reset() {
	a.header = http.Header{}
	a.body.Reset()
}

func (a *answer) json(status int, v any) {
	a.status = status
	a.header.Set("Content-Type", "application/json; charset=utf-8")
	e := json.NewEncoder(&a.body)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		a.text(http.StatusInternalServerError, "text/plain; charset=utf-8", fmt.Sprintf("teamogysim: encode an answer: %v", err))
	}
}

func (a *answer) fail(status int, format string, args ...any) {
	a.json(status, map[string]string{"message": fmt.Sprintf(format, args...)})
}

func (a *answer) text(status int, contentType, body string) {
	a.reset()
	a.status = status
	a.header.Set("Content-Type", contentType)
	a.body.WriteString(body)
}

func (a *answer) writeTo(w http.ResponseWriter) {
	maps.Copy(w.Header(), a.header)
	w.WriteHeader(a.status)
	_, _ = w.Write(a.body.Bytes())
}

// decodeJSON reads a request's body strictly: it must be declared as JSON, hold
// one value and no field that is not known. It answers the request when it
// fails.
func decodeJSON(a *answer, r *http.Request, into any) bool { return decode(a, r, into, "") }

// decodeControl is decodeJSON for the control API: it names the fields that
// there are.
func decodeControl(a *answer, r *http.Request, into any) bool {
	return decode(a, r, into, "; the fields are "+strings.Join(fieldNames(reflect.TypeOf(into).Elem()), ", "))
}

func fieldNames(t reflect.Type) []string {
	var names []string
	for f := range t.Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case f.Anonymous:
			names = append(names, fieldNames(f.Type)...)
		case f.IsExported() && name != "":
			names = append(names, name)
		}
	}
	return names
}

func decode(a *answer, r *http.Request, into any, hint string) bool {
	if kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); kind != "application/json" {
		a.fail(http.StatusUnsupportedMediaType, "Content-Type must be application/json")
		return false
	}
	var body bytes.Buffer
	if _, err := body.ReadFrom(r.Body); err != nil {
		a.fail(http.StatusRequestEntityTooLarge, "the request's body cannot be read or is larger than 10 MB")
		return false
	}
	d := json.NewDecoder(&body)
	d.UseNumber()
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		a.fail(http.StatusBadRequest, "the body is not a valid object: %v%s", err, hint)
		return false
	}
	if d.More() {
		a.fail(http.StatusBadRequest, "the body holds more than one object")
		return false
	}
	return true
}

// parseQuery reads a query string as the API documents it: a space is %20, and a
// plus sign is a plus sign.
func parseQuery(raw string) (map[string]string, error) {
	query := map[string]string{}
	for part := range strings.SplitSeq(raw, "&") {
		if part == "" {
			continue
		}
		name, value, _ := strings.Cut(part, "=")
		name, err := url.PathUnescape(name)
		if err != nil {
			return nil, fmt.Errorf("the query is not well encoded: %w", err)
		}
		if value, err = url.PathUnescape(value); err != nil {
			return nil, fmt.Errorf("query parameter %s is not well encoded: %w", name, err)
		}
		query[name] = value
	}
	return query, nil
}
