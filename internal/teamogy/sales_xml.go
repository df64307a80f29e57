package teamogy

import (
	"bytes"
	"cmp"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"
)

const (
	// firstChecks and laterChecks are how many XMLs of a view are compared with their documents: so many in the
	// beginning, and later one of so many.
	firstChecks = 2
	laterChecks = 50
)

// xmlInView is what the client knows of the XML that the sales invoices' view shows (FieldMap.XMLInView).
//
// A view may cut a long text, or show it with other white space. So its XML is compared with the document's, byte for
// byte: that of the first documents, of each one that is longer than all that were compared, and of one of fifty. After
// a difference the view is not asked for XML for an hour.
type xmlInView struct {
	longest    int // bytes, of what was found to be the same
	checked    int
	unchecked  int       // since the last comparison
	average    int       // bytes, of the last page
	most       int       // documents that Teamogy gives at once, 0: mostRows
	distrusted time.Time // until when it is not asked
}

// distrustXML is how long a view that showed a wrong XML is not asked for any.
const distrustXML = time.Hour

// ShowsXML tells whether the XML of several issued invoices can be read with one request now.
func (c *Client) ShowsXML() bool {
	now := c.now()
	if !c.fields.XMLInView || c.fields.XMLSource != XMLFromProperty || !c.sales.usable(now) {
		return false
	}
	c.sales.mu.Lock()
	defer c.sales.mu.Unlock()
	return !now.Before(c.sales.xml.distrusted)
}

// ReadReadyXML reads the XML of issued invoices from pages of the view, byte for byte as ReadInvoiceXML does. The result
// has only documents that are of the types, have the status and no KSeF number, and whose XML is complete: any other is
// to be read by itself. Beside an error it may have some. It is what the view shows, which may be some seconds old.
func (c *Client) ReadReadyXML(ctx context.Context, ids []int64, types []string, status string) (map[int64][]byte, error) {
	found := map[int64][]byte{}
	for len(ids) > 0 && c.ShowsXML() {
		asked := ids[:min(len(ids), c.xmlAtOnce())]
		rows, more, err := c.xmlRows(ctx, asked)
		if err != nil {
			return found, err
		}
		if rows == nil { // refused: fewer are asked for the next time, or none
			continue
		}
		if more && len(rows) > 0 {
			c.xmlFewer(len(rows))
			asked = slices.DeleteFunc(slices.Clone(asked), func(id int64) bool { return rows[id] == nil })
		}
		ready := c.completeXML(rows, types, status)
		if err := c.checkXML(ctx, ready, found, types, status); err != nil {
			return found, err
		}
		ids = slices.DeleteFunc(slices.Clone(ids), func(id int64) bool { return slices.Contains(asked, id) })
	}
	return found, nil
}

