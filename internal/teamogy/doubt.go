package teamogy

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// justAbove is how many ids above the highest known one are read to find a document whose create lost its answer.
// Each costs a request, and most lost creates are among the first few.
const justAbove = 6

// doubt is a create of a received invoice that may or may not have been carried out.
type doubt struct {
	since time.Time
	// above is the highest document id that was known before it, 0 if none was.
	above int64
	// readFirst and readLast: the ids right above were read at the beginning of the doubt, and after its end.
	readFirst, readLast bool
}

// RecallDoubt tells the client of a create of this number that was begun at a time and of which nobody knows what came
// of it: as after a crash, when only the caller's own record is left. above is the highest document id that was known
// before it (HighestID), 0 if none was. A zero time settles what was in doubt: the caller has found out.
func (c *Client) RecallDoubt(ksefNumber string, since time.Time, above int64) {
	x := &c.received
	x.mu.Lock()
	defer x.mu.Unlock()
	known, is := x.doubts[ksefNumber]
	switch {
	case since.IsZero():
		delete(x.doubts, ksefNumber)
	case !is || since.After(known.since):
		x.doubts[ksefNumber] = doubt{since: since, above: above}
	}
}

// HighestID is the highest id of any document that the client has seen, 0 if it has seen none. Teamogy gives ids in
// order, so what is created now gets a higher one.
func (c *Client) HighestID() int64 {
	c.received.mu.Lock()
	defer c.received.mu.Unlock()
	return c.received.highest
}

// DoubtFor is how long after a create without an answer its document is looked for before "none" is believed: much
// longer than views lag behind, and divided by the time scale.
func (c *Client) DoubtFor() time.Duration {
	lag := c.fields.ViewLagSeconds
	return scaled(time.Duration(lag+max(lag, c.fields.DoubtSeconds))*time.Second, c.scale)
}

// CreateWithin is how long after it was recorded that a create is about to happen it may still be sent. What woke up
// later than that must not send it: by then another attempt may believe that it never happened.
func (c *Client) CreateWithin() time.Duration { return c.DoubtFor() / 2 }

// Searchable tells whether the tenant's documents can be found by their KSeF number (FieldMap.ReceivedSearch).
func (c *Client) Searchable() bool { return c.fields.ReceivedSearch != SearchNone }

func (x *receivedIndex) see(id int64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.highest = max(x.highest, id)
}

func (x *receivedIndex) doubtOf(ksefNumber string) (doubt, bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	d, ok := x.doubts[ksefNumber]
	return d, ok
}

// read notes that the ids right above were read for this doubt.
func (x *receivedIndex) read(ksefNumber string, d doubt, last bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if now, ok := x.doubts[ksefNumber]; ok && now.since.Equal(d.since) {
		now.readFirst, now.readLast = true, now.readLast || last
		x.doubts[ksefNumber] = now
	}
}

// believeNone refuses to believe that there is no document while a create of this number is in doubt: until DoubtFor
// has passed, looks are repeated, each after as long again as the doubt has lasted. Where nothing can be searched, a
// doubt never ends by itself.
func (c *Client) believeNone(operation, ksefNumber string, lookedAt time.Time) error {
	d, ok := c.received.doubtOf(ksefNumber)
	if !ok {
		return nil
	}
	if !c.Searchable() {
		return &Error{
			Operation: operation, Kind: OutcomeUnknown,
			Detail: fmt.Sprintf("a create was begun at %s and its outcome is not known; the field map says that Teamogy's documents cannot be searched by KSeF number (receivedSearch), so a person must look",
				d.since.UTC().Format(time.RFC3339)),
		}
	}
	until := d.since.Add(c.DoubtFor())
	if !lookedAt.Before(until) {
		return nil
	}
	now := c.now()
	wait := min(until.Sub(now), max(now.Sub(d.since), c.ViewLag(), scaled(time.Second, c.scale)))
	return &Error{
		Operation: operation, Kind: Unsettled,
		Detail:     "the answer to its create was lost and its document is not visible; before it is created once more, it is looked for until " + until.UTC().Format(time.RFC3339),
		RetryAfter: max(time.Millisecond, wait),
	}
}

// findAbove reads the documents right above the highest id that was known before a doubtful create: unlike views,
// entities are always fresh, and ids are given in order. Only what it finds counts: a document that carries the
// number is the one. It looks once at the beginning of a doubt and once after its end, right before "none" would be
// believed. An error of it is none of the caller's: it only leaves the other ways to look.
func (c *Client) findAbove(ctx context.Context, ksefNumber string, lookedAt time.Time) (Document, bool) {
	d, ok := c.received.doubtOf(ksefNumber)
	last := ok && !lookedAt.Before(d.since.Add(c.DoubtFor()))
	if !ok || d.above == 0 || d.readFirst && !last || d.readLast {
		return Document{}, false
	}
	for id := d.above + 1; id <= d.above+justAbove; id++ {
		document, exists, err := c.readOrGone(ctx, id)
		switch {
		case err != nil && !isRefused(err) && !isKind(err, Forbidden):
			c.log.DebugContext(ctx, "documents above the highest known id were not read to the end", "id", id, "error", err)
			return Document{}, false
		case err == nil && exists && document.KSeFNumber == ksefNumber && c.isPurchase(document):
			return document, true
		}
	}
	c.received.read(ksefNumber, d, last)
	return Document{}, false
}

// isPurchase tells whether a document is of a type that received invoices have.
func (c *Client) isPurchase(d Document) bool {
	if strings.HasPrefix(d.Type, "INVOICE.PURCHASE") {
		return true
	}
	for _, t := range c.fields.Types {
		if t == d.Type {
			return true
		}
	}
	return false
}

// purchaseTypes are the document types of received invoices, for messages.
func (c *Client) purchaseTypes() []string {
	var types []string
	for _, t := range c.fields.Types {
		if !slices.Contains(types, t) {
			types = append(types, t)
		}
	}
	slices.Sort(types)
	return types
}
