package workflows

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/workflow"

	"teamogy-ksef/internal/flow"
)

// transmitting is a TransmitInvoices whose sessions are played: each is sent
// after sending, and decides on all its invoices after deciding.
type transmitting struct {
	e                 *environment
	pace              flow.Pace
	sending, deciding time.Duration
	tell              func(signal string, message any)                                   // signals TransmitInvoices
	session           func(ctx workflow.Context, id string, items []flow.HandOver) error // replaces the above

	mu       sync.Mutex
	opened   []time.Time
	sessions [][]flow.HandOver
	inputs   []flow.SessionInput
	lists    map[string][]flow.HandOver
	known    []flow.HandOver
	unknown  []int64 // what DeliverKnown finds no answer for
	checked  []string
	gone     []string
}

func newTransmitting(t *testing.T) *transmitting {
	t.Helper()
	s := &transmitting{
		e: bareEnvironment(t, "acme/transmit"), sending: 5 * time.Second, deciding: 20 * time.Second, lists: map[string][]flow.HandOver{},
		pace: flow.Pace{TimeScale: 1, Limits: flow.Limits{
			OpensPerMinute: 30, OpensPerHour: 120, SendsPerMinute: 30, SendsPerHour: 180, BatchesPerMinute: 20, BatchesPerHour: 60,
		}},
	}
	s.tell = s.e.SignalWorkflow
	outside(s.e, "ReadPace", func(flow.ConnectionInput) (flow.Pace, error) { return s.pace, nil })
	outside(s.e, "PlanSession", func(in flow.PlanInput) (flow.ListRef, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		key := fmt.Sprint("list ", len(s.lists))
		s.lists[key] = in.Items
		return flow.ListRef{Key: key, Count: len(in.Items)}, nil
	})
	outside(s.e, "DeliverKnown", func(in flow.DeliverDirectInput) (flow.Delivered, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.known = append(s.known, in.Items...)
		return flow.Delivered{Delivered: len(in.Items) - len(s.unknown), Unknown: s.unknown}, nil
	})
	outside(s.e, "CheckSessions", func(in flow.CheckSessionsInput) (flow.CheckedSessions, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.checked = append(s.checked, in.IDs...)
		return flow.CheckedSessions{Gone: s.gone}, nil
	})
	Register(replacing{s.e, flow.TransmitSession, func(ctx workflow.Context, in flow.SessionInput) error {
		s.mu.Lock()
		items := s.lists[in.List.Key]
		for _, piece := range in.More {
			items = slices.Concat(items, s.lists[piece.Key])
		}
		s.opened = append(s.opened, workflow.Now(ctx))
		s.sessions, s.inputs = append(s.sessions, items), append(s.inputs, in)
		s.mu.Unlock()
		id := workflow.GetInfo(ctx).WorkflowExecution.ID
		if s.session != nil {
			return s.session(ctx, id, items)
		}
		return s.play(ctx, id, items)
	}})
	return s
}

// play is an ordinary session.
func (s *transmitting) play(ctx workflow.Context, id string, items []flow.HandOver) error {
	if err := workflow.Sleep(ctx, s.sending); err != nil {
		return err
	}
	s.tell(flow.SignalSessionSent, flow.SessionSent{ID: id, Opens: 1})
	if err := workflow.Sleep(ctx, s.deciding); err != nil {
		return err
	}
	s.tell(flow.SignalSessionNews, s.news(id, items))
	return nil
}

// news is that all were accepted.
func (s *transmitting) news(id string, items []flow.HandOver) flow.SessionNews {
	news := flow.SessionNews{ID: id, Over: true}
	for _, item := range items {
		news.Landed = append(news.Landed, item.DocumentID)
		news.Answers = append(news.Answers, flow.Answer{DocumentID: item.DocumentID, SHA256: item.SHA256, Accepted: true})
	}
	return news
}

func (s *transmitting) handOver(at time.Duration, items ...flow.HandOver) {
	s.e.after(at, func() {
		for _, item := range items {
			s.e.SignalWorkflow(flow.SignalTransmitMany, flow.HandOvers{Items: []flow.HandOver{item}})
		}
	})
}

func (s *transmitting) run() {
	s.e.ExecuteWorkflow(flow.TransmitInvoices, flow.TransmitState{Connection: "acme"})
}

