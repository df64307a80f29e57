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
	for i, item := range items {
		plan[i].HandOver = item
		out.Documents = append(out.Documents, item.DocumentID)
		record, err := s.sentRecord(ctx, in.Connection, item.DocumentID)
		if err != nil {
			return out, archiving("read the record", err)
		}
		switch what, session, err := s.sort(ctx, in.Connection, item, record, &seen); {
		case err != nil:
			return out, fmt.Errorf("look after %s: %w", documentName(item.DocumentID), err)
		case what == decided:
			out.Decided = append(out.Decided, i)
		case what == watched:
			plan[i].Session = session
			out.Watch = append(out.Watch, i)
		case what == dropped:
			out.Dropped = append(out.Dropped, i)
		default:
			out.Form = item.Form
			out.Send = append(out.Send, i)
		}
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
)

// sort finds out what to do with one hand-over. It looks at KSeF before
// anything is sent a second time.
func (s *Session) sort(ctx context.Context, connection string, item flow.HandOver, record *sentRecord, seen *sessionLists) (fate, string, error) {
	known := record.outcomeOf(item.SHA256, item.RunID)
	if known.Accepted != nil || known.End != nil && known.End.Kind == factRejected {
		return decided, "", nil
	}
	if known.Open == nil {
		wanted, err := s.stillWanted(ctx, item)
		if !wanted || err != nil {
			return dropped, "", err
		}
		return toSend, "", nil
	}
	// It was sent before and nothing is known since: its answer may be lost.
	earlier := known.Open.Session
	status, err := seen.find(ctx, earlier, item.SHA256, known.Taken)
	if err != nil {
		return toSend, "", err
	}
	if status == nil {
		return toSend, "", nil
	}
	// This run takes the earlier submission over as its own.
	if err := s.noteSubmitted(ctx, connection, item, earlier); err != nil {
		return toSend, "", err
	}
	return watched, earlier, nil
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

// find seeks an invoice by its hash in a session. It is nil when KSeF has not
// taken it, which is certain once the session has ended.
func (l *sessionLists) find(ctx context.Context, session, sha256 string, taken bool) (*ksef.InvoiceStatus, error) {
	list, there := l.lists[session]
	if !there {
		var err error
		list, err = l.client.SessionInvoices(ctx, session)
		if failure, is := ksef.AsError(err); is && failure.Has(ksef.CodeSessionNotFound) {
			return nil, nil // the session itself never came to be
		}
		if err != nil {
			return nil, err
		}
		l.lists[session] = list
	}
	if found := bestMatch(list, sha256); found != nil {
		return found, nil
	}
	status, err := l.client.SessionStatus(ctx, session)
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
