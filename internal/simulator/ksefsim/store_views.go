package ksefsim

import (
	"cmp"
	"iter"
	"slices"
	"sort"
	"strings"
)

// view is what one taxpayer sees in one role: the same invoices in the order of
// each type of date that a query can range over.
type view struct{ stored, invoiced, issued []*record }

// The orders of a view. Equal dates follow the order in which KSeF got the
// invoices, so that pages do not overlap.
func byStored(a, b *record) int { return cmp.Or(a.stored.Compare(b.stored), cmp.Compare(a.seq, b.seq)) }

func byInvoiced(a, b *record) int {
	return cmp.Or(a.invoicing.Compare(b.invoicing), cmp.Compare(a.seq, b.seq))
}

func byIssued(a, b *record) int {
	return cmp.Or(strings.Compare(a.invoice.issueDate, b.invoice.issueDate), cmp.Compare(a.seq, b.seq))
}

// add puts invoices into their places.
func (v *view) add(records []*record) {
	v.stored = placed(v.stored, records, byStored)
	v.invoiced = placed(v.invoiced, records, byInvoiced)
	v.issued = placed(v.issued, records, byIssued)
}

// placed inserts a few by binary search and sorts when there are many.
func placed(list, more []*record, order func(a, b *record) int) []*record {
	if len(more) > 16 {
		list = append(list, more...)
		slices.SortFunc(list, order)
		return list
	}
	for _, r := range more {
		at, _ := slices.BinarySearchFunc(list, r, order)
		list = slices.Insert(list, at, r)
	}
	return list
}

// within gives the invoices of a range, both ends included, in the order of its
// date.
func (v *view) within(w queryRange) []*record {
	list := v.stored
	before := func(r *record) bool { return r.stored.Before(w.from) }
	after := func(r *record) bool { return r.stored.After(w.to) }
	switch w.dateType {
	case dateInvoicing:
		list = v.invoiced
		before = func(r *record) bool { return r.invoicing.Before(w.from) }
		after = func(r *record) bool { return r.invoicing.After(w.to) }
	case dateIssue: // compares calendar days in Poland
		list = v.issued
		before = func(r *record) bool { return r.invoice.issueDate < w.firstDay }
		after = func(r *record) bool { return r.invoice.issueDate > w.lastDay }
	}
	first := sort.Search(len(list), func(i int) bool { return !before(list[i]) })
	end := first + sort.Search(len(list)-first, func(i int) bool { return after(list[first+i]) })
	return list[first:end]
}

// ordered walks a list forward or backward.
func ordered(list []*record, descending bool) iter.Seq[*record] {
	if !descending {
		return slices.Values(list)
	}
	return func(yield func(*record) bool) {
		for _, r := range slices.Backward(list) {
			if !yield(r) {
				return
			}
		}
	}
}
