package ksefsim

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io"
	"runtime"
	"sync"
)

// unpacked is what came out of a package: its invoices in the order of the
// archive, or the code that the session ends with.
type unpacked struct {
	code     int
	details  []string
	invoices []*sentInvoice
}

func unpackFailed(code int, details ...string) unpacked {
	return unpacked{code: code, details: details}
}

// unpack checks and opens the package of a session and examines its invoices.
// The lock must not be held: nobody else touches the parts of a session that
// is being closed.
func (s *Simulator) unpack(n *session, limits sessionLimits) unpacked {
	if n.keyBroken {
		return unpackFailed(sessionBadKey)
	}
	for i, part := range n.batch.parts {
		if hashBase64(part.data) != part.hash {
			return unpackFailed(sessionBadPackage, "Część "+itoa(i+1)+" ma inny skrót, niż zapowiedziano.")
		}
	}
	var archive partedFile
	sum := sha256.New()
	for i, part := range n.batch.parts {
		plain, err := decrypt(n.key, n.iv, part.data)
		if err != nil {
			return unpackFailed(sessionBadPart, "Część "+itoa(i+1)+".")
		}
		sum.Write(plain)
		archive.append(plain)
	}
	if archive.size != n.batch.size || base64.StdEncoding.EncodeToString(sum.Sum(nil)) != n.batch.hash {
		return unpackFailed(sessionBadPackage, "Pakiet ma inny rozmiar lub skrót, niż zapowiedziano.")
	}

	// One goroutine unpacks, the others read what it finds.
	found := make(chan *sentInvoice)
	var examiners sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		examiners.Go(func() {
			for i := range found {
				s.examinePacked(i)
			}
		})
	}
	var out unpacked
	bounds := archiveBounds{entries: limits.maxInvoices, entryBytes: 5 * limits.maxInvoiceAttachmentBytes, archiveBytes: archive.size}
	read := readZip
	if n.batch.tarGz {
		read = readTarGz
	}
	err := read(&archive, bounds, func(name string, data []byte) {
		i := &sentInvoice{
			ref: newReference(kindInvoice, n.created), session: n, fileName: name, sentAt: n.created, offline: n.batch.offline, plain: data,
		}
		out.invoices = append(out.invoices, i)
		found <- i
	})
	close(found)
	examiners.Wait()
	switch {
	case errors.Is(err, errTooManyEntries):
		return unpackFailed(sessionTooMany, "W sesji może być "+itoa(limits.maxInvoices)+" faktur.")
	case err != nil:
		return unpackFailed(sessionBadArchive, err.Error())
	}
	return out
}

// examinePacked reads an invoice from a package. It checks the structure, too,
// so that what only that needs is not kept for ten thousand invoices.
func (s *Simulator) examinePacked(i *sentInvoice) {
	i.read(i.plain)
	sum, _ := hex.DecodeString(i.hash)
	i.declaredHash = base64.StdEncoding.EncodeToString(sum)
	if i.early == nil {
		if problems := s.checkStructure(i); len(problems) > 0 {
			i.early = &outcome{code: invoiceSemantics, details: problems}
		}
	}
	i.structured, i.invoice.values = true, nil
}

// checkBulk applies the rules on attachments and size. It gives nil when
// nothing is wrong. The lock must be held.
func (s *Simulator) checkBulk(i *sentInvoice) *outcome {
	context := i.session.auth.context
	limits, batch := s.sessionLimits(context.value)
	if i.session.batch != nil {
		limits = batch
	}
	most := limits.maxInvoiceBytes
	if i.invoice.attachment {
		most = limits.maxInvoiceAttachmentBytes
		switch {
		case i.session.batch == nil:
			return &outcome{code: invoiceAttachment, details: []string{"Faktura z załącznikiem może być wysłana tylko w sesji wsadowej."}}
		case !s.attachmentAllowed(context.nip, i.arrived):
			return &outcome{code: invoiceAttachment, details: []string{"Podatnik nie zgłosił wystawiania faktur z załącznikami."}}
		}
	}
	if len(i.plain) > most {
		return &outcome{code: invoiceFile, details: []string{"Przekroczono dozwolony rozmiar faktury (" + itoa(most) + " bajtów)."}}
	}
	return nil
}

// partedFile is a file in pieces, read as one.
type partedFile struct {
	parts  [][]byte
	starts []int64
	size   int64
}

func (f *partedFile) append(part []byte) {
	f.parts, f.starts = append(f.parts, part), append(f.starts, f.size)
	f.size += int64(len(part))
}

// ReadAt reads across the pieces, as io.ReaderAt asks for.
func (f *partedFile) ReadAt(p []byte, offset int64) (n int, err error) {
	for i, part := range f.parts {
		if offset >= f.starts[i] && offset < f.starts[i]+int64(len(part)) && n < len(p) {
			copied := copy(p[n:], part[offset-f.starts[i]:])
			n, offset = n+copied, offset+int64(copied)
		}
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// reader reads the pieces one after the other.
func (f *partedFile) reader() io.Reader {
	readers := make([]io.Reader, 0, len(f.parts))
	for _, part := range f.parts {
		readers = append(readers, bytes.NewReader(part))
	}
	return io.MultiReader(readers...)
}