func documents(items []flow.HandOver) []int64 {
	var ids []int64
	for _, item := range items {
		ids = append(ids, item.DocumentID)
	}
	return ids
}

func some(from, to int64) []flow.HandOver {
	var items []flow.HandOver
	for d := from; d <= to; d++ {
		items = append(items, handedOver(d, "a"))
	}
	return items
}

func TestTransmitInvoices_gathersWhileInvoicesKeepComing(t *testing.T) {
	s := newTransmitting(t)
	for i := range int64(4) { // 1.5 s apart: the silence of 2 s is never reached
		s.handOver(time.Duration(i)*1500*time.Millisecond, handedOver(i+1, "a"))
	}
	s.handOver(30*time.Second, handedOver(9, "a"))
	s.e.after(10*time.Minute, s.e.CancelWorkflow)
	s.run()
	require.Len(t, s.sessions, 2)
	require.Equal(t, []int64{1, 2, 3, 4}, documents(s.sessions[0]))
	require.Equal(t, []int64{9}, documents(s.sessions[1]))
}

// A worker starts invoices by the hundred, and a slow one needs some seconds for
// each hundred, on whatever clock: they are one package nevertheless.
func TestTransmitInvoices_waitsForTheNextHundred(t *testing.T) {
	s := newTransmitting(t)
	s.pace.TimeScale = 60
	for hundred := range int64(5) {
		s.handOver(time.Duration(hundred)*5*time.Second, some(100*hundred+1, 100*hundred+100)...)
	}
	s.e.after(time.Hour, s.e.CancelWorkflow)
	s.run()
	require.Len(t, s.sessions, 1)
	require.Len(t, s.sessions[0], 500)
}

func TestTransmitInvoices_boundsTheGathering(t *testing.T) {
	s := newTransmitting(t)
	for i := range int64(300) { // they come without end
		s.handOver(time.Duration(i)*time.Second, handedOver(i+1, "a"))
	}
	s.e.after(time.Hour, s.e.CancelWorkflow)
	s.run()
	require.Less(t, len(s.sessions[0]), 130)
	require.Equal(t, documents(some(1, 300)), documents(slices.Concat(s.sessions...)))
}

// Each timer is an action and an event or two: many invoices that come one by
// one must not cost one each, in the runs of before they do.
func TestTransmitInvoices_gathersManyWithFewTimers(t *testing.T) {
	for _, c := range []struct {
		name    string
		version workflow.Version
		most    int
	}{{"in windows", 1, 20}, {"as a run of before", workflow.DefaultVersion, 110}} {
		t.Run(c.name, func(t *testing.T) {
			s := newTransmitting(t)
			s.e.OnGetVersion(inWindowsChange, workflow.DefaultVersion, 1).Return(c.version)
			for i := range int64(100) { // half a second apart
				s.handOver(time.Duration(i)*500*time.Millisecond, handedOver(i+1, "a"))
			}
			timers := 0
			s.e.SetOnTimerScheduledListener(func(_ string, d time.Duration) {
				if d <= silenceReal { // longer are the pauses between sessions, and the session's own
					timers++
				}
			})
			s.e.after(time.Hour, s.e.CancelWorkflow)
			s.e.ExecuteWorkflow(flow.TransmitInvoices, flow.TransmitState{Connection: "acme", Packages: true})
			require.Len(t, s.sessions, 1)
			require.Equal(t, documents(some(1, 100)), documents(s.sessions[0]))
			require.LessOrEqual(t, timers, c.most)
			if c.version == workflow.DefaultVersion {
				require.GreaterOrEqual(t, timers, 100)
			}
		})
	}
}

func TestTransmitInvoices_sendsOneSessionPerForm(t *testing.T) {
	s := newTransmitting(t)
	other := handedOver(2, "a")
	other.Form = "another form"
	s.handOver(0, handedOver(1, "a"), other, handedOver(3, "a"))
	s.e.after(time.Hour, s.e.CancelWorkflow)
	s.run()
	require.Equal(t, []int64{1, 3}, documents(s.sessions[0]))
	require.Equal(t, []int64{2}, documents(s.sessions[1]))
}

// Towards a simulator ONE_BY_ONE says how many are few.
func TestTransmitInvoices_sendsOneByOneWhatItIsToldToBeFew(t *testing.T) {
	for oneByOne, packed := range map[int]bool{0: true, 24: true, 25: false} {
		s := newTransmitting(t)
		s.pace.OneByOne = oneByOne
		s.handOver(0, some(1, 25)...)
		s.e.after(time.Hour, s.e.CancelWorkflow)
		s.run()
		require.Len(t, s.sessions[0], 25)
		require.Equal(t, packed, s.inputs[0].Batch, oneByOne)
	}
}

