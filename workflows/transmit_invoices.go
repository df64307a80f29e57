package workflows

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.temporal.io/sdk/workflow"

	"teamogy-ksef/internal/flow"
)

const (
	// mostInSession bounded an online session before there were batch sessions.
	mostInSession = 100
	// betweenOpens is the least time between two sessions, within the 120 opens
	// of online sessions and, less the reserve, the 60 of batch sessions an hour.
	betweenOpens = time.Minute
	// mostWaiting is how many closed sessions may wait for KSeF's answers
	// before another one is opened.
	mostWaiting = 20
	// stuckAfter is when a waiting session stops counting against mostWaiting:
	// one invoice that KSeF keeps for days must hold nobody.
	stuckAfter = 24 * time.Hour
	// paceFresh is how long limits and settings are good for.
	paceFresh = time.Hour
)

// TransmitInvoices is a connection's one voice towards KSeF sessions. It
// collects the invoices that SendInvoice workflows hand over, and opens one
// session after the other for them within KSeF's limits. It never completes
// by itself.
func TransmitInvoices(ctx workflow.Context, state flow.TransmitState) error {
	t, err := newTransmit(ctx, state)
	if err != nil {
		return err
	}
	for {
		err := t.cycle(ctx)
		if errors.Is(err, errDue) {
			return t.continueAsNew(ctx)
		}
		if err := survive(ctx, err, t.scaled(time.Minute)); err != nil {
			return err
		}
	}
}

// errDue ends whatever is being waited for, because the history has become
// long enough: what waits is carried over to the next run.
var errDue = errors.New("continue as new")

func newTransmit(ctx workflow.Context, state flow.TransmitState) (*transmitInvoices, error) {
	if err := checkConnection(flow.TransmitInvoices, pollExample, state.Connection); err != nil {
		return nil, err
	}
	t := &transmitInvoices{
		queue:      queue{TransmitState: state},
		handedOver: workflow.GetSignalChannel(ctx, flow.SignalTransmitMany),
		single:     workflow.GetSignalChannel(ctx, flow.SignalTransmit),
		sent:       workflow.GetSignalChannel(ctx, flow.SignalSessionSent),
		news:       workflow.GetSignalChannel(ctx, flow.SignalSessionNews),
	}
	// Whether the sessions of the run before still run is not known here.
	t.pace.TimeScale = state.TimeScale
	for _, s := range state.Sessions {
		t.suspects = append(t.suspects, s.ID)
	}
	if err := describe(ctx, state.Connection, flow.DirectionSent, flow.StateTransmitting); err != nil {
		return nil, err
	}
	err := workflow.SetQueryHandlerWithOptions(ctx, flow.QueryStatus, t.status, workflow.QueryHandlerOptions{
		Description: "How many invoices are pending and in flight, which sessions wait.",
	})
	return t, err
}

type transmitInvoices struct {
	queue
	handedOver workflow.ReceiveChannel
	single     workflow.ReceiveChannel // hand-overs of workers of before, each by itself
	sent       workflow.ReceiveChannel
	news       workflow.ReceiveChannel

	pace   flow.Pace
	paceAt time.Time
	doing  string

	running []runningSession // sessions of this run that are being sent
}

// runningSession is a session that was started in this run.
type runningSession struct {
	id    string
	child workflow.ChildWorkflowFuture
}

// cycle waits for work and does what there is to do.
func (t *transmitInvoices) cycle(ctx workflow.Context) error {
	if err := t.awaitWork(ctx); err != nil {
		return err
	}
	t.noteEnded(ctx)
	if err := t.answerKnown(ctx); err != nil {
		return err
	}
	if err := t.recover(ctx); err != nil {
		return err
	}
	if !t.sendable(ctx) {
		return nil
	}
	return t.transmit(ctx)
}

