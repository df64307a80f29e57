package teamogy

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"teamogy-ksef/internal/together"
)

const (
	// mostRows is how many documents one request to a view asks for by their ids.
	mostRows = 100
	// rowsOfBytes bounds the XML that is asked for at once, well below the 10 MB of Teamogy's gateway.
	rowsOfBytes = 4 << 20
)

// salesRows is what the client has learnt of asking the sales invoices' view for documents by their ids. Filters on
// base columns joined by OR are documented. A document that has no row in the answer is read by itself.
type salesRows struct {
	states *together.Gathering[int64, salesState]
	ahead  statesAhead

	mu         sync.Mutex
	distrusted time.Time // until when the view is not asked by ids
	xml        xmlInView
}

// salesState is what the view shows of an issued invoice.
type salesState struct {
	told   bool // false: read the document
	status string
	number string    // of KSeF
	at     time.Time // when it was asked for
}

func (r *salesRows) usable(now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return !now.Before(r.distrusted)
}

func (c *Client) distrustRows(ctx context.Context, why string) {
	c.log.InfoContext(ctx, "the view of sales invoices cannot be asked for several documents; they are read one by one",
		"why", why, "view", c.fields.Views.SalesInvoices)
	c.sales.mu.Lock()
	defer c.sales.mu.Unlock()
	c.sales.distrusted = c.now().Add(c.ttl())
}

// idsFilter is the filter for documents with these ids.
func (c *Client) idsFilter(ids []int64) string {
	terms := make([]string, len(ids))
	for i, id := range ids {
		terms[i] = fmt.Sprintf("%s=%d", c.fields.Columns.ID, id)
	}
	return "(" + strings.Join(terms, " OR ") + ")"
}

// rowsOf gives the rows of a page by id, or false if there are others than those that were asked for.
func (c *Client) rowsOf(page viewPage, ids []int64) (map[int64]object, bool) {
	rows := make(map[int64]object, len(page.rows))
	for _, row := range page.rows {
		id, ok := row.id(c.fields.Columns.ID)
		if !ok || !slices.Contains(ids, id) {
			return nil, false
		}
		rows[id] = row
	}
	return rows, true
}

// numberColumn is how columnKnowledge calls the KSeF number of issued invoices.
func (c *Client) numberColumn() string { return "properties." + c.fields.Properties.KSeFNumber.Key }

// state asks the view for the state of an issued invoice, together with all others that are asked for at the same time,
// and those that will be soon (Foresee). It tells only where the view is proven to show KSeF numbers: a document of which
// it is known that it has one is asked for as well, until its number was shown.
func (c *Client) state(ctx context.Context, id, numbered int64) (salesState, error) {
	if !c.sales.usable(c.now()) {
		return salesState{}, nil
	}
	if state, known := c.sales.ahead.ask(id, c.now()); known {
		return state, nil
	}
	return c.sales.states.Ask(ctx, id, func(ctx context.Context, take func(int) []int64) (map[int64]salesState, error) {
		var ids []int64
		var at time.Time
		q := viewQuery{
			view:       c.fields.Views.SalesInvoices,
			columns:    []string{c.fields.Columns.ID, c.fields.Columns.Status},
			properties: []string{c.fields.Properties.KSeFNumber.Key},
		}
		q.late = func(q *viewQuery) {
			at = c.now()
			ids = c.sales.ahead.with(take(mostRows), mostRows)
			if !c.columns.isShown(q.view, c.numberColumn()) && numbered != 0 {
				ids = append(ids, numbered)
			}
			q.filter, q.pageSize = c.idsFilter(ids), len(ids)
		}
		page, err := c.readRows(ctx, "read the state of issued invoices", q, 0)
		if e, ok := AsError(err); ok && len(ids) > 0 && (e.refused() || e.Kind == NotFound || e.Status == 500 || e.Status == 501) {
			c.distrustRows(ctx, "it is refused")
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		rows, ok := c.rowsOf(page, ids)
		if !ok {
			c.distrustRows(ctx, "it shows other documents than those asked for")
			return nil, nil
		}
		if numbered != 0 && c.propertyText(rows[numbered], c.fields.Properties.KSeFNumber) != "" {
			c.columns.show(q.view, c.numberColumn())
		}
		states := map[int64]salesState{}
		for id, row := range rows {
			states[id] = salesState{
				told:   c.columns.isShown(q.view, c.numberColumn()),
				status: row.text(c.fields.Columns.Status),
				number: c.propertyText(row, c.fields.Properties.KSeFNumber),
				at:     at,
			}
		}
		c.sales.ahead.keep(states, c.now())
		return states, nil
	})
}
