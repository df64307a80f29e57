package ksef

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/shopspring/decimal"
)

// Statuses of an export.
const (
	ExportRunning    = 100
	ExportReady      = 200
	ExportExpired    = 210 // its package is gone: order it again
	ExportKeyRefused = 415 // KSeF could not decrypt the key: read the public keys anew
	ExportNothingNew = 420 // it begins after the high water mark: there is nothing yet
)

// ExportQuery asks for a package of invoices: what a [MetadataQuery] finds,
// without pages, at most 10,000.
type ExportQuery struct {
	SubjectType string
	// From and To bound the date of permanent storage, both inclusive; at most 100
	// days apart (counted in UTC). A zero To means now.
	From, To time.Time
	// RestrictToHWM leaves out what lies after the high water mark.
	RestrictToHWM bool
	// Compression is CompressionZIP (also when empty) or CompressionTarGz.
	Compression string
	// OnlyMetadata leaves the invoices out: the package holds their list alone.
	OnlyMetadata bool
	// GrossFrom and GrossTo bound the gross amount, both inclusive and in the
	// invoice's own currency; nil: no bound.
	GrossFrom, GrossTo *decimal.Decimal
}

// OrderExport orders a package of invoices (POST /invoices/exports, 20 an hour
// in production), encrypted with a key of ours. It returns KSeF's reference
// number of the export. There is no list of exports: when the answer is lost
// the export is, too, and it keeps one of the ten places. A query that begins
// after the high water mark gives code 21183 ([CodeBeyondHWM]), one too many at
// once code 21182 ([CodeTooManyExports]).
func (c *Client) OrderExport(ctx context.Context, k SymmetricKey, q ExportQuery) (reference string, err error) {
	const operation = "order an export"
	if err := (MetadataQuery{
		SubjectType: q.SubjectType, From: q.From, To: q.To, RestrictToHWM: q.RestrictToHWM,
		DateType: DatePermanentStorage, PageSize: maxMetadataPage,
	}).check(); err != nil {
		return "", fmt.Errorf("%s: %w", operation, err)
	}
	reference, err = c.orderExport(ctx, operation, k, q)
	if e, ok := AsError(err); ok && e.Has(CodeUnknownPublicKey) {
		c.ForgetPublicKeys()
		reference, err = c.orderExport(ctx, operation, k, q)
	}
	return reference, err
}

func (c *Client) orderExport(ctx context.Context, operation string, k SymmetricKey, q ExportQuery) (string, error) {
	encryption, err := c.wrap(ctx, k)
	if err != nil {
		return "", fmt.Errorf("%s: %w", operation, err)
	}
	type dateRange struct {
		DateType string `json:"dateType"`
		From     string `json:"from"`
		To       string `json:"to,omitempty"`
		Restrict bool   `json:"restrictToPermanentStorageHwmDate,omitempty"`
	}
	type amountRange struct {
		Type string      `json:"type"`
		From json.Number `json:"from,omitempty"`
		To   json.Number `json:"to,omitempty"`
	}
	type filters struct {
		SubjectType string       `json:"subjectType"`
		DateRange   dateRange    `json:"dateRange"`
		Amount      *amountRange `json:"amount,omitempty"`
	}
	in := struct {
		Encryption   wireEncryption `json:"encryption"`
		OnlyMetadata bool           `json:"onlyMetadata,omitempty"`
		Filters      filters        `json:"filters"`
		Compression  string         `json:"compressionType,omitempty"`
	}{
		encryption, q.OnlyMetadata,
		filters{SubjectType: q.SubjectType, DateRange: dateRange{DateType: DatePermanentStorage, From: formatTime(q.From), Restrict: q.RestrictToHWM}},
		q.Compression,
	}
	if !q.To.IsZero() {
		in.Filters.DateRange.To = formatTime(q.To)
	}
	if q.GrossFrom != nil || q.GrossTo != nil {
		in.Filters.Amount = &amountRange{Type: "Brutto"}
		if q.GrossFrom != nil {
			in.Filters.Amount.From = json.Number(q.GrossFrom.String())
		}
		if q.GrossTo != nil {
			in.Filters.Amount.To = json.Number(q.GrossTo.String())
		}
	}
	var out struct {
		ReferenceNumber string `json:"referenceNumber"`
	}
	r := request{operation: operation, method: http.MethodPost, path: "/invoices/exports", group: GroupInvoiceExport, auth: authAccess}
	if err := c.callJSON(ctx, r, in, &out); err != nil {
		return "", err
	}
	if out.ReferenceNumber == "" {
		return "", noReference(operation)
	}
	return out.ReferenceNumber, nil
}

// ExportStatus is the state of an export.
type ExportStatus struct {
	// Code is one of the Export... statuses, or 500 and above: it failed, order it
	// again.
	Code        int
	Description string
	// ExpiresAt is when the package is deleted, seven days later as a rule.
	ExpiresAt time.Time
	// InvoiceCount is how many invoices the package holds.
	InvoiceCount int
	// Size is that of the plain archive.
	Size int64
	// Compression is CompressionZIP, CompressionTarGz, or empty where KSeF does not say.
	Compression string
	Parts       []ExportPart
	// Truncated tells that there are more than 10,000: go on from LastDate.
	Truncated bool
	// LastDate is the permanentStorageDate of the last invoice; zero if KSeF names none.
	LastDate time.Time
	// HWM is the high water mark up to which the package is complete.
	HWM time.Time
}

// ExportPart is a part of a package.
type ExportPart struct {
	Ordinal int
	// URL needs no login; each status answer has new ones, good for about an hour.
	URL SecretURL
	// Size and SHA256 (Base64) are of the plain part.
	Size   int64
	SHA256 string
	// EncryptedSize and EncryptedSHA256 (Base64) are of what is downloaded.
	EncryptedSize   int64
	EncryptedSHA256 string
}