// Whatever comes: sessions open a minute apart at least, and what is sent in
// them stays within the limits less their reserve.
func TestTransmitInvoices_keepsThePace(t *testing.T) {
	for _, scale := range []float64{1, 60} {
		s := newTransmitting(t)
		s.pace.TimeScale = scale
		s.sending, s.deciding = flow.Scaled(s.sending, scale), flow.Scaled(s.deciding, scale)
		for i := range int64(60) {
			s.handOver(flow.Scaled(time.Duration(i)*10*time.Second, scale), some(5*i+1, 5*i+5)...)
		}
		s.e.after(flow.Scaled(6*time.Hour, scale), s.e.CancelWorkflow)
		s.run()
		var sends, packages []flow.Spent
		for i, at := range s.opened {
			if s.inputs[i].Batch {
				packages = append(packages, flow.Spent{At: at, Count: 1})
			} else {
				require.LessOrEqual(t, len(s.sessions[i]), mostOnline)
				sends = append(sends, flow.Spent{At: at, Count: len(s.sessions[i])})
			}
			if i > 0 {
				require.GreaterOrEqual(t, at.Sub(s.opened[i-1]), flow.Scaled(time.Minute, scale))
			}
		}
		for _, at := range s.opened {
			require.LessOrEqual(t, spentIn(sends, at, flow.Scaled(time.Minute, scale)), 27)
			require.LessOrEqual(t, spentIn(sends, at, flow.Scaled(time.Hour, scale)), 162)
			require.LessOrEqual(t, spentIn(packages, at, flow.Scaled(time.Minute, scale)), 18)
			require.LessOrEqual(t, spentIn(packages, at, flow.Scaled(time.Hour, scale)), 54)
		}
		require.Equal(t, documents(some(1, 300)), documents(slices.Concat(s.sessions...)))
	}
}

// What a session needed beyond one open counts too.
func TestTransmitInvoices_countsRepeatedOpens(t *testing.T) {
	s := newTransmitting(t)
	s.pace.Limits.OpensPerHour, s.pace.Limits.BatchesPerHour = 4, 4 // less the reserve: 3
	s.session = func(_ workflow.Context, id string, items []flow.HandOver) error {
		s.e.SignalWorkflow(flow.SignalSessionSent, flow.SessionSent{ID: id, Opens: 3})
		s.e.SignalWorkflow(flow.SignalSessionNews, s.news(id, items))
		return nil
	}
	s.handOver(0, handedOver(1, "a"))
	s.handOver(10*time.Minute, handedOver(2, "a")) // as a package: the other quota
	s.handOver(20*time.Minute, handedOver(3, "a"))
	s.e.after(3*time.Hour, s.e.CancelWorkflow)
	s.run()
	require.Len(t, s.opened, 3)
	require.False(t, s.inputs[0].Batch)
	require.True(t, s.inputs[1].Batch)
	require.Less(t, s.opened[1].Sub(s.opened[0]), 15*time.Minute)
	require.GreaterOrEqual(t, s.opened[2].Sub(s.opened[0]), time.Hour)
}

// While one session sends, no other is opened; while it is decided on, the
// next one is.
func TestTransmitInvoices_sendsOneSessionAtATimeAndDoesNotWaitForItsDecision(t *testing.T) {
	s := newTransmitting(t)
	s.sending, s.deciding = 10*time.Minute, 10*time.Hour
	s.handOver(0, handedOver(1, "a"))
	s.handOver(time.Minute, handedOver(2, "a"))
	s.e.after(time.Hour, s.e.CancelWorkflow)
	s.run()
	require.Len(t, s.opened, 2)
	between := s.opened[1].Sub(s.opened[0])
	require.GreaterOrEqual(t, between, 10*time.Minute)
	require.Less(t, between, 11*time.Minute)
}

