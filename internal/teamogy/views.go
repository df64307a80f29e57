package teamogy

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"strconv"
	"strings"
)

// viewQuery is what is asked of a view.
type viewQuery struct {
	view       string
	columns    []string
	properties []string
	filter     string
	offset     int
	pageSize   int // 0 means FieldMap.PageSize, or less where Teamogy refuses so many
	// late, if not nil, fills in filter and pageSize when the request's turn has come.
	late func(*viewQuery)
}

// viewPage is one page of a view.
type viewPage struct {
	rows []object
	// next is where the next page begins, -1 on the last page.
	next int
}

// maxOverlap is how many rows of a page are read again with the next one. The order of rows is not documented, and a
// row that leaves the list while it is read moves all later ones forward, past a page that begins where the last
// one ended.
const maxOverlap = 10

// readPage reads one page. Where Teamogy refuses as many rows, which a page of a single row proves, it asks for half as
// many until they come, and remembers that. A page whose size the caller chose is not tried again.
func (c *Client) readPage(ctx context.Context, operation string, q viewQuery) (viewPage, error) {
	size := q.pageSize
	if size == 0 {
		size = c.pageSize()
	}
	page, err := c.readRows(ctx, operation, q, size)
	if q.pageSize != 0 || size == 1 || !isRefused(err) {
		return page, err
	}
	single, failure := c.readRows(ctx, operation, q, 1)
	switch {
	case isRefused(failure):
		return viewPage{}, err // it is not the size
	case failure != nil:
		return viewPage{}, failure
	}
	for size /= 2; size > 1; size /= 2 {
		page, err := c.readRows(ctx, operation, q, size)
		if err == nil {
			c.smallerPage(ctx, size)
		}
		if !isRefused(err) {
			return page, err
		}
	}
	c.smallerPage(ctx, 1)
	return single, nil
}

// pageSize is FieldMap.PageSize, or what is left of it where Teamogy refuses so many rows.
func (c *Client) pageSize() int {
	if n := int(c.rowsTaken.Load()); n > 0 {
		return min(n, c.fields.PageSize)
	}
	return c.fields.PageSize
}

func (c *Client) smallerPage(ctx context.Context, size int) {
	c.log.WarnContext(ctx, "Teamogy refuses pages of as many rows as the field map says; set pageSize to what it takes",
		"pageSize", c.fields.PageSize, "taken", size)
	c.rowsTaken.Store(int64(size))
}

// readRows makes one request for at most so many rows.
func (c *Client) readRows(ctx context.Context, operation string, q viewQuery, size int) (viewPage, error) {
	answer, err := c.getLate(ctx, operation, "views/"+q.view, func() []parameter {
		if q.late != nil {
			q.late(&q)
			size = q.pageSize
		}
		return c.parameters(q, size)
	})
	if e, ok := AsError(err); ok && e.Kind == NotFound {
		e.Detail = fmt.Sprintf("there is no view %s in this unit: correct views in the field map", q.view)
	}
	if err != nil {
		return viewPage{}, err
	}
	page, err := c.page(operation, answer)
	if err != nil {
		return viewPage{}, err
	}
	if page.next >= 0 && page.next <= q.offset {
		return viewPage{}, badAnswer(operation, "the page at offset %d names %d as the next, so it would never end", q.offset, page.next)
	}
	return page, nil
}

// parameters are those of a request for at most so many rows.
func (c *Client) parameters(q viewQuery, size int) []parameter {
	query := []parameter{{c.fields.Query.Columns, strings.Join(q.columns, ",")}}
	if len(q.properties) > 0 {
		query = append(query, parameter{c.fields.Query.Properties, strings.Join(q.properties, ",")})
	}
	if q.filter != "" {
		query = append(query, parameter{c.fields.Query.Filter, q.filter})
	}
	return append(query, parameter{c.fields.Query.Limit, strconv.Itoa(size)}, parameter{c.fields.Query.Offset, strconv.Itoa(q.offset)})
}

