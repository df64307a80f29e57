package activities

import (
	"context"
	"fmt"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"teamogy-ksef/internal/flow"
	"teamogy-ksef/internal/ksef"
)

const (
	// firstLook is the shortest pause before KSeF is asked. It grows with the
	// time that the session has been waited for, up to longestLook; after
	// closeWatch it is laterLook, and after dayWatch rarestLook, so that many
	// sessions that wait for days stay within the quota of status requests.
	firstLook   = time.Second
	longestLook = 2 * time.Minute
	closeWatch  = 30 * time.Minute
	laterLook   = 10 * time.Minute
	dayWatch    = 24 * time.Hour
	rarestLook  = time.Hour
	// lookFor is how long AwaitSession waits without news.
	lookFor = time.Hour
	// heldPause is the longest pause, in real time, during which it keeps its slot: KSeF decides
	// on most sessions before the pauses get longer, and on the others perhaps not
	// for days, when hundreds of them would leave no slot to anything else.
	heldPause = 30 * time.Second
)

// untilNextLook is the pause before KSeF is asked again about a session that
// has been waited for this long.
func untilNextLook(waited time.Duration) time.Duration {
	switch {
	case waited < closeWatch:
		return min(max(waited/2, firstLook), longestLook)
	case waited < dayWatch:
		return laterLook
	}
	return rarestLook
}

// AwaitSession waits until KSeF has decided on more of the undecided invoices,
// or a session of theirs has ended. It returns within the hour, also without
// news. It asks for the session's counters only, which have a quota of their
// own. A session that could not be closed is closed here, now and then.
//
// Before a long pause it gives its slot back, by an error that says only when to
// come again (KSeFNotYet): Temporal repeats the attempt then, which adds nothing
// to history.
func (s *Session) AwaitSession(ctx context.Context, in flow.AwaitInput) (out flow.Awaited, err error) {
	defer s.failed(ctx, in.Connection, &err)
	client, c, err := s.Connections.KSeF(ctx, in.Connection)
	if err != nil {
		return out, err
	}
	plan, err := s.plan(ctx, in.Plan)
	if err != nil {
		return out, err
	}
	undecided := bySession(plan, in)
	seen := s.listsOf(client, c.TimeScale)
	began, paused := s.Now(), attemptOf(ctx) > 1 // then Temporal has waited
	if paused {
		began = scheduledOf(ctx, began)
	}
	before := time.Duration(in.WaitedSeconds) * time.Second
	ends := began.Add(flow.Scaled(lookFor, c.TimeScale))
	for now := s.Now(); paused || now.Before(ends); now = s.Now() {
		pause := untilNextLook(flow.Unscaled(before+now.Sub(began), c.TimeScale))
		left := min(flow.Scaled(pause, c.TimeScale), ends.Sub(now))
		switch {
		case paused:
			paused = false
		case left > heldPause:
			return out, &problem{
				Type: flow.ErrKSeFNotYet, gate: true, After: left,
				Text: fmt.Sprintf("KSeF has not decided yet on %d invoices; it is asked again in %s", len(in.Open), left.Round(time.Second)),
			}
		default:
			if err := s.pause(ctx, left); err != nil {
				return out, err
			}
		}
		var failure error
		for _, reference := range undecided.order {
			status, err := seen.status(ctx, reference)
			if err != nil {
				failure = err // the others may have news
				continue
			}
			if status.Code == ksef.StatusOpen {
				s.closeNowAndThen(ctx, client, in.Connection, reference, undecided.batch[reference])
			}
			out.Code, out.Ended = status.Code, status.Code >= ksef.StatusDone
			known := status.InvoiceCount - len(undecided.positions[reference])
			out.Decided = max(0, status.Successful+status.Failed-max(0, known))
			if out.Ended || out.Decided > 0 && enough(in, out.Decided, flow.Unscaled(s.Now().Sub(began), c.TimeScale)) {
				return out, nil
			}
		}
		if failure != nil {
			return out, failure
		}
	}
	return out, nil
}

// packageNews is how long the first decisions about a package wait for more.
const packageNews = time.Minute

// enough tells whether so many decisions are worth collecting. Those about a
// package come in large numbers, and each collection reads its whole list.
func enough(in flow.AwaitInput, decided int, waited time.Duration) bool {
	return !in.Batch || decided >= len(in.Open) || waited >= packageNews
}

// grouped are undecided positions of a plan by their KSeF session.
type grouped struct {
	order     []string
	positions map[string][]int
	batch     map[string]bool // batch sessions
}

