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
	pageSize   int // 0 means FieldMap.PageSize
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

// readPage reads one page.
func (c *Client) readPage(ctx context.Context, operation string, q viewQuery) (viewPage, error) {
	size := q.pageSize
	if size == 0 {
		size = c.fields.PageSize
	}
	query := []parameter{{c.fields.Query.Columns, strings.Join(q.columns, ",")}}
	if len(q.properties) > 0 {
		query = append(query, parameter{c.fields.Query.Properties, strings.Join(q.properties, ",")})
	}
	if q.filter != "" {
		query = append(query, parameter{c.fields.Query.Filter, q.filter})
	}
	query = append(query, parameter{c.fields.Query.Limit, strconv.Itoa(size)}, parameter{c.fields.Query.Offset, strconv.Itoa(q.offset)})
	answer, err := c.get(ctx, operation, "views/"+q.view, query)
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

// rows reads a view to its end, page by page, each id once. It gives up with NotSearchable after FieldMap.ScanLimit
// rows. What is added or changed while it reads may be missing.
func (c *Client) rows(ctx context.Context, operation string, q viewQuery) iter.Seq2[object, error] {
	return func(yield func(object, error) bool) {
		seen := map[int64]bool{}
		for {
			page, err := c.readPage(ctx, operation, q)
			if err != nil {
				yield(nil, err)
				return
			}
			for _, row := range page.rows {
				id, ok := row.id(c.fields.Columns.ID)
				if !ok {
					yield(nil, badAnswer(operation, "a row of the view %s has no %s", q.view, c.fields.Columns.ID))
					return
				}
				if seen[id] {
					continue
				}
				seen[id] = true
				if !yield(row, nil) {
					return
				}
			}
			if page.next < 0 {
				return
			}
			if page.next >= c.fields.ScanLimit {
				yield(nil, c.tooManyRows(operation, q.view))
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