// page reads a view's envelope. A bare array is taken for a single page.
func (c *Client) page(operation string, answer []byte) (viewPage, error) {
	answer = bytes.TrimSpace(answer)
	var envelope struct {
		Metadata struct {
			NextOffset json.RawMessage `json:"nextOffset"`
		} `json:"metadata"`
		Data json.RawMessage `json:"data"`
	}
	if len(answer) > 0 && answer[0] == '[' {
		envelope.Data = answer
	} else if err := json.Unmarshal(answer, &envelope); err != nil {
		return viewPage{}, badAnswer(operation, "the answer is not a page of a view")
	}
	page := viewPage{next: -1}
	if raw := bytes.TrimSpace(envelope.Data); len(raw) > 0 && json.Unmarshal(raw, &page.rows) != nil || len(raw) == 0 {
		return viewPage{}, badAnswer(operation, "the answer has no rows in \"data\"")
	}
	if text := scalarText(envelope.Metadata.NextOffset); text != "" {
		next, err := strconv.Atoi(text)
		if err != nil {
			return viewPage{}, badAnswer(operation, "nextOffset is not a whole number")
		}
		page.next = next
	}
	return page, nil
}

// rows reads a view to its end, each id once: pages row by row.
func (c *Client) rows(ctx context.Context, operation string, q viewQuery) iter.Seq2[object, error] {
	return func(yield func(object, error) bool) {
		for page, err := range c.pages(ctx, operation, q) {
			if err != nil {
				yield(nil, err)
				return
			}
			for _, row := range page.rows {
				if !yield(row, nil) {
					return
				}
			}
		}
	}
}

// pages reads a view to its end, page by page, each id once. It gives up with NotSearchable after FieldMap.ScanLimit
// rows. What is added or changed while it reads may be missing.
func (c *Client) pages(ctx context.Context, operation string, q viewQuery) iter.Seq2[viewPage, error] {
	return func(yield func(viewPage, error) bool) {
		seen := map[int64]bool{}
		for {
			page, err := c.readPage(ctx, operation, q)
			if err != nil {
				yield(page, err)
				return
			}
			fresh := viewPage{next: page.next}
			for _, row := range page.rows {
				id, ok := row.id(c.fields.Columns.ID)
				if !ok {
					yield(page, badAnswer(operation, "a row of the view %s has no %s", q.view, c.fields.Columns.ID))
					return
				}
				if !seen[id] {
					seen[id] = true
					fresh.rows = append(fresh.rows, row)
				}
			}
			if !yield(fresh, nil) || page.next < 0 {
				return
			}
			if page.next >= c.fields.ScanLimit {
				yield(page, c.tooManyRows(operation, q.view))
				return
			}
			q.offset = page.following(q.offset)
		}
	}
}

// following is the offset of the request after the one at offset: a little before the page's end, but always further.
func (p viewPage) following(offset int) int {
	return max(offset+1, p.next-min(maxOverlap, len(p.rows)/4))
}

func (c *Client) tooManyRows(operation, view string) *Error {
	return &Error{
		Operation: operation, Kind: NotSearchable,
		Detail: fmt.Sprintf("the view %s has more than %d rows: raise scanLimit in the field map, or have Teamogy filter it", view, c.fields.ScanLimit),
	}
}

// literal is a text in a filter expression. How a quote would be escaped is not documented, so a text that needs it
// is refused.
func literal(operation, value string) (string, error) {
	if strings.ContainsAny(value, "'\\") || strings.IndexFunc(value, func(r rune) bool { return r < ' ' || r == 0x7f }) >= 0 {
		return "", &Error{
			Operation: operation, Kind: Invalid,
			Detail: fmt.Sprintf("%q cannot be searched for: it holds a quote, backslash or control character", cut(value, 100)),
		}
	}
	return "'" + value + "'", nil
}