func TestTransmitInvoices_holdsAtMost20SessionsThatWait(t *testing.T) {
	s := newTransmitting(t)
	s.sending, s.deciding = time.Second, 100*time.Hour
	for i := range int64(30) {
		s.handOver(time.Duration(i)*2*time.Minute, handedOver(i+1, "a"))
	}
	s.e.after(12*time.Hour, func() {
		status := ask[flow.TransmitStatus](s.e)
		require.Len(t, status.Sessions, 20)
		require.Equal(t, 10, status.Pending)
		require.Equal(t, 20, status.InFlight)
		s.e.CancelWorkflow()
	})
	s.run()
}

// An invoice that was registered again while it was in flight is answered at
// its newest address, once its session has decided.
func TestTransmitInvoices_answersAtTheNewestAddress(t *testing.T) {
	s := newTransmitting(t)
	s.handOver(0, handedOver(1, "a"), handedOver(2, "a"))
	s.handOver(15*time.Second, handedOver(1, "b"))
	s.e.after(time.Hour, s.e.CancelWorkflow)
	s.run()
	require.Len(t, s.sessions, 1, "it was sent again")
	require.Equal(t, []flow.HandOver{handedOver(1, "b")}, s.known)
	require.Len(t, s.checked, 1, "nobody looked after its session")
}

func TestTransmitInvoices_answersWhatItKnows(t *testing.T) {
	s := newTransmitting(t)
	s.handOver(0, handedOver(1, "a"))
	s.handOver(10*time.Minute, handedOver(1, "b"))
	s.e.after(time.Hour, s.e.CancelWorkflow)
	s.run()
	require.Len(t, s.sessions, 1)
	require.Equal(t, []flow.HandOver{handedOver(1, "b")}, s.known)
}

// What it remembers but the record does not is sent after all: the session
// looks before it sends.
func TestTransmitInvoices_believesTheRecordMoreThanItsMemory(t *testing.T) {
	s := newTransmitting(t)
	s.unknown = []int64{1}
	s.handOver(0, handedOver(1, "a"))
	s.handOver(10*time.Minute, handedOver(1, "b"))
	s.e.after(time.Hour, s.e.CancelWorkflow)
	s.run()
	require.Len(t, s.sessions, 2)
	require.Equal(t, []flow.HandOver{handedOver(1, "b")}, s.sessions[1])
}

func TestTransmitInvoices_sendsAgainWhatKSeFDidNotDecideOn(t *testing.T) {
	s := newTransmitting(t)
	s.session = func(ctx workflow.Context, id string, items []flow.HandOver) error {
		s.e.SignalWorkflow(flow.SignalSessionSent, flow.SessionSent{ID: id, Opens: 1})
		if len(s.sessions) < 4 {
			s.e.SignalWorkflow(flow.SignalSessionNews, flow.SessionNews{ID: id, Again: documents(items), Over: true})
			return nil
		}
		s.e.SignalWorkflow(flow.SignalSessionNews, s.news(id, items))
		return nil
	}
	s.handOver(0, handedOver(1, "a"))
	s.e.after(3*time.Hour, func() {
		require.Equal(t, 3, ask[flow.TransmitStatus](s.e).Totals.Again)
		s.e.CancelWorkflow()
	})
	s.run()
	require.Len(t, s.sessions, 4)
	for i := 2; i < len(s.opened); i++ {
		require.GreaterOrEqual(t, s.opened[i].Sub(s.opened[i-1]), s.opened[i-1].Sub(s.opened[i-2]), "the pauses do not grow")
	}
}

// A session that ends without a word, because somebody terminated it, gives
// its invoices back.
func TestTransmitInvoices_takesBackTheInvoicesOfADeadSession(t *testing.T) {
	s := newTransmitting(t)
	s.session = func(ctx workflow.Context, id string, items []flow.HandOver) error {
		if len(s.sessions) == 1 {
			return ofContent(flow.ErrUnexpected, "terminated")
		}
		return s.play(ctx, id, items)
	}
	s.handOver(0, some(1, 3)...)
	s.e.after(time.Hour, s.e.CancelWorkflow)
	s.run()
	require.Len(t, s.sessions, 2)
	require.Equal(t, some(1, 3), s.sessions[1])
}

// One that died after it was sent is noticed when its invoices register again.
func TestTransmitInvoices_noticesASessionThatDiedWhileItWaited(t *testing.T) {
	s := newTransmitting(t)
	s.session = func(ctx workflow.Context, id string, items []flow.HandOver) error {
		if len(s.sessions) > 1 {
			return s.play(ctx, id, items)
		}
		s.gone = []string{id}
		s.e.SignalWorkflow(flow.SignalSessionSent, flow.SessionSent{ID: id, Opens: 1})
		return ofContent(flow.ErrUnexpected, "terminated")
	}
	s.handOver(0, some(1, 2)...)
	s.handOver(45*time.Minute, handedOver(1, "a"))
	s.e.after(2*time.Hour, s.e.CancelWorkflow)
	s.run()
	require.Len(t, s.sessions, 2)
	require.Equal(t, some(1, 2), s.sessions[1])
}

