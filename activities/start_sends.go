package activities

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/activity"
	"golang.org/x/sync/errgroup"

	"teamogy-ksef/internal/archive"
	"teamogy-ksef/internal/connection"
	"teamogy-ksef/internal/flow"
	"teamogy-ksef/internal/teamogy"
)

// mostInFlight bounds a connection's running SendInvoice workflows: what
// TransmitInvoices may have to carry over. The rest stays in Teamogy's list.
const mostInFlight = 2000

// worthReading is for how many there should be room before a list is read again
// that was longer than what could be started: few make small packages. The others
// last until these are on their way, ten minutes at Teamogy's 60 requests a minute.
const worthReading = mostInFlight * 7 / 10

// mostUnread is how many polls in a row leave the list unread although there is
// room for some: half an hour and more, after which at 60 requests a minute there
// is room for so many.
const mostUnread = 7

// listCanWait tells whether the ready list need not be read now: the last time
// there was no room for some of it, and there still is not for many. If none of
// those under way has ended since the poll before, perhaps none will, and what
// room there is is used.
func listCanWait(in flow.StartSendsInput, running int) bool {
	room := mostInFlight - running
	return room <= 0 || in.NoRoom > 0 && in.Unread < mostUnread && room < worthReading && running < in.UnderWay
}

// StartSends asks Teamogy for ready sales invoices and starts a SendInvoice
// for each. The record is read first: what was rejected or withdrawn is not
// started again until its content changes. Where the list was longer than what may
// be under way, it is read again when there is room for many: few invoices make
// small packages.
func (s *Starts) StartSends(ctx context.Context, in flow.StartSendsInput) (out flow.StartSendsResult, err error) {
	defer s.failed(ctx, in.Connection, &err)
	client, c, err := s.Connections.Teamogy(ctx, in.Connection)
	if err != nil {
		return out, err
	}
	out.Settings = settingsOf(c)
	if !c.Send {
		return out, nil
	}
	running, err := s.running(ctx, in.Connection)
	if err != nil {
		return out, err
	}
	room := mostInFlight - running
	if out.UnderWay = running; listCanWait(in, running) {
		out.Deferred, out.NoRoom, out.Unread = in.NoRoom, in.NoRoom, in.Unread+1
		return out, nil
	}
	list, err := s.readReady(ctx, client, c, in, &out)
	if err != nil {
		return out, err
	}
	failed, err := s.startWaiting(ctx, client, c, list.waiting, room, &out)
	if err != nil {
		return out, err // the worker stops
	}
	last := cmp.Or(failed, list.last)
	// Looking whether refused documents have changed costs requests, so it
	// comes last and a few at a time.
	looks := 0
	for _, document := range list.refused {
		if looks == mostLooks || !s.compared.due(c.Name, document.ID, c.TimeScale) {
			out.Refused++
			continue
		}
		looks++
		changed, err := s.changed(ctx, client, c, document.ID)
		if err != nil {
			last = fmt.Errorf("compare %s with what was refused: %w", documentName(document.ID), err)
			out.Failed++
		} else if changed {
			if out.Started >= room {
				out.Deferred++
				out.NoRoom++
				continue // the next poll looks again
			}
			before := out.Started
			last = cmp.Or(s.startSends(ctx, c, []sendStart{{ReadyInvoice: document}}, &out), last)
			if out.Started == before {
				continue
			}
		} else {
			out.Refused++
		}
		s.compared.note(c.Name, document.ID)
	}
	out.UnderWay += out.Started
	if last != nil {
		s.Logger.ErrorContext(ctx, "documents could not be looked after; the next poll tries again", "connection", c.Name, "failed", out.Failed, "error", last)
		if out.Failed == out.Ready-out.Held && !leaveBehind(ctx, last) {
			return out, last // perhaps it concerns all of them, and passes
		}
	}
	return out, nil
}

// readyList is Teamogy's ready list, sorted by what the records say.
type readyList struct {
	waiting []readyDocument
	refused []teamogy.ReadyInvoice
	last    error // why a record could not be read
}

