package ksef

import (
	"context"
	"net/http"
	"net/url"
	"slices"
)

// UPOByLink downloads a UPO (the official confirmation) by the link of a status
// answer. No token is sent; the link lives for about three days and is outside
// all quotas. The bytes are checked against the hash that comes with them.
func (c *Client) UPOByLink(ctx context.Context, link SecretURL) ([]byte, error) {
	const operation = "download a UPO by its link"
	u, err := url.Parse(link.Reveal())
	if err != nil || u.Host == "" || u.User != nil || u.Scheme != "https" && u.Scheme != c.base.Scheme {
		return nil, &Error{Operation: operation, Kind: KindRejected, Detail: "the link is not an https address"}
	}
	if u.Scheme == "http" && !isLoopback(u.Hostname()) {
		return nil, &Error{Operation: operation, Kind: KindRejected, Detail: "the link is not an https address"}
	}
	// The storage behind the links names the type of its files in several ways.
	types := append(slices.Clone(xmlTypes), "application/octet-stream", "binary/octet-stream")
	r := request{operation: operation, method: http.MethodGet, accept: types, maxBody: maxDocument}
	a, err := c.exchange(ctx, r, link.Reveal(), "")
	if err != nil {
		return nil, err
	}
	return checked(operation, a, "")
}

// InvoiceUPO downloads the UPO of one invoice by its reference number in the
// session. While there is none the error is KindNotYet (21178).
func (c *Client) InvoiceUPO(ctx context.Context, sessionReference, invoiceReference string) ([]byte, error) {
	return c.document(ctx, request{
		operation: "download an invoice's UPO",
		path:      "/sessions/" + url.PathEscape(sessionReference) + "/invoices/" + url.PathEscape(invoiceReference) + "/upo",
		group:     GroupSessionMisc, auth: authAccess,
	}, "")
}

// InvoiceUPOByNumber downloads the UPO of one invoice by its KSeF number. While
// there is none the error is KindNotYet (21178).
func (c *Client) InvoiceUPOByNumber(ctx context.Context, sessionReference, ksefNumber string) ([]byte, error) {
	return c.document(ctx, request{
		operation: "download an invoice's UPO",
		path:      "/sessions/" + url.PathEscape(sessionReference) + "/invoices/ksef/" + url.PathEscape(ksefNumber) + "/upo",
		group:     GroupSessionMisc, auth: authAccess,
	}, "")
}
