package activities

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"teamogy-ksef/internal/flow"
	"teamogy-ksef/internal/ksef"
)

const (
	// mostUnpacking is how many packages a worker unpacks at once: each holds a few
	// invoices and one list of metadata in memory, and its archive on disk.
	mostUnpacking = 2
	// mostPackage bounds what is downloaded of one package, in bytes. KSeF promises
	// 1 GB.
	mostPackage = 5 << 30
	// downloadTries is how often the same part of a package is downloaded, and
	// mostLinks how often its links are renewed because they have ended.
	downloadTries = 3
	mostLinks     = 10
	// archiveWriters is how many of a package's invoices are written into the archive
	// at once.
	archiveWriters = 8
	// temporaryPattern names the files that packages are downloaded into; one that
	// is older than temporaryLife was left behind by a worker that died, on a system
	// where an open file cannot be removed.
	temporaryPattern = "teamogy-ksef-package-*"
	temporaryLife    = 24 * time.Hour
)

// packageOf is one attempt to bring a package into the archive.
type packageOf struct {
	*KSeF
	client KSeFClient
	in     flow.CollectInput
	key    ksef.SymmetricKey
	scale  float64
	status ksef.ExportStatus

	stored map[string]string // SHA-256 (hex) by the entry's name
	list   []ksef.Metadata
	listed bool
}

// unusable is why a package cannot be used: ordering it again is the remedy.
type unusable struct{ reason string }

func (u *unusable) Error() string { return u.reason }

// undelivered is why a package's bytes have not arrived here.
type undelivered struct{ error }

func (u *undelivered) Unwrap() error { return u.error }

// damageOf tells why a package cannot be used; empty: it is not that.
func damageOf(err error) string {
	var ours *unusable
	var wrong *ksef.PackageError
	if failure, is := ksef.AsError(err); is && failure.Kind == ksef.KindHashMismatch {
		return err.Error()
	}
	if errors.As(err, &ours) || errors.As(err, &wrong) {
		return err.Error()
	}
	return ""
}

// collect downloads the parts into a temporary file and unpacks that entry by
// entry: memory stays bounded whatever the package's size.
func (p *packageOf) collect(ctx context.Context) (flow.CollectedList, error) {
	if len(p.status.Parts) == 0 {
		if p.status.InvoiceCount > 0 {
			return flow.CollectedList{}, &unusable{fmt.Sprintf("the package has no parts, but %d invoices", p.status.InvoiceCount)}
		}
		return p.found(ctx) // nothing in that window
	}
	file, remove, err := temporaryFile(p.Now())
	if err != nil {
		return flow.CollectedList{}, &undelivered{err}
	}
	defer remove()
	if err := p.download(ctx, file); err != nil {
		return flow.CollectedList{}, &undelivered{err}
	}
	if err := p.unpack(ctx, file); err != nil {
		return flow.CollectedList{}, err
	}
	return p.found(ctx)
}

// temporaryFile makes the file that a package is downloaded into. It holds
// invoices, so only this user may read it. It has no name any more while it is
// open, where the system can do that: then nothing stays behind whatever becomes
// of the worker.
func temporaryFile(now time.Time) (file *os.File, remove func(), err error) {
	removeLeftBehind(now)
	file, err = os.CreateTemp("", temporaryPattern)
	if err != nil {
		return nil, nil, fmt.Errorf("make a temporary file for the package: %w", err)
	}
	_ = os.Remove(file.Name())
	return file, func() {
		_ = file.Close()
		_ = os.Remove(file.Name())
	}, nil
}

// CheckTemporaryFolder makes a file in the system's temporary folder and removes it.
// Without that folder no package could be received or sent, invoices with
// attachments never.
func CheckTemporaryFolder() error {
	file, err := os.CreateTemp("", temporaryPattern)
	if err != nil {
		return fmt.Errorf("the temporary folder %s cannot be written to, and packages of invoices pass through it: set TMPDIR to a folder on a disk: %w", os.TempDir(), err)
	}
	return errors.Join(file.Close(), os.Remove(file.Name()))
}

// removeLeftBehind removes what workers that died have left.
func removeLeftBehind(now time.Time) {
	left, err := filepath.Glob(filepath.Join(os.TempDir(), temporaryPattern))
	if err != nil {
		return
	}
	for _, name := range left {
		if info, err := os.Lstat(name); err == nil && info.Mode().IsRegular() && now.Sub(info.ModTime()) > temporaryLife {
			_ = os.Remove(name)
		}
	}
}

// download writes the plain bytes of all parts, one after the other. A link that
// has ended is replaced by a new one, and a part that broke off or came damaged
// is downloaded again.
func (p *packageOf) download(ctx context.Context, file *os.File) error {
	var total int64
	for _, part := range p.status.Parts {
		total += part.EncryptedSize
	}
	if total > mostPackage {
		return &unusable{fmt.Sprintf("the package has %d bytes", total)}
	}
	links := 0
	for n, tries := 0, 0; n < len(p.status.Parts); {
		begins, err := file.Seek(0, io.SeekCurrent)
		if err != nil {
			return fmt.Errorf("write the package: %w", err)
		}
		err = p.client.DownloadPart(ctx, p.status.Parts[n], p.key, file)
		if err == nil {
			n, tries = n+1, 0
			continue
		}
		failure, is := ksef.AsError(err)
		if !is || ctx.Err() != nil {
			return err
		}
		if failure.Kind == ksef.KindGone && links < mostLinks {
			links++
			if err := p.renew(ctx); err != nil {
				return err
			}
		} else if tries++; tries >= downloadTries || failure.Kind == ksef.KindRateLimited || failure.Kind == ksef.KindGone {
			return err
		} else if err := p.pause(ctx, flow.Scaled(time.Second<<tries, p.scale)); err != nil {
			return err
		}
		if err := file.Truncate(begins); err != nil {
			return fmt.Errorf("write the package: %w", err)
		}
		if _, err := file.Seek(begins, io.SeekStart); err != nil {
			return fmt.Errorf("write the package: %w", err)
		}
	}
	return nil
}

