package activities

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/shopspring/decimal"

	"teamogy-ksef/internal/connection"
	"teamogy-ksef/internal/flow"
	"teamogy-ksef/internal/ksef"
	"teamogy-ksef/internal/sessionkey"
)

// OrderExport orders a package of the invoices of a window, at most 10,000, up
// to KSeF's high-water mark. Its AES key is derived as that of a session is: only
// the salt is in history. An order whose answer was lost is lost (KSeF has no
// list of them), keeps one of ten slots for a while, and is made again.
func (k *KSeF) OrderExport(ctx context.Context, in flow.ExportOrder) (out flow.OrderedExport, err error) {
	defer k.failed(ctx, in.Connection, &err)
	query := ksef.ExportQuery{
		SubjectType: in.Subject, From: in.From, To: in.To, RestrictToHWM: true, OnlyMetadata: in.OnlyMetadata,
		// The simplest that each KSeF knows; a package says itself what it is.
		Compression: ksef.CompressionZIP,
	}
	if query.GrossFrom, err = amountOf(in.GrossFrom); err != nil {
		return out, err
	}
	if query.GrossTo, err = amountOf(in.GrossTo); err != nil {
		return out, err
	}
	client, _, err := k.Connections.KSeF(ctx, in.Connection)
	if err != nil {
		return out, err
	}
	out.Attempts = triesOf(ctx)
	if out.Salt, err = sessionkey.NewSalt(); err != nil {
		return out, err
	}
	key, err := k.packageKey(in.Connection, out.Salt)
	if err != nil {
		return out, err
	}
	out.Reference, err = client.OrderExport(ctx, key, query)
	if failure, is := ksef.AsError(err); is {
		switch {
		case failure.Has(ksef.CodeBeyondHWM):
			return flow.OrderedExport{Attempts: out.Attempts, NothingNew: true}, nil
		case failure.Has(ksef.CodeTooManyExports):
			return flow.OrderedExport{Attempts: out.Attempts, Busy: true}, nil
		}
	}
	return out, err
}

func amountOf(text string) (*decimal.Decimal, error) {
	if text == "" {
		return nil, nil
	}
	amount, err := decimal.NewFromString(text)
	if err != nil {
		return nil, newProblem(flow.ErrBadInput, "%q is no amount", text)
	}
	return &amount, nil
}

func (k *KSeF) packageKey(connection, salt string) (ksef.SymmetricKey, error) {
	var key ksef.SymmetricKey
	var err error
	if key.Key, key.IV, err = k.Secret.Derive(salt, connection); err != nil {
		return key, newProblem(flow.ErrSecretUnusable, "derive the package's key: %v", err)
	}
	return key, nil
}

const (
	// exportFirstPause and exportLongestPause are between two looks at an export that
	// is being made: about 130 an hour of the 600 that KSeF allows.
	exportFirstPause   = time.Second
	exportLongestPause = 30 * time.Second
	// longestAwait is how long one attempt waits for a package, in real time; the
	// workflow comes again.
	longestAwait = 45 * time.Minute
	// timeToTell is what an attempt keeps of its time.
	timeToTell = time.Minute
	// unknownExportLooks is how often an export that KSeF does not know is asked for
	// before it counts as lost: just ordered, it may not be known everywhere yet.
	unknownExportLooks = 4
)

// CollectExport waits for an ordered package, downloads it and unpacks it into
// the archive: each invoice by its hash, and the list of them. It may be
// repeated at any time and stores the same again. What the package's fault is,
// or KSeF's, is an outcome and no error: only the workflow can order again.
func (k *KSeF) CollectExport(ctx context.Context, in flow.CollectInput) (out flow.CollectedExport, err error) {
	defer k.failed(ctx, in.Connection, &err)
	client, c, err := k.Connections.KSeF(ctx, in.Connection)
	if err != nil {
		return out, err
	}
	key, err := k.packageKey(in.Connection, in.Salt)
	if err != nil {
		return out, err
	}
	status, out, err := k.awaitExport(ctx, client, c, in)
	if err != nil || out.Outcome != flow.ExportReady {
		return out, err
	}
	if k.unpacking != nil {
		select {
		case k.unpacking <- struct{}{}:
			defer func() { <-k.unpacking }()
		case <-ctx.Done():
			return out, ctx.Err()
		}
	}
	p := &packageOf{KSeF: k, client: client, in: in, key: key, scale: c.TimeScale, status: status}
	collecting, end := inTime(ctx)
	defer end()
	if out.Found, err = p.collect(collecting); err == nil {
		return out, nil
	}
	outcome, reason := endOfCollecting(ctx, err, collecting.Err() != nil)
	if outcome == "" {
		return flow.CollectedExport{}, err
	}
	k.Logger.WarnContext(ctx, "an export package cannot be had", "connection", in.Connection, "reference", in.Reference, "outcome", outcome, "reason", reason)
	return flow.CollectedExport{Outcome: outcome, Reason: reason}, nil
}

