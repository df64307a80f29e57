package ksefsim

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
)

// openOnline answers POST /sessions/online.
func (s *Simulator) openOnline(c *call) (*reply, error) {
	var body struct {
		FormCode   *formCode       `json:"formCode"`
		Encryption *encryptionInfo `json:"encryption"`
	}
	if err := c.decode(&body); err != nil {
		return nil, err
	}
	if body.FormCode == nil || body.Encryption == nil {
		return nil, invalid("Pola formCode i encryption są wymagane.")
	}
	if !s.admits(*body.FormCode, false) {
		return nil, invalid("formCode: nieznana struktura faktury.")
	}
	n, err := s.newSession(c, kindSession, *body.FormCode, body.Encryption)
	if err != nil {
		return nil, err
	}
	n.validUntil = c.now.Add(sessionLife)
	s.register(c, n)
	return jsonReply(http.StatusCreated, map[string]any{"referenceNumber": n.ref, "validUntil": stamp(n.validUntil)})
}

// sendInvoice answers POST /sessions/online/{ref}/invoices. What it checks is
// the encrypted content; the invoice itself is judged later.
func (s *Simulator) sendInvoice(c *call) (*reply, error) {
	var body struct {
		InvoiceHash             string  `json:"invoiceHash"`
		InvoiceSize             int64   `json:"invoiceSize"`
		EncryptedInvoiceHash    string  `json:"encryptedInvoiceHash"`
		EncryptedInvoiceSize    int64   `json:"encryptedInvoiceSize"`
		EncryptedInvoiceContent string  `json:"encryptedInvoiceContent"`
		OfflineMode             bool    `json:"offlineMode"`
		HashOfCorrectedInvoice  *string `json:"hashOfCorrectedInvoice"`
	}
	if err := c.decode(&body); err != nil {
		return nil, err
	}
	for name, hash := range map[string]string{"invoiceHash": body.InvoiceHash, "encryptedInvoiceHash": body.EncryptedInvoiceHash} {
		if !isHash(hash) {
			return nil, invalid(name + ": oczekiwano skrótu SHA-256 w Base64.")
		}
	}
	corrected := ""
	if body.HashOfCorrectedInvoice != nil {
		if corrected = *body.HashOfCorrectedInvoice; !isHash(corrected) || !body.OfflineMode {
			return nil, invalid("hashOfCorrectedInvoice: oczekiwano skrótu SHA-256 w Base64 i offlineMode = true.")
		}
	}
	if body.InvoiceSize < 1 || body.EncryptedInvoiceSize < 1 {
		return nil, invalid("invoiceSize i encryptedInvoiceSize muszą być dodatnie.")
	}
	cipherText, err := base64.StdEncoding.DecodeString(body.EncryptedInvoiceContent)
	if err != nil {
		return nil, invalid("encryptedInvoiceContent: oczekiwano Base64.")
	}
	ref := c.r.PathValue("ref")
	n, err := s.checkSendable(c, ref, corrected, body.InvoiceSize)
	if err != nil {
		return nil, err
	}
	if int64(len(cipherText)) != body.EncryptedInvoiceSize {
		return nil, refuse(21402, "encryptedInvoiceSize: treść ma inną długość.")
	}
	if hashBase64(cipherText) != body.EncryptedInvoiceHash {
		return nil, refuse(21403, "encryptedInvoiceHash: treść ma inny skrót.")
	}

	inv := &sentInvoice{
		ref: newReference(kindInvoice, c.now), session: n, sentAt: c.now,
		declaredHash: body.InvoiceHash, offline: body.OfflineMode, correctedHash: corrected,
		strictNIP: c.feature("subject-identifier-validation"),
	}
	inv.examine(cipherText, body.InvoiceSize)
	if s.cfg.Environment == EnvironmentProduction && (inv.invoice.discouraged || inv.invoice.processing) {
		c.warn("xml-002", "the document holds characters or instructions that will be refused")
	}
	if err := s.validate(context.WithoutCancel(c.r.Context()), []*sentInvoice{inv}); err != nil {
		return nil, err
	}
	inv.examined()

	s.lock(c.now)
	defer s.mu.Unlock()
	if err := s.mayTake(c, n); err != nil { // it may have changed meanwhile
		return nil, err
	}
	s.enter(c, inv, s.now())
	return jsonReply(http.StatusAccepted, map[string]any{"referenceNumber": inv.ref})
}

// mayTake says whether a session can take one more invoice. The lock must be
// held.
func (s *Simulator) mayTake(c *call, n *session) error {
	limits, _ := s.sessionLimits(n.auth.context.value)
	switch {
	case s.sessions[n.ref] != n || n.batch != nil:
		return refuse(21173, "Sesji "+c.r.PathValue("ref")+" nie ma.")
	case n.code != sessionOpen:
		return refuse(21180, "Sesja ma status "+itoa(n.code)+" i nie przyjmuje faktur.")
	case len(n.invoices) >= limits.maxInvoices:
		return refuse(21155, fmt.Sprintf("Sesja %s ma już %d faktur, więcej nie przyjmie.", n.ref, limits.maxInvoices))
	}
	return nil
}

// checkSendable finds the session of an invoice, if it can take one more.
func (s *Simulator) checkSendable(c *call, ref, corrected string, size int64) (*session, error) {
	s.lock(c.now)
	defer s.mu.Unlock()
	n, err := s.sendingSession(c, ref)
	if err == nil {
		err = s.mayTake(c, n)
	}
	if err != nil {
		return nil, err
	}
	if limits, _ := s.sessionLimits(n.auth.context.value); size > int64(limits.maxInvoiceAttachmentBytes) {
		return nil, invalid("invoiceSize: przekroczono dozwolony rozmiar faktury.")
	}
	if corrected == "" {
		return n, nil
	}
	for _, other := range s.submissions {
		if other.session.auth.context != c.token.auth.context || other.code != invoiceAccepted {
			continue
		}
		if other.declaredHash == corrected {
			return nil, refuse(21167, "Faktura jest przyjęta, nie ma czego korygować.")
		}
		if other.correctedHash == corrected {
			return nil, refuse(21166, "Korekta techniczna tej faktury jest już przyjęta.")
		}
	}
	return n, nil
}

// closeOnline answers POST /sessions/online/{ref}/close.
func (s *Simulator) closeOnline(c *call) (*reply, error) {
	s.lock(c.now)
	defer s.mu.Unlock()
	n, err := s.sendingSession(c, c.r.PathValue("ref"))
	if err != nil {
		return nil, err
	}
	switch {
	case n.batch != nil:
		return nil, refuse(21173, "Sesja "+n.ref+" nie jest interaktywna.")
	case n.code != sessionOpen:
		return nil, refuse(21180, "Sesja ma status "+itoa(n.code)+", zamyka się tylko otwartą.")
	}
	n.code, n.closedAt, n.updated = sessionClosed, c.now, c.now
	if f := c.strike(faultSessionFails); f != nil {
		s.fail(n, f.Status, c.now)
	}
	return &reply{status: http.StatusNoContent}, nil
}
