package ksefsim

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/flate"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"time"
)

// metadataFile is the list of a package's invoices within it.
const metadataFile = "_metadata.json"

// packageOrder says what a package holds and in which form.
type packageOrder struct {
	key, iv      []byte
	compression  string
	metadataOnly bool
	records      []*record // in the order of the query's date; one more than fits says that there are more
	most         int64     // bytes of compressed invoices
	mostInvoices int
	partBytes    int  // before encryption
	wrongHash    bool // a fault: the last part's hashes are wrong
}

// madePackage describes a package.
type madePackage struct {
	compression string
	invoices    int
	size        int64 // of all parts before encryption
	parts       []part
	truncated   bool
	last        *record // in the package
}

// build makes a package and gives it with its encrypted parts. The same order
// always gives the same bytes. Where there are no invoices there are no parts.
func (o *packageOrder) build() (madePackage, [][]byte, error) {
	made := madePackage{compression: o.compression}
	records := o.fitting()
	if len(records) == 0 {
		return made, nil, nil
	}
	parts, err := newPartWriter(o.key, o.iv, o.partBytes)
	if err != nil {
		return made, nil, err
	}
	if o.compression == compressionTarGz {
		records, err = o.writeTarGz(parts, records)
	} else {
		err = o.writeZip(parts, records)
	}
	if err != nil {
		return made, nil, fmt.Errorf("make an export's package: %w", err)
	}
	parts.close()
	made.invoices, made.size, made.parts = len(records), parts.total, parts.parts
	made.truncated, made.last = len(records) < len(o.records), records[len(records)-1]
	if o.wrongHash {
		last := &made.parts[len(made.parts)-1]
		last.hash, last.encryptedHash = hashBase64([]byte(last.hash)), hashBase64([]byte(last.encryptedHash))
	}
	return made, parts.files, nil
}

// fitting are the invoices that a package takes by their number and size. The
// list of metadata does not count.
func (o *packageOrder) fitting() []*record {
	records := o.records[:min(len(o.records), o.mostInvoices)]
	if o.metadataOnly {
		return records
	}
	total := int64(0)
	for i, r := range records {
		if total += int64(len(r.document.deflated)); total > o.most {
			return records[:i]
		}
	}
	return records
}

// metadata is the content of _metadata.json.
func metadata(records []*record) ([]byte, error) {
	items := make([]metadataDoc, 0, len(records))
	for _, r := range records {
		items = append(items, metadataOf(r))
	}
	return json.Marshal(map[string]any{"invoices": items})
}

// writeZip writes the invoices as they are kept: compressed.
func (o *packageOrder) writeZip(out io.Writer, records []*record) error {
	w := zip.NewWriter(out)
	w.RegisterCompressor(zip.Deflate, func(out io.Writer) (io.WriteCloser, error) { return flate.NewWriter(out, flate.BestSpeed) })
	for _, r := range records {
		if o.metadataOnly {
			break
		}
		header := &zip.FileHeader{
			Name: r.number + ".xml", Method: zip.Deflate, CRC32: r.document.crc,
			CompressedSize64: uint64(len(r.document.deflated)), UncompressedSize64: uint64(r.document.size), //nolint:gosec // not negative
		}
		header.SetModTime(r.stored) //nolint:staticcheck // CreateRaw does not look at Modified
		file, err := w.CreateRaw(header)
		if err != nil {
			return err
		}
		if _, err := file.Write(r.document.deflated); err != nil {
			return err
		}
	}
	list, err := metadata(records)
	if err != nil {
		return err
	}
	file, err := w.CreateHeader(&zip.FileHeader{Name: metadataFile, Method: zip.Deflate, Modified: records[len(records)-1].stored})
	if err != nil {
		return err
	}
	if _, err := file.Write(list); err != nil {
		return err
	}
	return w.Close()
}

// writeTarGz writes the invoices until the package is full and gives those that
// it took.
func (o *packageOrder) writeTarGz(out *partWriter, records []*record) ([]*record, error) {
	compressed, err := gzip.NewWriterLevel(out, gzip.BestSpeed)
	if err != nil {
		return nil, err
	}
	w := tar.NewWriter(compressed)
	add := func(name string, data []byte, at time.Time) error {
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(data)), ModTime: at.Truncate(time.Second)}); err != nil {
			return err
		}
		_, err := io.Copy(w, bytes.NewReader(data))
		return err
	}
	for i, r := range records {
		if o.metadataOnly {
			break
		}
		if i > 0 && out.total+int64(len(r.document.deflated)) > o.most {
			records = records[:i]
			break
		}
		if err := add(r.number+".xml", r.document.bytes(), r.stored); err != nil {
			return nil, err
		}
	}
	list, err := metadata(records)
	if err != nil {
		return nil, err
	}
	if err := add(metadataFile, list, records[len(records)-1].stored); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return records, compressed.Close()
}
