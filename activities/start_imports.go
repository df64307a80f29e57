package activities

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"time"

	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/activity"
	"golang.org/x/sync/errgroup"

	"teamogy-ksef/internal/archive"
	"teamogy-ksef/internal/flow"
	"teamogy-ksef/internal/ksef"
)

const (
	// mostImports and fewestImports bound how many of a connection's ImportInvoice
	// workflows are under way at once; in between it is what Teamogy takes in two
	// minutes. More would only wait. The rest of a manifest waits in the archive.
	fewestImports = 50
	mostImports   = 500
	// startsAtOnce is how many of a list are looked at, and started, side by side.
	startsAtOnce = 8
	// longestStarting is how long one call of StartImports goes on, and
	// longestForRoom how much of that it waits for room, in real time: in between a
	// pause or a new run can take effect.
	longestStarting = 4 * time.Minute
	longestForRoom  = time.Minute
	// roomFirstPause and roomLongestPause are between two looks whether there is room.
	roomFirstPause   = time.Second
	roomLongestPause = 10 * time.Second
)

// StartImports starts an ImportInvoice for each invoice of a list that has no
// document yet, from a position on. It counts every one that still has to
// download its XML, also one that an earlier attempt has started, and stops at
// in.Most of them; those of a package (in.Packed) have theirs already. At most
// two minutes' requests to Teamogy (50 to 500) of a connection are under way at once,
// and those of a package are started as fast as Teamogy takes them: more would ask
// for their turn again and again. One that cannot be started
// is counted and does not hold the others up, nor, if there are only such, what
// comes after this list.
func (s *Starts) StartImports(ctx context.Context, in flow.StartImportsInput) (out flow.StartImportsResult, err error) {
	defer s.failed(ctx, in.Connection, &err)
	var found []foundInvoice
	if err := s.Archive.List(ctx, archive.ListRef(in.List), &found); err != nil {
		return out, archiving("read the list of found invoices", err)
	}
	if in.Page > 0 {
		found = found[:min(len(found), in.From+in.Page)]
	}
	w := s.newImportStarts(ctx, in)
	if err := w.all(ctx, found); err != nil {
		return out, err
	}
	if w.last != nil {
		s.Logger.ErrorContext(ctx, "imports could not be started; they come again", "connection", in.Connection, "failed", w.out.Failed, "error", w.last)
		if w.out.Started+w.out.Known == 0 && !leaveBehind(ctx, w.last) {
			return out, w.last // it is not one invoice, it is all of them
		}
	}
	return w.out, nil
}

// importStarts is one call of StartImports.
type importStarts struct {
	*Starts
	in        flow.StartImportsInput
	out       flow.StartImportsResult
	scale     float64
	begun     time.Time
	perMinute int     // Teamogy's requests; 0: not known
	room      int     // how many more may be under way, as far as is known
	step      *inStep // nil: as fast as may be
	last      error   // the last failure that concerned one invoice

	running func(ctx context.Context, connection string) (int, error)
	begin   func(context.Context, flow.StartImportsInput, *foundInvoice) (bool, error) // tells whether it is new
}

// newImportStarts begins a call. Where the settings, or Teamogy's client, cannot be had
// the bound on what is under way is the only one.
func (s *Starts) newImportStarts(ctx context.Context, in flow.StartImportsInput) *importStarts {
	w := &importStarts{Starts: s, in: in, scale: s.scaleOf(ctx, in.Connection), begun: s.Now(), running: s.importsRunning, begin: s.startImport}
	w.out.Next = in.From
	c, err := s.Connections.Settings(ctx, in.Connection)
	if err != nil || c == nil {
		return w
	}
	w.perMinute = c.TeamogyRequestsPerMinute
	if client, _, err := s.beyondGates().Teamogy(ctx, c.Name); err == nil && in.Packed {
		w.step = s.keepStepOfImports(client, c)
	}
	return w
}

// all goes through the list until its end, a bound, or the end of its time.
func (w *importStarts) all(ctx context.Context, found []foundInvoice) error {
	for w.out.Next < len(found) && w.Now().Sub(w.begun) < longestStarting {
		some := found[w.out.Next:min(len(found), w.out.Next+startsAtOnce)]
		states := w.look(ctx, some)
		chosen, next := 0, 0 // how many of some are to be started, and how many are dealt with
		for ; next < len(some); next++ {
			if !states[next].wanted() {
				continue
			}
			if !w.in.Packed && w.out.Started+chosen >= w.in.Most {
				break
			}
			if w.room <= chosen {
				if err := w.count(ctx); err != nil {
					return err
				}
			}
			if w.room <= chosen {
				break
			}
			if inTime, err := w.step.wait(ctx); err != nil {
				return err
			} else if !inTime {
				break
			}
			chosen++
		}
		w.start(ctx, some[:next], states)
		w.out.Next += next
		if err := ctx.Err(); err != nil {
			return err
		}
		switch {
		case next == len(some):
		case !w.in.Packed && w.out.Started >= w.in.Most:
			return nil
		default:
			if there, err := w.waitForRoom(ctx); err != nil || !there {
				return err
			}
		}
	}
	return nil
}

type importState int

const (
	importNew     importState = iota // has no document, nor its XML as far as the record tells
	importFetched                    // has its XML, but no document
	importKnown                      // has its document
	importFailed                     // its record cannot be read
)

