package teamogy

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// DocumentInfo is the document that an invoice's XML was read from.
type DocumentInfo = Document

// ReadInvoiceXML reads the FA(3) XML of an issued invoice, byte for byte as Teamogy holds it, with the document it
// belongs to. Where it is, FieldMap.XMLSource says: in a property, as it is or in Base64 (recognised by itself), or
// in an attachment, fetched from the tenant's own host only, with the API key and, where that is refused, without.
// Whether the bytes are an invoice is not judged here. A document without XML is an error of Kind XMLMissing.
func (c *Client) ReadInvoiceXML(ctx context.Context, documentID int64) ([]byte, DocumentInfo, error) {
	d, err := c.Document(ctx, documentID)
	if err != nil {
		return nil, Document{}, err
	}
	operation := fmt.Sprintf("read the XML of document %d", documentID)
	var xml []byte
	if c.fields.XMLSource == XMLFromAttachment {
		xml, err = c.attachedXML(ctx, operation, d)
	} else {
		xml, err = c.propertyXML(operation, d)
	}
	if err != nil {
		return nil, d, err
	}
	return xml, d, nil
}

func (c *Client) propertyXML(operation string, d Document) ([]byte, error) {
	key := c.fields.Properties.KSeFXML.Key
	text := scalarText(d.Properties[key])
	if strings.TrimSpace(text) == "" {
		return nil, &Error{
			Operation: operation, Kind: XMLMissing,
			Detail: fmt.Sprintf("the property %q is empty: have Teamogy generate the FA(3) XML, or correct the field map", key),
		}
	}
	return xmlBytes(text), nil
}

// xmlBytes takes a text that begins like XML as it is, decodes Base64 whose content begins like XML, and leaves any
// other text alone for the invoice check to refuse.
func xmlBytes(text string) []byte {
	if beginsLikeXML([]byte(text)) {
		return []byte(text)
	}
	encoded := text
	if _, after, ok := strings.Cut(text, ";base64,"); ok && strings.HasPrefix(text, "data:") {
		encoded = after
	}
	encoded = strings.TrimRight(strings.Join(strings.Fields(encoded), ""), "=")
	for _, encoding := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		if decoded, err := encoding.DecodeString(encoded); err == nil && beginsLikeXML(decoded) {
			return decoded
		}
	}
	return []byte(text)
}

// beginsLikeXML allows for white space and byte order marks, of UTF-16 too: whether they are allowed is for the
// invoice check to say.
func beginsLikeXML(b []byte) bool {
	for _, mark := range []string{"\xef\xbb\xbf", "\xff\xfe", "\xfe\xff"} {
		b = bytes.TrimPrefix(b, []byte(mark))
	}
	b = bytes.TrimLeft(b, " \t\r\n\x00")
	return len(b) > 0 && b[0] == '<'
}

// attachedXML fetches the one attachment whose name or link fits FieldMap.AttachmentPattern.
func (c *Client) attachedXML(ctx context.Context, operation string, d Document) ([]byte, error) {
	var links []*url.URL
	for _, raw := range d.attachments {
		name, link := attachment(raw)
		u, err := c.base.Parse(link)
		if link == "" || err != nil {
			continue
		}
		if c.attachments.MatchString(name) || c.attachments.MatchString(u.Path) {
			links = append(links, u)
		}
	}
	if len(links) != 1 {
		return nil, &Error{
			Operation: operation, Kind: XMLMissing,
			Detail: fmt.Sprintf("%d of its %d attachments fit the pattern %q, and it must be exactly one", len(links), len(d.attachments), c.fields.AttachmentPattern),
		}
	}
	if !c.isTenant(links[0]) {
		return nil, &Error{
			Operation: operation, Kind: XMLMissing,
			Detail: fmt.Sprintf("the attachment is at %s, and the API key goes to %s only", links[0].Host, c.base.Host),
		}
	}
	xml, err := c.send(ctx, operation, http.MethodGet, links[0], nil)
	if isRefused(err) { // a link that is signed by itself may not bear a key besides
		if bare, failure := c.sendAs(ctx, operation, http.MethodGet, func() *url.URL { return links[0] }, nil, ""); failure == nil {
			xml, err = bare, nil
		}
	}
	if err != nil {
		return nil, err
	}
	if len(bytes.TrimSpace(xml)) == 0 {
		return nil, &Error{Operation: operation, Kind: XMLMissing, Detail: "the attachment is empty"}
	}
	return xml, nil
}

// attachment reads an element of "attach": a link, or an object with one.
func attachment(raw json.RawMessage) (name, link string) {
	if link := scalarText(raw); link != "" {
		return "", link
	}
	var o object
	if json.Unmarshal(raw, &o) != nil {
		return "", ""
	}
	return o.text("name", "fileName", "filename", "title"), o.text("link", "url", "href")
}
