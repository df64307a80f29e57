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

// mostPosts is how often the same bytes are sent in one session at most; after
// that they are left for another session, which looks again first.
const mostPosts = 2

// SendToSession sends a plan's invoices into an open session. Before each POST
// the record says that it is about to happen; after a lost answer, also one
// that was lost with a worker, the session's list is asked several times before
// the same bytes are sent once more.
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
}

// sendAll sends in rounds: what was doubtful in one is looked for in the
// session's list in the next one, before it is sent again or given up.
func (w *sending) sendAll(ctx context.Context, positions []int, out *flow.SentToSession) error {
	for len(positions) > 0 {
		seen := w.listsOf(w.client, w.scale)
		var doubtful []int
		for n, i := range positions {
			end, err := w.sendOne(ctx, w.plan[i].HandOver, seen)
			switch {
			case err != nil && forAll(err) && !lookedInVain(ctx, err):
				return err
			case err != nil:
				w.Logger.WarnContext(ctx, "an invoice could not be sent in this session; it comes again",
					"connection", w.connection, "documentId", w.plan[i].DocumentID, "error", err)
				out.Left = append(out.Left, i)
			case end == sentEnd:
				out.Sent++
			case end == refusedEnd:
				out.Refused = append(out.Refused, i)
			case end == doubtfulEnd:
				doubtful = append(doubtful, i)
			case end == sessionOverEnd:
				out.Left = append(out.Left, doubtful...)
				out.Left = append(out.Left, positions[n:]...)
				return nil
			default:
				out.Left = append(out.Left, i)
			}
		}
		positions = doubtful
	}
	return nil
}

// lookError is why a session's list could not be read.
type lookError struct{ error }

func (e *lookError) Unwrap() error { return e.error }

// lookedInVain tells whether a session's list could not be read for so long that
// its doubtful invoices are left to another session, which looks again before
// it sends: until then no other session of the connection could begin.
func lookedInVain(ctx context.Context, err error) bool {
	var look *lookError
	return errors.As(err, &look) && ctx.Err() == nil && leaveBehind(ctx, err)
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
	leftEnd                       // sent twice without an answer: another session looks again
	sessionOverEnd                // this session takes nothing any more
)

// sendOne sends one invoice unless KSeF has it already.
func (w *sending) sendOne(ctx context.Context, item flow.HandOver, seen *sessionLists) (sendEnd, error) {
	record, err := w.sentRecord(ctx, w.connection, item.DocumentID)
	if err != nil {
		return leftEnd, archiving("read the record", err)
	}
	if slices.ContainsFunc(record.Taken, func(f sessionFact) bool { return f.Session == w.session && f.SHA256 == item.SHA256 }) {
		return sentEnd, w.noteSubmitted(ctx, w.connection, item, w.session, false) // also for this run
	}
	posts := record.posts(w.session, item.SHA256)
	if posts > 0 {
		found, err := seen.look(ctx, w.session, item.SHA256)
		if err != nil {
			return leftEnd, &lookError{err}
		}
		if found != nil {
			return sentEnd, w.noteTaken(ctx, item, found.Reference)
		}
	}
	if posts >= mostPosts {
		w.Logger.WarnContext(ctx, "KSeF does not list an invoice that was sent twice: it is left to another session",
			"connection", w.connection, "documentId", item.DocumentID, "session", w.session)
		return leftEnd, nil
	}
	xml, err := w.Archive.Document(ctx, item.SHA256)
	if err != nil {
		return leftEnd, archiving("read the invoice's XML", err)
	}
	if mine, err := w.announce(ctx, item, posts); err != nil {
		return leftEnd, err
	} else if !mine {
		return doubtfulEnd, nil
	}
	reference, err := w.client.SendInvoice(ctx, w.session, w.key, ksef.InvoiceToSend{XML: xml})
	if err == nil {
		return sentEnd, w.noteTaken(ctx, item, reference)
	}
	return w.sendFailed(ctx, item, err)
}