// xmlRows makes one request. more tells that there are rows that it did not give. No rows at all: it is refused.
func (c *Client) xmlRows(ctx context.Context, ids []int64) (rows map[int64]object, more bool, err error) {
	f := c.fields
	page, err := c.readRows(ctx, fmt.Sprintf("read the XML of %d issued invoices", len(ids)), viewQuery{
		view:       f.Views.SalesInvoices,
		columns:    []string{f.Columns.ID, f.Columns.Type, f.Columns.Status, f.Columns.Number},
		properties: []string{f.Properties.KSeFNumber.Key, f.Properties.KSeFXML.Key},
		filter:     c.idsFilter(ids),
	}, len(ids))
	// What is too large is refused by status 413, 500 or 502, or by us.
	if e, ok := AsError(err); ok && (e.refused() || e.Kind == NotFound || e.Status >= 500 && e.Status <= 502 || e.Kind == BadAnswer) {
		switch {
		case len(ids) > 1:
			c.xmlFewer(len(ids) / 2)
		case e.Kind == Server:
			c.xmlFewer(0)
			return nil, false, err // it is not the size: the server fails
		default:
			c.distrustXML(ctx, "it is refused", ids[0])
		}
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	rows, ok := c.rowsOf(page, ids)
	if !ok {
		c.distrustRows(ctx, "it shows other documents than those asked for")
		return nil, false, nil
	}
	return rows, page.next >= 0, nil
}

// shownXML is the XML of a document as a row of the view shows it.
type shownXML struct {
	id  int64
	xml []byte
}

// completeXML are the rows that can be used, the longest first.
func (c *Client) completeXML(rows map[int64]object, types []string, status string) []shownXML {
	var ready []shownXML
	bytes := 0
	for id, row := range rows {
		d := c.document(row)
		if !isReady(d, types, status) {
			continue
		}
		raw, _ := row.property(c.fields.Properties.KSeFXML.Key)
		if content := xmlBytes(scalarText(raw)); isComplete(content) {
			ready = append(ready, shownXML{id, content})
			bytes += len(content)
		}
	}
	slices.SortFunc(ready, func(a, b shownXML) int {
		return cmp.Or(cmp.Compare(len(b.xml), len(a.xml)), cmp.Compare(a.id, b.id))
	})
	if len(ready) > 0 {
		c.sales.mu.Lock()
		c.sales.xml.average = bytes / len(ready)
		c.sales.mu.Unlock()
	}
	return ready
}

func isReady(d Document, types []string, status string) bool {
	return d.Status == status && slices.Contains(types, d.Type) && d.KSeFNumber == ""
}

// isComplete tells whether an XML is read to the end of its root. What is not UTF-8 is left to the document.
func isComplete(content []byte) bool {
	d := xml.NewDecoder(bytes.NewReader(content))
	elements, depth := 0, 0
	for {
		token, err := d.RawToken()
		switch {
		case errors.Is(err, io.EOF):
			return elements > 0 && depth == 0
		case err != nil:
			return false
		}
		switch token.(type) {
		case xml.StartElement:
			elements++
			depth++
		case xml.EndElement:
			depth--
		}
	}
}

// checkXML takes over what the view shows, after comparing what is to be compared with the documents. They must still
// be ready, too.
func (c *Client) checkXML(ctx context.Context, ready []shownXML, found map[int64][]byte, types []string, status string) error {
	for _, shown := range ready {
		if !c.sales.toCheck(len(shown.xml)) {
			found[shown.id] = shown.xml
			continue
		}
		content, d, err := c.ReadInvoiceXML(ctx, shown.id)
		switch {
		case isKind(err, NotFound, XMLMissing):
			continue // changed since: it is read by itself
		case err != nil:
			return err
		case !isReady(d, types, status):
			continue
		case !bytes.Equal(content, shown.xml):
			c.distrustXML(ctx, "it shows another XML than the document has", shown.id)
			found[shown.id] = content
			return nil
		}
		c.sales.checkedXML(len(content))
		found[shown.id] = content
	}
	return nil
}

func (r *salesRows) toCheck(size int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.xml.unchecked++
	return r.xml.checked < firstChecks || size > r.xml.longest || r.xml.unchecked > laterChecks
}

func (r *salesRows) checkedXML(size int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.xml.checked++
	r.xml.unchecked, r.xml.longest = 0, max(r.xml.longest, size)
}

func (c *Client) distrustXML(ctx context.Context, why string, id int64) {
	c.log.WarnContext(ctx, "the XML of issued invoices cannot be taken from the view, they are read one by one; make xmlInView false in the field map",
		"why", why, "view", c.fields.Views.SalesInvoices, "document", id)
	c.sales.mu.Lock()
	defer c.sales.mu.Unlock()
	c.sales.xml = xmlInView{distrusted: c.now().Add(scaled(distrustXML, c.scale))}
}

// xmlFewer asks for at most so many documents at once from now on; 0 lifts that.
func (c *Client) xmlFewer(most int) {
	c.sales.mu.Lock()
	defer c.sales.mu.Unlock()
	c.sales.xml.most = most
}

// xmlAtOnce is how many documents are asked for at once, so that their XML stays far below what Teamogy gives.
func (c *Client) xmlAtOnce() int {
	c.sales.mu.Lock()
	defer c.sales.mu.Unlock()
	most := mostRows
	if x := c.sales.xml; x.most > 0 {
		most = min(most, x.most)
	}
	if c.sales.xml.average > 0 {
		most = min(most, max(1, rowsOfBytes/c.sales.xml.average))
	}
	return min(most, c.pageSize())
}
