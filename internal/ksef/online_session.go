package ksef

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"
)

// FormCode names the schema of the invoices in a session.
type FormCode struct {
	SystemCode    string `json:"systemCode"`
	SchemaVersion string `json:"schemaVersion"`
	Value         string `json:"value"`
}

// FA3 is the form code of FA(3), the structured VAT invoice.
var FA3 = FormCode{SystemCode: "FA (3)", SchemaVersion: "1-0E", Value: "FA"}

// OpenedSession is a session that was just opened.
type OpenedSession struct {
	// Reference is KSeF's reference number of the session.
	Reference string
	// ValidUntil is when KSeF closes the session by itself, twelve hours later
	// as a rule, whatever happens in it.
	ValidUntil time.Time
}

// OpenOnlineSession opens an online session for invoices of one form, encrypted
// with one key. A wrong key does not fail here but shows later as session
// status 415. When KSeF does not know the public key (21470: it was changed)
// the keys are read anew and the call is repeated once.
func (c *Client) OpenOnlineSession(ctx context.Context, form FormCode, k SymmetricKey) (OpenedSession, error) {
	opened, err := c.openOnlineSession(ctx, form, k)
	if e, ok := AsError(err); ok && e.Has(CodeUnknownPublicKey) {
		c.ForgetPublicKeys()
		opened, err = c.openOnlineSession(ctx, form, k)
	}
	return opened, err
}

func (c *Client) openOnlineSession(ctx context.Context, form FormCode, k SymmetricKey) (OpenedSession, error) {
	const operation = "open an online session"
	encryption, err := c.wrap(ctx, k)
	if err != nil {
		return OpenedSession{}, fmt.Errorf("%s: %w", operation, err)
	}
	in := struct {
		FormCode   FormCode       `json:"formCode"`
		Encryption wireEncryption `json:"encryption"`
	}{form, encryption}
	var out struct {
		ReferenceNumber string    `json:"referenceNumber"`
		ValidUntil      timestamp `json:"validUntil"`
	}
	r := request{operation: operation, method: http.MethodPost, path: "/sessions/online", group: GroupOnlineSession, auth: authAccess}
	if err := c.callJSON(ctx, r, in, &out); err != nil {
		return OpenedSession{}, err
	}
	if out.ReferenceNumber == "" {
		return OpenedSession{}, noReference(operation)
	}
	return OpenedSession{Reference: out.ReferenceNumber, ValidUntil: out.ValidUntil.Time}, nil
}

// InvoiceToSend is an invoice's XML and how it was issued.
type InvoiceToSend struct {
	// XML are the exact bytes of the invoice; their SHA-256 is its identity.
	XML []byte
	// Offline declares that the invoice was issued in one of the offline modes.
	Offline bool
}

// SendInvoice encrypts an invoice and sends it in an open session. It returns
// KSeF's reference number of the invoice; whether KSeF accepts it shows in
// [Client.InvoiceStatus]. An error of KindNetwork, KindGateway or KindServer
// leaves open whether KSeF took the invoice: look for its hash in
// [Client.SessionInvoices] before sending it again.
//
// A session that takes nothing although nobody has closed it (21180) may have
// ended in 415, because KSeF could not read its key. The public keys are
// forgotten then: under the same one, the next session would end as this one.
func (c *Client) SendInvoice(ctx context.Context, sessionReference string, k SymmetricKey, inv InvoiceToSend) (invoiceReference string, err error) {
	const operation = "send an invoice"
	if len(inv.XML) == 0 {
		return "", errors.New("send an invoice: it is empty")
	}
	encrypted, err := Encrypt(k, inv.XML)
	if err != nil {
		return "", fmt.Errorf("%s: %w", operation, err)
	}
	in := struct {
		InvoiceHash             string `json:"invoiceHash"`
		InvoiceSize             int    `json:"invoiceSize"`
		EncryptedInvoiceHash    string `json:"encryptedInvoiceHash"`
		EncryptedInvoiceSize    int    `json:"encryptedInvoiceSize"`
		EncryptedInvoiceContent string `json:"encryptedInvoiceContent"`
		OfflineMode             bool   `json:"offlineMode"`
	}{
		hashOf(inv.XML), len(inv.XML), hashOf(encrypted), len(encrypted),
		base64.StdEncoding.EncodeToString(encrypted), inv.Offline,
	}
	var out struct {
		ReferenceNumber string `json:"referenceNumber"`
	}
	r := request{
		operation: operation, method: http.MethodPost,
		path:  "/sessions/online/" + url.PathEscape(sessionReference) + "/invoices",
		group: GroupInvoiceSend, auth: authAccess,
	}
	if err := c.callJSON(ctx, r, in, &out); err != nil {
		if e, ok := AsError(err); ok && e.Has(CodeSessionForbids) {
			c.ForgetPublicKeys()
		}
		return "", err
	}
	if out.ReferenceNumber == "" {
		return "", noReference(operation)
	}
	return out.ReferenceNumber, nil
}

// CloseOnlineSession ends a session; KSeF then makes its collective UPO. A
// session that is closed already gives code 21180 ([CodeSessionForbids]).
func (c *Client) CloseOnlineSession(ctx context.Context, sessionReference string) error {
	return c.callJSON(ctx, request{
		operation: "close an online session", method: http.MethodPost,
		path:  "/sessions/online/" + url.PathEscape(sessionReference) + "/close",
		group: GroupOnlineSessionClose, auth: authAccess,
	}, nil, nil)
}

// noReference is a good answer without what it was asked for: the call may have
// had its effect.
func noReference(operation string) *Error {
	return &Error{Operation: operation, Kind: KindGateway, Status: http.StatusOK, Detail: "the answer has no reference number"}
}
