package teamogy

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"
)

const (
	// filterRows is how many rows a property filter is asked for: an ignored filter shows on the first few.
	filterRows = 20
	// outOfOrder is how far below the highest known id new documents are still looked for, since ids given in order
	// need not become visible in order.
	outOfOrder = 200
	// rereadAfter is how long the index lives before the whole view is read again, for numbers typed in by people.
	rereadAfter = 6 * time.Hour
)

// FindDocumentByKSeFNumber finds the received invoice's document with this KSeF number. It is the only protection
// against creating an invoice twice, because Teamogy has no idempotency key; so call it before a create and again
// before each repeat of one. False means that there is none; where that cannot be told, it is an error.
//
// How it looks, the first that gives an answer:
//
//  1. Documents that this client created are remembered and read by id: no view can hide them.
//  2. The purchase invoices' view, filtered by the property. Rows found are checked by their property and then by
//     reading the document itself. Finding nothing counts only once the filter has been seen to find a number that
//     exists: whether Teamogy honours, ignores or refuses such filters is not documented. Looks that are made at the
//     same time share a request, where that is proven to work (see lookTogether).
//  3. The whole view, read once into an index and then brought up to date at each look by the rows with a higher id
//     (filtering by id is documented). More rows than FieldMap.ScanLimit are a NotSearchable error.
//
// FieldMap.ReceivedSearch leaves the second out ("scan"), or all but the first ("none").
//
// What is guaranteed: a document that the view shows when the call begins is found. Views may lag behind; a document
// that was created and is not shown yet is found only by the client that created it. So after a create that lost its
// answer, "none" is not believed before DoubtFor has passed: until then the error is Unsettled, with RetryAfter. The
// client remembers its own lost creates; of one from before a crash RecallDoubt tells it. Beside the view the documents
// right above the ids that were known before the create are read then. With "none" a doubtful create is an error of
// Kind OutcomeUnknown. A request that was lost on the way and reaches Teamogy later still cannot be guarded against.
func (c *Client) FindDocumentByKSeFNumber(ctx context.Context, ksefNumber string) (Document, bool, error) {
	operation := "find the received invoice " + ksefNumber
	if ksefNumber == "" {
		return Document{}, false, &Error{Operation: operation, Kind: Invalid, Detail: "the KSeF number is missing"}
	}
	if _, err := literal(operation, ksefNumber); err != nil {
		return Document{}, false, err
	}
	ctx = orPriority(ctx, Low)
	began := c.now()

	if id, ok := c.received.mine(ksefNumber); ok {
		d, exists, err := c.readOrGone(ctx, id)
		if err != nil {
			return Document{}, false, err
		}
		if exists {
			d.KSeFNumber = ksefNumber
			return d, true, nil
		}
		c.received.forget(id)
	}
	if c.Searchable() {
		d, found, err := c.findInView(ctx, operation, ksefNumber, began)
		if err != nil || found {
			return d, found, err
		}
	}
	if d, found := c.findAbove(ctx, ksefNumber, began); found {
		return d, true, nil
	}
	return Document{}, false, c.believeNone(operation, ksefNumber, began)
}

// findInView looks in the purchase invoices' view: filtered, or all of it.
func (c *Client) findInView(ctx context.Context, operation, ksefNumber string, began time.Time) (Document, bool, error) {
	if c.filters() && c.received.filterUsable(began) && c.received.filterProven() {
		d, found, err := c.findFiltered(ctx, operation, ksefNumber)
		if err != nil || found || c.received.filterProven() {
			return d, found, err
		}
	}
	return c.findInIndex(ctx, operation, ksefNumber)
}

// findFiltered looks with a filter that is proven: together with others, or alone where that does not tell.
func (c *Client) findFiltered(ctx context.Context, operation, ksefNumber string) (Document, bool, error) {
	switch c.looks.way(c.now()) {
	case lookTogether:
		answer, err := c.lookTogether(ctx, operation, ksefNumber)
		switch {
		case err != nil:
			return Document{}, false, err
		case answer.told:
			return c.confirm(ctx, ksefNumber, answer.ids)
		}
	case lookUnproven:
		if c.received.indexStands() { // it costs no more, and shows numbers to prove the other way with
			return c.findInIndex(ctx, operation, ksefNumber)
		}
	}
	return c.findByFilter(ctx, operation, ksefNumber)
}

// filters tells whether the field map lets the view be filtered by a property.
func (c *Client) filters() bool {
	return c.fields.ReceivedSearch == SearchFilter && c.fields.PropertyFilter != ""
}

func (c *Client) receivedQuery() viewQuery {
	f := c.fields
	return viewQuery{
		view:       f.Views.PurchaseInvoices,
		columns:    []string{f.Columns.ID, f.Columns.Type, f.Columns.Status, f.Columns.Number},
		properties: []string{f.Properties.KSeFNumber.Key},
	}
}

