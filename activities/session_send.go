package activities

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"go.temporal.io/sdk/activity"

	"teamogy-ksef/internal/flow"
	"teamogy-ksef/internal/ksef"
	"teamogy-ksef/internal/sessionkey"
)

// OpenSession opens a KSeF session. Its AES key is derived from the
// deployment's secret and a fresh salt; only the salt is in history. A lost
// answer leaves an empty session behind, which KSeF closes by itself.
func (s *Session) OpenSession(ctx context.Context, in flow.OpenInput) (out flow.Opened, err error) {
	defer s.failed(ctx, in.Connection, &err)
	client, _, err := s.Connections.KSeF(ctx, in.Connection)
	if err != nil {
		return out, err
	}
	salt, err := sessionkey.NewSalt()
	if err != nil {
		return out, err
	}
	key, err := s.key(in.Connection, salt)
	if err != nil {
		return out, err
	}
	opened, err := client.OpenOnlineSession(ctx, ksef.FA3, key)
	if err != nil {
		return out, err
	}
	return flow.Opened{Reference: opened.Reference, Salt: salt, Attempts: triesOf(ctx)}, nil
}

func (s *Session) key(connection, salt string) (ksef.SymmetricKey, error) {
	var key ksef.SymmetricKey
	var err error
	if key.Key, key.IV, err = s.Secret.Derive(salt, connection); err != nil {
		return key, newProblem(flow.ErrSecretUnusable, "derive the session's key: %v", err)
	}
	return key, nil
}

// sendTries is how often one invoice is tried in one session before it is
// left for another one.
const sendTries = 3

// SendToSession sends a plan's invoices into an open session. Before each POST
// the record says that it is about to happen; after a lost answer the
// session's list is asked before the same bytes are sent again.
func (s *Session) SendToSession(ctx context.Context, in flow.SendToSessionInput) (out flow.SentToSession, err error) {
	defer s.failed(ctx, in.Connection, &err)
	client, c, err := s.Connections.KSeF(ctx, in.Connection)
	if err != nil {
		return out, err
	}
	plan, err := s.plan(ctx, in.Plan)
	if err != nil {
		return out, err
	}
	key, err := s.key(in.Connection, in.Session.Salt)
	if err != nil {
		return out, err
	}
	w := &sending{Session: s, client: client, connection: in.Connection, session: in.Session.Reference, key: key, plan: plan, scale: c.TimeScale}
	if err := w.sendAll(ctx, in.Send, &out); err != nil {
		return out, err
	}
	return out, nil
}

// sending is one attempt of SendToSession.
type sending struct {
	*Session
	client     KSeFClient
	connection string
	session    string
	key        ksef.SymmetricKey
	plan       []planItem
	scale      float64
	listed     []ksef.InvoiceStatus // the session's list as read in this pass; nil: not yet
}

// sendAll sends in passes: what was doubtful in one is looked for in the
// session's list in the next one, before it is sent again.
func (w *sending) sendAll(ctx context.Context, positions []int, out *flow.SentToSession) error {
	doubtful := positions
	for pass := 1; len(doubtful) > 0; pass++ {
		w.listed = nil
		var again []int
		for n, i := range doubtful {
			end, err := w.sendOne(ctx, w.plan[i].HandOver)
			switch {
			case err != nil && forAll(err):
				return err
			case err != nil:
				w.Logger.WarnContext(ctx, "an invoice could not be sent in this session; it comes again",
					"connection", w.connection, "documentId", w.plan[i].DocumentID, "error", err)
				out.Left = append(out.Left, i)
			case end == sentEnd:
				out.Sent++
			case end == refusedEnd:
				out.Refused = append(out.Refused, i)
			case end == doubtfulEnd && pass < sendTries:
				again = append(again, i)
			case end == sessionOverEnd:
				out.Left = append(out.Left, again...)
				out.Left = append(out.Left, doubtful[n:]...)
				return nil
			default:
				out.Left = append(out.Left, i)
			}
		}
		if doubtful = again; len(doubtful) > 0 {
			if err := pause(ctx, flow.Scaled(time.Duration(pass)*2*time.Second, w.scale)); err != nil {
				return err
			}
		}
	}
	return nil
}

// forAll tells whether an error concerns the connection and not one invoice:
// then the whole step waits.
func forAll(err error) bool {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return true
	}
	_, is := ksef.AsError(err)
	return is || metGate(err) || ofTheSettings(err) || classify(err).Type == flow.ErrTemporalBusy
}

type sendEnd int

const (
	sentEnd        sendEnd = iota // KSeF has it
	refusedEnd                    // KSeF will never take it; the record says why
	doubtfulEnd                   // the answer was lost, or the session hesitates
	sessionOverEnd                // this session takes nothing any more
)

// sendOne sends one invoice unless KSeF has it already.
func (w *sending) sendOne(ctx context.Context, item flow.HandOver) (sendEnd, error) {
	record, err := w.sentRecord(ctx, w.connection, item.DocumentID)
	if err != nil {
		return doubtfulEnd, archiving("read the record", err)
	}
	here := func(f sessionFact) bool { return f.Session == w.session && f.SHA256 == item.SHA256 }
	if slices.ContainsFunc(record.Taken, here) {
		return sentEnd, w.noteSubmitted(ctx, w.connection, item, w.session) // also for this run
	}
	if slices.ContainsFunc(record.Submissions, here) {
		there, err := w.alreadyThere(ctx, item)
		if beyondReach(err) && triesOf(ctx) >= closeTries {
			return sessionOverEnd, nil
		}
		if there || err != nil {
			return sentEnd, err
		}
	}
	xml, err := w.Archive.Document(ctx, item.SHA256)
	if err != nil {
		return doubtfulEnd, archiving("read the invoice's XML", err)
	}
	if err := w.noteSubmitted(ctx, w.connection, item, w.session); err != nil {
		return doubtfulEnd, err
	}
	reference, err := w.client.SendInvoice(ctx, w.session, w.key, ksef.InvoiceToSend{XML: xml})
	if err == nil {
		return sentEnd, w.noteTaken(ctx, item, reference)
	}
	return w.sendFailed(ctx, item, err)
}

