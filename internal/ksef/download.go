package ksef

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
)

// hashHeader carries the SHA-256 of a downloaded document in Base64.
const hashHeader = "X-Ms-Meta-Hash"

// DownloadInvoice returns the exact bytes of an invoice by its KSeF number. They
// are checked against the hash that KSeF sends along and against wantHash (the
// invoiceHash of the metadata, Base64; may be empty).
//
// An invoice whose content is not there yet gives KindNotYet (21165), an unknown
// one, or one that the context may not see, code 21164.
func (c *Client) DownloadInvoice(ctx context.Context, number, wantHash string) ([]byte, error) {
	return c.document(ctx, request{
		operation: "download an invoice", path: "/invoices/ksef/" + url.PathEscape(number),
		group: GroupInvoiceDownload, auth: authAccess,
	}, wantHash)
}

// document downloads an XML document of the API and checks its hash.
func (c *Client) document(ctx context.Context, r request, wantHash string) ([]byte, error) {
	r.method, r.accept, r.maxBody = http.MethodGet, xmlTypes, maxDocument
	a, err := c.call(ctx, r)
	if err != nil {
		return nil, err
	}
	return checked(r.operation, a, wantHash)
}

// checked returns a document whose hash is right.
func checked(operation string, a *answer, wantHash string) ([]byte, error) {
	if len(a.body) == 0 {
		return nil, &Error{Operation: operation, Kind: KindGateway, Status: a.status, Detail: "the document is empty"}
	}
	got := hashOf(a.body)
	for _, want := range []struct{ hash, source string }{
		{a.header.Get(hashHeader), "the hash that came with it"},
		{wantHash, "the hash that is known of it"},
	} {
		if want.hash != "" && want.hash != got {
			return nil, &Error{
				Operation: operation, Kind: KindHashMismatch, Status: a.status,
				Detail: fmt.Sprintf("the document's SHA-256 %s is not %s (%s)", got, want.source, shorten(clean(want.hash), 64)),
			}
		}
	}
	return a.body, nil
}
