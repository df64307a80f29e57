package activities

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"teamogy-ksef/internal/archive"
	"teamogy-ksef/internal/flow"
	"teamogy-ksef/internal/ksef"
)

// The facts of an invoice's record. Each is created once and never changed;
// what is known of the invoice is their fold.
const (
	factFound        = "found"         // KSeF's metadata of a received invoice
	factFetched      = "fetched"       // its exact bytes are in the archive
	factCreating     = "creating"      // about to create the purchase invoice in Teamogy
	factNotCreated   = "not-created"   // that attempt made none: Teamogy refused it, or a person has looked
	factCreated      = "created"       // the purchase invoice exists in Teamogy
	factSubmitted    = "submitted"     // about to be sent in a KSeF session
	factSentAgain    = "sent-again"    // about to be sent a second time in the same session
	factTaken        = "taken"         // KSeF has taken it for processing
	factAccepted     = "accepted"      // KSeF has given a number
	factRejected     = "rejected"      // KSeF or the local check has rejected it
	factBlocked      = "blocked"       // KSeF refused it for a missing permission
	factNotProcessed = "not-processed" // KSeF cancelled it without processing
	factWithdrawn    = "withdrawn"     // cancelled by a person before it was sent
	factWriting      = "writing"       // about to write the number to the document, in one request
	factWrittenBack  = "written-back"  // number or rejection stands on the document
	factUPO          = "upo"           // the confirmation is in the archive
)

type fetchedFact struct {
	SHA256 string `json:"sha256"`
	Size   int64  `json:"size"`
	Number string `json:"number,omitempty"`
	Form   string `json:"form,omitempty"`
	Issued string `json:"issued,omitempty"` // P_1
	Seller string `json:"seller,omitempty"` // NIP
}

type createdFact struct {
	DocumentID int64    `json:"documentId"`
	Number     string   `json:"number,omitempty"`
	Notes      []string `json:"notes,omitempty"`
	Existed    bool     `json:"existed,omitempty"`
	ByHand     bool     `json:"byHand,omitempty"` // a person has said so
	Who        string   `json:"who,omitempty"`
	Reason     string   `json:"reason,omitempty"`
}

// creatingFact is one attempt to create the purchase invoice, noted before its POST.
type creatingFact struct {
	// Body is what is sent, byte for byte, so that it can be sent again.
	Body string `json:"body,omitempty"`
	// Above is the highest document ID that was known before, 0 if none was.
	Above int64 `json:"above,omitempty"`
}

// notCreatedFact has the name of the attempt that made no document.
type notCreatedFact struct {
	Refused string `json:"refused,omitempty"` // as what Teamogy refused it
	Content bool   `json:"content,omitempty"` // for its content: the same would be refused again
	ByHand  bool   `json:"byHand,omitempty"`
	Who     string `json:"who,omitempty"`
	Reason  string `json:"reason,omitempty"`
}

// sessionFact is about one invoice in one KSeF session.
type sessionFact struct {
	SHA256    string   `json:"sha256"`
	Session   string   `json:"session"`
	RunID     string   `json:"runId,omitempty"`
	Reference string   `json:"reference,omitempty"` // of the invoice in the session
	Code      int      `json:"code,omitempty"`
	Text      string   `json:"text,omitempty"`
	Details   []string `json:"details,omitempty"`
	Type      string   `json:"type,omitempty"`  // of the error in flow
	Batch     bool     `json:"batch,omitempty"` // of a submission: in a batch session
}

type writtenFact struct {
	KSeFNumber string `json:"ksefNumber,omitempty"`
	SHA256     string `json:"sha256,omitempty"`
	Rejection  string `json:"rejection,omitempty"`
}

// acceptedFact is KSeF's number with what does not belong into histories.
type acceptedFact struct {
	flow.Transmitted
	// UPOLink leads to the confirmation without a login or a quota, for about
	// three days: a secret, like the confirmation itself.
	UPOLink string `json:"upoLink,omitempty"`
}

// sentRecord is the fold of an issued invoice's facts.
type sentRecord struct {
	Fetched     []fetchedFact
	Accepted    *flow.Transmitted
	UPOLink     ksef.SecretURL // from KSeF's answer about Accepted
	Submissions []sessionFact  // in order
	SentAgain   []sessionFact
	Taken       []sessionFact
	Ends        []ending
	Withdrawn   []writtenFact
	Writing     []writtenFact
	WrittenBack []writtenFact
	UPO         *flow.Ref
}

// ending is how a submission ended without a number.
type ending struct {
	sessionFact
	Kind string    // factRejected, factBlocked or factNotProcessed
	Day  time.Time // the Warsaw day on which it was recorded, as a date in UTC
}