func bySession(plan []planItem, in flow.AwaitInput) grouped {
	g := grouped{positions: map[string][]int{}, batch: map[string]bool{}}
	for _, i := range in.Open {
		reference, batch := plan[i].Session, plan[i].Batch
		if reference == "" {
			reference, batch = in.Reference, in.Batch
		}
		g.batch[reference] = batch
		if _, there := g.positions[reference]; !there {
			g.order = append(g.order, reference)
		}
		g.positions[reference] = append(g.positions[reference], i)
	}
	return g
}

// CollectResults reads what KSeF has decided and records it, invoice by
// invoice. One that cannot be cleared up now, although its session has ended,
// goes to another session, which looks again before it sends.
func (s *Session) CollectResults(ctx context.Context, in flow.AwaitInput) (out flow.Collected, err error) {
	defer s.failed(ctx, in.Connection, &err)
	client, c, err := s.Connections.KSeF(ctx, in.Connection)
	if err != nil {
		return out, err
	}
	plan, err := s.plan(ctx, in.Plan)
	if err != nil {
		return out, err
	}
	undecided := bySession(plan, in)
	seen := s.listsOf(client, c.TimeScale)
	var failure error
	var notYet []int // duplicates whose original is not visible yet
	processing := 0
	for _, reference := range undecided.order {
		if _, err := seen.list(ctx, reference); err != nil {
			failure = err // the other sessions may be read
			continue
		}
		session, err := seen.status(ctx, reference)
		if err != nil {
			failure = err
			continue
		}
		if session.Code == sessionKeyUnreadable {
			client.ForgetPublicKeys()
		}
		positions := undecided.positions[reference]
		ends, failures := s.collectAll(ctx, seen, in.Connection, plan, positions, reference, session)
		for n, i := range positions {
			end, err := ends[n], failures[n]
			if err != nil {
				s.Logger.WarnContext(ctx, "KSeF's answer to an invoice is not clear yet",
					"connection", in.Connection, "documentId", plan[i].DocumentID, "error", err)
				end, failure = endOpen, err
			}
			switch {
			case end == endDecided:
				out.Decided = append(out.Decided, i)
			case end == endAgain, err != nil && session.Code >= ksef.StatusDone && triesOf(ctx) >= clearTries:
				out.Again = append(out.Again, i)
			case err == nil:
				processing++
			case classify(err).Type == flow.ErrKSeFNotYet:
				notYet = append(notYet, i)
			}
		}
	}
	if processing > 0 {
		// They wait on their own, so that asking for these does not go with
		// asking for those.
		out.Again = append(out.Again, notYet...)
	}
	if len(out.Decided)+len(out.Again) == 0 {
		return out, failure
	}
	return out, nil
}

// collectAll looks at the invoices of one session, several at a time.
func (s *Session) collectAll(ctx context.Context, seen *sessionLists, connection string, plan []planItem, positions []int, reference string, session ksef.SessionStatus) ([]collectEnd, []error) {
	ends, failures := make([]collectEnd, len(positions)), make([]error, len(positions))
	var group errgroup.Group
	group.SetLimit(inParallel)
	for n, i := range positions {
		group.Go(func() error {
			ends[n], failures[n] = s.collectListed(ctx, seen, connection, plan[i].HandOver, reference, session)
			return nil
		})
	}
	_ = group.Wait() // the failures are given back one by one
	return ends, failures
}

// collectListed is collect, which believes that KSeF has never had an invoice
// only after several looks into the list of a session that has ended.
func (s *Session) collectListed(ctx context.Context, seen *sessionLists, connection string, item flow.HandOver, reference string, session ksef.SessionStatus) (collectEnd, error) {
	seen.mu.Lock()
	status := seen.lists[reference][item.SHA256]
	if status == nil && session.Code >= ksef.StatusDone {
		var err error
		if status, err = seen.look(ctx, reference, item.SHA256); err != nil {
			seen.mu.Unlock()
			return endOpen, err
		}
	}
	if status != nil && meaning(status.Code) == duplicate {
		defer seen.mu.Unlock() // the quota of looking for originals is small
	} else {
		seen.mu.Unlock()
	}
	return s.collect(ctx, seen, connection, item, reference, status, session)
}

// sessionKeyUnreadable is the status of a session whose AES key KSeF could
// not decrypt: its public key has changed.
const sessionKeyUnreadable = 415

type collectEnd int

const (
	endOpen collectEnd = iota
	endDecided
	endAgain
)