// wanted tells whether an import has to be started, or runs already.
func (s importState) wanted() bool { return s == importNew || s == importFetched }

// look reads the records of some invoices.
func (w *importStarts) look(ctx context.Context, some []foundInvoice) []importState {
	states, failures := make([]importState, len(some)), make([]error, len(some))
	var readers errgroup.Group
	for i := range some {
		readers.Go(func() error {
			record, err := w.receivedRecord(ctx, w.in.Connection, some[i].KSeFNumber)
			switch {
			case err != nil:
				states[i], failures[i] = importFailed, archiving("read the record of "+some[i].KSeFNumber, err)
			case record.Created != nil:
				states[i] = importKnown
			case record.Fetched != nil:
				states[i] = importFetched
			}
			return nil
		})
	}
	_ = readers.Wait() // they have no errors
	for _, err := range failures {
		if err != nil {
			w.last = err
		}
	}
	return states
}

// start starts those that have no document and counts all.
func (w *importStarts) start(ctx context.Context, some []foundInvoice, states []importState) {
	type result struct {
		started bool
		err     error
	}
	results := make([]result, len(some))
	var starters errgroup.Group
	for i := range some {
		if !states[i].wanted() {
			continue
		}
		starters.Go(func() error {
			results[i].started, results[i].err = w.begin(ctx, w.in, &some[i])
			return nil
		})
	}
	_ = starters.Wait() // they have no errors
	for i, r := range results {
		switch {
		case states[i] == importKnown:
			w.out.Known++
		case states[i] == importFailed:
			w.out.Failed++
		case r.err != nil:
			w.last = fmt.Errorf("start the import of %s: %w", some[i].KSeFNumber, r.err)
			w.out.Failed++
		case r.started:
			w.room--
			w.out.Started++
		case !w.in.Packed && states[i] == importNew:
			w.out.Started++ // an earlier attempt's
		default:
			w.out.Known++
		}
	}
}

// waitForRoom waits until another import may be under way; if that takes long,
// the workflow comes again.
func (w *importStarts) waitForRoom(ctx context.Context) (bool, error) {
	begun, wait := w.Now(), roomFirstPause
	for w.room <= 0 {
		if w.Now().Sub(begun) >= longestForRoom {
			w.out.Full = true
			return false, nil
		}
		if err := w.pause(ctx, max(flow.Scaled(wait, w.scale), 100*time.Millisecond)); err != nil {
			return false, err
		}
		if err := w.count(ctx); err != nil {
			return false, err
		}
		wait = min(wait*3/2, roomLongestPause)
	}
	return true, nil
}

// count learns how much room there is.
func (w *importStarts) count(ctx context.Context) error {
	running, err := w.running(ctx, w.in.Connection)
	w.room = max(0, importsUnderWay(w.perMinute)-running)
	return err
}

// importsUnderWay is how many imports may be under way where Teamogy takes so
// many requests a minute; 0 means that this is not known.
func importsUnderWay(perMinute int) int {
	if perMinute <= 0 {
		return mostImports
	}
	return min(mostImports, max(fewestImports, 2*perMinute))
}

// importsRunning asks Temporal how many imports of a connection are under way.
// Those that wait for a person's answer (Resolve) are not: they must hold up
// nobody. What was started just now may not be counted yet, so the bound is not
// exact.
func (s *Starts) importsRunning(ctx context.Context, connection string) (int, error) {
	count, err := activity.GetClient(ctx).CountWorkflow(ctx, &workflowservice.CountWorkflowExecutionsRequest{
		Query: fmt.Sprintf("WorkflowType='%s' AND ExecutionStatus='Running' AND %s='%s' AND %s='%s'",
			flow.ImportInvoice, flow.AttributeConnection.GetName(), connection, flow.AttributeState.GetName(), flow.StateImporting),
	})
	if err != nil {
		return 0, fmt.Errorf("count the imports under way: %w", err)
	}
	return int(count.GetCount()), nil
}

func (s *Starts) startImport(ctx context.Context, in flow.StartImportsInput, m *foundInvoice) (bool, error) {
	number, err := ksef.ParseNumber(m.KSeFNumber)
	if err != nil {
		// Never seen, and not to be lost: the workflow will say what is wrong.
		s.Logger.WarnContext(ctx, "KSeF listed an invoice with a malformed number", "connection", in.Connection, "ksefNumber", m.KSeFNumber, "error", err)
	}
	if err := s.note(ctx, receivedKey(in.Connection, m.KSeFNumber), factFound, "metadata", m); err != nil {
		return false, archiving("record the metadata", err)
	}
	if number != "" {
		if err := s.indexReceived(ctx, in.Connection, number); err != nil {
			return false, archiving("index the invoice", err)
		}
	}
	sha256 := ""
	if raw, err := base64.StdEncoding.DecodeString(m.InvoiceHash); err == nil {
		sha256 = hex.EncodeToString(raw)
	}
	return start(ctx, flow.StartOfImport(flow.ImportInput{
		Connection: in.Connection, KSeFNumber: m.KSeFNumber, SHA256: sha256, Subject: in.Subject,
	}, importSummary(m)))
}

// importSummary is a received invoice's line in the Web UI.
func importSummary(m *ksef.Metadata) string {
	return fmt.Sprintf("Invoice %s from %s, %s %s", m.InvoiceNumber, m.SellerName, flow.Amount(m.Gross.StringFixed(2)), m.Currency)
}
