package teamogysim

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// row is one line of a view: base columns by name, and properties.
type row struct {
	columns    []string
	column     func(name string) (any, bool)
	properties map[string]any
}

// value is what a filter or a column list finds under a name: a base column,
// or a property by "properties.x" or its bare name.
func (r row) value(name string) any {
	if v, ok := r.column(name); ok {
		return v
	}
	return r.properties[strings.TrimPrefix(name, "properties.")]
}

// view is a list of rows that a right makes visible.
type view struct {
	rights  []right
	columns []string // base columns
	rows    func(t *tenant, asOf time.Time) []row
}

// isBase tells a base column from a property.
func (v view) isBase(name string) bool {
	return slices.Contains(v.columns, name) || strings.HasPrefix(name, "registrations.") && slices.Contains(v.columns, "registrations")
}

var views = map[string]view{
	"units":              {anyRight, agencyColumns, func(t *tenant, _ time.Time) []row { return agencyRows(t) }},
	"users":              {anyRight, userColumns, func(t *tenant, _ time.Time) []row { return userRows(t) }},
	"companies":          {companyRight, companyColumns, companyView(func(*company) bool { return true })},
	"companies.supplier": {companyRight, companyColumns, companyView(func(c *company) bool { return c.Supplier })},
	"companies.client":   {companyRight, companyColumns, companyView(func(c *company) bool { return c.Client })},
	"documents":          {documentRights, documentColumns, documentView(func(string) bool { return true })},
	"invoices.purchase":  {documentRights, documentColumns, documentView(isReceived)},
	"invoices.sales":     {documentRights, documentColumns, documentView(isIssued)},
}

var (
	agencyColumns  = []string{"id", "name", "isDisabled"}
	userColumns    = []string{"id", "firstName", "lastName", "isDisabled"}
	companyRight   = []right{rightViewCompanies}
	documentRights = []right{rightCreateReceived, rightPatchIssued}
	anyRight       = []right{rightViewCompanies, rightCreateReceived, rightPatchIssued}
)

func agencyRows(t *tenant) []row {
	return []row{fixedRow(agencyColumns, int64(t.unit), "Sample Agency sp. z o.o.", false)}
}

func userRows(t *tenant) []row {
	rows := make([]row, 0, len(t.users))
	for _, u := range t.users {
		rows = append(rows, fixedRow(userColumns, u.ID, u.FirstName, u.LastName, u.Disabled))
	}
	return rows
}

func fixedRow(columns []string, values ...any) row {
	return row{columns: columns, column: func(name string) (any, bool) {
		for i, c := range columns {
			if c == name {
				return values[i], true
			}
		}
		return nil, false
	}}
}

func companyView(shown func(*company) bool) func(*tenant, time.Time) []row {
	return func(t *tenant, _ time.Time) []row {
		var rows []row
		for _, c := range t.companies {
			if shown(c) {
				rows = append(rows, row{columns: companyColumns, column: c.column})
			}
		}
		return rows
	}
}

func documentView(shown func(documentType string) bool) func(*tenant, time.Time) []row {
	return func(t *tenant, asOf time.Time) []row {
		var rows []row
		for _, h := range t.documents {
			d := h.current()
			if !asOf.IsZero() {
				d = h.asOf(asOf)
			}
			if d != nil && shown(d.Type) {
				rows = append(rows, row{columns: documentColumns, column: d.column, properties: d.Properties})
			}
		}
		return rows
	}
}

type metadataJSON struct {
	Count      int  `json:"count"` // rows that match, on all pages
	Limit      int  `json:"limit"`
	NextOffset *int `json:"nextOffset"`
}

func (s *Simulator) serveView(a *answer, r *http.Request, name string, query map[string]string) {
	v, ok := views[name]
	if !ok {
		a.fail(http.StatusNotFound, "no such view: %s", name)
		return
	}
	if r.Method != http.MethodGet {
		a.fail(http.StatusMethodNotAllowed, "a view can only be read")
		return
	}
	if !s.allow(a, "see the view "+name, v.rights...) {
		return
	}
	s.mu.Lock()
	set := s.settings
	var asOf time.Time
	if set.ViewDelaySeconds > 0 {
		asOf = s.clock.now().Add(-time.Duration(set.ViewDelaySeconds / s.timeScale * float64(time.Second)))
	}
	rows := v.rows(s.tenant, asOf)
	s.mu.Unlock()

	limit, offset := set.PageLimit, 0
	for parameter, into := range map[string]*int{"limit": &limit, "offset": &offset} {
		text, given := query[parameter]
		if !given {
			continue
		}
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 || (parameter == "limit" && n == 0) {
			a.fail(http.StatusBadRequest, "%s %q is not a valid number", parameter, text)
			return
		}
		*into = n
	}
	limit = min(limit, set.PageLimit)

	if text := query["externalFilter"]; text != "" {
		f, err := parseFilter(text)
		if err != nil {
			a.fail(http.StatusBadRequest, "externalFilter: %v", err)
			return
		}
		if rows, err = filterRows(rows, f, v.isBase, set.FilterProperties); err != nil {
			a.fail(http.StatusBadRequest, "externalFilter: %v", err)
			return
		}
	}

	meta := metadataJSON{Count: len(rows), Limit: limit}
	start := min(offset, len(rows))
	end := min(start+limit, len(rows))
	if end < len(rows) {
		meta.NextOffset = &end
	}
	columns, properties := list(query["columns"]), list(query["properties"])
	data := make([]map[string]any, 0, end-start)
	for _, row := range rows[start:end] {
		data = append(data, pick(row, columns, properties, set.FlatProperties))
	}
	a.json(http.StatusOK, map[string]any{"metadata": meta, "data": data})
}

// pick is a row as it is sent. Without columns all base columns are sent, and
// properties only when asked for; unknown names are left out.
func pick(r row, columns, properties []string, flat bool) map[string]any {
	if len(columns) == 0 {
		columns = r.columns
	}
	out := rowOf(r.column, columns)
	if len(properties) == 0 {
		return out
	}
	into := out
	if !flat {
		into = map[string]any{}
		out["properties"] = into
	}
	for _, name := range properties {
		if v, ok := r.properties[name]; ok {
			into[name] = v
		}
	}
	return out
}

func rowOf(column func(string) (any, bool), names []string) map[string]any {
	out := make(map[string]any, len(names)+1)
	for _, name := range names {
		if v, ok := column(name); ok {
			out[name] = v
		}
	}
	return out
}

func list(text string) []string {
	var out []string
	for name := range strings.SplitSeq(text, ",") {
		if name = strings.TrimSpace(name); name != "" {
			out = append(out, name)
		}
	}
	return out
}
