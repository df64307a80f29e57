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
	"golang.org/x/sync/errgroup"

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
	Batch   bool   `json:"batch,omitempty"` // Session is a batch session
}

// BuildSession sorts a session's list: what KSeF has decided on already is
// only delivered, what it is still deciding on is watched, what nobody waits
// for any more is dropped, and the rest is to be sent.
func (s *Session) BuildSession(ctx context.Context, in flow.BuildInput) (out flow.Built, err error) {
	defer s.failed(ctx, in.Connection, &err)
	client, c, err := s.Connections.KSeF(ctx, in.Connection)
	if err != nil {
		return out, err
	}
	items, err := s.handOvers(ctx, in.List, in.More...)
	if err != nil {
		return out, err
	}
	plan := make([]planItem, len(items))
	fates, failures := make([]fate, len(items)), make([]error, len(items))
	seen := s.listsOf(client, c.TimeScale)
	var group errgroup.Group
	group.SetLimit(inParallel)
	for i, item := range items {
		group.Go(func() error {
			fates[i], plan[i], failures[i] = s.sort(ctx, in.Connection, item, seen)
			return nil
		})
	}
	_ = group.Wait() // the failures are looked at below
	var last error
	for i, item := range items {
		out.Documents = append(out.Documents, item.DocumentID)
		what, err := fates[i], failures[i]
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
	if last != nil && len(out.Unclear) == len(items) && classify(last).Type != flow.ErrKSeFNotYet && !leaveBehind(ctx, last) {
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

// sort finds out what to do with one hand-over, and with which bytes.
func (s *Session) sort(ctx context.Context, connection string, item flow.HandOver, seen *sessionLists) (fate, planItem, error) {
	what, planned, err := s.fateOf(ctx, connection, item, seen)
	if what != toSend || err != nil {
		return what, planned, err
	}
	if wanted, err := s.stillWanted(ctx, item); !wanted || err != nil {
		return dropped, planned, err
	}
	return toSend, planned, nil
}

// fateOf is sort without asking whether anybody still waits. It looks at KSeF
// before anything is sent a second time. Of a content that was sent
// before and that KSeF has not judged, the same bytes are sent again, even if
// Teamogy has rendered the XML anew since.
func (s *Session) fateOf(ctx context.Context, connection string, item flow.HandOver, seen *sessionLists) (fate, planItem, error) {
	planned := planItem{HandOver: item}
	record, err := s.sentRecord(ctx, connection, item.DocumentID)
	if err != nil {
		return unclear, planned, archiving("read the record", err)
	}
	known, alike, err := s.known(ctx, record, item)
	if err != nil {
		return unclear, planned, err
	}
	if known.Accepted != nil || known.End != nil && known.End.Kind == factRejected {
		return decided, planned, nil
	}
	if known.Last != nil {
		planned.SHA256 = known.Last.SHA256
	}
	if len(record.Submissions) > 0 { // what follows may ask KSeF
		seen.mu.Lock()
		defer seen.mu.Unlock()
	}
	if known.Open != nil {
		// It was sent before and nothing is known since: its answer may be lost.
		earlier := *known.Open
		status, err := seen.find(ctx, earlier.Session, earlier.SHA256, known.Taken, earlier.Batch)
		if err != nil {
			return unclear, planned, err
		}
		if status != nil {
			// This run takes the earlier submission over as its own.
			planned.Session, planned.SHA256, planned.Batch = earlier.Session, earlier.SHA256, earlier.Batch
			return watched, planned, s.noteSubmitted(ctx, connection, planned.HandOver, earlier.Session, earlier.Batch)
		}
		if earlier.Batch {
			// Its package was never closed, or KSeF has not found the invoice in it:
			// later sessions need not look again.
			given := item
			given.SHA256, given.RunID = earlier.SHA256, earlier.RunID
			if err := s.noteEnd(ctx, connection, given, earlier.Session, factNotProcessed, sessionFact{
				Text: "KSeF does not have the invoice in this session",
			}); err != nil {
				return unclear, planned, err
			}
		}
	}
	if other := record.unsettledOther(item.SHA256, alike...); other != nil {
		if settled, err := s.settleOther(ctx, connection, item, *other, seen); !settled || err != nil {
			return unclear, planned, err
		}
		if record, err = s.sentRecord(ctx, connection, item.DocumentID); err != nil {
			return unclear, planned, archiving("read the record", err)
		}
	}
	if a := record.Accepted; a != nil {
		// The document was changed after it had been sent, and that was accepted.
		if err := s.noteSubmitted(ctx, connection, item, a.SessionReference, false); err != nil {
			return unclear, planned, err
		}
		return decided, planned, s.noteEnd(ctx, connection, item, a.SessionReference, factRejected, sessionFact{
			Type: flow.ErrIssuedOtherwise, Text: issuedOtherwise(a),
		})
	}
	return toSend, planned, nil
}

// settleOther finds out what became of another content of the same document,
// and records it. It is not settled while KSeF is deciding.
func (s *Session) settleOther(ctx context.Context, connection string, item flow.HandOver, other sessionFact, seen *sessionLists) (bool, error) {
	earlier := item
	earlier.SHA256, earlier.RunID = other.SHA256, other.RunID
	if _, err := seen.find(ctx, other.Session, other.SHA256, true, other.Batch); err != nil {
		return false, err
	}
	list, err := seen.list(ctx, other.Session)
	if err != nil {
		return false, err
	}
	status, err := seen.state(ctx, other.Session)
	if err != nil {
		return false, err
	}
	end, err := s.collect(ctx, seen, connection, earlier, other.Session, list[other.SHA256], status)
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

// handOvers are the hand-overs of a list in pieces.
func (s *Session) handOvers(ctx context.Context, list flow.ListRef, more ...flow.ListRef) ([]flow.HandOver, error) {
	var all []flow.HandOver
	for _, piece := range append([]flow.ListRef{list}, more...) {
		var items []flow.HandOver
		if err := s.Archive.List(ctx, archive.ListRef(piece), &items); err != nil {
			return nil, archiving("read the session's list", err)
		}
		all = append(all, items...)
	}
	return all, nil
}

func (s *Session) plan(ctx context.Context, list flow.ListRef) ([]planItem, error) {
	var items []planItem
	err := s.Archive.List(ctx, archive.ListRef(list), &items)
	return items, archiving("read the session's plan", err)
}

func (s *Session) noteSubmitted(ctx context.Context, connection string, item flow.HandOver, reference string, batch bool) error {
	return archiving("record the submission", s.note(ctx, sentKey(connection, item.DocumentID), factSubmitted,
		submissionName(reference, item.SHA256, item.RunID),
		sessionFact{SHA256: item.SHA256, Session: reference, RunID: item.RunID, Batch: batch}))
}

// rank tells which entry of the same bytes counts: they may stand there twice,
// accepted once and called a duplicate of itself the second time.
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
