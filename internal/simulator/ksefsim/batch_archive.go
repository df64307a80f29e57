package ksefsim

import (
	"archive/tar"
	"archive/zip"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// Bounds of what an archive may become when it is unpacked. Invoices compress
// to a twentieth or less seldom; what claims far more is a bomb.
const (
	maxEntryName      = 128
	leastUnpacked     = 100_000_000
	mostUnpacked      = 4_000_000_000
	mostUnpackedTimes = 200
	maxArchiveTail    = 1 << 20
)

var errTooManyEntries = errors.New("too many files")

// archiveBounds are what an archive has to keep to.
type archiveBounds struct {
	entries, entryBytes int
	archiveBytes        int64
}

// archiveWatch checks the files of an archive as they come.
type archiveWatch struct {
	archiveBounds
	names    map[string]bool
	unpacked int64
}

func (b archiveBounds) watch() *archiveWatch {
	return &archiveWatch{archiveBounds: b, names: map[string]bool{}}
}

// mostOutOf is how many bytes an archive of so many may become.
func mostOutOf(archiveBytes int64) int64 {
	return min(mostUnpacked, max(leastUnpacked, mostUnpackedTimes*archiveBytes))
}

// admit checks a file before it is unpacked. A package holds invoices side by
// side and nothing else: no folders, no links, no other kinds of file.
func (w *archiveWatch) admit(name string, regular bool, size uint64) error {
	w.unpacked += int64(min(size, mostUnpacked))
	switch {
	case !regular || strings.ContainsAny(name, `/\:`+"\x00") || strings.Trim(name, ".") == "" || !utf8.ValidString(name):
		return fmt.Errorf("nieoczekiwana pozycja %q: pakiet ma zawierać same pliki faktur, bez katalogów", name)
	case utf8.RuneCountInString(name) > maxEntryName:
		return fmt.Errorf("nazwa pliku ma ponad %d znaków", maxEntryName)
	case !strings.EqualFold(name[max(len(name)-4, 0):], ".xml"):
		return fmt.Errorf("nieoczekiwany plik %q: oczekiwano plików XML", name)
	case w.names[name]:
		return fmt.Errorf("plik %q występuje dwa razy", name)
	case size > uint64(w.entryBytes):
		return fmt.Errorf("plik %q po rozpakowaniu jest za duży", name)
	case w.unpacked > mostOutOf(w.archiveBytes):
		return errors.New("pakiet po rozpakowaniu jest za duży")
	}
	if len(w.names) >= w.entries {
		return errTooManyEntries
	}
	w.names[name] = true
	return nil
}

// readZip gives each file of a zip archive to take.
func readZip(archive *partedFile, bounds archiveBounds, take func(name string, data []byte)) error {
	files, err := zip.NewReader(archive, archive.size)
	if err != nil {
		return errors.New("to nie jest poprawne archiwum ZIP")
	}
	if len(files.File) > bounds.entries {
		return errTooManyEntries
	}
	watch := bounds.watch()
	for _, f := range files.File {
		if err := watch.admit(f.Name, f.Mode().IsRegular() && f.Flags&1 == 0, f.UncompressedSize64); err != nil {
			return err
		}
		content, err := f.Open()
		if err != nil {
			return fmt.Errorf("pliku %q nie da się rozpakować", f.Name)
		}
		data, err := readEntry(content, int(f.UncompressedSize64)) //nolint:gosec // admitted above
		_ = content.Close()
		if err != nil {
			return fmt.Errorf("pliku %q nie da się rozpakować", f.Name)
		}
		take(f.Name, data)
	}
	return nil
}

// readTarGz gives each file of a gzipped tar archive to take.
func readTarGz(archive *partedFile, bounds archiveBounds, take func(name string, data []byte)) error {
	broken := errors.New("to nie jest poprawne archiwum tar.gz")
	unzipped, err := gzip.NewReader(archive.reader())
	if err != nil {
		return broken
	}
	files := tar.NewReader(unzipped)
	watch := bounds.watch()
	for {
		header, err := files.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return broken
		}
		if err := watch.admit(header.Name, header.Typeflag == tar.TypeReg, uint64(header.Size)); err != nil { //nolint:gosec // never negative
			return err
		}
		data, err := readEntry(files, int(header.Size))
		if err != nil {
			return fmt.Errorf("pliku %q nie da się rozpakować", header.Name)
		}
		take(header.Name, data)
	}
	// The rest is read for the checksum at its end.
	if n, err := io.Copy(io.Discard, io.LimitReader(unzipped, maxArchiveTail)); err != nil || n == maxArchiveTail {
		return broken
	}
	return nil
}

// readEntry reads exactly size bytes and the end, at which checksums are
// verified.
func readEntry(r io.Reader, size int) ([]byte, error) {
	data := make([]byte, size)
	if _, err := io.ReadFull(r, data); err != nil {
		return nil, err
	}
	var more [1]byte
	switch n, err := io.ReadFull(r, more[:]); {
	case n > 0:
		return nil, errors.New("more than announced")
	case !errors.Is(err, io.EOF):
		return nil, err
	}
	return data, nil
}
