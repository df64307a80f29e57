package activities

import (
	"cmp"
	"context"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"teamogy-ksef/internal/flow"
	"teamogy-ksef/internal/ksef"
	"teamogy-ksef/internal/sessionkey"
)

const (
	// partTries is how often a part is uploaded in one attempt: the storage keeps
	// the newest copy, so the same bytes may go there any number of times.
	partTries = 3
	// partsInParallel is how many parts are uploaded at a time.
	partsInParallel = 4
	// betweenPackages is the pause before a package is uploaded anew in another
	// session, because each costs one of the 60 opens an hour.
	betweenPackages = time.Minute
	// leftoverAge is from when on a package's folder belongs to a worker that
	// died: longer than any attempt of SendBatch may take.
	leftoverAge = 24 * time.Hour
	// batchFolders begins the names of the folders in which packages are made.
	batchFolders = "teamogy-ksef-batch-"
)

// SendBatch packs invoices into one package, opens a batch session for it and
// uploads its parts. It does not close the session, and KSeF begins with a
// package only when it is closed: whatever ends an attempt, it has sent nothing,
// and the next one makes a new session. The links of the upload are secrets and
// live in this attempt only, so a session cannot be resumed. Before the first
// part leaves, the record of every invoice says in which session it is about to
// be sent.
func (s *Session) SendBatch(ctx context.Context, in flow.SendBatchInput) (out flow.SentBatch, err error) {
	defer s.failed(ctx, in.Connection, &err)
	client, c, err := s.Connections.KSeF(ctx, in.Connection)
	if err != nil {
		return out, err
	}
	plan, err := s.plan(ctx, in.Plan)
	if err != nil {
		return out, err
	}
	b := &batch{Session: s, client: client, in: in, plan: plan, scale: c.TimeScale}
	out, err = b.send(ctx)
	if err != nil && ctx.Err() == nil && !metGate(err) && leaveBehind(ctx, err) {
		s.Logger.ErrorContext(ctx, "a package of invoices could not be sent; its invoices come again in other sessions",
			"connection", in.Connection, "invoices", len(in.Send), "error", err)
		return flow.SentBatch{Session: flow.Opened{Attempts: triesOf(ctx)}, Left: in.Send}, nil // each may have opened a session
	}
	return out, err
}

// batch is one attempt of SendBatch.
type batch struct {
	*Session
	client KSeFClient
	in     flow.SendBatchInput
	plan   []planItem
	scale  float64
	left   []int
}

func (b *batch) send(ctx context.Context) (out flow.SentBatch, err error) {
	salt, err := sessionkey.NewSalt()
	if err != nil {
		return out, err
	}
	key, err := b.key(b.in.Connection, salt)
	if err != nil {
		return out, err
	}
	folder, err := b.folder(ctx)
	if err != nil {
		return out, err
	}
	defer b.remove(ctx, folder)

	packed, err := ksef.WritePackage(key, folder, b.documents(ctx), cmp.Or(b.partSize, ksef.MaxBatchPart))
	if err != nil {
		if len(b.left) == len(b.in.Send) {
			return flow.SentBatch{Left: b.left}, nil // none of them can be read
		}
		return out, err
	}
	opened, err := b.client.OpenBatchSession(ctx, ksef.FA3, key, packed.File, b.in.Offline)
	if err != nil {
		return out, err
	}
	if err := b.announce(ctx, opened.Reference); err != nil {
		return out, b.again(ctx, err)
	}
	if err := b.upload(ctx, packed, opened.Uploads); err != nil {
		return out, b.again(ctx, err)
	}
	return flow.SentBatch{
		Session: flow.Opened{Reference: opened.Reference, Salt: salt, Attempts: triesOf(ctx)},
		Left:    b.left, Parts: len(packed.Parts), Bytes: packed.File.Size,
	}, nil
}

// again is an error after which another session has to be opened, which is put
// off for longer than a mere request.
func (b *batch) again(ctx context.Context, err error) error {
	p := classify(err)
	if ctx.Err() != nil || p.gate {
		return err
	}
	p.After = max(p.After, flow.Scaled(betweenPackages, b.scale))
	return p
}

// documents gives the package's invoices, each content once: a package with two
// entries of one name is refused as a whole. One that cannot be read is left
// to another session.
func (b *batch) documents(ctx context.Context) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		seen := map[string]bool{}
		for _, i := range b.in.Send {
			sha256 := b.plan[i].SHA256
			if seen[sha256] {
				continue
			}
			xml, err := b.Archive.Document(ctx, sha256)
			switch {
			case ctx.Err() != nil:
				yield(nil, ctx.Err())
				return
			case err != nil && !damaged(err):
				yield(nil, archiving("read an invoice's XML", err))
				return
			case err != nil:
				b.Logger.WarnContext(ctx, "the XML of an invoice cannot be read; it comes again",
					"connection", b.in.Connection, "documentId", b.plan[i].DocumentID, "error", err)
				b.left = append(b.left, i)
				continue
			}
			if seen[sha256] = true; !yield(xml, nil) {
				return
			}
		}
	}
}

