package teamogysim

import (
	"net/http"
	"slices"
	"strings"
)

// row is one line of a view: base columns by name, and properties.
type row struct {
	columns    []string
	column     func(name string) (any, bool)
	properties map[string]any
	revision   int64 // higher for what changed later
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
	rows    func(t *tenant, seen sight) []row
}

// isBase tells a base column from a property.
func (v view) isBase(name string) bool {
	return slices.Contains(v.columns, name) || strings.HasPrefix(name, "registrations.") && slices.Contains(v.columns, "registrations")
}

var views = map[string]view{
	"units":              {anyRight, agencyColumns, func(t *tenant, _ sight) []row { return agencyRows(t) }},
	"users":              {anyRight, userColumns, func(t *tenant, _ sight) []row { return userRows(t) }},
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

func companyView(shown func(*company) bool) func(*tenant, sight) []row {
	return func(t *tenant, _ sight) []row {
		var rows []row
		for _, c := range t.companies {
			if shown(c) && (!c.Disabled || t.style.DisabledCompanies == DisabledShown) {
				rows = append(rows, row{columns: companyColumns, column: c.column})
			}
		}
		return rows
	}
}

func documentView(shown func(documentType string) bool) func(*tenant, sight) []row {
	return func(_ *tenant, seen sight) []row {
		var rows []row
		for _, h := range seen.among {
			if d := seen.version(h); d != nil && shown(d.Type) {
				rows = append(rows, row{
					columns: documentColumns, column: d.column, revision: d.revision,
					properties: shownProperties(d.Properties, seen.numbers),
				})
			}
		}
		return rows
	}
}

func (s *Simulator) serveView(a *answer, r *http.Request, name string, query map[string]string, set *settings) {
	v, ok := views[name]
	if !ok || slices.Contains(set.AbsentViews, name) {
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
	text := query["externalFilter"]
	var f *filter
	var malformed error
	if text != "" {
		f, malformed = parseFilter(text, dialect{set.FilterComparators, set.FilterQuotes})
	}
	s.mu.Lock()
	seen := s.sight(set, text != "")
	seen.among = s.tenant.among(f, set)
	rows := v.rows(s.tenant, seen)
	if set.SortOrder == SortShuffled {
		s.shuffles++
	}
	sortRows(rows, set, s.shuffles)
	s.mu.Unlock()
	v, rows = renamed(v, rows, set.ColumnNames)

	p, err := pageOf(query, set)
	if err != nil {
		a.fail(http.StatusBadRequest, "%v", err)
		return
	}
	if text != "" {
		err := malformed
		if err == nil {
			rows, err = filterRows(rows, f, v.isBase, set)
		}
		if err != nil {
			a.fail(http.StatusBadRequest, "externalFilter: %v", err)
			return
		}
	}
	columns, properties := list(query["columns"]), list(query["properties"])
	for _, name := range columns {
		if !v.isBase(name) && set.UnknownColumns == ColumnsRefused {
			a.fail(http.StatusBadRequest, "unknown column %q", name)
			return
		}
	}
	if len(columns) == 0 {
		columns = v.columns
	}
	page, metadata := p.cut(rows, set)
	data := make([]map[string]any, 0, len(page))
	for _, row := range page {
		data = append(data, pick(row, columns, properties, set))
	}
	out := map[string]any{"metadata": metadata, "data": data}
	if len(data) == 0 && set.EmptyData == EmptyNull {
		out["data"] = nil
	}
	a.json(http.StatusOK, out)
}

// pick is a row as it is sent. Properties are sent only when they are asked for.
func pick(r row, columns, properties []string, set *settings) map[string]any {
	out := rowOf(r.column, columns)
	if set.UnknownColumns == ColumnsNull {
		for _, name := range columns {
			if _, ok := out[name]; !ok {
				out[name] = nil
			}
		}
	}
	if len(properties) == 0 {
		return out
	}
	into, prefix := out, ""
	switch {
	case !set.FlatProperties:
		into = map[string]any{}
		out["properties"] = into
	case set.PropertyKeys == KeysDotted:
		prefix = "properties."
	}
	for _, name := range properties {
		if v, ok := shownText(r.properties, name, set.LongTexts); ok {
			into[prefix+name] = v
		} else if set.MissingProperties == PropertiesNull {
			into[prefix+name] = nil
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
