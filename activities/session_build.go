package activities

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"

	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"

	"teamogy-ksef/internal/archive"
	"teamogy-ksef/internal/flow"
	"teamogy-ksef/internal/ksef"
)

// planItem says what to do with one hand-over of a session's list.
type planItem struct {
	flow.HandOver
	// Session is the KSeF session in which the invoice was sent before and is
	// still being decided on; empty for what goes into the new session.
	Session string `json:"session,omitempty"`
}

// BuildSession sorts a session's list: what KSeF has decided on already is
// only delivered, what it is still deciding on is watched, what nobody waits
// for any more is dropped, and the rest is to be sent.
func (s *Session) BuildSession(ctx context.Context, in flow.BuildInput) (out flow.Built, err error) {
	defer s.failed(ctx, in.Connection, &err)
	client, _, err := s.Connections.KSeF(ctx, in.Connection)
	if err != nil {
		return out, err
	}
	items, err := s.handOvers(ctx, in.List)
	if err != nil {
		return out, err
	}
	plan := make([]planItem, len(items))
	seen := sessionLists{client: client, lists: map[string][]ksef.InvoiceStatus{}}
	var last error
	for i, item := range items {
		plan[i].HandOver = item
		out.Documents = append(out.Documents, item.DocumentID)
		what, session, err := s.sort(ctx, in.Connection, item, &seen)
		if err != nil {
			// No invoice may hold the others up: this one comes again later.
			s.Logger.WarnContext(ctx, "an invoice could not be looked after before its session; it comes again",
				"connection", in.Connection, "documentId", item.DocumentID, "error", err)
			what, last = unclear, fmt.Errorf("look after %s: %w", documentName(item.DocumentID), err)
		}
		switch what {
		case decided:
			out.Decided = append(out.Decided, i)
		case watched:
			plan[i].Session = session
			out.Watch = append(out.Watch, i)
		case dropped:
			out.Dropped = append(out.Dropped, i)
		case unclear:
			out.Unclear = append(out.Unclear, i)
		default:
			out.Form = item.Form
			out.Send = append(out.Send, i)
		}
	}
	if last != nil && len(out.Unclear) == len(items) && !leaveBehind(ctx, last) {
		return out, last // it is not one invoice, it is all of them
	}
	list, err := s.Archive.PutList(ctx, plan, len(plan))
	out.Plan = flow.ListRef(list)
	return out, archiving("keep the session's plan", err)
}

type fate int

const (
	toSend fate = iota
	decided
	watched
	dropped
	unclear
)

// sort finds out what to do with one hand-over. It looks at KSeF before
// anything is sent a second time.
func (s *Session) sort(ctx context.Context, connection string, item flow.HandOver, seen *sessionLists) (fate, string, error) {
	record, err := s.sentRecord(ctx, connection, item.DocumentID)
	if err != nil {
		return unclear, "", archiving("read the record", err)
	}
	known := record.outcomeOf(item.SHA256, item.RunID)
	if known.Accepted != nil || known.End != nil && known.End.Kind == factRejected {
		return decided, "", nil
	}
	if known.Open != nil {
		// It was sent before and nothing is known since: its answer may be lost.
		earlier := known.Open.Session
		status, err := seen.find(ctx, earlier, item.SHA256, known.Taken)
		if err != nil {
			return unclear, "", err
		}
		if status != nil {
			// This run takes the earlier submission over as its own.
			return watched, earlier, s.noteSubmitted(ctx, connection, item, earlier)
		}
	}
	if other := record.unsettledOther(item.SHA256); other != nil {
		if settled, err := s.settleOther(ctx, connection, item, *other, seen); !settled || err != nil {
			return unclear, "", err
		}
		if record, err = s.sentRecord(ctx, connection, item.DocumentID); err != nil {
			return unclear, "", archiving("read the record", err)
		}
	}
	if a := record.Accepted; a != nil {
		// The document was changed after it had been sent, and that was accepted.
		if err := s.noteSubmitted(ctx, connection, item, a.SessionReference); err != nil {
			return unclear, "", err
		}
		return decided, "", s.noteEnd(ctx, connection, item, a.SessionReference, factRejected, sessionFact{
			Type: flow.ErrIssuedOtherwise, Text: issuedOtherwise(a),
		})
	}
	wanted, err := s.stillWanted(ctx, item)
	if !wanted || err != nil {
		return dropped, "", err
	}
	return toSend, "", nil
}

// settleOther finds out what became of other bytes of the same document, and
// records it. It is not settled while KSeF is deciding.
func (s *Session) settleOther(ctx context.Context, connection string, item flow.HandOver, other sessionFact, seen *sessionLists) (bool, error) {
	earlier := item
	earlier.SHA256, earlier.RunID = other.SHA256, other.RunID
	list, err := seen.list(ctx, other.Session)
	if err != nil {
		return false, err
	}
	status, err := seen.status(ctx, other.Session)
	if err != nil {
		return false, err
	}
	if bestMatch(list, other.SHA256) == nil && status.Code < ksef.StatusDone {
		if err := closeSession(ctx, seen.client, other.Session); err != nil {
			return false, err
		}
	}
	end, err := s.collect(ctx, seen.client, connection, earlier, other.Session, list, status)
	return end != endOpen, err
}