// readReady reads the ready list, the oldest documents first. Where the view has them in that order, it is read until more
// are found than may be under way, some of which perhaps are: so what is asked of Teamogy does not grow with how many
// wait.
func (s *Starts) readReady(ctx context.Context, client TeamogyClient, c *connection.Connection, in flow.StartSendsInput, out *flow.StartSendsResult) (list readyList, err error) {
	listed, highest, ascending := map[int64]bool{}, int64(0), true
	all, err := client.ListReadySalesInvoices(teamogy.WithPriority(ctx, teamogy.First), c.SendTypes, c.SendReadyStatus, func(some []teamogy.ReadyInvoice) bool {
		out.Ready += len(some)
		for _, document := range some {
			listed[document.ID], ascending = true, ascending && document.ID > highest
			highest = max(highest, document.ID)
		}
		s.sortReady(ctx, c, in, some, &list, out)
		return !ascending || len(list.waiting) <= mostInFlight
	})
	if err != nil {
		return list, err
	}
	out.Partly = !all
	s.compared.keep(c.Name, func(id int64) bool { return listed[id] || !all && id > highest })
	slices.SortFunc(list.waiting, func(a, b readyDocument) int { return cmp.Compare(a.ID, b.ID) })
	slices.SortFunc(list.refused, func(a, b teamogy.ReadyInvoice) int { return cmp.Compare(a.ID, b.ID) })
	return list, nil
}

// sortReady reads the records of some ready documents first: what was rejected or withdrawn is not sent again as it is.
func (s *Starts) sortReady(ctx context.Context, c *connection.Connection, in flow.StartSendsInput, some []teamogy.ReadyInvoice, list *readyList, out *flow.StartSendsResult) {
	held := func(document teamogy.ReadyInvoice) bool { return slices.Contains(in.Held, document.ID) }
	out.Held += len(some)
	some = slices.DeleteFunc(some, held)
	out.Held -= len(some)
	records := make([]*sentRecord, len(some))
	failures := sideBySide(len(some), func(i int) (err error) {
		records[i], err = s.sentRecord(ctx, c.Name, some[i].ID)
		return err
	})
	for i, document := range some {
		record := records[i]
		switch {
		case failures[i] != nil:
			list.last = archiving("read the record of "+documentName(document.ID), failures[i])
			out.Failed++
		case record.numberWritten():
			out.Running++ // done; Teamogy's view is stale, or somebody set the status back
		case record.Accepted == nil && record.everRefused():
			list.refused = append(list.refused, document)
		default:
			list.waiting = append(list.waiting, readyDocument{document, len(record.Fetched) == 0})
		}
	}
}

// mostLooks is how many refused documents are compared in one poll.
const mostLooks = 10

// readyDocument is a document of the ready list that is to be sent.
type readyDocument struct {
	teamogy.ReadyInvoice
	new bool // its XML was never fetched
}

// pieceOfStarts is how many documents are started at a time, so that their XML comes from one page of Teamogy's list and
// the first ones are on their way while the others are read.
const pieceOfStarts = 100

// longestStartingSends is how long one poll goes on starting invoices whose XML each has to be asked for, in real time;
// the next one goes on.
const longestStartingSends = 3 * time.Minute

// startWaiting starts a SendInvoice for each document, with its XML where Teamogy's list shows that, and else as fast as
// Teamogy's quota lets each ask for its own. It gives the last failure that concerned one of them.
func (s *Starts) startWaiting(ctx context.Context, client TeamogyClient, c *connection.Connection, waiting []readyDocument, room int, out *flow.StartSendsResult) (last, err error) {
	step, inTime := s.keepStep(client, c, teamogy.Normal, longestStartingSends), true
	var together []sendStart // not more than there is room for
	begin := func() {
		last = cmp.Or(s.startSends(ctx, c, together, out), last)
		together = together[:0]
	}
	for piece := range slices.Chunk(waiting, pieceOfStarts) {
		shown, err := s.showXML(ctx, client, c, piece, room-out.Started)
		busy := err != nil && classify(err).Type == flow.ErrTeamogyQuota
		if err != nil {
			s.Logger.WarnContext(ctx, "the XML of ready invoices could not be read from Teamogy's list", "connection", c.Name, "error", err)
		}
		for _, document := range piece {
			if busy && document.new && shown[document.ID] == nil {
				out.Deferred++ // it would only take more of the quota
				continue
			}
			if document.new && shown[document.ID] == nil && out.Started < room {
				if inTime {
					begin() // what need not wait
					if inTime, err = step.wait(ctx); err != nil {
						return last, err
					}
				}
				if !inTime {
					out.Deferred++
					continue
				}
			}
			if out.Started+len(together) >= room {
				begin() // perhaps some run already
			}
			if out.Started >= room {
				out.Deferred++
				out.NoRoom++
				continue
			}
			together = append(together, sendStart{document.ReadyInvoice, shown[document.ID]})
			if len(together) == startsAtOnce || shown[document.ID] == nil {
				begin()
			}
		}
		begin()
	}
	return last, nil
}

// quotaPauses is how often a poll waits for Teamogy's quota before it leaves the rest to the next one.
const quotaPauses = 10