// drain takes every signal that has arrived. It is called inside every wait,
// before every decision and last before continuing as new: a signal that sits
// in a channel when the run ends would be lost.
func (t *transmitInvoices) drain(ctx workflow.Context) {
	var item flow.HandOver
	for t.single.ReceiveAsync(&item) {
		t.register(item)
		item = flow.HandOver{}
	}
	var many flow.HandOvers
	for t.handedOver.ReceiveAsync(&many) {
		for _, item := range many.Items {
			t.register(item)
		}
		many = flow.HandOvers{}
	}
	var sent flow.SessionSent
	for t.sent.ReceiveAsync(&sent) {
		t.sessionSent(sent)
		sent = flow.SessionSent{}
	}
	var news flow.SessionNews
	for t.news.ReceiveAsync(&news) {
		t.sessionNews(news, workflow.Now(ctx), t.pace.TimeScale)
		news = flow.SessionNews{}
	}
}

// await waits until a condition holds, a time has passed (0: none), or the run
// is due to be continued as new, which is an error. It drains all the while.
func (t *transmitInvoices) await(ctx workflow.Context, timeout time.Duration, summary string, condition func() bool) (bool, error) {
	held := false
	wake := func() bool {
		t.drain(ctx)
		held = condition()
		return held || t.due(ctx)
	}
	var err error
	if timeout > 0 {
		_, err = workflow.AwaitWithOptions(ctx, workflow.AwaitOptions{
			Timeout: timeout, TimerOptions: workflow.TimerOptions{Summary: summary},
		}, wake)
	} else {
		err = workflow.Await(ctx, wake)
	}
	if err == nil && !held && t.due(ctx) {
		err = errDue
	}
	return held, err
}

// runDraining runs an activity while hand-overs go on being taken in. An
// activity that is still being tried when the run is due is started anew in
// the next one.
func runDraining[A, R any](ctx workflow.Context, t *transmitInvoices, p policy, summary string, activity func(context.Context, A) (R, error), argument A) (R, error) {
	var result R
	future := schedule(ctx, p, summary, activity, argument)
	if _, err := t.await(ctx, 0, "", future.IsReady); err != nil {
		return result, err
	}
	return result, future.Get(ctx, &result)
}

// awaitWork waits, without a timer when idle, until there is something to do.
func (t *transmitInvoices) awaitWork(ctx workflow.Context) error {
	t.drain(ctx)
	t.doing = "waiting for invoices"
	workflow.SetCurrentDetails(ctx, t.story())
	var timeout time.Duration
	now := workflow.Now(ctx)
	nextReady := t.nextReady
	if t.Packages {
		nextReady = func() time.Time { return t.nextReadyAfter(now) }
	}
	next := nextReady()
	if next.After(now) {
		timeout = next.Sub(now)
	}
	blocking := t.blocking(ctx)
	if doubt := t.scaled(doubtAfter); len(blocking) > 0 && (!t.Packages || timeout == 0 || doubt < timeout) {
		timeout = doubt
	}
	woken, err := t.await(ctx, timeout, "Invoices that KSeF did not decide on are tried again", func() bool {
		// What comes in meanwhile may have another time to wait for.
		return t.sendable(ctx) || len(t.known) > 0 || len(t.suspects) > 0 || t.silentlyEnded() || !nextReady().Equal(next)
	})
	if err == nil && !woken {
		t.suspects = append(t.suspects, blocking...)
	}
	return err
}

// sendable tells whether a session may be started for what is pending.
func (t *transmitInvoices) sendable(ctx workflow.Context) bool {
	now := workflow.Now(ctx)
	waiting, sending := t.waiting(now.Add(-t.scaled(stuckAfter)))
	if t.ready(now) == 0 || waiting >= mostWaiting {
		return false
	}
	if !t.Packages {
		return !sending
	}
	_, _, there := t.plan(now, t.pace)
	return there
}

// firstPackages is the change from which on several invoices go as a package. A
// run that began before it asks at each session, under a name of its own,
// whether that session was opened before or is the first one after.
const firstPackages = "packages-from-session-%d"

