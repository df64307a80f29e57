package teamogy

import (
	"context"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"teamogy-ksef/internal/together"
)

const (
	// mostTogether is how many KSeF numbers one request looks for.
	mostTogether = 50
	// longestFilter bounds the filter expression, as it stands in the URL: many servers take 8 KB of address and headers.
	longestFilter = 5000
)

// numberLooks are the looks for KSeF numbers that share requests: the view filtered by several numbers, joined by OR.
//
// OR between base columns is documented, between properties it is not. A tenant may refuse it, take only one of the
// terms, or let every row through. So each such request also asks for two documents that exist, one with the first
// term and one with the last: only where both come back, and no row that was not asked for, a number without a row
// counts as not found. Anything else is looked for alone, as if nothing had been asked.
type numberLooks struct {
	together *together.Gathering[string, numberAnswer]

	mu         sync.Mutex
	controls   []string  // numbers that the view has shown, the newest last, at most mostControls
	most       int       // how many numbers the tenant takes at once, 0: mostTogether
	distrusted time.Time // until when OR is not tried
}

// LooksWaiting is how many looks for KSeF numbers wait for the next request that they share.
func (c *Client) LooksWaiting() int { return c.looks.together.Waiting() }

// numberAnswer is what a shared request told about one number.
type numberAnswer struct {
	told bool // false: look for it alone
	ids  []int64
}

const (
	lookAlone    = iota
	lookTogether // with two documents that exist as a proof
	lookUnproven // fewer than two are known yet
)

// mostControls is how many numbers that exist are remembered.
const mostControls = 4

// way tells how numbers are looked for now.
func (l *numberLooks) way(now time.Time) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case now.Before(l.distrusted):
		return lookAlone
	case len(l.controls) < 2:
		return lookUnproven
	}
	return lookTogether
}

// exists remembers a number that the view has shown.
func (l *numberLooks) exists(number string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if slices.Contains(l.controls, number) || strings.ContainsAny(number, "'\\") {
		return
	}
	if l.controls = append(l.controls, number); len(l.controls) > mostControls {
		l.controls = l.controls[1:]
	}
}

// missing forgets a number that was not shown again.
func (l *numberLooks) missing(number string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.controls = slices.DeleteFunc(l.controls, func(c string) bool { return c == number })
}

// pair are two numbers that exist, empty if there are none.
func (l *numberLooks) pair() (first, last string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.controls) < 2 {
		return "", ""
	}
	return l.controls[0], l.controls[1]
}

func (l *numberLooks) distrust(until time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.distrusted, l.most = until, 0
}

// fewer asks for half as many numbers from now on, and tells whether any are left to be asked for together.
func (l *numberLooks) fewer(asked int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.most = asked / 2
	return l.most >= 2
}

func (l *numberLooks) atOnce() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.most > 0 {
		return l.most
	}
	return mostTogether
}

// lookTogether looks for a number in one request with all others that are looked for at the same time.
func (c *Client) lookTogether(ctx context.Context, operation, ksefNumber string) (numberAnswer, error) {
	return c.looks.together.Ask(ctx, ksefNumber, func(ctx context.Context, take func(int) []string) (map[string]numberAnswer, error) {
		return c.lookFor(ctx, operation, take)
	})
}

// lookFor makes one request for all that take gives when its turn has come.
func (c *Client) lookFor(ctx context.Context, operation string, take func(int) []string) (map[string]numberAnswer, error) {
	var asked []string
	first, last := c.looks.pair()
	q := c.receivedQuery()
	q.late = func(q *viewQuery) {
		asked = take(min(c.looks.atOnce(), c.numbersPerURL()))
		q.filter, q.pageSize = c.numbersFilter(asked, first, last), len(asked)+filterRows
	}
	page, err := c.readRows(ctx, operation, q, 0)
	e, failed := AsError(err)
	if failed && len(asked) > 0 && (e.refused() || e.Status == 500 || e.Status == 501) {
		if len(asked) == 1 || !c.looks.fewer(len(asked)) {
			c.looksAlone(ctx, "it is refused", e.Status)
		}
		return nil, nil // look for each alone
	}
	if err != nil {
		return nil, err
	}
	return c.judgeLooks(ctx, operation, page, asked, first, last)
}

// judgeLooks takes of an answer what it proves.
func (c *Client) judgeLooks(ctx context.Context, operation string, page viewPage, asked []string, first, last string) (map[string]numberAnswer, error) {
	found := map[string][]int64{}
	for _, row := range page.rows {
		id, ok := row.id(c.fields.Columns.ID)
		if !ok {
			return nil, badAnswer(operation, "a row of the view %s has no %s", c.fields.Views.PurchaseInvoices, c.fields.Columns.ID)
		}
		number := c.propertyText(row, c.fields.Properties.KSeFNumber)
		if number != first && number != last && !slices.Contains(asked, number) {
			c.looksAlone(ctx, "it lets other rows through", 200)
			return nil, nil
		}
		found[number] = append(found[number], id)
	}
	answers := map[string]numberAnswer{}
	for number, ids := range found {
		answers[number] = numberAnswer{told: true, ids: ids}
	}
	proven := page.next < 0 // what is missing may be on another page
	for _, control := range []string{first, last} {
		if len(found[control]) > 0 {
			continue
		}
		proven = false
		if page.next >= 0 {
			continue
		}
		c.looks.missing(control)
		// Either a person took that number away, or OR does not work.
		if _, still, err := c.findByFilter(ctx, operation, control); err == nil && still && c.received.filterProven() {
			c.looksAlone(ctx, "it does not find each of several numbers", 200)
			return answers, nil
		}
	}
	if proven {
		for _, number := range asked {
			answers[number] = numberAnswer{told: true, ids: found[number]}
		}
	}
	return answers, nil
}

func (c *Client) looksAlone(ctx context.Context, why string, status int) {
	c.log.InfoContext(ctx, "Teamogy does not filter by several values of a property; received invoices are looked for one at a time",
		"why", why, "status", status, "filter", c.fields.PropertyFilter)
	c.looks.distrust(c.now().Add(c.ttl()))
}

// numbersFilter joins the filters for numbers, between those of two that exist.
func (c *Client) numbersFilter(asked []string, first, last string) string {
	terms := make([]string, 0, len(asked)+2)
	for _, number := range slices.Concat([]string{first}, asked, []string{last}) {
		terms = append(terms, c.numberFilter(number))
	}
	return "(" + strings.Join(terms, " OR ") + ")"
}

// numbersPerURL is how many numbers fit into the address of a request, with the two that exist.
func (c *Client) numbersPerURL() int {
	one := len(url.QueryEscape(c.numberFilter(strings.Repeat("0", 35)))) + len("%20OR%20")
	return max(1, longestFilter/one-2)
}

// numberFilter is the filter for one number.
func (c *Client) numberFilter(ksefNumber string) string {
	return strings.NewReplacer("{key}", c.fields.Properties.KSeFNumber.Key, "{value}", ksefNumber).Replace(c.fields.PropertyFilter)
}
