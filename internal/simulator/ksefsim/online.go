package ksefsim

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"
)

const (
	// sessionLife is how long an online session stays open; it is real and not
	// extended by activity.
	sessionLife = 12 * time.Hour
	// What a session takes unless its context has limits of its own. 1 MB is
	// 1,000,000 bytes.
	maxSessionInvoices        = 10_000
	maxInvoiceBytes           = 1_000_000
	maxInvoiceAttachmentBytes = 3_000_000
)

// formCode names the structure of a session's invoices.
type formCode struct {
	SystemCode    string `json:"systemCode"`
	SchemaVersion string `json:"schemaVersion"`
	Value         string `json:"value"`
}

// formCodes are the structures that exist.
var formCodes = []formCode{
	{"FA (2)", "1-0E", "FA"},
	{"FA (3)", "1-0E", "FA"},
	{"PEF (3)", "2-1", "PEF"},
	{"PEF_KOR (3)", "2-1", "PEF"},
	{"FA_RR (1)", "1-1E", "FA_RR"},
}

// admits says whether a session can be opened for a structure: FA(2) on TEST
// only, PEF only one by one.
func (s *Simulator) admits(form formCode, batch bool) bool {
	return slices.Contains(formCodes, form) && (form.SystemCode != "FA (2)" || s.test()) && (form.Value != "PEF" || !batch)
}

// session is one session, online or batch.
type session struct {
	ref        string
	auth       *authentication // who opened it
	foreign    bool            // of somebody else: nobody may read it
	form       formCode
	created    time.Time
	updated    time.Time
	validUntil time.Time     // of a batch session: end of the time for its parts
	closedAt   time.Time     // zero while open
	batch      *batchPackage // nil for an online session
	strictNIP  bool          // whoever opened it asked for check digits to be checked

	key, iv   []byte
	keyBroken bool // the key cannot be used: shows as 415 after a while

	invoices                      []*sentInvoice
	byRef                         map[string]*sentInvoice
	byNumber                      map[string]*record // accepted invoices by KSeF number
	undecided, accepted, rejected int
	decidedAt                     time.Time // of the last invoice decided

	code      int
	details   []string
	failsWith int // the code that it will end with, 0 for the usual
	endedAt   time.Time
	pages     []*upoPage
}

// encryptionInfo is how a caller hands over a key.
type encryptionInfo struct {
	EncryptedSymmetricKey string  `json:"encryptedSymmetricKey"`
	InitializationVector  string  `json:"initializationVector"`
	PublicKeyID           *string `json:"publicKeyId"`
}

// newSession makes a session that is not open yet. A key that cannot be
// decrypted is no error here: the session turns to 415 later.
func (s *Simulator) newSession(c *call, kind string, form formCode, e *encryptionInfo) (*session, error) {
	wrapped, err := base64.StdEncoding.DecodeString(e.EncryptedSymmetricKey)
	if err != nil || len(wrapped) == 0 {
		return nil, invalid("encryption.encryptedSymmetricKey: oczekiwano Base64.")
	}
	iv, err := base64.StdEncoding.DecodeString(e.InitializationVector)
	if err != nil || len(iv) == 0 {
		return nil, invalid("encryption.initializationVector: oczekiwano Base64.")
	}
	id := ""
	if e.PublicKeyID != nil {
		id = *e.PublicKeyID
	}
	s.strikeKeys(c)
	keys := s.keys.symmetric(id)
	if len(keys) == 0 {
		return nil, refuse(21470, "publicKeyId: nie ma klucza "+id+".")
	}
	n := &session{
		ref: newReference(kind, c.now), auth: c.token.auth, form: form, created: c.now, updated: c.now,
		strictNIP: c.feature("subject-identifier-validation"), iv: iv, code: sessionOpen, byRef: map[string]*sentInvoice{}, byNumber: map[string]*record{},
	}
	for _, key := range keys {
		if plain, err := rsa.DecryptOAEP(sha256.New(), nil, key.private, wrapped, nil); err == nil {
			n.key = plain
			break
		}
	}
	n.keyBroken = len(n.key) != 32 || len(iv) != aes.BlockSize
	return n, nil
}

// register makes a session known. The lock must not be held.
func (s *Simulator) register(c *call, n *session) {
	s.lock(c.now)
	defer s.mu.Unlock()
	s.sessions[n.ref] = n
	s.sessionOrder = append(s.sessionOrder, n)
	s.unfinished = append(s.unfinished, n)
}

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
	if err := s.validate(c.r.Context(), []*sentInvoice{inv}); err != nil {
		return nil, err
	}

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
	n, err := s.ownSession(c, ref)
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
	n, err := s.ownSession(c, c.r.PathValue("ref"))
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

// ownSession finds a session that a call may use. The lock must be held.
func (s *Simulator) ownSession(c *call, ref string) (*session, error) {
	n := s.sessions[ref]
	if n == nil || n.auth.context != c.token.auth.context {
		return nil, refuse(21173, "Sesji "+ref+" nie ma.")
	}
	if n.foreign || (n.auth.subject != c.token.auth.subject && !c.token.may("Introspection", "EnforcementOperations")) {
		return nil, noAccess()
	}
	return n, nil
}

// decrypt undoes AES-256-CBC with PKCS #7 padding in place: text is gone
// afterwards. The IV is not part of it.
func decrypt(key, iv, text []byte) ([]byte, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	if len(text) == 0 || len(text)%aes.BlockSize != 0 || len(iv) != aes.BlockSize {
		return nil, errors.New("length is no multiple of the block size")
	}
	plain := text
	cipher.NewCBCDecrypter(block, iv).CryptBlocks(plain, text)
	pad := int(plain[len(plain)-1])
	if pad < 1 || pad > aes.BlockSize {
		return nil, errors.New("padding is wrong")
	}
	for _, b := range plain[len(plain)-pad:] {
		if int(b) != pad {
			return nil, errors.New("padding is wrong")
		}
	}
	return plain[:len(plain)-pad], nil
}

func isHash(s string) bool {
	sum, err := base64.StdEncoding.DecodeString(s)
	return err == nil && len(sum) == sha256.Size
}

func hexSHA256(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}
