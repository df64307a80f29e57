package ksefsim

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// index answers GET / for whoever opens the address in a browser: what this is,
// and where to go on.
func (s *Simulator) index(w http.ResponseWriter, r *http.Request) {
	base := s.cfg.PublicURL
	if base == "" {
		base = "http://" + r.Host
	}
	var text strings.Builder
	fmt.Fprintf(&text, `This is a simulator of KSeF 2.0, Poland's e-invoice system, for tests. It is not KSeF: nothing
in it has legal effect, and it forgets everything when it ends.

It behaves like the %s environment. Base URL for clients: %s/v2

`, strings.ToUpper(s.cfg.Environment), base)
	section := func(title string, names []string) {
		slices.SortFunc(names, func(a, b string) int {
			_, pathA, _ := strings.Cut(a, " ")
			_, pathB, _ := strings.Cut(b, " ")
			return strings.Compare(pathA+" "+a, pathB+" "+b)
		})
		fmt.Fprintf(&text, "%s\n  %s\n\n", title, strings.Join(names, "\n  "))
	}
	if s.cfg.Control {
		section("To look inside and to steer it, from this machine:", s.controlNames())
	}
	var names []string
	for _, op := range s.operations() {
		method, path, _ := strings.Cut(op.name, " ")
		names = append(names, method+" /v2"+path)
	}
	section("What it answers:", names)
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write([]byte(text.String())) // the caller may be gone
}