// Signals that arrive right when the run is continued as new, and whatever is
// being waited for then, are carried over.
func TestTransmitInvoices_losesNoSignalWhenItContinuesAsNew(t *testing.T) {
	moments := map[string]struct {
		at       time.Duration
		inFlight int    // documents 1 and 2
		doing    string // what it says it is doing then
		prepare  func(s *transmitting)
	}{
		"idle":                          {at: 5 * time.Minute, doing: "waiting for invoices"},
		"while it gathers":              {at: time.Second, doing: "gathering"},
		"while a session sends":         {at: 6 * time.Second, inFlight: 2},
		"while it waits for a decision": {at: 15 * time.Second, inFlight: 2},
		"while it awaits the pace": {at: 5 * time.Minute, doing: "waiting for KSeF's limits", prepare: func(s *transmitting) {
			s.pace.Blocked = refusedFor(time.Hour, flow.GroupOpens, flow.GroupBatches)
		}},
		"while a session is planned": {at: 5 * time.Minute, doing: "gathering", prepare: func(s *transmitting) {
			outside(s.e, "PlanSession", func(flow.PlanInput) (flow.ListRef, error) { return flow.ListRef{}, activity.ErrResultPending })
		}},
	}
	for name, m := range moments {
		t.Run(name, func(t *testing.T) {
			s := newTransmitting(t)
			if m.prepare != nil {
				m.prepare(s)
			}
			s.handOver(0, some(1, 2)...)
			s.e.after(m.at, func() {
				require.Contains(t, ask[flow.TransmitStatus](s.e).Doing, m.doing)
				s.e.SignalWorkflowSkippingWorkflowTask(flow.SignalTransmitMany, flow.HandOvers{Items: some(11, 13)})
				for d := int64(14); d <= 15; d++ {
					s.e.SignalWorkflowSkippingWorkflowTask(flow.SignalTransmitMany, flow.HandOvers{Items: []flow.HandOver{handedOver(d, "a")}})
				}
			})
			s.e.after(m.at+time.Millisecond, func() { s.e.SetContinueAsNewSuggested(true) })
			s.run()
			next, ok := continued[flow.TransmitState](s.e)
			require.True(t, ok, "%v", s.e.GetWorkflowError())
			require.Less(t, s.e.Now().Sub(start), m.at+time.Minute, "it waited for something else first")
			var carried []int64
			for _, p := range next.Pending {
				carried = append(carried, p.DocumentID)
			}
			require.Len(t, next.InFlight, m.inFlight)
			for d := int64(11); d <= 15; d++ {
				require.Contains(t, carried, d, "a signal was lost")
			}
			answered := 0
			for _, a := range next.Answered {
				if a.Accepted {
					answered++
				}
			}
			require.Equal(t, 7, len(carried)+m.inFlight+answered)
			require.Equal(t, "acme", next.Connection)
			if m.inFlight > 0 {
				require.Len(t, next.Sessions, 1)
				require.NotEmpty(t, next.Opens)
				require.NotEmpty(t, next.Sends)
			}
		})
	}
}