// maxExportParts bounds what is believed of a package: 1 GB in parts of 50 MB
// are 20.
const maxExportParts = 1000

// ExportStatus reads the state of an export (600 an hour in production). An
// unknown reference is code 21175 ([CodeExportUnknown]).
func (c *Client) ExportStatus(ctx context.Context, reference string) (ExportStatus, error) {
	r := request{
		operation: "read an export's status", method: http.MethodGet, path: "/invoices/exports/" + url.PathEscape(reference),
		group: GroupInvoiceExportStatus, auth: authAccess,
	}
	var out struct {
		Status  wireStatus `json:"status"`
		Expires timestamp  `json:"packageExpirationDate"`
		Package *struct {
			Count       int       `json:"invoiceCount"`
			Size        int64     `json:"size"`
			Compression string    `json:"compressionType"`
			Truncated   bool      `json:"isTruncated"`
			Last        timestamp `json:"lastPermanentStorageDate"`
			HWM         timestamp `json:"permanentStorageHwmDate"`
			Parts       []struct {
				Ordinal         int       `json:"ordinalNumber"`
				URL             SecretURL `json:"url"`
				Size            int64     `json:"partSize"`
				SHA256          string    `json:"partHash"`
				EncryptedSize   int64     `json:"encryptedPartSize"`
				EncryptedSHA256 string    `json:"encryptedPartHash"`
			} `json:"parts"`
		} `json:"package"`
	}
	if err := c.callJSON(ctx, r, nil, &out); err != nil {
		return ExportStatus{}, err
	}
	if out.Status.Code == 0 {
		return ExportStatus{}, noStatus(r.operation)
	}
	s := ExportStatus{Code: out.Status.Code, Description: out.Status.code().Description, ExpiresAt: out.Expires.Time}
	p := out.Package
	if p == nil {
		if s.Code == ExportReady {
			return ExportStatus{}, &Error{Operation: r.operation, Kind: KindGateway, Status: http.StatusOK, Detail: "the export is ready, but the answer has no package"}
		}
		return s, nil
	}
	if len(p.Parts) > maxExportParts {
		return ExportStatus{}, &Error{Operation: r.operation, Kind: KindGateway, Status: http.StatusOK, Detail: fmt.Sprintf("the package has %d parts", len(p.Parts))}
	}
	s.InvoiceCount, s.Size, s.Compression, s.Truncated = p.Count, p.Size, p.Compression, p.Truncated
	s.LastDate, s.HWM = p.Last.Time, p.HWM.Time
	for _, w := range p.Parts {
		s.Parts = append(s.Parts, ExportPart{w.Ordinal, w.URL, w.Size, w.SHA256, w.EncryptedSize, w.EncryptedSHA256})
	}
	slices.SortFunc(s.Parts, func(a, b ExportPart) int { return a.Ordinal - b.Ordinal })
	for n, part := range s.Parts {
		if part.Ordinal != n+1 {
			return ExportStatus{}, &Error{Operation: r.operation, Kind: KindGateway, Status: http.StatusOK, Detail: "the package's parts are not numbered one by one"}
		}
	}
	return s, nil
}

// DownloadPart downloads a part of a package and writes its plain bytes to a
// writer while they arrive: memory stays bounded whatever the part's size. Both
// hashes and sizes are checked; as they can be known only at the end, what was
// written counts only when no error is returned. A wrong hash, or what cannot be
// decrypted, is KindHashMismatch (order the export again), an expired link KindGone (read the
// status again).
func (c *Client) DownloadPart(ctx context.Context, part ExportPart, k SymmetricKey, to io.Writer) error {
	operation := fmt.Sprintf("download part %d of a package", part.Ordinal)
	body, err := c.openLink(ctx, operation, part.URL)
	if err != nil {
		return err
	}
	defer func() { _ = body.Close() }()
	encrypted := &counted{from: body, most: part.EncryptedSize, hash: sha256.New()}
	decrypting, err := DecryptStream(k, encrypted)
	if err != nil {
		return fmt.Errorf("%s: %w", operation, err)
	}
	plain := &counted{from: decrypting, hash: sha256.New()}
	sink := &sink{to: to}
	_, copyErr := io.Copy(sink, plain)
	switch {
	case sink.failed != nil:
		return fmt.Errorf("%s: keep it: %w", operation, sink.failed)
	case encrypted.failed != nil && !errors.Is(encrypted.failed, errTooLong):
		return &Error{Operation: operation, Kind: KindNetwork, cause: fmt.Errorf("the part broke off: %w", withoutAddress(encrypted.failed))}
	case errors.Is(encrypted.failed, errTooLong), encrypted.n != part.EncryptedSize && part.EncryptedSize > 0:
		return &Error{Operation: operation, Kind: KindHashMismatch, Detail: fmt.Sprintf("the part has another size than the %d bytes that KSeF names", part.EncryptedSize)}
	}
	for _, h := range []struct {
		of   *counted
		want string
		what string
	}{{encrypted, part.EncryptedSHA256, "the encrypted part"}, {plain, part.SHA256, "the part"}} {
		if got := base64.StdEncoding.EncodeToString(h.of.hash.Sum(nil)); h.want != "" && got != h.want && (copyErr == nil || h.of == encrypted) {
			return &Error{Operation: operation, Kind: KindHashMismatch, Detail: fmt.Sprintf("the SHA-256 of %s is %s, KSeF names %s", h.what, got, shorten(clean(h.want), 64))}
		}
	}
	if copyErr != nil {
		return &Error{Operation: operation, Kind: KindHashMismatch, Detail: "the part cannot be decrypted", cause: copyErr}
	}
	return nil
}