func sentKey(connection string, documentID int64) archive.RecordKey {
	return archive.RecordKey{Connection: connection, Direction: flow.DirectionSent, ID: strconv.FormatInt(documentID, 10)}
}

func receivedKey(connection, ksefNumber string) archive.RecordKey {
	return archive.RecordKey{Connection: connection, Direction: flow.DirectionReceived, ID: ksefNumber}
}

// note adds a fact to a record. A fact that is there already stays as it is.
func (b *base) note(ctx context.Context, key archive.RecordKey, kind, name string, data any) error {
	_, err := b.noteNew(ctx, key, kind, name, data)
	return err
}

// noteNew is note that tells whether the fact was added, and not there before.
func (b *base) noteNew(ctx context.Context, key archive.RecordKey, kind, name string, data any) (added bool, err error) {
	raw, err := json.Marshal(data)
	if err != nil {
		return false, fmt.Errorf("encode the fact %s: %w", kind, err)
	}
	return b.Archive.AddFact(ctx, key, archive.Fact{Kind: kind, Name: name, At: b.Now().UTC(), Data: raw})
}

// sentRecord reads and folds an issued invoice's record.
func (b *base) sentRecord(ctx context.Context, connection string, documentID int64) (*sentRecord, error) {
	facts, err := b.Archive.Facts(ctx, sentKey(connection, documentID))
	if err != nil {
		return nil, err
	}
	r := &sentRecord{}
	for _, f := range facts {
		if err := r.fold(f); err != nil {
			return nil, sentKey(connection, documentID).Damaged(f)
		}
	}
	return r, nil
}

func (r *sentRecord) fold(f archive.Fact) error {
	switch f.Kind {
	case factFetched:
		return appended(&r.Fetched, f.Data)
	case factSubmitted:
		return appended(&r.Submissions, f.Data)
	case factSentAgain:
		return appended(&r.SentAgain, f.Data)
	case factTaken:
		return appended(&r.Taken, f.Data)
	case factAccepted:
		if r.Accepted != nil {
			return nil // the first one counts
		}
		var a acceptedFact
		if err := json.Unmarshal(f.Data, &a); err != nil || a.SHA256 == "" {
			r.Accepted = &a.Transmitted
			return cmp.Or(err, errSaysNothing)
		}
		r.Accepted, r.UPOLink = &a.Transmitted, ksef.SecretURL(a.UPOLink)
	case factRejected, factBlocked, factNotProcessed:
		e := ending{Kind: f.Kind, Day: dayInWarsaw(f.At)}
		if err := json.Unmarshal(f.Data, &e.sessionFact); err != nil {
			return err
		}
		r.Ends = append(r.Ends, e)
	case factWithdrawn:
		return appended(&r.Withdrawn, f.Data)
	case factWriting:
		return appended(&r.Writing, f.Data)
	case factWrittenBack:
		return appended(&r.WrittenBack, f.Data)
	case factUPO:
		r.UPO = &flow.Ref{}
		return json.Unmarshal(f.Data, r.UPO)
	}
	return nil // a fact of a newer version
}

// errSaysNothing is for a fact whose data lacks what it is there for.
var errSaysNothing = errors.New("it lacks what it is about")

func appended[T any](to *[]T, data json.RawMessage) error {
	var v T
	if err := json.Unmarshal(data, &v); err != nil {
		return err
	}
	*to = append(*to, v)
	return nil
}

// refused tells whether the record knows that these bytes were rejected or
// withdrawn. An empty hash stands for a document without XML; a withdrawal
// without one for whatever content. A date of issue that was in the future
// counts on the day of its refusal only, and an attachment that could not be
// sent before there were batch sessions not at all.
func (r *sentRecord) refused(sha256 string, today time.Time) bool {
	return slices.ContainsFunc(r.Ends, func(e ending) bool {
		return e.Kind == factRejected && e.SHA256 == sha256 && e.Type != flow.ErrAttachmentBatch &&
			(e.Type != flow.ErrIssueDateFuture || !e.Day.Before(today))
	}) || slices.ContainsFunc(r.Withdrawn, func(w writtenFact) bool { return w.SHA256 == sha256 || w.SHA256 == "" })
}

// numberWritten tells whether the accepted number stands on the document.
func (r *sentRecord) numberWritten() bool {
	return r.Accepted != nil && slices.ContainsFunc(r.WrittenBack, func(w writtenFact) bool { return w.KSeFNumber == r.Accepted.KSeFNumber })
}

