package teamogy

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"
)

// columnProbe is how many rows tell that a view does not show a column.
const columnProbe = 20

// columnKnowledge is which columns the views were seen to show, so that a missing one is not taken for an empty value.
type columnKnowledge struct {
	mu     sync.Mutex
	shown  map[string]bool      // by view and column
	lookAt map[string]time.Time // when a view without rows is looked at again
}

func (k *columnKnowledge) isShown(view, column string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.shown[view+" "+column]
}

func (k *columnKnowledge) show(view, column string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.shown == nil {
		k.shown = map[string]bool{}
	}
	k.shown[view+" "+column] = true
}

// due tells whether a view should be looked at, and puts the next look off.
func (k *columnKnowledge) due(view string, now time.Time, again time.Duration) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if now.Before(k.lookAt[view]) {
		return false
	}
	if k.lookAt == nil {
		k.lookAt = map[string]time.Time{}
	}
	k.lookAt[view] = now.Add(again)
	return true
}

// configuredColumn is a column that an answer depends on, with its key in the field map.
type configuredColumn struct{ name, key string }

// showsColumns is an error if there are rows and none of them shows one of the columns: then the view calls it
// something else, and its absence must not be taken for a value. A column of null on every row counts as not shown.
func (c *Client) showsColumns(operation, view string, rows []object, columns ...configuredColumn) error {
	for _, column := range columns {
		if len(rows) == 0 || column.name == "" || c.columns.isShown(view, column.name) {
			continue
		}
		shown := false
		for _, row := range rows {
			if raw, there := row[column.name]; there && strings.TrimSpace(string(raw)) != "null" {
				shown = true
				break
			}
		}
		if !shown {
			return &Error{
				Operation: operation, Kind: NotSearchable,
				Detail: fmt.Sprintf("no row of the view %s shows the column %q: correct %s in the field map", view, column.name, column.key),
			}
		}
		c.columns.show(view, column.name)
	}
	return nil
}

// probeColumns reads the first rows of a view without a filter, to tell an empty answer from a filter on a column that
// the view calls something else. It costs a request until the columns were seen, at most one per life of the cache.
func (c *Client) probeColumns(ctx context.Context, operation string, q viewQuery, columns ...configuredColumn) error {
	known := true
	for _, column := range columns {
		known = known && c.columns.isShown(q.view, column.name)
	}
	if known || !c.columns.due(q.view, c.now(), c.ttl()) {
		return nil
	}
	q.filter, q.pageSize = "", min(columnProbe, c.pageSize())
	page, err := c.readPage(ctx, operation, q)
	if err != nil {
		return err
	}
	return c.showsColumns(operation, q.view, page.rows, columns...)
}