// showXML brings the XML of new documents into the archive, as Teamogy's list shows it.
func (s *Starts) showXML(ctx context.Context, client TeamogyClient, c *connection.Connection, piece []readyDocument, room int) (map[int64]*flow.ShownXML, error) {
	if !client.ShowsXML() {
		return nil, nil
	}
	var ids []int64
	numbers := map[int64]string{}
	for _, document := range piece {
		if document.new && len(ids) < room {
			ids = append(ids, document.ID)
			numbers[document.ID] = document.Number
		}
	}
	shown := map[int64]*flow.ShownXML{}
	for pauses := 0; len(ids) > 0; pauses++ {
		at := s.Now().UTC()
		found, err := client.ReadReadyXML(teamogy.WithPriority(ctx, teamogy.First), ids, c.SendTypes, c.SendReadyStatus)
		of := slices.Collect(maps.Keys(found))
		refs := make([]archive.Ref, len(of))
		for i, err := range sideBySide(len(of), func(i int) (err error) {
			refs[i], err = s.Archive.PutDocument(ctx, found[of[i]])
			return err
		}) {
			if err != nil {
				return shown, archiving("keep an invoice's XML", err)
			}
			shown[of[i]] = &flow.ShownXML{Document: flow.Ref(refs[i]), Number: numbers[of[i]], At: at}
		}
		p := &problem{}
		if err != nil {
			p = classify(err)
		}
		if p.Type != flow.ErrTeamogyQuota || pauses == quotaPauses {
			return shown, err
		}
		ids = slices.DeleteFunc(ids, func(id int64) bool { return shown[id] != nil })
		if err := s.pause(ctx, max(p.After, 10*time.Millisecond)); err != nil {
			return shown, err
		}
	}
	return shown, nil
}

// sendStart is a document that is to be sent, with its XML where that is known.
type sendStart struct {
	teamogy.ReadyInvoice
	shown *flow.ShownXML
}

// startSends starts a SendInvoice for each of some documents and gives the last failure.
func (s *Starts) startSends(ctx context.Context, c *connection.Connection, some []sendStart, out *flow.StartSendsResult) error {
	started := make([]bool, len(some))
	failures := sideBySide(len(some), func(i int) (err error) {
		started[i], err = s.begin(ctx, flow.StartOfSend(flow.SendInvoiceInput{
			Connection: c.Name, DocumentID: some[i].ID, Listed: true, Shown: some[i].shown,
		}, sendSummary(some[i].ID, some[i].Number)))
		return err
	})
	var last error
	for i, err := range failures {
		switch {
		case err != nil:
			last = fmt.Errorf("start sending %s: %w", documentName(some[i].ID), err)
			out.Failed++
		case started[i]:
			out.Started++
		default:
			out.Running++
		}
	}
	return last
}

// sideBySide does something for each of n, some at a time, and gives their failures.
func sideBySide(n int, do func(i int) error) []error {
	failures := make([]error, n)
	var group errgroup.Group
	group.SetLimit(startsAtOnce)
	for i := range n {
		group.Go(func() error {
			failures[i] = do(i)
			return nil
		})
	}
	_ = group.Wait() // they are kept
	return failures
}

// changed compares the content of a refused document with what was refused:
// at once when it is first seen back in the ready list, then once an hour,
// later once a day.
func (s *Starts) changed(ctx context.Context, client TeamogyClient, c *connection.Connection, documentID int64) (bool, error) {
	record, err := s.sentRecord(ctx, c.Name, documentID)
	if err != nil {
		return false, archiving("read the record", err)
	}
	xml, _, err := client.ReadInvoiceXML(teamogy.WithPriority(ctx, teamogy.Low), documentID)
	switch {
	case xmlMissing(err):
		return !record.refused("", s.today()), nil
	case notFound(err): // deleted meanwhile
		return false, nil
	case err != nil:
		return false, err
	}
	refused, err := s.refusedAlike(ctx, record, xml)
	return !refused, err
}

// sendsRunning counts a connection's SendInvoice workflows that run.
func sendsRunning(ctx context.Context, connectionName string) (int, error) {
	count, err := activity.GetClient(ctx).CountWorkflow(ctx, &workflowservice.CountWorkflowExecutionsRequest{
		Query: fmt.Sprintf("WorkflowType='%s' AND ExecutionStatus='Running' AND %s='%s'",
			flow.SendInvoice, flow.AttributeConnection.GetName(), connectionName),
	})
	if err != nil {
		return 0, fmt.Errorf("count the invoices under way: %w", err)
	}
	return int(count.GetCount()), nil
}

// sendSummary is an issued invoice's line in the Web UI; its number may not be
// known.
func sendSummary(documentID int64, number string) string {
	if number == "" {
		return documentName(documentID)
	}
	return "Invoice " + number
}
