package teamogy

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// ReadyInvoice is an issued invoice that waits to be sent to KSeF.
type ReadyInvoice struct {
	ID     int64
	Type   string
	Status string
	// Number is the document's registration number in Teamogy.
	Number string
	// KSeFNumber is always empty in a list of ready invoices: one that has a number was sent.
	KSeFNumber string
}

// ListReadySalesInvoices lists the issued invoices of the types with the status, without those that already have a
// KSeF number, each once and in the view's order: take gets them page by page, and tells whether it wants more. A list of
// many thousands need not be read for a few. All tells whether the view was read to its end. The filter is Teamogy's
// documented one; rows are checked again locally, because sending an invoice that is not ready cannot be undone. A row
// that does not show what is needed for the check is an error, and so is a page that has rows but shows type or status
// on none: then the field map names the columns wrongly, and an empty list would not be the truth (NotSearchable).
//
// The list is what the view shows: an invoice whose number was written a moment ago may still be in it, and one that
// became ready a moment ago, or that moved while take was at work, may come only next time.
func (c *Client) ListReadySalesInvoices(ctx context.Context, types []string, status string, take func([]ReadyInvoice) (more bool)) (all bool, err error) {
	operation := fmt.Sprintf("list the issued invoices with status %q", status)
	filter, err := readyFilter(operation, c.fields.Columns, types, status)
	if err != nil {
		return false, err
	}
	f := c.fields
	q := viewQuery{
		view:       f.Views.SalesInvoices,
		columns:    []string{f.Columns.ID, f.Columns.Type, f.Columns.Status, f.Columns.Number},
		properties: []string{f.Properties.KSeFNumber.Key},
		filter:     filter,
	}
	needed := []configuredColumn{{f.Columns.Type, "columns.type"}, {f.Columns.Status, "columns.status"}}
	shown := false
	for page, err := range c.pages(ctx, operation, q) {
		if err != nil {
			return false, err
		}
		if err := c.showsColumns(operation, q.view, page.rows, needed...); err != nil {
			return false, err
		}
		shown = shown || len(page.rows) > 0
		ready, err := c.readyOf(operation, q.view, page.rows, types, status)
		if err != nil {
			return false, err
		}
		if len(ready) > 0 && !take(ready) {
			return page.next < 0, nil
		}
	}
	if !shown {
		return true, c.probeColumns(ctx, operation, q, needed...)
	}
	return true, nil
}

// readyOf are the ready invoices among the rows of a page.
func (c *Client) readyOf(operation, view string, rows []object, types []string, status string) ([]ReadyInvoice, error) {
	var ready []ReadyInvoice
	for _, row := range rows {
		d := c.document(row)
		if d.Type == "" || d.Status == "" {
			return nil, badAnswer(operation, "document %d shows no type or no status in the view %s: check columns in the field map", d.ID, view)
		}
		if d.Status != status || !slices.Contains(types, d.Type) || d.KSeFNumber != "" {
			continue
		}
		ready = append(ready, ReadyInvoice{ID: d.ID, Type: d.Type, Status: d.Status, Number: d.Number})
	}
	return ready, nil
}

func readyFilter(operation string, columns Columns, types []string, status string) (string, error) {
	if len(types) == 0 || status == "" {
		return "", &Error{Operation: operation, Kind: Invalid, Detail: "name at least one document type and the status of ready invoices"}
	}
	wanted, err := literal(operation, status)
	if err != nil {
		return "", err
	}
	terms := make([]string, len(types))
	for i, t := range types {
		text, err := literal(operation, t)
		if err != nil {
			return "", err
		}
		terms[i] = columns.Type + "=" + text
	}
	anyType := strings.Join(terms, " OR ")
	if len(terms) > 1 {
		anyType = "(" + anyType + ")"
	}
	return "(" + anyType + " AND " + columns.Status + "=" + wanted + ")", nil
}
