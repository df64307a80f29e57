package activities

import (
	"context"
	"sync"
	"time"

	"teamogy-ksef/internal/flow"
	"teamogy-ksef/internal/ksef"
)

// lookPauses are the waits between the looks for an invoice whose answer was
// lost: the list of a session follows its sends with a delay that KSeF does not
// tell. Only after the last one the invoice counts as not taken.
var lookPauses = []time.Duration{2 * time.Second, 4 * time.Second, 8 * time.Second, 16 * time.Second, 32 * time.Second}

// longestLooks bounds the waits of one activity attempt; what would take longer
// comes again.
const longestLooks = 4 * time.Minute

// sessionLists reads the invoice lists of KSeF sessions, each again only when
// something is missing in it. It is for one goroutine at a time: whoever looks
// after several invoices at once holds mu.
type sessionLists struct {
	mu     sync.Mutex
	client KSeFClient
	scale  float64
	pause  func(context.Context, time.Duration) error
	lists  map[string]sessionList
	states map[string]ksef.SessionStatus
	looks  map[string]int // repeated looks into a session's list
	waited time.Duration  // for them, before scaling
}

// sessionList are the invoices of a session by their hashes, of each the best
// match.
type sessionList map[string]*ksef.InvoiceStatus

func listByHash(invoices []ksef.InvoiceStatus) sessionList {
	list := make(sessionList, len(invoices))
	for i := range invoices {
		status := &invoices[i]
		sha256 := hexHash(status.InvoiceHash)
		if best := list[sha256]; sha256 != "" && (best == nil || rank(status) > rank(best)) {
			list[sha256] = status
		}
	}
	return list
}

func (s *Session) listsOf(client KSeFClient, scale float64) *sessionLists {
	return &sessionLists{
		client: client, scale: scale, pause: s.pause,
		lists: map[string]sessionList{}, states: map[string]ksef.SessionStatus{}, looks: map[string]int{},
	}
}

// list reads a session's invoices. A session that KSeF does not know, does not
// show us any more or has forgotten is an empty one: what was sent in it is
// sent again, and if it had been accepted KSeF calls it a duplicate, which is
// resolved by its hash.
func (l *sessionLists) list(ctx context.Context, session string) (sessionList, error) {
	if list, there := l.lists[session]; there {
		return list, nil
	}
	invoices, err := l.client.SessionInvoices(ctx, session)
	if err != nil && !beyondReach(err) {
		return nil, err
	}
	if failure, is := ksef.AsError(err); is && !failure.Has(ksef.CodeSessionNotFound) {
		l.looks[session] = len(lookPauses) // it will not be shown later either
	}
	l.lists[session] = listByHash(invoices)
	return l.lists[session], nil
}

// shown is list for a session that may be anybody's: one that is refused in a way
// that will not pass is an empty one, and not asked for again. A package's
// duplicates mostly have their originals in one session.
func (l *sessionLists) shown(ctx context.Context, session string) (sessionList, error) {
	list, err := l.list(ctx, session)
	if notOurs(err) {
		list, err = sessionList{}, nil
		l.lists[session] = list
	}
	return list, err
}

// look seeks an invoice by its hash in a session's list, several times with
// growing pauses. It is nil when KSeF does not list it.
func (l *sessionLists) look(ctx context.Context, session, sha256 string) (*ksef.InvoiceStatus, error) {
	for {
		list, err := l.list(ctx, session)
		if err != nil {
			return nil, err
		}
		found, looks := list[sha256], l.looks[session]
		if found != nil || looks >= len(lookPauses) {
			return found, nil
		}
		if l.waited += lookPauses[looks]; l.waited > longestLooks {
			return nil, newProblem(flow.ErrKSeFNotYet, "KSeF was asked only %d times whether it has the invoice in session %s", looks+1, session)
		}
		if err := l.pause(ctx, flow.Scaled(lookPauses[looks], l.scale)); err != nil {
			return nil, err
		}
		l.looks[session]++
		delete(l.lists, session)
		delete(l.states, session)
	}
}

// status reads a session's state; one beyond reach has ended.
func (l *sessionLists) status(ctx context.Context, session string) (ksef.SessionStatus, error) {
	status, err := l.client.SessionStatus(ctx, session)
	if beyondReach(err) {
		return ksef.SessionStatus{Code: 500, Description: "the session cannot be read any more"}, nil
	}
	return status, err
}

// state is status, read again only when something else may have changed.
func (l *sessionLists) state(ctx context.Context, session string) (ksef.SessionStatus, error) {
	if status, there := l.states[session]; there {
		return status, nil
	}
	status, err := l.status(ctx, session)
	if err == nil {
		l.states[session] = status
	}
	return status, err
}

// beyondReach tells whether KSeF will not show a session to us.
func beyondReach(err error) bool {
	failure, is := ksef.AsError(err)
	return is && (failure.Has(ksef.CodeSessionNotFound) || failure.Kind == ksef.KindGone ||
		failure.Kind == ksef.KindForbidden && failure.ReasonCode == "insufficient-resource-access")
}

// find seeks an invoice by its hash in a session that nobody sends into any
// more. It is nil when KSeF has not taken it.
//
// A batch session that is open still is never closed here: KSeF begins with a
// package only when its session is closed, so it has none of its invoices, and
// closing it now would send them. One that KSeF is working on may hold them
// although its list does not show them yet.
func (l *sessionLists) find(ctx context.Context, session, sha256 string, taken, batch bool) (*ksef.InvoiceStatus, error) {
	list, err := l.list(ctx, session)
	if err != nil {
		return nil, err
	}
	if found := list[sha256]; found != nil {
		return found, nil
	}
	status, err := l.state(ctx, session)
	if err != nil {
		return nil, err
	}
	if status.Code == ksef.StatusOpen && !batch {
		// So that it ends. If that fails, KSeF closes it by itself.
		_ = closeSession(ctx, l.client, session, false)
		delete(l.states, session)
		if err := ctx.Err(); err != nil {
			return nil, err
		}
	}
	found, err := l.look(ctx, session, sha256)
	if found != nil || err != nil {
		return found, err
	}
	if batch {
		// Perhaps it was closed while it was looked at.
		if status, err = l.state(ctx, session); err != nil {
			return nil, err
		}
		taken = taken || status.Code > ksef.StatusOpen
	}
	if taken && status.Code < ksef.StatusDone {
		return nil, newProblem(flow.ErrKSeFNotYet, "KSeF has taken the invoice in session %s but does not list it yet", session)
	}
	return nil, nil
}