// sendFailed decides what a failed POST means.
func (w *sending) sendFailed(ctx context.Context, item flow.HandOver, err error) (sendEnd, error) {
	failure, is := ksef.AsError(err)
	switch {
	case !is, ctx.Err() != nil:
		return doubtfulEnd, err
	case failure.Kind == ksef.KindGone, failure.Has(ksef.CodeSessionForbids), failure.Has(ksef.CodeSessionInvoiceLimit):
		return sessionOverEnd, nil
	case failure.Has(ksef.CodeSessionNotFound), failure.Has(ksef.CodeSessionUnavailable):
		return doubtfulEnd, nil // right after opening, or for a moment: not taken
	case failure.Kind == ksef.KindRejected && failure.Status == http.StatusBadRequest && len(failure.Codes) > 0:
		return refusedEnd, w.noteEnd(ctx, w.connection, item, w.session, factRejected, sessionFact{
			Type: flow.ErrInvoiceRejected, Text: fmt.Sprintf("KSeF does not take the invoice: %v", failure),
		})
	case failure.Kind == ksef.KindNetwork, failure.Kind == ksef.KindGateway, failure.Kind == ksef.KindServer, failure.Kind == ksef.KindRejected,
		failure.Kind == ksef.KindForbidden && failure.ReasonCode == "security-service-blocked":
		w.Logger.WarnContext(ctx, "no clear answer to a sent invoice: its session's list will tell",
			"connection", w.connection, "documentId", item.DocumentID, "session", w.session, "error", err)
		return doubtfulEnd, nil
	}
	return doubtfulEnd, err // quota, login, permission: the whole step waits
}

// alreadyThere looks for the bytes in the session's list, which is read once a
// pass. The list follows a sending with a short delay, so the first reading
// waits a moment.
func (w *sending) alreadyThere(ctx context.Context, item flow.HandOver) (bool, error) {
	if w.listed == nil {
		if err := pause(ctx, flow.Scaled(2*time.Second, w.scale)); err != nil {
			return false, err
		}
		list, err := w.client.SessionInvoices(ctx, w.session)
		if err != nil {
			return false, err
		}
		w.listed = append([]ksef.InvoiceStatus{}, list...)
	}
	if found := bestMatch(w.listed, item.SHA256); found != nil {
		return true, w.noteTaken(ctx, item, found.Reference)
	}
	return false, nil
}

func (w *sending) noteTaken(ctx context.Context, item flow.HandOver, reference string) error {
	return archiving("record that KSeF has taken the invoice", w.note(ctx, sentKey(w.connection, item.DocumentID), factTaken,
		endName(w.session, item.SHA256), sessionFact{SHA256: item.SHA256, Session: w.session, RunID: item.RunID, Reference: reference}))
}

// noteEnd records how a submission ended without a number.
func (s *Session) noteEnd(ctx context.Context, connection string, item flow.HandOver, session, kind string, fact sessionFact) error {
	fact.SHA256, fact.Session, fact.RunID = item.SHA256, session, item.RunID
	return archiving("record KSeF's answer", s.note(ctx, sentKey(connection, item.DocumentID), kind, endName(session, item.SHA256), fact))
}

// CloseSession closes a KSeF session. A lost answer does no harm: closing
// again finds it closed.
func (s *Session) CloseSession(ctx context.Context, in flow.CloseInput) (_ flow.Nothing, err error) {
	defer s.failed(ctx, in.Connection, &err)
	client, _, err := s.Connections.KSeF(ctx, in.Connection)
	if err != nil {
		return flow.Nothing{}, err
	}
	err = closeSession(ctx, client, in.Reference)
	if failure, is := ksef.AsError(err); is && failure.Has(ksef.CodeSessionNotFound) && triesOf(ctx) >= closeTries {
		return flow.Nothing{}, nil // not only for a moment: there is nothing to close
	}
	return flow.Nothing{}, err
}

// closeTries is after how many attempts a session that KSeF does not find is
// given up: right after opening it may be unknown for a moment.
const closeTries = 5

func closeSession(ctx context.Context, client KSeFClient, reference string) error {
	err := client.CloseOnlineSession(ctx, reference)
	if failure, is := ksef.AsError(err); is && (failure.Has(ksef.CodeSessionForbids) || failure.Kind == ksef.KindGone) {
		return nil // closed already, by us or by KSeF
	}
	return err
}

// pause waits within an activity, or until it is to end.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(max(d, 20*time.Millisecond))
	defer timer.Stop()
	var stopping <-chan struct{}
	if activity.IsActivity(ctx) {
		stopping = activity.GetWorkerStopChannel(ctx)
	}
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-stopping:
		return &problem{Type: flow.ErrTemporalBusy, Text: "the worker is stopping", cause: errors.New("worker stopping")}
	}
}
