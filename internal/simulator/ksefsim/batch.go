package ksefsim

import (
	"context"
	"crypto/aes"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Bounds of a package: 1 MB is 1,000,000 bytes.
const (
	maxBatchBytes = 5_000_000_000
	maxBatchParts = 50
	// maxPartBytes is that of a part before it is encrypted.
	maxPartBytes = 100_000_000
	// partLife times the number of parts is how long parts can be uploaded.
	partLife = 20 * time.Minute
)

// batchOperations are the endpoints of batch sessions.
func (s *Simulator) batchOperations() []*operation {
	return []*operation{
		{name: opOpenBatch, kinds: access, anyOf: mayBatch, group: groupBatchSession, handle: s.openBatch},
		{name: opCloseBatch, kinds: access, anyOf: mayBatch, group: groupBatchSessionClose, handle: s.closeBatch},
	}
}

// batchPackage is what the opening of a batch session announced and what of it
// has arrived.
type batchPackage struct {
	size      int64
	hash      string // Base64
	tarGz     bool
	offline   bool
	parts     []*batchPart // in their order
	unpacking bool         // a close is at work on it
}

// batchPart is one part of a package, encrypted by itself.
type batchPart struct {
	size    int64
	hash    string // Base64
	arrived bool
	data    []byte
}

// forget lets go of the parts' bytes.
func (b *batchPackage) forget() {
	for _, part := range b.parts {
		part.data = nil
	}
}

// batchBody is the body of POST /sessions/batch.
type batchBody struct {
	FormCode    *formCode       `json:"formCode"`
	Encryption  *encryptionInfo `json:"encryption"`
	OfflineMode bool            `json:"offlineMode"`
	BatchFile   *struct {
		FileSize        int64   `json:"fileSize"`
		FileHash        string  `json:"fileHash"`
		CompressionType *string `json:"compressionType"`
		FileParts       []struct {
			OrdinalNumber int    `json:"ordinalNumber"`
			FileSize      int64  `json:"fileSize"`
			FileHash      string `json:"fileHash"`
		} `json:"fileParts"`
	} `json:"batchFile"`
}

// announced checks what a batch session is opened for.
func (b *batchBody) announced() (*batchPackage, error) {
	file := b.BatchFile
	if file.FileSize < 1 || file.FileSize > maxBatchBytes {
		return nil, invalid(fmt.Sprintf("batchFile.fileSize: oczekiwano liczby od 1 do %d.", int64(maxBatchBytes)))
	}
	if !isHash(file.FileHash) {
		return nil, invalid("batchFile.fileHash: oczekiwano skrótu SHA-256 w Base64.")
	}
	compression := "Zip"
	if file.CompressionType != nil {
		compression = *file.CompressionType
	}
	if compression != "Zip" && compression != "TarGz" {
		return nil, invalid("batchFile.compressionType: oczekiwano Zip albo TarGz.")
	}
	count := len(file.FileParts)
	switch {
	case count == 0:
		return nil, invalid("batchFile.fileParts: oczekiwano co najmniej jednej części.")
	case count > maxBatchParts:
		return nil, refuse(21161, fmt.Sprintf("Zapowiedziano %d części, może ich być %d.", count, maxBatchParts))
	}
	p := &batchPackage{
		size: file.FileSize, hash: file.FileHash, tarGz: compression == "TarGz", offline: b.OfflineMode,
		parts: make([]*batchPart, count),
	}
	for _, part := range file.FileParts {
		i := part.OrdinalNumber - 1
		switch {
		case i < 0 || i >= count || p.parts[i] != nil:
			return nil, invalid("batchFile.fileParts.ordinalNumber: części muszą być ponumerowane kolejno od 1.")
		case part.FileSize < 1:
			return nil, invalid("batchFile.fileParts.fileSize: rozmiar części musi być dodatni.")
		case !isHash(part.FileHash):
			return nil, invalid("batchFile.fileParts.fileHash: oczekiwano skrótu SHA-256 w Base64.")
		case part.FileSize > maxPartBytes+aes.BlockSize:
			return nil, refuse(21157, fmt.Sprintf("Część %d przekracza 100 MB.", part.OrdinalNumber))
		}
		p.parts[i] = &batchPart{size: part.FileSize, hash: part.FileHash}
	}
	return p, nil
}

// openBatch answers POST /sessions/batch.
func (s *Simulator) openBatch(c *call) (*reply, error) {
	var body batchBody
	if err := c.decode(&body); err != nil {
		return nil, err
	}
	if body.FormCode == nil || body.BatchFile == nil || body.Encryption == nil {
		return nil, invalid("Pola formCode, batchFile i encryption są wymagane.")
	}
	if !s.admits(*body.FormCode, true) {
		return nil, invalid("formCode: tej struktury faktury nie wysyła się w pakietach.")
	}
	p, err := body.announced()
	if err != nil {
		return nil, err
	}
	n, err := s.newSession(c, kindBatch, *body.FormCode, body.Encryption)
	if err != nil {
		return nil, err
	}
	n.batch, n.validUntil = p, c.now.Add(time.Duration(len(p.parts))*partLife)
	s.register(c, n)

	uploads := make([]map[string]any, 0, len(p.parts))
	for i := range p.parts {
		path := "/storage/00/" + strings.ToLower(n.ref) + "/batch-parts/" + itoa(i+1)
		uploads = append(uploads, map[string]any{
			"ordinalNumber": i + 1, "method": http.MethodPut, "url": s.storageLink(c, path, linkWrite, n.validUntil),
			"headers": map[string]string{blobTypeHeader: blobType},
		})
	}
	return jsonReply(http.StatusCreated, map[string]any{"referenceNumber": n.ref, "partUploadRequests": uploads})
}

// closeBatch answers POST /sessions/batch/{ref}/close. The package is opened
// and its invoices are examined before the answer; what came of it shows after
// the usual delays.
func (s *Simulator) closeBatch(c *call) (*reply, error) {
	n, limits, failure, err := s.beginUnpacking(c)
	if err != nil {
		return nil, err
	}
	result := unpacked{code: failure}
	if !slices.Contains([]int{sessionBadPackage, sessionBadKey, sessionTooMany, sessionBadArchive, sessionBadPart}, failure) {
		result = s.unpack(n, limits)
	}
	if err := s.validate(context.WithoutCancel(c.r.Context()), result.invoices); err != nil {
		s.log.Error("ksef simulator: invoices of a package were not validated", "session", n.ref, "error", err)
		result = unpackFailed(500, "Faktur nie udało się sprawdzić.")
	}
	for _, i := range result.invoices {
		i.examined()
	}
	s.lock(s.now())
	defer s.mu.Unlock()
	now := s.now() // read under the lock: no query has seen a later high-water mark
	n.batch.forget()
	n.batch.unpacking = false
	if s.sessions[n.ref] != n {
		return nil, refuse(21173, "Sesji "+n.ref+" nie ma.") // forgotten meanwhile
	}
	n.failsWith, n.details = result.code, result.details
	for _, i := range result.invoices {
		s.enter(c, i, now)
	}
	if failure != 0 {
		s.fail(n, failure, now)
	}
	return &reply{status: http.StatusNoContent}, nil
}

// beginUnpacking closes a session whose parts are all there. failure is the
// code that a fault makes it end with, 0 without.
func (s *Simulator) beginUnpacking(c *call) (n *session, limits sessionLimits, failure int, err error) {
	s.lock(c.now)
	defer s.mu.Unlock()
	if n, err = s.sendingSession(c, c.r.PathValue("ref")); err != nil {
		return nil, limits, 0, err
	}
	_, limits = s.sessionLimits(n.auth.context.value)
	switch {
	case n.batch == nil:
		return nil, limits, 0, refuse(21173, "Sesja "+n.ref+" nie jest wsadowa.")
	case n.code == sessionCancelled && n.closedAt.IsZero():
		return nil, limits, 0, refuse(21208, "Sesja przepadła, bo pakietu nie wysłano w porę.")
	case n.code != sessionOpen:
		return nil, limits, 0, refuse(21180, "Sesja ma status "+itoa(n.code)+", zamyka się tylko otwartą.")
	}
	for i, part := range n.batch.parts {
		switch {
		case !part.arrived:
			return nil, limits, 0, refuse(21205, fmt.Sprintf("Brakuje części %d.", i+1))
		case int64(len(part.data)) != part.size:
			return nil, limits, 0, refuse(21157, fmt.Sprintf("Część %d ma inny rozmiar, niż zapowiedziano.", i+1))
		}
	}
	n.code, n.closedAt, n.updated, n.batch.unpacking = sessionProcessing, c.now, c.now, true
	if f := c.strike(faultSessionFails); f != nil {
		failure = f.Status
	}
	return n, limits, failure, nil
}
