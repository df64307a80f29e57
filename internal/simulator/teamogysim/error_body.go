package teamogysim

import (
	"html"
	"maps"
	"strconv"
)

// shapeError gives an error the body that is switched on and keeps its status
// and its headers.
func (a *answer) shapeError(shape string) {
	if a.message == "" || shape == ErrorMessage {
		return
	}
	header, status, message := maps.Clone(a.header), a.status, a.message
	a.reset()
	switch shape {
	case ErrorObject:
		a.json(status, map[string]any{"error": map[string]any{"code": status, "message": message}})
	case ErrorText:
		a.text(status, "text/plain; charset=utf-8", message)
	case ErrorHTML:
		a.text(status, "text/html; charset=utf-8", "<html><body><h1>Error "+strconv.Itoa(status)+"</h1><p>"+html.EscapeString(message)+"</p></body></html>")
	case ErrorEmpty:
		header.Del("Content-Type")
	}
	for name, values := range header {
		if name != "Content-Type" {
			a.header[name] = values
		}
	}
}