// A hand-over whose answer is known, and that comes when the run is continued as
// new, is with the next run, whose session answers it from its record; also when
// the answer is just being delivered.
func TestTransmitInvoices_carriesOverWhatIsAnsweredAlready(t *testing.T) {
	for name, delivering := range map[string]bool{"it comes together with the moment": false, "it is being answered": true} {
		t.Run(name, func(t *testing.T) {
			s := newTransmitting(t)
			outside(s.e, "DeliverKnown", func(flow.DeliverDirectInput) (flow.Delivered, error) {
				return flow.Delivered{}, activity.ErrResultPending
			})
			s.handOver(0, some(1, 2)...)
			s.e.after(5*time.Minute, func() {
				again := flow.HandOvers{Items: []flow.HandOver{handedOver(1, "b"), handedOver(3, "a")}}
				if delivering {
					s.e.SignalWorkflow(flow.SignalTransmitMany, again)
				} else {
					s.e.SignalWorkflowSkippingWorkflowTask(flow.SignalTransmitMany, again)
				}
			})
			s.e.after(5*time.Minute+time.Millisecond, func() { s.e.SetContinueAsNewSuggested(true) })
			s.run()
			next, ok := continued[flow.TransmitState](s.e)
			require.True(t, ok, "%v", s.e.GetWorkflowError())
			require.ElementsMatch(t, []flow.Waiting{waitingFor(1, "b"), waitingFor(3, "a")}, next.Pending)
			require.Len(t, next.Answered, 2)
			require.Empty(t, next.InFlight)

			again := newTransmitting(t)
			again.e.SetStartTime(s.e.Now())
			again.e.after(time.Hour, func() {
				status := ask[flow.TransmitStatus](again.e)
				require.Zero(t, status.Pending+status.InFlight)
				require.Equal(t, 2+2, status.Totals.Answered)
				again.e.CancelWorkflow()
			})
			again.e.ExecuteWorkflow(flow.TransmitInvoices, next)
			require.Len(t, again.sessions, 1)
			require.ElementsMatch(t, []flow.HandOver{handedOver(1, "b"), handedOver(3, "a")}, again.sessions[0])
		})
	}
}

// The next run knows the pace, the sessions and the answers of the one before.
func TestTransmitInvoices_goesOnWhereTheRunBeforeEnded(t *testing.T) {
	s := newTransmitting(t)
	state := flow.TransmitState{
		Connection: "acme", Pending: []flow.Waiting{waitingFor(3, "a")},
		InFlight: []flow.InFlight{{Waiting: waitingFor(1, "a"), Session: "s1"}}, Sessions: []flow.WaitingSession{{ID: "s1", Since: start, Sent: false}},
		Answered: []flow.Answer{{DocumentID: 2, SHA256: "hash2", Accepted: true}},
		Opens:    []flow.Spent{{At: start, Count: 1}}, Sends: []flow.Spent{{At: start, Count: 1}},
	}
	s.handOver(0, handedOver(1, "a"), handedOver(2, "b"))
	s.e.after(5*time.Minute, func() {
		require.Empty(t, s.opened, "the session of the run before is still sending")
		s.e.SignalWorkflow(flow.SignalSessionSent, flow.SessionSent{ID: "s1", Opens: 1})
	})
	s.e.after(10*time.Minute, s.e.CancelWorkflow)
	s.e.ExecuteWorkflow(flow.TransmitInvoices, state)
	require.Equal(t, []flow.HandOver{handedOver(2, "b")}, s.known)
	require.Equal(t, [][]flow.HandOver{{handedOver(3, "a")}}, s.sessions)
}

// A worker hands over together what comes at the same time, and again what it
// does not know to have arrived.
func TestTransmitInvoices_takesManyHandOversInOneSignal(t *testing.T) {
	s := newTransmitting(t)
	for range 2 {
		s.e.after(0, func() {
			s.e.SignalWorkflow(flow.SignalTransmitMany, flow.HandOvers{Items: some(1, flow.MostHandOvers)})
		})
	}
	s.handOver(time.Millisecond, some(flow.MostHandOvers, flow.MostHandOvers+1)...)
	s.e.after(time.Hour, s.e.CancelWorkflow)
	s.run()
	require.Len(t, s.sessions, 1)
	require.Equal(t, documents(some(1, flow.MostHandOvers+1)), documents(s.sessions[0]))
}

// A worker of before TransmitMany signals each hand-over by itself.
func TestTransmitInvoices_takesTheHandOversOfOlderWorkers(t *testing.T) {
	s := newTransmitting(t)
	s.e.after(0, func() { s.e.SignalWorkflow(flow.SignalTransmit, handedOver(1, "a")) })
	s.handOver(time.Millisecond, handedOver(2, "a"))
	s.e.after(time.Hour, s.e.CancelWorkflow)
	s.run()
	require.Len(t, s.sessions, 1)
	require.Equal(t, []int64{1, 2}, documents(s.sessions[0]))
}

