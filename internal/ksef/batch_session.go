package ksef

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
)

// Bounds of a package of invoices (GET /limits and KSeF's page on limits). 1 MB
// is 1,000,000 bytes.
const (
	MaxBatchPart     = 100_000_000   // bytes of a part before encryption
	MaxBatchParts    = 50            // parts of a package
	MaxBatchPackage  = 5_000_000_000 // bytes of a package before encryption
	MaxBatchInvoices = 10_000        // invoices of a package
)

// The ways in which a package is compressed.
const (
	CompressionZIP   = "Zip"
	CompressionTarGz = "TarGz"
)

// BatchFile describes a package that is about to be uploaded.
type BatchFile struct {
	// Size and SHA256 (Base64) are of the plain archive.
	Size   int64
	SHA256 string
	// Compression is CompressionZIP (also when empty) or CompressionTarGz.
	Compression string
	// Parts in their order.
	Parts []BatchPart
}

// BatchPart is a part of a package. Size and SHA256 (Base64) are of the
// encrypted part.
type BatchPart struct {
	Size   int64
	SHA256 string
}

// UploadRequest is where and how KSeF wants a part: the link needs no login.
type UploadRequest struct {
	// Ordinal is the part's number, from 1.
	Ordinal int
	Method  string
	URL     SecretURL
	Header  map[string]string
}

// OpenedBatch is a batch session that was just opened.
type OpenedBatch struct {
	Reference string
	// Uploads are one for each part. They are valid for 20 minutes times the
	// number of parts, and no other way leads to them again: a lost answer leaves
	// a session behind that KSeF cancels by itself (440).
	Uploads []UploadRequest
}

// OpenBatchSession opens a batch session for a package of invoices of one form,
// encrypted with one key. Offline declares all of its invoices as issued
// offline. When KSeF does not know the public key (21470) the keys are read
// anew and the call is repeated once.
func (c *Client) OpenBatchSession(ctx context.Context, form FormCode, k SymmetricKey, file BatchFile, offline bool) (OpenedBatch, error) {
	if err := file.check(); err != nil {
		return OpenedBatch{}, err
	}
	opened, err := c.openBatchSession(ctx, form, k, file, offline)
	if e, ok := AsError(err); ok && e.Has(CodeUnknownPublicKey) {
		c.ForgetPublicKeys()
		opened, err = c.openBatchSession(ctx, form, k, file, offline)
	}
	return opened, err
}

func (f BatchFile) check() error {
	switch {
	case len(f.Parts) == 0:
		return errors.New("open a batch session: the package has no part")
	case len(f.Parts) > MaxBatchParts:
		return fmt.Errorf("open a batch session: %d parts, KSeF takes at most %d", len(f.Parts), MaxBatchParts)
	case f.Size <= 0 || f.Size > MaxBatchPackage:
		return fmt.Errorf("open a batch session: the package has %d bytes, KSeF takes 1 to %d", f.Size, int64(MaxBatchPackage))
	case f.SHA256 == "":
		return errors.New("open a batch session: the package's hash is missing")
	}
	for n, p := range f.Parts {
		if p.Size <= 0 || p.Size > EncryptedSize(MaxBatchPart) || p.SHA256 == "" {
			return fmt.Errorf("open a batch session: part %d has no hash or a size that is not allowed (%d bytes)", n+1, p.Size)
		}
	}
	return nil
}

func (c *Client) openBatchSession(ctx context.Context, form FormCode, k SymmetricKey, file BatchFile, offline bool) (OpenedBatch, error) {
	const operation = "open a batch session"
	encryption, err := c.wrap(ctx, k)
	if err != nil {
		return OpenedBatch{}, fmt.Errorf("%s: %w", operation, err)
	}
	type part struct {
		Ordinal int    `json:"ordinalNumber"`
		Size    int64  `json:"fileSize"`
		SHA256  string `json:"fileHash"`
	}
	type batchFile struct {
		Size        int64  `json:"fileSize"`
		SHA256      string `json:"fileHash"`
		Compression string `json:"compressionType,omitempty"`
		Parts       []part `json:"fileParts"`
	}
	in := struct {
		FormCode   FormCode       `json:"formCode"`
		BatchFile  batchFile      `json:"batchFile"`
		Encryption wireEncryption `json:"encryption"`
		Offline    bool           `json:"offlineMode"`
	}{form, batchFile{Size: file.Size, SHA256: file.SHA256, Compression: file.Compression}, encryption, offline}
	for n, p := range file.Parts {
		in.BatchFile.Parts = append(in.BatchFile.Parts, part{n + 1, p.Size, p.SHA256})
	}
	var out struct {
		ReferenceNumber string `json:"referenceNumber"`
		Uploads         []struct {
			Ordinal int               `json:"ordinalNumber"`
			Method  string            `json:"method"`
			URL     SecretURL         `json:"url"`
			Header  map[string]string `json:"headers"`
		} `json:"partUploadRequests"`
	}
	r := request{operation: operation, method: http.MethodPost, path: "/sessions/batch", group: GroupBatchSession, auth: authAccess}
	if err := c.callJSON(ctx, r, in, &out); err != nil {
		return OpenedBatch{}, err
	}
	opened := OpenedBatch{Reference: out.ReferenceNumber}
	wanted := map[int]bool{}
	for _, u := range out.Uploads {
		if u.Ordinal < 1 || u.Ordinal > len(file.Parts) || wanted[u.Ordinal] || u.URL == "" {
			return OpenedBatch{}, &Error{Operation: operation, Kind: KindGateway, Status: http.StatusCreated, Detail: "the answer's upload requests are not one for each part"}
		}
		wanted[u.Ordinal] = true
		opened.Uploads = append(opened.Uploads, UploadRequest{u.Ordinal, u.Method, u.URL, u.Header})
	}
	switch {
	case opened.Reference == "":
		return OpenedBatch{}, noReference(operation)
	case len(opened.Uploads) != len(file.Parts):
		return OpenedBatch{}, &Error{Operation: operation, Kind: KindGateway, Status: http.StatusCreated, Detail: "the answer's upload requests are not one for each part"}
	}
	return opened, nil
}

// UploadPart uploads one encrypted part. It has no quota and may be repeated:
// the storage keeps the newest.
func (c *Client) UploadPart(ctx context.Context, to UploadRequest, encrypted io.Reader, size int64) error {
	operation := fmt.Sprintf("upload part %d of a package", to.Ordinal)
	method := to.Method
	if method == "" {
		method = http.MethodPut
	}
	if method != http.MethodPut {
		return &Error{Operation: operation, Kind: KindGateway, Detail: fmt.Sprintf("KSeF asks for the method %q", shorten(clean(method), 20))}
	}
	return c.putLink(ctx, operation, method, to.URL, to.Header, encrypted, size)
}

// CloseBatchSession ends the upload; KSeF then reads the package. An answer of
// KindServer or KindGateway may have had its effect: close again and read the
// session's status. 21205: a part is missing; 21208: too late, KSeF cancels the
// session; 21180 ([CodeSessionForbids]): it is closed already.
func (c *Client) CloseBatchSession(ctx context.Context, sessionReference string) error {
	return c.callJSON(ctx, request{
		operation: "close a batch session", method: http.MethodPost,
		path:  "/sessions/batch/" + url.PathEscape(sessionReference) + "/close",
		group: GroupBatchSessionClose, auth: authAccess,
	}, nil, nil)
}