// announce records that an invoice is about to be sent, for the first or the
// second time in this session. Mine is false if another worker has announced
// this very POST since the record was read, and makes it.
func (w *sending) announce(ctx context.Context, item flow.HandOver, posts int) (mine bool, err error) {
	kind, name := factSubmitted, submissionName(w.session, item.SHA256, item.RunID)
	if posts > 0 {
		kind, name = factSentAgain, endName(w.session, item.SHA256)
	}
	mine, err = w.noteNew(ctx, sentKey(w.connection, item.DocumentID), kind, name,
		sessionFact{SHA256: item.SHA256, Session: w.session, RunID: item.RunID})
	return mine, archiving("record the submission", err)
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

func (w *sending) noteTaken(ctx context.Context, item flow.HandOver, reference string) error {
	return archiving("record that KSeF has taken the invoice", w.note(ctx, sentKey(w.connection, item.DocumentID), factTaken,
		endName(w.session, item.SHA256), sessionFact{SHA256: item.SHA256, Session: w.session, RunID: item.RunID, Reference: reference}))
}

// noteEnd records how a submission ended without a number.
func (s *Session) noteEnd(ctx context.Context, connection string, item flow.HandOver, session, kind string, fact sessionFact) error {
	fact.SHA256, fact.Session, fact.RunID = item.SHA256, session, item.RunID
	return archiving("record KSeF's answer", s.note(ctx, sentKey(connection, item.DocumentID), kind, endName(session, item.SHA256), fact))
}

// CloseSession closes a KSeF session. A failed close is read and not believed:
// what has ended or is closing is closed. A session that stays open in spite of
// several tries is left, because the connection's next session waits for this
// step: AwaitSession tries again, and KSeF closes it by itself after 12 hours.
//
// A batch session whose package KSeF has not got whole comes to nothing: it is
// Lost.
func (s *Session) CloseSession(ctx context.Context, in flow.CloseInput) (out flow.Closed, err error) {
	defer s.failed(ctx, in.Connection, &err)
	client, _, err := s.Connections.KSeF(ctx, in.Connection)
	if err != nil {
		return out, err
	}
	err = closeSession(ctx, client, in.Reference, in.Batch)
	switch {
	case err == nil || ctx.Err() != nil || metGate(err):
		return out, err
	case in.Batch && incomplete(err) && triesOf(ctx) >= lostTries:
		s.Logger.WarnContext(ctx, "KSeF lacks a part of a package; its invoices come again in another session",
			"connection", in.Connection, "session", in.Reference, "error", err)
		return flow.Closed{Lost: true}, nil
	case triesOf(ctx) >= closeTries:
		s.Logger.ErrorContext(ctx, "a KSeF session cannot be closed; it is tried again while its answers are awaited",
			"connection", in.Connection, "session", in.Reference, "error", err)
		return out, nil
	}
	return out, err
}

// lostTries is after how many attempts a part that KSeF does not find is lost:
// its storage may follow an upload with a delay.
const lostTries = 3

// incomplete tells whether a session cannot be closed because its package is
// not there, or not as announced.
func incomplete(err error) bool {
	failure, is := ksef.AsError(err)
	return is && (failure.Has(ksef.CodePartMissing) || failure.Has(ksef.CodePartSize))
}

// closeTries is after how many attempts a session that cannot be closed is
// left open: a good quarter of a minute. Right after opening, KSeF may not
// know it for a moment.
const closeTries = 5

// closeSession closes a session. After a failure, its status tells.
func closeSession(ctx context.Context, client KSeFClient, reference string, batch bool) error {
	closing := client.CloseOnlineSession
	if batch {
		closing = client.CloseBatchSession
	}
	err := closing(ctx, reference)
	if failure, is := ksef.AsError(err); err == nil || is && (failure.Has(ksef.CodeSessionForbids) || failure.Has(ksef.CodeUploadTooLate) || failure.Kind == ksef.KindGone) {
		return nil // closed already, by us or by KSeF
	}
	if status, e := client.SessionStatus(ctx, reference); e == nil && status.Code > ksef.StatusOpen {
		return nil
	}
	return err
}

// closeNowAndThen tries to close a session that is still open although nobody
// sends into it any more. Nothing depends on it.
func (s *Session) closeNowAndThen(ctx context.Context, client KSeFClient, connection, reference string, batch bool) {
	key := "close " + connection + " " + reference
	if s.vain.wait(key, s.Now()) > 0 {
		return
	}
	if err := closeSession(ctx, client, reference, batch); err != nil {
		pause := s.vain.vain(key, s.Now(), s.scaleOf(ctx, connection))
		s.Logger.WarnContext(ctx, "a KSeF session is still open and cannot be closed; KSeF closes it by itself after 12 hours",
			"connection", connection, "session", reference, "next", pause, "error", err)
		return
	}
	s.vain.forget(key)
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