// A document's second run hands over in the same workflow task as its first: the
// answer goes to the second, whether others were handed over with either or not.
func TestTransmitInvoices_answersTheSecondRunWhateverItsHandOverCameWith(t *testing.T) {
	first, second := handedOver(1, "a"), handedOver(1, "b")
	for _, signals := range [][]flow.HandOvers{
		{{Items: []flow.HandOver{first, handedOver(2, "a")}}, {Items: []flow.HandOver{second}}},
		{{Items: []flow.HandOver{first}}, {Items: []flow.HandOver{handedOver(2, "a"), second}}},
	} {
		s := newTransmitting(t)
		s.e.after(0, func() {
			s.e.SignalWorkflowSkippingWorkflowTask(flow.SignalTransmitMany, signals[0])
			s.e.SignalWorkflow(flow.SignalTransmitMany, signals[1])
		})
		s.e.after(time.Hour, s.e.CancelWorkflow)
		s.run()
		require.Len(t, s.sessions, 1)
		require.Contains(t, s.sessions[0], second)
		require.NotContains(t, s.sessions[0], first)
	}
}

// The longest hand-overs stay within the 64 KB of a payload.
func TestTransmitInvoices_signalsOfManyHandOversAreBounded(t *testing.T) {
	var many flow.HandOvers
	for i := range int64(flow.MostHandOvers) {
		many.Items = append(many.Items, flow.HandOver{
			WorkflowID: flow.SendInvoiceID(strings.Repeat("c", 40), math.MaxInt64-i), RunID: strings.Repeat("r", 36), ActivityID: "1000",
			DocumentID: math.MaxInt64 - i, SHA256: strings.Repeat("f", 64), Form: "FA_RR (1) 1-1E", Attachment: true, Offline: true, Size: 3_000_000,
		})
	}
	raw, err := json.Marshal(many)
	require.NoError(t, err)
	require.Less(t, len(raw), 64<<10)
}

func TestTransmitInvoices_waitsWithoutATimerWhenIdle(t *testing.T) {
	s := newTransmitting(t)
	timers := 0
	s.e.SetOnTimerScheduledListener(func(string, time.Duration) { timers++ })
	s.e.after(1000*time.Hour, s.e.CancelWorkflow)
	s.run()
	require.Zero(t, timers)
}

// inBatches tells of each session whether it is a package, and of how many.
func (s *transmitting) inBatches() (packages, single []int) {
	for i, in := range s.inputs {
		if in.Batch {
			packages = append(packages, len(s.sessions[i]))
		} else {
			single = append(single, len(s.sessions[i]))
		}
	}
	return packages, single
}

func TestTransmitInvoices_sendsFewOneByOneAndManyAsAPackage(t *testing.T) {
	s := newTransmitting(t)
	s.handOver(0, some(1, 3)...)
	s.handOver(10*time.Minute, some(11, 14)...)
	for i := range 5 { // the environment takes at most 1,000 signals at once
		from := int64(1001 + 500*i)
		s.handOver(20*time.Minute+time.Duration(i)*time.Millisecond, some(from, from+499)...)
	}
	s.e.after(2*time.Hour, s.e.CancelWorkflow)
	s.run()
	packages, single := s.inBatches()
	require.Equal(t, []int{3}, single)
	require.Equal(t, []int{4, 2000, 500}, packages)
	for _, in := range s.inputs[2:] {
		for _, list := range append(in.More, in.List) {
			require.LessOrEqual(t, list.Count, flow.MostHandOvers)
		}
	}
	require.Equal(t, documents(slices.Concat(some(1, 3), some(11, 14), some(1001, 3500))), documents(slices.Concat(s.sessions...)))
}

func withAttachment(items []flow.HandOver) []flow.HandOver {
	for i := range items {
		items[i].Attachment = true
	}
	return items
}

func TestTransmitInvoices_sendsAttachmentsInPackagesOnly(t *testing.T) {
	s := newTransmitting(t)
	offline := handedOver(3, "a")
	offline.Offline, offline.Attachment = true, true
	s.handOver(0, slices.Concat(withAttachment(some(1, 2)), []flow.HandOver{offline}, some(4, 5))...)
	s.e.after(time.Hour, s.e.CancelWorkflow)
	s.run()
	require.Equal(t, [][]int64{{1, 2}, {3}, {4, 5}}, [][]int64{documents(s.sessions[0]), documents(s.sessions[1]), documents(s.sessions[2])})
	require.Equal(t, []bool{true, true, false}, []bool{s.inputs[0].Batch, s.inputs[1].Batch, s.inputs[2].Batch})
	require.Equal(t, []bool{false, true, false}, []bool{s.inputs[0].Offline, s.inputs[1].Offline, s.inputs[2].Offline})
}