// transmit gathers, waits for the pace, and has one session opened, filled
// and closed. The session's answers come later, by signal.
func (t *transmitInvoices) transmit(ctx workflow.Context) error {
	if !t.Packages {
		change := fmt.Sprintf(firstPackages, t.Totals.Sessions+1)
		t.Packages = workflow.GetVersion(ctx, change, workflow.DefaultVersion, 1) > workflow.DefaultVersion
	}
	if err := t.readPace(ctx); err != nil {
		return err
	}
	if err := t.gather(ctx); err != nil {
		return err
	}
	next, err := t.awaitPace(ctx)
	if err != nil || next.most == 0 {
		return err
	}
	now := workflow.Now(ctx)
	s := flow.WaitingSession{ID: flow.SessionID(t.Connection, now), Since: now}
	var items []flow.Waiting
	if t.Packages {
		items, s.Group, s.Batch = t.takeGroup(now, next.group, next.most), next.name(), next.batch
	} else {
		items = t.take(now, next.most)
	}
	if len(items) == 0 {
		return nil
	}
	// In flight from now on: what registers again meanwhile is not queued twice.
	t.sessionStarted(s, items)
	in := flow.SessionInput{Connection: t.Connection, TimeScale: t.pace.TimeScale, Batch: s.Batch, Offline: s.Batch && next.offline}
	for piece := range slices.Chunk(handOversOf(items), flow.MostHandOvers) {
		list, err := runDraining(ctx, t, oneCall, fmt.Sprintf("Note the list of %d invoices", len(piece)), starts.PlanSession, flow.PlanInput{
			Connection: t.Connection, Items: piece,
		})
		if err != nil {
			t.sessionGone(s.ID)
			return err
		}
		if in.List.Key == "" {
			in.List = list
		} else {
			in.More = append(in.More, list)
		}
	}
	return t.runSession(ctx, s, in)
}

func handOversOf(items []flow.Waiting) []flow.HandOver {
	hand := make([]flow.HandOver, 0, len(items))
	for _, item := range items {
		hand = append(hand, item.HandOver)
	}
	return hand
}

// runSession starts the session as an abandoned child. Of one group, opening,
// sending and closing go one at a time; the others do not wait for it.
func (t *transmitInvoices) runSession(ctx workflow.Context, s flow.WaitingSession, in flow.SessionInput) error {
	t.doing = fmt.Sprintf("sending %d invoices in %s", in.Count(), s.ID)
	if in.Batch {
		t.spend(ctx, 0, 0, 1)
	} else {
		t.spend(ctx, 1, in.Count(), 0)
	}
	// Cancelling TransmitInvoices must not stop a session halfway.
	apart, _ := workflow.NewDisconnectedContext(ctx)
	child := workflow.ExecuteChildWorkflow(
		workflow.WithChildOptions(apart, sessionOptions(t.Connection, s.ID, in.Count())),
		flow.TransmitSession, in)
	// The child must have been started before this run may end.
	if err := child.GetChildWorkflowExecution().Get(apart, nil); err != nil {
		workflow.GetLogger(ctx).Error("a session could not be started", "session", s.ID, "error", err)
		t.sessionGone(s.ID)
		return rest(ctx, t.scaled(betweenOpens), "Try another session later")
	}
	t.running = append(t.running, runningSession{s.ID, child})
	if t.Packages {
		return nil
	}
	if _, err := t.await(ctx, 0, "", func() bool { return child.IsReady() || !t.sending(s.ID) }); err != nil {
		return err
	}
	t.noteEnded(ctx)
	return nil
}

func (t *transmitInvoices) scaled(d time.Duration) time.Duration {
	return flow.Scaled(d, t.pace.TimeScale)
}

// due tells whether the run should be continued as new: only when the server
// suggests it, because doing so more often is slowed down.
func (t *transmitInvoices) due(ctx workflow.Context) bool {
	return workflow.GetInfo(ctx).GetContinueAsNewSuggested()
}

func (t *transmitInvoices) story() string {
	return fmt.Sprintf("%d invoices pending, %d in flight, %d sessions so far", len(t.Pending), len(t.InFlight), t.Totals.Sessions)
}

func (t *transmitInvoices) status() (flow.TransmitStatus, error) {
	return flow.TransmitStatus{
		Connection: t.Connection, Doing: t.doing, Pending: len(t.Pending), InFlight: len(t.InFlight),
		Sessions: t.Sessions, Totals: t.Totals,
	}, nil
}

// continueAsNew carries everything over. Nothing may block between the last
// drain and the return.
func (t *transmitInvoices) continueAsNew(ctx workflow.Context) error {
	t.drain(ctx)
	t.settle()
	t.TimeScale = t.pace.TimeScale
	return workflow.NewContinueAsNewError(ctx, flow.TransmitInvoices, t.TransmitState)
}
