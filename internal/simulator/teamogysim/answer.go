package teamogysim

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
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
	status  int
	header  http.Header
	body    bytes.Buffer
	message string // of an error
}

func newAnswer() *answer {
	return &answer{status: http.StatusOK, header: http.Header{}}
}

func (a *answer) Header() http.Header { return a.header }

func (a *answer) reset() {
	a.header = http.Header{}
	a.body.Reset()
	a.message = ""
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
	message := fmt.Sprintf(format, args...)
	a.json(status, map[string]string{"message": message})
	a.message = message
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

// parseQuery reads a query string as the API documents it: a space is %20, and a
// plus sign is a plus sign unless it is switched to be a space, too.
func parseQuery(raw, plus string) (map[string]string, error) {
	if plus == PlusIsSpace {
		raw = strings.ReplaceAll(raw, "+", "%20")
	}
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