// renew asks for the export again, which gives new links.
func (p *packageOf) renew(ctx context.Context) error {
	status, err := p.client.ExportStatus(ctx, p.in.Reference)
	switch {
	case err != nil:
		return err
	case status.Code != ksef.ExportReady || len(status.Parts) != len(p.status.Parts):
		return &unusable{fmt.Sprintf("the package has changed while it was downloaded: KSeF answers %d", status.Code)}
	}
	p.status = status
	return nil
}

// unpack keeps each invoice in the archive by its hash.
func (p *packageOf) unpack(ctx context.Context, file *os.File) error {
	p.stored = map[string]string{}
	writers, ctx := errgroup.WithContext(ctx)
	writers.SetLimit(archiveWriters)
	err := ksef.ReadPackage(file, func(name string, content []byte) error {
		if name == ksef.MetadataEntry {
			var err error
			p.list, err = ksef.ReadMetadataEntry(content)
			p.listed = true
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		p.stored[name] = hashHex(content)
		writers.Go(func() error {
			_, err := p.Archive.PutDocument(ctx, content)
			return archiving("keep an invoice of a package", err)
		})
		return nil
	})
	if failed := writers.Wait(); failed != nil {
		return failed
	}
	return err
}

// found sorts what the package's list says: the list that imports are started
// from, and apart from it what has to be downloaded by itself.
func (p *packageOf) found(ctx context.Context) (flow.CollectedList, error) {
	out := flow.CollectedList{Found: flow.Found{Truncated: p.status.Truncated, HasMore: p.status.Truncated, HWM: p.status.HWM}, Bytes: p.status.Size}
	if len(p.status.Parts) == 0 {
		return out, nil
	}
	if !p.listed {
		return out, &unusable{"the package has no list of its invoices"}
	}
	if len(p.list) < p.status.InvoiceCount {
		return out, &unusable{fmt.Sprintf("the package's list has %d invoices, KSeF names %d", len(p.list), p.status.InvoiceCount)}
	}
	if len(p.list) == 0 && p.status.Truncated {
		return out, &unusable{"the package is cut off before its first invoice"}
	}
	out.Invoices = len(p.list)
	out.LastDate = lastOf(p.list, p.status.LastDate)
	if p.status.Truncated {
		out.Median, out.UpToMedian = medianOf(p.list)
	}
	var packed, apart []foundInvoice
	if p.in.OnlyMetadata {
		packed = p.unknownOf(ctx, p.in.Connection, p.list)
	} else {
		packed, apart = p.sort()
	}
	var err error
	if err = ctx.Err(); err != nil {
		return out, err
	}
	if out.List, err = p.keep(ctx, packed); err == nil {
		out.Apart, err = p.keep(ctx, apart)
	}
	if len(apart) > 0 {
		p.Logger.WarnContext(ctx, "an export package lacks invoices of its list, or has others; they are downloaded one by one",
			"connection", p.in.Connection, "reference", p.in.Reference, "invoices", len(apart))
	}
	return out, err
}

func (p *packageOf) keep(ctx context.Context, list []foundInvoice) (flow.ListRef, error) {
	if len(list) == 0 {
		return flow.ListRef{}, nil
	}
	ref, err := p.Archive.PutList(ctx, list, len(list))
	return flow.ListRef(ref), archiving("keep the list of a package", err)
}

// sort tells the invoices whose exact bytes are in the package from others.
func (p *packageOf) sort() (packed, apart []foundInvoice) {
	seen := map[string]bool{}
	for _, m := range p.list {
		if seen[m.KSeFNumber] {
			continue
		}
		seen[m.KSeFNumber] = true
		if hash := hexHash(m.InvoiceHash); hash != "" && hash == p.stored[ksef.InvoiceEntry(m.KSeFNumber)] {
			packed = append(packed, m)
		} else {
			apart = append(apart, m)
		}
	}
	return packed, apart
}

// lastOf is the time of storage up to which a package goes: never later than
// what its list shows, because the sweep goes on from there.
func lastOf(list []foundInvoice, said time.Time) time.Time {
	var last time.Time
	for i := range list {
		if at := list[i].PermanentStorageDate; at.After(last) {
			last = at
		}
	}
	if !said.IsZero() && said.Before(last) {
		return said
	}
	return last
}

// medianOf is the gross amount in the middle of a list, and how many have that or
// less.
func medianOf(list []foundInvoice) (median string, upTo int) {
	sorted := slices.SortedFunc(slices.Values(list), func(a, b foundInvoice) int { return a.Gross.Cmp(b.Gross) })
	at := sorted[(len(sorted)-1)/2].Gross
	for upTo < len(sorted) && sorted[upTo].Gross.LessThanOrEqual(at) {
		upTo++
	}
	return at.String(), upTo
}
