package teamogysim

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

//go:embed page.html
var pageHTML string

// pageRows bounds the rows in one answer of /page.json.
const pageRows = 1000

// page is the web page and the policy that lets it run nothing but itself.
type page struct {
	html   string
	policy string
}

func newPage() page {
	return page{
		html: pageHTML,
		policy: "default-src 'none'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; " +
			"script-src " + inlineHash("script") + "; style-src " + inlineHash("style"),
	}
}

func inlineHash(element string) string {
	_, rest, _ := strings.Cut(pageHTML, "<"+element+">")
	content, _, _ := strings.Cut(rest, "</"+element+">")
	sum := sha256.Sum256([]byte(content))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

func (s *Simulator) servePage(w http.ResponseWriter, _ *http.Request) {
	a := newAnswer()
	a.text(http.StatusOK, "text/html; charset=utf-8", s.page.html)
	a.Header().Set("Content-Security-Policy", s.page.policy)
	a.Header().Set("Cache-Control", "no-cache")
	a.writeTo(w)
}

// pageJSON is what the page fetches every two seconds: the counts, and the rows
// that changed after the revision that it already has.
type pageJSON struct {
	Epoch    string                    `json:"epoch"` // another one: forget all rows
	Reset    bool                      `json:"reset,omitempty"`
	Revision int64                     `json:"revision"` // to ask with next time
	More     bool                      `json:"more,omitempty"`
	Counts   map[string]map[string]int `json:"counts"` // direction, state
	Rows     []pageRow                 `json:"rows"`
}

type pageRow struct {
	ID         int64  `json:"id"`
	Direction  string `json:"dir"`
	Type       string `json:"type"`
	Number     string `json:"number"`
	Registered string `json:"reg,omitempty"` // Teamogy's number, where it differs
	Company    string `json:"company,omitempty"`
	Date       string `json:"date,omitempty"`
	Gross      string `json:"gross,omitempty"`
	Currency   string `json:"currency,omitempty"`
	Status     string `json:"status"`
	State      string `json:"state"`
	KSeFNumber string `json:"ksef,omitempty"`
	Note       string `json:"note,omitempty"`
	Changed    int64  `json:"changed"` // milliseconds since 1970
}

// servePageRows answers ?epoch=&since=: rows in order of revision, at most
// pageRows at a time.
func (s *Simulator) servePageRows(w http.ResponseWriter, r *http.Request) {
	since, _ := strconv.ParseInt(r.FormValue("since"), 10, 64)
	counts := map[string]map[string]int{"received": {}, "issued": {}}
	var changed []*document

	s.mu.Lock()
	out := pageJSON{Epoch: s.epoch, Revision: s.tenant.revision, Counts: counts, Rows: []pageRow{}}
	if r.FormValue("epoch") != s.epoch {
		out.Reset, since = true, 0
	}
	for _, h := range s.tenant.documents {
		d := h.current()
		if d.summary.direction == "" {
			continue
		}
		counts[d.summary.direction][d.summary.state]++
		if d.revision > since {
			changed = append(changed, d)
		}
	}
	s.mu.Unlock()

	slices.SortFunc(changed, func(a, b *document) int { return int(a.revision - b.revision) })
	if len(changed) > pageRows {
		changed = changed[:pageRows]
		out.Revision, out.More = changed[pageRows-1].revision, true
	}
	for _, d := range changed {
		out.Rows = append(out.Rows, newPageRow(d))
	}
	a := newAnswer()
	a.json(http.StatusOK, out)
	a.Header().Set("Cache-Control", "no-store")
	a.writeTo(w)
}

func newPageRow(d *document) pageRow {
	row := pageRow{
		ID: d.ID, Direction: d.summary.direction, Type: d.Type, Number: d.summary.number, Company: d.summary.company,
		Date: d.summary.date, Gross: d.summary.gross, Currency: d.summary.currency, Status: d.Status, State: d.summary.state,
		KSeFNumber: d.summary.ksefNumber, Note: d.summary.note, Changed: d.changed.UnixMilli(),
	}
	if d.Number != row.Number {
		row.Registered = d.Number
	}
	return row
}
