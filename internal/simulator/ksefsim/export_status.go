package ksefsim

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// exportPartKind is the folder of an export's parts in the storage.
const exportPartKind = "invoice-part"

// packageDoc is a package in the status of an export.
type packageDoc struct {
	InvoiceCount int       `json:"invoiceCount"`
	Size         int64     `json:"size"`
	Parts        []partDoc `json:"parts"`
	Truncated    bool      `json:"isTruncated"`
	LastIssue    string    `json:"lastIssueDate,omitempty"`
	LastInvoiced *string   `json:"lastInvoicingDate,omitempty"`
	LastStored   *string   `json:"lastPermanentStorageDate,omitempty"`
	HWM          *string   `json:"permanentStorageHwmDate,omitempty"`
	Compression  string    `json:"compressionType"`
}

type partDoc struct {
	Ordinal       int    `json:"ordinalNumber"`
	Name          string `json:"partName"`
	Method        string `json:"method"`
	URL           string `json:"url"`
	Size          int    `json:"partSize"`
	Hash          string `json:"partHash"`
	EncryptedSize int    `json:"encryptedPartSize"`
	EncryptedHash string `json:"encryptedPartHash"`
	Expiration    string `json:"expirationDate"`
}

// exportStatus answers GET /invoices/exports/{ref}. Each answer has new links.
func (s *Simulator) exportStatus(c *call) (*reply, error) {
	ref := c.r.PathValue("ref")
	if len(ref) != 36 {
		return nil, invalid("referenceNumber: numer referencyjny ma 36 znaków.")
	}
	e, content := s.findExport(c, ref)
	if e == nil || e.auth.context != c.token.auth.context || e.auth.subject != c.token.auth.subject {
		return nil, refuse(21175, "Eksportu "+ref+" nie ma.")
	}
	code := e.status(c.now)
	if code == exportDone && content == nil { // another call, a moment later, found it expired
		code = exportExpired
	}
	if code == exportGone {
		return nil, &failure{status: exportGone, detail: "Stanu tego eksportu już się nie przechowuje."}
	}
	words := exportDescriptions[code]
	if words == "" {
		words = "Status " + itoa(code)
	}
	doc := struct {
		Status     statusInfo  `json:"status"`
		Completed  *string     `json:"completedDate,omitempty"`
		Expiration *string     `json:"packageExpirationDate,omitempty"`
		Package    *packageDoc `json:"package,omitempty"`
	}{Status: statusInfo{Code: code, Description: words}}
	if code != exportRunning {
		doc.Completed = stampOrNil(e.readyAt)
		doc.Status.Details = e.details
	}
	switch code {
	case exportExpired:
		doc.Expiration = stampOrNil(e.readyAt.Add(packageLife))
	case exportDone:
		doc.Expiration = stampOrNil(e.readyAt.Add(packageLife))
		made, err := content.made()
		if err != nil {
			return nil, err
		}
		doc.Package = s.describe(c, e, made)
	}
	return jsonReply(http.StatusOK, doc)
}

// findExport finds an export, nil if there is none, and its package, nil if it
// has none any more.
func (s *Simulator) findExport(c *call, ref string) (*export, *exportPackage) {
	s.lock(c.now)
	defer s.mu.Unlock()
	s.sweepExports(c.now)
	e := s.store.exports.byRef[ref]
	if e == nil {
		return nil, nil
	}
	return e, e.content
}

// describe shows a package with new links.
func (s *Simulator) describe(c *call, e *export, content madePackage) *packageDoc {
	doc := &packageDoc{
		InvoiceCount: content.invoices, Size: content.size, Parts: []partDoc{}, Truncated: content.truncated,
		HWM: stampOrNil(e.within.hwm), Compression: content.compression,
	}
	if content.truncated {
		switch e.within.dateType {
		case dateIssue:
			doc.LastIssue = content.last.invoice.issueDate
		case dateInvoicing:
			doc.LastInvoiced = stampOrNil(content.last.invoicing)
		default:
			doc.LastStored = stampOrNil(content.last.stored)
		}
	}
	until := earlier(c.now.Add(partLinkLife), e.readyAt.Add(packageLife)).Truncate(time.Second)
	for i, part := range content.parts {
		name := partName(e.ref, i+1, content.compression)
		doc.Parts = append(doc.Parts, partDoc{
			Ordinal: i + 1, Name: name, Method: http.MethodGet, URL: s.partLink(c, e.ref, name, until),
			Size: part.size, Hash: part.hash, EncryptedSize: part.encryptedSize, EncryptedHash: part.encryptedHash,
			Expiration: stamp(until),
		})
	}
	return doc
}

// partName is the file name of a part.
func partName(ref string, ordinal int, compression string) string {
	suffix := "zip"
	if compression == compressionTarGz {
		suffix = "tar.gz"
	}
	return fmt.Sprintf("%s-%03d.%s.aes", ref, ordinal, suffix)
}

// partLink makes an unauthenticated link to a part; each one is new.
func (s *Simulator) partLink(c *call, ref, name string, until time.Time) string {
	return s.storageLink(c, "/storage/01/"+strings.ToLower(ref)+"/"+exportPartKind+"/"+url.PathEscape(name), linkRead, until)
}

// exportPart serves a part to whoever has its link, which was checked already.
func (s *Simulator) exportPart(c *call) (*reply, error) {
	e, content := s.findExport(c, strings.ToUpper(c.r.PathValue("session")))
	if content != nil && e.status(c.now) == exportDone {
		parts, err := content.files()
		if err != nil {
			return nil, err
		}
		for i, part := range parts {
			if partName(e.ref, i+1, content.order.compression) == c.r.PathValue("file") {
				return &reply{
					status: http.StatusOK, contentType: "application/octet-stream", body: part,
					header: http.Header{"X-Ms-Meta-Hash": {hashBase64(part)}},
				}, nil
			}
		}
	}
	return storageError(http.StatusNotFound, "BlobNotFound", "The specified blob does not exist."), nil
}
