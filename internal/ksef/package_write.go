package ksef

import (
	"archive/zip"
	"bufio"
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"iter"
	"os"
	"path/filepath"
	"strconv"
)

// Package is a package of invoices on the disk, ready to be uploaded: its
// encrypted parts are files of a folder.
type Package struct {
	File BatchFile
	// Parts are the files of the encrypted parts, in their order.
	Parts []string
	// Invoices is how many the package holds.
	Invoices int
}

// WritePackage packs invoices into a ZIP archive, cuts it into parts of partSize
// bytes ([MaxBatchPart] at most), encrypts each by itself with the same key and
// writes them into a folder. Each invoice is named by the SHA-256 of its bytes, by
// which KSeF's answers are told apart. Memory stays bounded whatever the size;
// nothing unencrypted touches the disk. It fails on an error of the sequence, and
// when KSeF's bounds are passed ([MaxBatchInvoices], [MaxBatchPackage]).
func WritePackage(k SymmetricKey, folder string, invoices iter.Seq2[[]byte, error], partSize int64) (_ Package, err error) {
	block, err := aes.NewCipher(k.Key[:])
	if err != nil {
		return Package{}, fmt.Errorf("write a package: %w", err)
	}
	w := &partWriter{block: block, iv: k.IV, folder: folder, most: partSize, whole: sha256.New()}
	defer func() {
		if err != nil {
			w.abandon()
		}
	}()
	archive := zip.NewWriter(w)
	count := 0
	for xml, err := range invoices {
		if err != nil {
			return Package{}, fmt.Errorf("write a package: %w", err)
		}
		if count++; count > MaxBatchInvoices {
			return Package{}, fmt.Errorf("write a package: more than %d invoices", MaxBatchInvoices)
		}
		sum := sha256.Sum256(xml)
		entry, err := archive.Create(hex.EncodeToString(sum[:]) + ".xml")
		if err == nil {
			_, err = entry.Write(xml)
		}
		if err != nil {
			return Package{}, fmt.Errorf("write a package: %w", err)
		}
	}
	if count == 0 {
		return Package{}, errors.New("write a package: there is no invoice to pack")
	}
	if err := archive.Close(); err != nil {
		return Package{}, fmt.Errorf("write a package: %w", err)
	}
	if err := w.endPart(); err != nil {
		return Package{}, fmt.Errorf("write a package: %w", err)
	}
	return Package{
		File:  BatchFile{Size: w.size, SHA256: base64.StdEncoding.EncodeToString(w.whole.Sum(nil)), Parts: w.parts},
		Parts: w.files, Invoices: count,
	}, nil
}

// partWriter cuts what is written to it into parts and encrypts each into a
// file.
type partWriter struct {
	block  cipher.Block
	iv     [16]byte
	folder string
	most   int64 // plain bytes of a part

	whole hash.Hash // of the plain archive
	size  int64

	file    *os.File // of the present part; nil between parts
	buffer  *bufio.Writer
	mode    cipher.BlockMode
	hash    hash.Hash // of the encrypted part
	plain   int64     // bytes of the present part
	pending []byte    // less than a block
	parts   []BatchPart
	files   []string
}

func (w *partWriter) Write(p []byte) (int, error) {
	written := len(p)
	if w.size += int64(len(p)); w.size > MaxBatchPackage {
		return 0, fmt.Errorf("the package is larger than %d bytes", int64(MaxBatchPackage))
	}
	_, _ = w.whole.Write(p) // a hash does not fail
	for len(p) > 0 {
		if w.file == nil {
			if err := w.beginPart(); err != nil {
				return 0, err
			}
		}
		n := int(min(int64(len(p)), w.most-w.plain))
		w.plain += int64(n)
		if err := w.encrypt(p[:n]); err != nil {
			return 0, err
		}
		p = p[n:]
		if w.plain == w.most {
			if err := w.endPart(); err != nil {
				return 0, err
			}
		}
	}
	return written, nil
}

func (w *partWriter) beginPart() error {
	if len(w.parts) == MaxBatchParts {
		return fmt.Errorf("the package has more than %d parts", MaxBatchParts)
	}
	name := filepath.Join(w.folder, "part-"+strconv.Itoa(len(w.parts)+1))
	file, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	w.file, w.files = file, append(w.files, name)
	w.buffer, w.hash, w.plain = bufio.NewWriterSize(file, streamBuffer), sha256.New(), 0
	w.mode = cipher.NewCBCEncrypter(w.block, w.iv[:])
	return nil
}

func (w *partWriter) encrypt(p []byte) error {
	w.pending = append(w.pending, p...)
	whole := len(w.pending) - len(w.pending)%aes.BlockSize
	if err := w.put(w.pending[:whole]); err != nil {
		return err
	}
	w.pending = append(w.pending[:0], w.pending[whole:]...)
	return nil
}

func (w *partWriter) put(blocks []byte) error {
	w.mode.CryptBlocks(blocks, blocks)
	_, _ = w.hash.Write(blocks) // a hash does not fail
	_, err := w.buffer.Write(blocks)
	return err
}

// endPart pads and closes the present part, if there is one.
func (w *partWriter) endPart() error {
	if w.file == nil {
		return nil
	}
	padding := aes.BlockSize - len(w.pending)
	for range padding {
		w.pending = append(w.pending, byte(padding))
	}
	err := w.put(w.pending)
	w.pending = w.pending[:0]
	if err == nil {
		err = w.buffer.Flush()
	}
	if closeErr := w.file.Close(); err == nil {
		err = closeErr
	}
	w.file = nil
	w.parts = append(w.parts, BatchPart{Size: EncryptedSize(w.plain), SHA256: base64.StdEncoding.EncodeToString(w.hash.Sum(nil))})
	return err
}

// abandon removes what was written.
func (w *partWriter) abandon() {
	if w.file != nil {
		_ = w.file.Close()
	}
	for _, name := range w.files {
		_ = os.Remove(name) // a leftover is encrypted, and in a folder that its owner removes
	}
}
