package teamogysim

import "slices"

// renamed is a view whose columns have other names, by our name of each.
func renamed(v view, rows []row, names map[string]string) (view, []row) {
	if len(names) == 0 {
		return v, rows
	}
	ours := map[string]string{}
	for _, name := range v.columns {
		shown := name
		if other, ok := names[name]; ok {
			shown = other
		}
		ours[shown] = name
	}
	columns := slices.Clone(v.columns)
	for i, name := range columns {
		if other, ok := names[name]; ok {
			columns[i] = other
		}
	}
	v.columns = columns
	out := make([]row, len(rows))
	for i, r := range rows {
		column := r.column
		r.columns = columns
		r.column = func(name string) (any, bool) {
			if known, ok := ours[name]; ok {
				return column(known)
			}
			if _, hidden := names[name]; hidden {
				return nil, false
			}
			return column(name) // a part of one, such as registrations.vatId
		}
		out[i] = r
	}
	return v, out
}