// findByFilter lets the view be filtered, and learns from the answer what such a filter is worth.
func (c *Client) findByFilter(ctx context.Context, operation, ksefNumber string) (Document, bool, error) {
	q := c.receivedQuery()
	q.pageSize = min(filterRows, c.pageSize())
	q.filter = c.numberFilter(ksefNumber)
	page, err := c.readPage(ctx, operation, q)
	if e, ok := AsError(err); ok && (e.refused() || e.Status == 500 || e.Status == 501) {
		c.distrustFilter(ctx, "it is refused", e.Status)
		return Document{}, false, nil
	}
	if err != nil {
		return Document{}, false, err
	}

	var matching []int64
	foreign, unshown := 0, 0
	for _, row := range page.rows {
		id, ok := row.id(c.fields.Columns.ID)
		if !ok {
			return Document{}, false, badAnswer(operation, "a row of the view %s has no %s", q.view, c.fields.Columns.ID)
		}
		_, shown := row.property(c.fields.Properties.KSeFNumber.Key)
		switch number := c.propertyText(row, c.fields.Properties.KSeFNumber); {
		case number == ksefNumber:
			matching = append(matching, id)
			c.looks.exists(number)
		case !shown && len(page.rows) <= 3: // the view shows no properties, perhaps: the document decides
			matching = append(matching, id)
			unshown++
		default:
			foreign++
		}
	}
	d, found, err := c.confirm(ctx, ksefNumber, matching)
	if err != nil {
		return Document{}, false, err
	}
	if foreign > 0 || unshown > 0 && !found {
		c.distrustFilter(ctx, "it lets other rows through", 200)
	} else if found {
		c.received.proveFilter()
	}
	return d, found, nil
}

func (c *Client) distrustFilter(ctx context.Context, why string, status int) {
	c.log.InfoContext(ctx, "Teamogy does not filter by property; received invoices are looked up in an index of the whole view",
		"why", why, "status", status, "filter", c.fields.PropertyFilter)
	c.received.distrustFilter(c.now().Add(c.ttl()))
}

// confirm reads the documents that should have the number and returns the one with the lowest id that really has it.
// A document that cannot show properties is believed to be what the view says.
func (c *Client) confirm(ctx context.Context, ksefNumber string, ids []int64) (first Document, found bool, err error) {
	slices.Sort(ids)
	confirmed := 0
	for _, id := range ids {
		d, exists, err := c.readOrGone(ctx, id)
		if err != nil {
			return Document{}, false, err
		}
		if !exists || d.Properties != nil && d.KSeFNumber != ksefNumber {
			continue
		}
		confirmed++
		if !found {
			first, found = d, true
			first.KSeFNumber = ksefNumber
		}
	}
	if confirmed > 1 {
		c.log.WarnContext(ctx, "several documents have the same KSeF number; the oldest counts",
			"ksefNumber", ksefNumber, "documents", ids)
	}
	return first, found, nil
}

// findInIndex looks into the index of the whole view after bringing it up to date, and uses what it knows to find out
// whether the filter can be relied on next time.
func (c *Client) findInIndex(ctx context.Context, operation, ksefNumber string) (Document, bool, error) {
	x := &c.received
	arrived := x.refreshesBegun()
	if err := x.turn.take(ctx); err != nil {
		return Document{}, false, err
	}
	defer x.turn.give()
	if !x.scan.complete && c.filters() && x.filterUsable(c.now()) {
		// Finding it proves the filter. While the filter is not proven, finding nothing leads on.
		d, found, err := c.findByFilter(ctx, operation, ksefNumber)
		if err != nil || found || x.filterProven() {
			return d, found, err
		}
	}
	if d, ok := x.doubtOf(ksefNumber); ok && !c.now().Before(d.since.Add(c.DoubtFor())) && x.scan.readAt.Before(d.since.Add(c.DoubtFor())) {
		x.scan.complete, x.scan.offset = false, 0 // a lost create may have become visible below the newest ids
		arrived = x.refreshesBegun()
	}
	if !x.refreshedSince(arrived) {
		spared, err := c.refreshIndex(ctx, operation)
		if err != nil {
			return Document{}, false, err
		}
		if spared {
			return c.findByFilter(ctx, operation, ksefNumber)
		}
		x.indexComplete()
	}
	if ids := x.scan.byNumber[ksefNumber]; len(ids) > 0 {
		d, found, err := c.confirm(ctx, ksefNumber, slices.Clone(ids))
		if err != nil || found {
			return d, found, err
		}
		delete(x.scan.byNumber, ksefNumber) // a person took the number away
	}
	if c.filters() && x.filterUsable(c.now()) && !x.filterProven() && x.scan.known != "" && x.scan.known != ksefNumber {
		_, found, err := c.findByFilter(ctx, operation, x.scan.known)
		if err == nil && !found {
			c.distrustFilter(ctx, "it does not find a number that exists", 200)
		}
	}
	return Document{}, false, nil
}

// filterWorks finds out, with a number that the first rows of the view show, whether the filter finds what exists. If
// so, the rest of the view need not be read.
func (c *Client) filterWorks(ctx context.Context, operation string) (bool, error) {
	x := &c.received
	if !c.filters() || !x.filterUsable(c.now()) || x.scan.known == "" {
		return false, nil
	}
	if _, err := literal(operation, x.scan.known); err != nil {
		return false, nil //nolint:nilerr // it is somebody's own text
	}
	_, found, err := c.findByFilter(ctx, operation, x.scan.known)
	if err == nil && !found {
		c.distrustFilter(ctx, "it does not find a number that exists", 200)
	}
	return x.filterProven(), err
}

