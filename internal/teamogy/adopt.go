package teamogy

import (
	"context"
	"fmt"
	"strings"
)

// AdoptPurchaseInvoice takes a document over as that of the received invoice with this KSeF number, because a person has
// said so. The document must exist (NotFound), be of a type that received invoices have (Invalid) and carry no other KSeF
// number (Conflict). If it carries none, the number is written to it; nothing else is changed.
func (c *Client) AdoptPurchaseInvoice(ctx context.Context, documentID int64, ksefNumber string) (Document, error) {
	operation := fmt.Sprintf("take document %d over as the received invoice %s", documentID, ksefNumber)
	if documentID <= 0 || ksefNumber == "" {
		return Document{}, &Error{Operation: operation, Kind: Invalid, Detail: "the document's id or the KSeF number is missing"}
	}
	d, err := c.Document(ctx, documentID)
	if err != nil {
		return Document{}, err
	}
	if !c.isPurchase(d) {
		return Document{}, &Error{
			Operation: operation, Kind: Invalid,
			Detail: fmt.Sprintf("it is of the type %q and not a received invoice (%s)", d.Type, strings.Join(c.purchaseTypes(), ", ")),
		}
	}
	if err := otherNumber(operation, d, ksefNumber); err != nil {
		return Document{}, err
	}
	if d.KSeFNumber == "" {
		var wanted propertyValues
		wanted.text(c.fields.Properties.KSeFNumber, ksefNumber)
		if err := c.patchProperties(ctx, operation, d, wanted, ""); err != nil {
			return Document{}, err
		}
		d.KSeFNumber = ksefNumber
	}
	c.received.created(ksefNumber, d.ID)
	return d, nil
}
