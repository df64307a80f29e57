package ksefsim

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
)

// maxSeededFile bounds a file in a seeded archive, in bytes.
const maxSeededFile = 16 << 20

// readSeed reads a request to seed: in JSON, or as files with ?buyerNip= beside
// them: one invoice (Content-Type: application/xml) or a ZIP archive of many
// (application/zip).
func readSeed(r *http.Request) (seedRequest, error) {
	var body seedRequest
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil {
		kind = ""
	}
	switch kind {
	case "application/xml", "text/xml":
		xml, err := io.ReadAll(r.Body)
		if err != nil {
			return body, fmt.Errorf("read the invoice: %w", err)
		}
		body.Invoices = []seedInvoice{{XML: xml}}
	case "application/zip":
		if body.Invoices, err = readSeedArchive(r.Body); err != nil {
			return body, err
		}
	default:
		return body, read(r, &body)
	}
	body.BuyerNIP = r.URL.Query().Get("buyerNip")
	return body, nil
}

// readSeedArchive gives each *.xml file of a ZIP archive, in its order, from
// whatever folder.
func readSeedArchive(from io.Reader) ([]seedInvoice, error) {
	data, err := io.ReadAll(from)
	if err != nil {
		return nil, fmt.Errorf("read the archive: %w", err)
	}
	archive, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return nil, fmt.Errorf("read the archive: %w", err)
	}
	var invoices []seedInvoice
	unpacked := int64(0)
	for _, file := range archive.File {
		if file.FileInfo().IsDir() || !strings.HasSuffix(strings.ToLower(file.Name), ".xml") {
			continue
		}
		content, err := file.Open()
		if err != nil {
			return nil, fmt.Errorf("read %s from the archive: %w", file.Name, err)
		}
		xml, err := io.ReadAll(io.LimitReader(content, maxSeededFile+1))
		_ = content.Close()
		switch {
		case err != nil:
			return nil, fmt.Errorf("read %s from the archive: %w", file.Name, err)
		case len(xml) > maxSeededFile:
			return nil, fmt.Errorf("%s in the archive is larger than %d bytes", file.Name, maxSeededFile)
		}
		if unpacked += int64(len(xml)); unpacked > mostOutOf(int64(len(data))) {
			return nil, errors.New("the archive becomes too large when it is unpacked")
		}
		invoices = append(invoices, seedInvoice{XML: xml})
	}
	if len(invoices) == 0 {
		return nil, errors.New("the archive holds no *.xml file")
	}
	return invoices, nil
}
