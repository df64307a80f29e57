package ksef

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"
)

// Bounds of what is believed of a package that was downloaded. KSeF promises at
// most 10,000 invoices of 3 MB and one list of their metadata.
const (
	maxPackageEntries  = 10_000 + 100
	maxPackageInvoice  = 32 << 20
	maxPackageMetadata = 64 << 20
	maxPackageTotal    = 40 << 30
	// maxPackageRatio is how many times its size a package may unpack to, beyond
	// anyPackageTotal: the XML of invoices comes to some dozens.
	maxPackageRatio = 300
	anyPackageTotal = 128 << 20
)

// MetadataEntry is the name of a package's list of metadata.
const MetadataEntry = "_metadata.json"

// PackageError says that a package is not what KSeF promises: ordering it again
// is the only remedy.
type PackageError struct{ Reason string }

func (e *PackageError) Error() string { return "KSeF: the package cannot be used: " + e.Reason }

// ReadMetadataEntry reads the content of a package's list of metadata
// ([MetadataEntry]): what [Client.QueryMetadata] would have told of its invoices.
func ReadMetadataEntry(content []byte) ([]Metadata, error) {
	var list struct {
		Invoices []wireMetadata `json:"invoices"`
	}
	if err := json.Unmarshal(content, &list); err != nil {
		return nil, &PackageError{"its list of metadata cannot be read"}
	}
	found := make([]Metadata, 0, len(list.Invoices))
	for _, w := range list.Invoices {
		found = append(found, w.read())
	}
	return found, nil
}

// InvoiceEntry is the name under which a package holds the invoice with a KSeF
// number.
func InvoiceEntry(ksefNumber string) string { return ksefNumber + ".xml" }

// ReadPackage unpacks a plain package, ZIP or tar.gz whatever was ordered, and
// gives each entry to a function in the order of the archive: an invoice under
// `{ksefNumber}.xml`, the list of metadata under [MetadataEntry]. Entries are
// read one at a time into memory; number, sizes, names and the ratio of
// compression are bounded, whatever the archive says of itself. An error of the function ends it.
func ReadPackage(file *os.File, each func(name string, content []byte) error) error {
	info, err := file.Stat()
	if err != nil {
		return fmt.Errorf("read a package: %w", err)
	}
	return readPackage(file, mostUnpacked(info.Size()), each)
}

// mostUnpacked is how many bytes a package of a size may unpack to.
func mostUnpacked(size int64) int64 {
	return min(maxPackageTotal, max(anyPackageTotal, maxPackageRatio*size))
}

func readPackage(file *os.File, most int64, each func(name string, content []byte) error) error {
	u := &unpacking{left: most, each: each, seen: map[string]bool{}}
	var magic [4]byte
	if _, err := file.ReadAt(magic[:], 0); err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read a package: %w", err)
	}
	switch {
	case bytes.HasPrefix(magic[:], []byte("PK")):
		return u.zip(file)
	case bytes.HasPrefix(magic[:], []byte{0x1f, 0x8b}):
		return u.tarGz(file)
	}
	return &PackageError{"it is neither a ZIP nor a tar.gz archive"}
}

type unpacking struct {
	left    int64
	entries int
	seen    map[string]bool
	each    func(name string, content []byte) error
}

func (u *unpacking) zip(file *os.File) error {
	info, err := file.Stat()
	if err != nil {
		return fmt.Errorf("read a package: %w", err)
	}
	archive, err := zip.NewReader(file, info.Size())
	if err != nil {
		return &PackageError{"its ZIP directory cannot be read"}
	}
	for _, f := range archive.File {
		if f.FileInfo().IsDir() {
			continue
		}
		if !f.Mode().IsRegular() {
			return &PackageError{fmt.Sprintf("the entry %q is no file", shorten(clean(f.Name), 80))}
		}
		content, err := f.Open()
		if err != nil {
			return &PackageError{fmt.Sprintf("the entry %q cannot be read", shorten(clean(f.Name), 80))}
		}
		err = u.entry(f.Name, content)
		_ = content.Close() // read to its end, with its checksum, or failed
		if err != nil {
			return err
		}
	}
	return nil
}

func (u *unpacking) tarGz(file *os.File) error {
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("read a package: %w", err)
	}
	unzipped, err := gzip.NewReader(file)
	if err != nil {
		return &PackageError{"its gzip header cannot be read"}
	}
	// Also what lies between the entries counts: a tar of endless headers is a bomb, too.
	archive := tar.NewReader(io.LimitReader(unzipped, u.left))
	for {
		header, err := archive.Next()
		switch {
		case errors.Is(err, io.EOF):
			if _, err := io.Copy(io.Discard, io.LimitReader(unzipped, u.left)); err != nil {
				return &PackageError{"it is cut off or its checksum is wrong"}
			}
			return nil
		case err != nil:
			return &PackageError{"its tar headers cannot be read"}
		case header.Typeflag == tar.TypeDir:
			continue
		case header.Typeflag != tar.TypeReg:
			return &PackageError{fmt.Sprintf("the entry %q is no file", shorten(clean(header.Name), 80))}
		}
		if err := u.entry(header.Name, archive); err != nil {
			return err
		}
	}
}

func (u *unpacking) entry(name string, from io.Reader) error {
	shown := shorten(clean(name), 80)
	if name == "" || name != path.Base(name) || strings.ContainsAny(name, "\\\x00") || len(name) > 200 {
		return &PackageError{fmt.Sprintf("the entry %q has a name that is not allowed", shown)}
	}
	if u.entries++; u.entries > maxPackageEntries {
		return &PackageError{fmt.Sprintf("it has more than %d entries", maxPackageEntries)}
	}
	if u.seen[name] {
		return &PackageError{fmt.Sprintf("it has two entries %q", shown)}
	}
	u.seen[name] = true
	most := int64(maxPackageInvoice)
	if name == MetadataEntry {
		most = maxPackageMetadata
	}
	most = min(most, u.left)
	content, err := io.ReadAll(io.LimitReader(from, most+1))
	switch {
	case err != nil:
		return &PackageError{fmt.Sprintf("the entry %q cannot be unpacked", shown)}
	case int64(len(content)) > most:
		return &PackageError{fmt.Sprintf("the entry %q unpacks to more than %d bytes", shown, most)}
	}
	u.left -= int64(len(content))
	return u.each(name, content)
}