// refreshIndex reads what is new in the view, or all of it when the index is incomplete or old. A full reading that
// is cut short (quota, time-out) goes on where it stopped. It is spared where the first page of several shows that the
// view can be filtered.
func (c *Client) refreshIndex(ctx context.Context, operation string) (spared bool, err error) {
	x := &c.received
	sequence := x.beginRefresh()
	s := &x.scan
	if s.complete && c.now().Sub(s.readAt) >= scaled(rereadAfter, c.scale) {
		s.complete, s.offset = false, 0
	}
	pages := 0
	if !s.complete {
		if pages, spared, err = c.readAll(ctx, operation); err != nil || spared {
			return spared, err
		}
	}
	// Rows that came while more than one page was read may have slipped in before the page at hand.
	if pages != 1 {
		if err := c.readNewer(ctx, operation); err != nil {
			return false, err
		}
	}
	if err := c.checkIndex(ctx, operation); err != nil {
		return false, err
	}
	x.endRefresh(sequence)
	return false, nil
}

// readAll reads the view from where the last reading stopped; pages is 1 when one page from its beginning was all.
func (c *Client) readAll(ctx context.Context, operation string) (pages int, spared bool, err error) {
	s := &c.received.scan
	if s.offset > 0 {
		pages = 1
	} else {
		s.readAt = c.now()
	}
	q := c.receivedQuery()
	for {
		q.offset = s.offset
		page, err := c.readPage(ctx, operation, q)
		if err != nil {
			return pages, false, err
		}
		pages++
		if err := c.indexRows(operation, page.rows); err != nil {
			return pages, false, err
		}
		if page.next < 0 {
			s.complete, s.offset = true, 0
			return pages, false, nil
		}
		if page.next >= c.fields.ScanLimit {
			s.offset = 0
			return pages, false, c.tooManyRows(operation, q.view)
		}
		s.offset = page.following(q.offset)
		if pages == 1 {
			if spared, err := c.filterWorks(ctx, operation); err != nil || spared {
				s.offset = 0
				return pages, spared, err
			}
		}
	}
}

// readNewer reads the rows with the highest ids. Where even that filter is refused, the view is read as a whole.
func (c *Client) readNewer(ctx context.Context, operation string) error {
	s := &c.received.scan
	q := c.receivedQuery()
	if !s.noIDFilter {
		q.filter = fmt.Sprintf("%s>%d", c.fields.Columns.ID, max(0, s.highest-outOfOrder))
	}
	var fresh []object
	for row, err := range c.rows(ctx, operation, q) {
		if isRefused(err) && !s.noIDFilter {
			s.noIDFilter = true
			return c.readNewer(ctx, operation)
		}
		if err != nil {
			return err
		}
		fresh = append(fresh, row)
	}
	return c.indexRows(operation, fresh)
}

// indexRows takes up rows, and notes documents of ours that the view shows without their number.
func (c *Client) indexRows(operation string, rows []object) error {
	s := &c.received.scan
	for _, row := range rows {
		id, ok := row.id(c.fields.Columns.ID)
		if !ok {
			return badAnswer(operation, "a row of the view %s has no %s", c.fields.Views.PurchaseInvoices, c.fields.Columns.ID)
		}
		s.highest = max(s.highest, id)
		c.received.see(id)
		number := c.propertyText(row, c.fields.Properties.KSeFNumber)
		if number == "" {
			if c.received.isMine(id) {
				s.suspect = id
			}
			continue
		}
		if !slices.Contains(s.byNumber[number], id) {
			s.byNumber[number] = append(s.byNumber[number], id)
			slices.SortFunc(s.byNumber[number], cmp.Compare[int64])
		}
		if s.suspect == id {
			s.suspect = 0
		}
		s.known = number
		c.looks.exists(number)
	}
	return nil
}

// checkIndex looks at a document that we created with a KSeF number but that the view shows without: either a person
// took the number away, or the view cannot show it and every look would wrongly find nothing.
func (c *Client) checkIndex(ctx context.Context, operation string) error {
	s := &c.received.scan
	if s.suspect == 0 {
		return nil
	}
	d, exists, err := c.readOrGone(ctx, s.suspect)
	if err != nil {
		return err
	}
	hidden := exists && d.KSeFNumber != ""
	if hidden || !c.received.savingProven() {
		where := "the view " + c.fields.Views.PurchaseInvoices + " does not show it"
		if !hidden {
			where = "Teamogy did not keep it"
		}
		return &Error{
			Operation: operation, Kind: NotSearchable,
			Detail: fmt.Sprintf("document %d was created with a KSeF number in the property %q, but %s: check the property in Teamogy and in the field map",
				s.suspect, c.fields.Properties.KSeFNumber.Key, where),
		}
	}
	c.received.forget(s.suspect)
	s.suspect = 0
	return nil
}