// announce records of every invoice that it is about to be sent in a session.
func (b *batch) announce(ctx context.Context, reference string) error {
	again := attemptOf(ctx) > 1
	return b.forEach(b.in.Send, func(i int) error {
		item := b.plan[i].HandOver
		if slices.Contains(b.left, i) {
			return nil
		}
		if again {
			if err := b.giveUpEarlier(ctx, item, reference); err != nil {
				return err
			}
		}
		return b.noteSubmitted(ctx, b.in.Connection, item, reference, true)
	})
}

// giveUpEarlier ends the submissions of earlier attempts in the record: their
// sessions were never closed, and KSeF will have nothing of them.
func (b *batch) giveUpEarlier(ctx context.Context, item flow.HandOver, reference string) error {
	record, err := b.sentRecord(ctx, b.in.Connection, item.DocumentID)
	if err != nil {
		return archiving("read the record", err)
	}
	for i := range record.Submissions {
		earlier := &record.Submissions[i]
		if !earlier.Batch || earlier.Session == reference || earlier.SHA256 != item.SHA256 || earlier.RunID != item.RunID || record.endOf(earlier) != nil {
			continue
		}
		if err := b.noteEnd(ctx, b.in.Connection, item, earlier.Session, factNotProcessed, sessionFact{
			Text: "the session was given up before its package was complete",
		}); err != nil {
			return err
		}
	}
	return nil
}

// forEach does something for positions of the plan, several at a time.
func (b *batch) forEach(positions []int, do func(i int) error) error {
	var group errgroup.Group
	group.SetLimit(inParallel)
	for _, i := range positions {
		group.Go(func() error { return do(i) })
	}
	return group.Wait()
}

// upload brings the parts to KSeF's storage.
func (b *batch) upload(ctx context.Context, packed ksef.Package, to []ksef.UploadRequest) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(partsInParallel)
	for _, request := range to {
		group.Go(func() error {
			return b.uploadPart(ctx, request, packed.Parts[request.Ordinal-1], packed.File.Parts[request.Ordinal-1].Size)
		})
	}
	return group.Wait()
}

func (b *batch) uploadPart(ctx context.Context, to ksef.UploadRequest, file string, size int64) error {
	for try := 1; ; try++ {
		err := b.uploadOnce(ctx, to, file, size)
		failure, is := ksef.AsError(err)
		if err == nil || try >= partTries || !is || ctx.Err() != nil || failure.Kind == ksef.KindGone || failure.Kind == ksef.KindRejected {
			return err
		}
		b.Logger.WarnContext(ctx, "a part of a package did not arrive; it is uploaded again", "connection", b.in.Connection, "part", to.Ordinal, "error", err)
		if err := b.pause(ctx, max(flow.Scaled(time.Second<<try, b.scale), failure.RetryAfter)); err != nil {
			return err
		}
	}
}

func (b *batch) uploadOnce(ctx context.Context, to ksef.UploadRequest, file string, size int64) error {
	if err := mayAct(ctx); err != nil {
		return err
	}
	part, err := os.Open(file)
	if err != nil {
		return newProblem(flow.ErrUnexpected, "read a part of a package: %v", err)
	}
	defer func() { _ = part.Close() }()
	return b.client.UploadPart(ctx, to, part, size)
}

// folder makes the folder of this attempt's package, and removes those that
// dead workers left behind.
func (b *batch) folder(ctx context.Context) (string, error) {
	old, err := filepath.Glob(filepath.Join(os.TempDir(), batchFolders+"*"))
	if err != nil {
		old = nil // the pattern is fixed
	}
	for _, leftover := range old {
		info, err := os.Stat(leftover)
		if err == nil && (b.Now().Sub(info.ModTime()) > leftoverAge || strings.HasPrefix(filepath.Base(leftover), b.folderName(ctx))) {
			b.remove(ctx, leftover)
		}
	}
	folder, err := os.MkdirTemp("", b.folderName(ctx)+"*")
	if err != nil {
		return "", newProblem(flow.ErrUnexpected, "make a folder for a package: %v", err)
	}
	return folder, nil
}

// folderName begins the name of this session's folders: an earlier attempt's is
// of no use any more.
func (b *batch) folderName(ctx context.Context) string {
	return batchFolders + short(hashHex([]byte(cmp.Or(runOf(ctx), "-")))) + "-"
}

// remove removes a package's folder. What stays is encrypted, and removed with
// a later package.
func (b *batch) remove(ctx context.Context, folder string) {
	if err := os.RemoveAll(folder); err != nil {
		b.Logger.WarnContext(ctx, "the folder of a package could not be removed", "folder", folder, "error", err)
	}
}