// collect looks at one invoice of a session and records its end. Of a duplicate
// the caller holds seen.mu.
func (s *Session) collect(ctx context.Context, seen *sessionLists, connection string, item flow.HandOver, reference string, status *ksef.InvoiceStatus, session ksef.SessionStatus) (collectEnd, error) {
	if status == nil { // it is not in the session's list
		if session.Code < ksef.StatusDone {
			return endOpen, nil
		}
		// The session is over and KSeF has never had it.
		return endAgain, s.noteEnd(ctx, connection, item, reference, factNotProcessed, sessionFact{Code: session.Code, Text: session.Description})
	}
	fact := sessionFact{Reference: status.Reference, Code: status.Code, Text: status.Description, Details: status.Details}
	switch meaning(status.Code) {
	case accepted:
		if status.KSeFNumber == "" { // a fact without it could not be completed later
			return endOpen, newProblem(flow.ErrKSeFNotYet, "KSeF has accepted the invoice but does not show its number yet")
		}
		s.decided(ctx, connection, item.WorkflowID, nil)
		return endDecided, s.noteAccepted(ctx, connection, item, flow.Transmitted{
			DocumentID: item.DocumentID, SHA256: item.SHA256, KSeFNumber: status.KSeFNumber,
			AcquisitionDate: status.AcquisitionDate, Mode: status.InvoicingMode,
			SessionReference: reference, InvoiceReference: status.Reference,
		}, status.UPODownloadURL)
	case duplicate:
		return s.resolveDuplicate(ctx, seen, connection, item, reference, status, fact)
	case notProcessed:
		if status.Code == 435 || status.Code == 405 {
			seen.client.ForgetPublicKeys() // perhaps they have changed
		}
		return endAgain, s.noteEnd(ctx, connection, item, reference, factNotProcessed, fact)
	case forbidden:
		fact.Type = flow.ErrKSeFPermission
		if status.Code == attachmentNotPermitted {
			fact.Type = flow.ErrKSeFAttachments
		}
		fact.Text = fmt.Sprintf("KSeF refuses the invoice for a missing permission: %s", saying(status))
		if fact.Type == flow.ErrKSeFPermission { // attachments are some invoices' matter only
			s.decided(ctx, connection, item.WorkflowID, newProblem(fact.Type, "%s", fact.Text))
		}
		return endDecided, s.noteEnd(ctx, connection, item, reference, factBlocked, fact)
	case rejected:
		fact.Type = flow.ErrInvoiceRejected
		fact.Text = fmt.Sprintf("KSeF has rejected the invoice: %s", saying(status))
		return endDecided, s.noteEnd(ctx, connection, item, reference, factRejected, fact)
	}
	if session.Code >= ksef.StatusDone && session.Code != ksef.StatusDone && status.Code < ksef.StatusDone {
		// A failed session decides on nothing any more.
		return endAgain, s.noteEnd(ctx, connection, item, reference, factNotProcessed, sessionFact{Code: session.Code, Text: session.Description})
	}
	return endOpen, nil
}

// attachmentNotPermitted is the status of an invoice with an attachment of a
// taxpayer who has not announced attachments to the tax office.
const attachmentNotPermitted = 415

func saying(status *ksef.InvoiceStatus) string {
	text := fmt.Sprintf("%d %s", status.Code, status.Description)
	if len(status.Details) > 0 {
		text += ": " + strings.Join(status.Details, "; ")
	}
	return text
}

type verdict int

const (
	pending verdict = iota
	accepted
	rejected
	duplicate
	notProcessed
	forbidden
)

// meaning sorts KSeF's invoice codes. An unknown code below 400 is waited for,
// one above is a rejection with its own words.
func meaning(code int) verdict {
	switch {
	case code == ksef.StatusDone:
		return accepted
	case code < 400:
		return pending
	case code == ksef.StatusDuplicate:
		return duplicate
	case code == 405, code == 435, code == 500, code == 550:
		return notProcessed
	case code == 410, code == 415:
		return forbidden
	}
	return rejected
}

// noteAccepted records KSeF's number, and the link to the confirmation if KSeF
// has shown one.
func (s *Session) noteAccepted(ctx context.Context, connection string, item flow.HandOver, answer flow.Transmitted, upo ksef.SecretURL) error {
	return archiving("record the KSeF number", s.note(ctx, sentKey(connection, item.DocumentID), factAccepted, short(answer.SHA256),
		acceptedFact{answer, upo.Reveal()}))
}