// A package that is uploaded for hours is in nobody's way but its own group's.
func TestTransmitInvoices_doesNotWaitForThePackageOfAnotherGroup(t *testing.T) {
	s := newTransmitting(t)
	s.session = func(ctx workflow.Context, id string, items []flow.HandOver) error {
		if items[0].Attachment {
			if err := workflow.Sleep(ctx, 5*time.Hour); err != nil {
				return err
			}
		}
		return s.play(ctx, id, items)
	}
	s.handOver(0, withAttachment(some(1, 1))...)
	s.handOver(10*time.Minute, some(2, 2)...)
	s.handOver(20*time.Minute, withAttachment(some(3, 3))...)
	s.handOver(30*time.Minute, some(11, 20)...)
	s.e.after(12*time.Hour, s.e.CancelWorkflow)
	s.run()
	require.Len(t, s.sessions, 4)
	require.Equal(t, documents(some(2, 2)), documents(s.sessions[1]))
	require.Less(t, s.opened[1].Sub(s.opened[0]), 11*time.Minute)
	require.Equal(t, documents(some(11, 20)), documents(s.sessions[2]))
	require.Less(t, s.opened[2].Sub(s.opened[0]), 34*time.Minute)
	require.Equal(t, []int64{3}, documents(s.sessions[3]))
	require.GreaterOrEqual(t, s.opened[3].Sub(s.opened[0]), 5*time.Hour)
}

// What keeps coming back undecided is kept apart: a few go one by one, and of
// many ever smaller packages are made, so that one invoice fails no others for
// ever.
func TestTransmitInvoices_separatesWhatItsPackagesKeepFailingFor(t *testing.T) {
	for many, c := range map[int64]struct {
		fails            int // packages of more than so many
		packages, single []int
	}{
		20:  {0, []int{20, 20}, []int{20}},
		300: {31, []int{300, 300, 250, 50, 31, 31, 31, 31, 31, 31, 31, 31, 31}, []int{21}},
	} {
		s := newTransmitting(t)
		s.session = func(_ workflow.Context, id string, items []flow.HandOver) error {
			news := s.news(id, items)
			if s.inputs[len(s.inputs)-1].Batch && len(items) > c.fails {
				news = flow.SessionNews{ID: id, Again: documents(items), Over: true}
			}
			s.e.SignalWorkflow(flow.SignalSessionSent, flow.SessionSent{ID: id, Opens: 1})
			s.e.SignalWorkflow(flow.SignalSessionNews, news)
			return nil
		}
		s.handOver(0, some(1, many)...)
		s.e.after(5*time.Hour, s.e.CancelWorkflow)
		s.run()
		packages, single := s.inBatches()
		require.Equal(t, c.single, single)
		require.Equal(t, c.packages, packages)
	}
}

// A run from before packages goes on as it began, and sends packages from its
// next session on.
func TestTransmitInvoices_anOlderRunFindsOutThatItMaySendPackages(t *testing.T) {
	s := newTransmitting(t)
	s.e.OnGetVersion(fmt.Sprintf(firstPackages, 1), workflow.DefaultVersion, 1).Return(workflow.DefaultVersion)
	s.e.OnGetVersion(fmt.Sprintf(firstPackages, 2), workflow.DefaultVersion, 1).Return(workflow.Version(1))
	s.handOver(0, some(1, 20)...)
	s.handOver(10*time.Minute, some(21, 40)...)
	s.handOver(20*time.Minute, some(41, 60)...)
	s.e.after(time.Hour, s.e.CancelWorkflow)
	s.run()
	require.Len(t, s.inputs, 3)
	require.Equal(t, []bool{false, true, true}, []bool{s.inputs[0].Batch, s.inputs[1].Batch, s.inputs[2].Batch})
	s.e.AssertExpectations(t)
}

func TestTransmitInvoices_carriesOverThatItSendsPackages(t *testing.T) {
	s := newTransmitting(t)
	s.handOver(0, some(1, 20)...)
	s.e.after(10*time.Minute, func() { s.e.SetContinueAsNewSuggested(true) })
	s.run()
	next, ok := continued[flow.TransmitState](s.e)
	require.True(t, ok, "%v", s.e.GetWorkflowError())
	require.True(t, next.Packages)
	require.Len(t, next.Batches, 1)
}
