package teamogysim

import (
	"cmp"
	"slices"
	"strings"
)

// ksefNumberProperty is the property that clients look documents up by, one of
// a hundred thousand at a time: it has an index.
const ksefNumberProperty = "ksefNumber"

// indexKSeFNumber remembers that a version of a document has its KSeF number.
// It is never forgotten: a view that is late may still show that version.
func (t *tenant) indexKSeFNumber(h *history, d *document) {
	number := d.property(ksefNumberProperty)
	if number != "" && !slices.Contains(t.byKSeF[number], h) {
		t.byKSeF[number] = append(t.byKSeF[number], h)
	}
}

// withKSeFNumber is a document that has that KSeF number now, or nil.
func (t *tenant) withKSeFNumber(number string) *document {
	if number == "" {
		return nil
	}
	for _, h := range t.byKSeF[number] {
		if d := h.current(); d.property(ksefNumberProperty) == number {
			return d
		}
	}
	return nil
}

// among gives the documents that can match a filter, ascending by id: those
// that have or had one of the KSeF numbers that it demands, or all.
func (t *tenant) among(f *filter, set *settings) []*history {
	if f == nil || set.FilterProperties != FilterHonoured || set.FilterAlternatives == AlternativesIgnored || len(set.ColumnNames) > 0 {
		return t.documents
	}
	numbers, demanded := f.ksefNumbers()
	if !demanded {
		return t.documents
	}
	var found []*history
	for _, number := range numbers {
		found = append(found, t.byKSeF[number]...)
	}
	slices.SortFunc(found, func(a, b *history) int { return cmp.Compare(a.current().ID, b.current().ID) })
	return slices.Compact(found)
}

// ksefNumbers are those of which a row must have one for the filter to keep
// it; false if it may keep rows that have none of a few.
func (f *filter) ksefNumbers() (numbers []string, demanded bool) {
	switch f.op {
	case "AND":
		for _, p := range f.parts {
			if numbers, demanded = p.ksefNumbers(); demanded {
				return numbers, true
			}
		}
		return nil, false
	case "OR":
		for _, p := range f.parts {
			more, also := p.ksefNumbers()
			if !also {
				return nil, false
			}
			numbers = append(numbers, more...)
		}
		return numbers, true
	case "=":
		if strings.TrimPrefix(f.name, "properties.") != ksefNumberProperty {
			return nil, false
		}
		for _, literal := range f.literal {
			text, is := literal.(string)
			if !is || text == "" {
				return nil, false
			}
			numbers = append(numbers, text)
		}
		return numbers, true
	}
	return nil, false
}