// stillWanted asks Temporal whether the hand-over's workflow still waits. A
// cancelled one is answered: it was not sent.
func (s *Session) stillWanted(ctx context.Context, item flow.HandOver) (bool, error) {
	info := activity.GetInfo(ctx)
	c := activity.GetClient(ctx)
	err := c.RecordActivityHeartbeatByID(ctx, info.Namespace, item.WorkflowID, item.RunID, item.ActivityID)
	var canceled *temporal.CanceledError
	var gone *serviceerror.NotFound
	switch {
	case err == nil:
		return true, nil
	case errors.As(err, &gone):
		return false, nil
	case errors.As(err, &canceled):
		err := c.CompleteActivityByID(ctx, info.Namespace, item.WorkflowID, item.RunID, item.ActivityID, nil, temporal.NewCanceledError())
		if err != nil && !errors.As(err, &gone) {
			return false, fmt.Errorf("answer the withdrawal: %w", err)
		}
		return false, nil
	}
	return true, nil // a hiccup: sending is what was asked for
}

func (s *Session) handOvers(ctx context.Context, list flow.ListRef) ([]flow.HandOver, error) {
	var items []flow.HandOver
	err := s.Archive.List(ctx, archive.ListRef(list), &items)
	return items, archiving("read the session's list", err)
}

func (s *Session) plan(ctx context.Context, list flow.ListRef) ([]planItem, error) {
	var items []planItem
	err := s.Archive.List(ctx, archive.ListRef(list), &items)
	return items, archiving("read the session's plan", err)
}

func (s *Session) noteSubmitted(ctx context.Context, connection string, item flow.HandOver, reference string) error {
	return archiving("record the submission", s.note(ctx, sentKey(connection, item.DocumentID), factSubmitted,
		submissionName(reference, item.SHA256, item.RunID),
		sessionFact{SHA256: item.SHA256, Session: reference, RunID: item.RunID}))
}

// sessionLists reads the invoice lists of KSeF sessions once each.
type sessionLists struct {
	client KSeFClient
	lists  map[string][]ksef.InvoiceStatus
}

// list reads a session's invoices. A session that KSeF does not know, does not
// show us any more or has forgotten is an empty one: what was sent in it is
// sent again, and if it had been accepted KSeF calls it a duplicate, which is
// resolved by its hash.
func (l *sessionLists) list(ctx context.Context, session string) ([]ksef.InvoiceStatus, error) {
	if list, there := l.lists[session]; there {
		return list, nil
	}
	list, err := l.client.SessionInvoices(ctx, session)
	if err != nil && !beyondReach(err) {
		return nil, err
	}
	l.lists[session] = list
	return list, nil
}

// status reads a session's state; one beyond reach has ended.
func (l *sessionLists) status(ctx context.Context, session string) (ksef.SessionStatus, error) {
	status, err := l.client.SessionStatus(ctx, session)
	if beyondReach(err) {
		return ksef.SessionStatus{Code: 500, Description: "the session cannot be read any more"}, nil
	}
	return status, err
}

// beyondReach tells whether KSeF will not show a session to us.
func beyondReach(err error) bool {
	failure, is := ksef.AsError(err)
	return is && (failure.Has(ksef.CodeSessionNotFound) || failure.Kind == ksef.KindGone ||
		failure.Kind == ksef.KindForbidden && failure.ReasonCode == "insufficient-resource-access")
}

// find seeks an invoice by its hash in a session. It is nil when KSeF has not
// taken it, which is certain once the session has ended.
func (l *sessionLists) find(ctx context.Context, session, sha256 string, taken bool) (*ksef.InvoiceStatus, error) {
	list, err := l.list(ctx, session)
	if err != nil {
		return nil, err
	}
	if found := bestMatch(list, sha256); found != nil {
		return found, nil
	}
	status, err := l.status(ctx, session)
	if err != nil {
		return nil, err
	}
	if taken && status.Code < ksef.StatusDone {
		return nil, newProblem(flow.ErrKSeFNotYet, "KSeF has taken the invoice in session %s but does not list it yet", session)
	}
	if status.Code == ksef.StatusOpen {
		// Nobody will send into it any more: close it, so that it ends.
		if err := closeSession(ctx, l.client, session); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

// bestMatch picks the entry of these bytes: the same bytes may stand there
// twice, accepted once and called a duplicate of itself the second time.
func bestMatch(list []ksef.InvoiceStatus, sha256 string) *ksef.InvoiceStatus {
	var best *ksef.InvoiceStatus
	for i := range list {
		status := &list[i]
		if hexHash(status.InvoiceHash) != sha256 {
			continue
		}
		if best == nil || rank(status) > rank(best) {
			best = status
		}
	}
	return best
}

func rank(s *ksef.InvoiceStatus) int {
	switch {
	case s.Code == ksef.StatusDone:
		return 3
	case s.Code < ksef.StatusDone:
		return 2
	case s.Code == ksef.StatusDuplicate:
		return 1
	}
	return 0
}

// hexHash turns KSeF's Base64 hash into the archive's hex.
func hexHash(base64Hash string) string {
	raw, err := base64.StdEncoding.DecodeString(base64Hash)
	if err != nil {
		return ""
	}
	return hex.EncodeToString(raw)
}