// endOfCollecting tells what a failure to bring a package into the archive makes
// of it; empty: it is tried again. What only does not arrive (a storage that is not
// reached from here, no room for it) must not keep everything else waiting for ever,
// while the invoices may be had one by one. What one attempt's time was not enough
// for (late), the next one's is not, either.
func endOfCollecting(ctx context.Context, err error, late bool) (outcome, reason string) {
	if damage := damageOf(err); damage != "" {
		return flow.ExportDamaged, damage
	}
	if ctx.Err() != nil || metGate(err) {
		return "", ""
	}
	var not *undelivered
	if late || errors.As(err, &not) && triesOf(ctx) >= outageTries {
		return flow.ExportUndelivered, "it could not be downloaded: " + err.Error()
	}
	return "", ""
}

// inTime leaves an attempt time to say that a package could not be downloaded in it.
func inTime(ctx context.Context) (context.Context, context.CancelFunc) {
	if ends, limited := ctx.Deadline(); limited {
		return context.WithDeadline(ctx, ends.Add(-timeToTell))
	}
	return context.WithCancel(ctx)
}

// awaitExport asks for an export until it has come to an end, or patience has.
func (k *KSeF) awaitExport(ctx context.Context, client KSeFClient, c *connection.Connection, in flow.CollectInput) (ksef.ExportStatus, flow.CollectedExport, error) {
	begun, wait, unknown := k.Now(), exportFirstPause, 0
	for {
		status, err := client.ExportStatus(ctx, in.Reference)
		outcome, decided := endOfExport(status, err)
		switch failure, is := ksef.AsError(err); {
		case is && failure.Has(ksef.CodeExportUnknown):
			if unknown++; unknown > unknownExportLooks {
				return status, flow.CollectedExport{Outcome: flow.ExportFailed, Reason: "KSeF does not know the export " + in.Reference}, nil
			}
		case decided:
			if status.Code == ksef.ExportKeyRefused {
				client.ForgetPublicKeys()
			}
			return status, outcome, nil
		case err != nil:
			return status, outcome, err
		}
		if k.Now().Sub(begun) >= min(in.Patience, longestAwait) {
			return status, flow.CollectedExport{Outcome: flow.ExportRunning, Reason: "KSeF has not made it yet"}, nil
		}
		if err := k.pause(ctx, max(flow.Scaled(wait, c.TimeScale), 20*time.Millisecond)); err != nil {
			return status, outcome, err
		}
		wait = min(wait*3/2, exportLongestPause)
	}
}

// endOfExport tells what KSeF's answer says of an export's end, if it has come.
func endOfExport(status ksef.ExportStatus, err error) (flow.CollectedExport, bool) {
	if failure, is := ksef.AsError(err); is && failure.Kind == ksef.KindGone {
		return flow.CollectedExport{Outcome: flow.ExportFailed, Reason: "KSeF does not keep the export any more"}, true
	}
	switch {
	case err != nil, status.Code < ksef.ExportReady:
		return flow.CollectedExport{}, false
	case status.Code == ksef.ExportReady:
		return flow.CollectedExport{Outcome: flow.ExportReady}, true
	case status.Code == ksef.ExportNothingNew:
		return flow.CollectedExport{Outcome: flow.ExportNothing}, true
	}
	return flow.CollectedExport{Outcome: flow.ExportFailed, Reason: fmt.Sprintf("KSeF answers %d %s", status.Code, status.Description)}, true
}