// issuedOtherwise says that a document's content was changed after KSeF had
// accepted it.
func issuedOtherwise(a *flow.Transmitted) string {
	return fmt.Sprintf("the document was changed after it had been sent: KSeF has accepted its earlier content as %s", a.KSeFNumber)
}

// posts counts the POSTs of bytes into a session that the record has announced.
func (r *sentRecord) posts(session, sha256 string) int {
	here := func(f sessionFact) bool { return f.Session == session && f.SHA256 == sha256 }
	switch {
	case slices.ContainsFunc(r.SentAgain, here):
		return 2
	case slices.ContainsFunc(r.Submissions, here):
		return 1
	}
	return 0
}

// unsettledOther is a submission of another content of the same document that
// has no end yet: before anything else of the document is sent, its fate must
// be known.
func (r *sentRecord) unsettledOther(sha256 string, alike ...string) *sessionFact {
	for i := range r.Submissions {
		if s := &r.Submissions[i]; s.SHA256 != sha256 && !slices.Contains(alike, s.SHA256) && r.endOf(s) == nil && (r.Accepted == nil || r.Accepted.SHA256 != s.SHA256) {
			return s
		}
	}
	return nil
}

// everRefused tells whether anything was rejected or withdrawn at all.
func (r *sentRecord) everRefused() bool {
	return len(r.Withdrawn) > 0 || slices.ContainsFunc(r.Ends, func(e ending) bool { return e.Kind == factRejected })
}

// outcome is what the record knows about a hand-over.
type outcome struct {
	Accepted *flow.Transmitted
	End      *ending      // of this run's newest submission
	Open     *sessionFact // the newest submission of this content without an end
	Taken    bool         // KSeF has answered for Open
	Last     *sessionFact // the newest submission of this content on which KSeF has not decided
}

// outcomeOf folds the record for one run's hand-over, with the hashes that are
// alike to its own: an acceptance counts for ever, a rejection only within the
// run that submitted it, because a person may have asked to try again.
func (r *sentRecord) outcomeOf(sha256, runID string, alike ...string) outcome {
	is := func(hash string) bool { return hash == sha256 || slices.Contains(alike, hash) }
	if r.Accepted != nil && is(r.Accepted.SHA256) {
		return outcome{Accepted: handedOverAs(r.Accepted, sha256)}
	}
	var o outcome
	for i := range r.Submissions {
		s := &r.Submissions[i]
		if !is(s.SHA256) {
			continue
		}
		end := r.endOf(s)
		if o.Last = s; end != nil && end.Kind == factRejected {
			o.Last = nil
		}
		if end == nil {
			o.Open, o.End = s, nil
			o.Taken = slices.ContainsFunc(r.Taken, func(t sessionFact) bool { return t.Session == s.Session && t.SHA256 == s.SHA256 })
		} else if s.RunID == runID {
			o.Open, o.End = nil, end
		} else if o.Open != nil && o.Open.Session == s.Session && o.Open.SHA256 == s.SHA256 {
			o.Open = nil
		}
	}
	return o
}

// handedOverAs is an acceptance as the answer to a hand-over whose XML was
// perhaps rendered at another time.
func handedOverAs(accepted *flow.Transmitted, sha256 string) *flow.Transmitted {
	if accepted.SHA256 == sha256 {
		return accepted
	}
	answer := *accepted
	answer.HandedOver = sha256
	return &answer
}

func (r *sentRecord) endOf(s *sessionFact) *ending {
	for i := range r.Ends {
		if r.Ends[i].Session == s.Session && r.Ends[i].SHA256 == s.SHA256 {
			return &r.Ends[i]
		}
	}
	return nil
}

// submissionName names the facts of one content in one session for one run.
func submissionName(session, sha256, runID string) string {
	return session + "-" + short(sha256) + "-" + short(runID)
}

// endName names the facts of one content in one session.
func endName(session, sha256 string) string { return session + "-" + short(sha256) }

func short(s string) string {
	if len(s) > 16 {
		return s[:16]
	}
	return s
}

// indexReceived files a received invoice under the Warsaw day of its KSeF
// number.
func (b *base) indexReceived(ctx context.Context, connection string, number ksef.Number) error {
	day := number.AcceptedOn()
	return b.Archive.AddToIndex(ctx, receivedKey(connection, string(number)), day.Year(), int(day.Month()))
}

// indexSent files an issued invoice under the day of P_1; without one under
// today's.
func (b *base) indexSent(ctx context.Context, connection string, documentID int64, issued time.Time) error {
	if issued.Year() < 2000 || issued.Year() > 9999 {
		issued = b.today() // no date, or one that is a mistake
	}
	return b.Archive.AddToIndex(ctx, sentKey(connection, documentID), issued.Year(), int(issued.Month()))
}
