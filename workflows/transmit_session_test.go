package workflows

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/mock"
	"github.com/stretchr/testify/require"

	"teamogy-ksef/internal/flow"
)

// oneSession plays the activities of a TransmitSession of six invoices,
// documents 10 to 15, and notes what happens.
type oneSession struct {
	e         *environment
	built     flow.Built
	sent      flow.SentToSession
	collected []flow.Collected
	await     []flow.Awaited
	steps     []string
	news      []flow.SessionNews
	opens     int
	batch     bool
	packed    flow.SentBatch
	closed    flow.Closed
	deaf      error // what telling TransmitInvoices ends with
}

func newOneSession(t *testing.T) *oneSession {
	t.Helper()
	s := &oneSession{
		e:     newEnvironment(t, "acme/session/x"),
		built: flow.Built{Plan: flow.ListRef{Key: "plan", Count: 6}, Form: "FA (3) 1-0E", Documents: []int64{10, 11, 12, 13, 14, 15}},
	}
	step := func(format string, arguments ...any) { s.steps = append(s.steps, fmt.Sprintf(format, arguments...)) }
	outside(s.e, "BuildSession", func(flow.BuildInput) (flow.Built, error) { step("build"); return s.built, nil })
	outside(s.e, "OpenSession", func(flow.OpenInput) (flow.Opened, error) {
		step("open")
		return flow.Opened{Reference: "KSeF session", Salt: "salt", Attempts: 2}, nil
	})
	outside(s.e, "SendToSession", func(in flow.SendToSessionInput) (flow.SentToSession, error) {
		step("send %v", in.Send)
		return s.sent, nil
	})
	outside(s.e, "CloseSession", func(in flow.CloseInput) (flow.Closed, error) {
		require.Equal(t, s.batch, in.Batch)
		step("close %s", in.Reference)
		return s.closed, nil
	})
	outside(s.e, "SendBatch", func(in flow.SendBatchInput) (flow.SentBatch, error) {
		step("package of %d", len(in.Send))
		return s.packed, nil
	})
	outside(s.e, "AwaitSession", func(in flow.AwaitInput) (flow.Awaited, error) {
		step("await %v", in.Open)
		if len(s.await) == 0 {
			return flow.Awaited{Decided: 1}, nil
		}
		next := s.await[0]
		s.await = s.await[1:]
		return next, nil
	})
	outside(s.e, "CollectResults", func(in flow.AwaitInput) (flow.Collected, error) {
		step("collect %v", in.Open)
		next := s.collected[0]
		s.collected = s.collected[1:]
		return next, nil
	})
	outside(s.e, "DeliverResults", func(in flow.DeliverInput) (flow.Delivered, error) {
		step("deliver %v", in.Indexes)
		var out flow.Delivered
		require.LessOrEqual(t, len(in.Indexes), mostAnswers)
		for _, i := range in.Indexes {
			out.Answers = append(out.Answers, flow.Answer{DocumentID: s.built.Documents[i], Accepted: true})
		}
		return out, nil
	})
	s.e.OnSignalExternalWorkflow(mock.Anything, "acme/transmit", "", mock.Anything, mock.Anything).Return(
		func(_, _, _, name string, argument any) error {
			switch message := argument.(type) {
			case flow.SessionSent:
				step("tell sent")
				s.opens = message.Opens
			case flow.SessionNews:
				raw, err := json.Marshal(message)
				require.NoError(t, err)
				require.Less(t, len(raw), 64<<10)
				s.news = append(s.news, message)
			}
			return s.deaf
		})
	return s
}

func (s *oneSession) run() error {
	s.e.ExecuteWorkflow(flow.TransmitSession, flow.SessionInput{Connection: "acme", List: flow.ListRef{Key: "list", Count: 6}, TimeScale: 1, Batch: s.batch})
	return s.e.GetWorkflowError()
}

// told is what TransmitInvoices was told in all: nothing may be missing, and
// the session is over exactly once, at the end.
func (s *oneSession) told() (landed, again, answered []int64) {
	for i, n := range s.news {
		require.Equal(s.e.t, "acme/session/x", n.ID)
		require.Equal(s.e.t, i == len(s.news)-1, n.Over)
		landed, again = append(landed, n.Landed...), append(again, n.Again...)
		for _, a := range n.Answers {
			answered = append(answered, a.DocumentID)
		}
	}
	slices.Sort(landed)
	slices.Sort(again)
	slices.Sort(answered)
	return landed, again, answered
}

func TestTransmitSession_goesItsSteps(t *testing.T) {
	s := newOneSession(t)
	s.built.Send = []int{0, 1, 2, 3, 4, 5}
	s.sent = flow.SentToSession{Sent: 6}
	s.collected = []flow.Collected{{Decided: []int{0, 1, 2, 3, 4, 5}}}
	require.NoError(t, s.run())
	require.Equal(t, []string{
		"build", "open", "send [0 1 2 3 4 5]", "close KSeF session", "tell sent",
		"await [0 1 2 3 4 5]", "collect [0 1 2 3 4 5]", "deliver [0 1 2 3 4 5]",
	}, s.steps)
	require.Equal(t, 2, s.opens)
	landed, again, answered := s.told()
	require.Equal(t, s.built.Documents, landed)
	require.Equal(t, s.built.Documents, answered)
	require.Empty(t, again)
}

// Every fate that the list can have, in one session: nothing is forgotten and
// nothing told twice.
func TestTransmitSession_accountsForEveryInvoice(t *testing.T) {
	s := newOneSession(t)
	s.built.Decided, s.built.Watch, s.built.Dropped, s.built.Unclear, s.built.Send = []int{0}, []int{1}, []int{2}, []int{3}, []int{4, 5}
	s.sent = flow.SentToSession{Sent: 1, Left: []int{5}}
	s.collected = []flow.Collected{{Decided: []int{1}}, {Again: []int{4}}}
	require.NoError(t, s.run())
	landed, again, answered := s.told()
	require.Equal(t, []int64{10, 11, 12}, landed)
	require.Equal(t, []int64{13, 14, 15}, again)
	require.Equal(t, []int64{10, 11}, answered)
	// What was sent before may be decided on already: it is looked at before waiting.
	require.Contains(t, s.steps, "collect [1 4]")
	require.NotContains(t, s.steps, "await [1 4]")
	require.Contains(t, s.steps, "await [4]")
}

func TestTransmitSession_opensNoSessionWhenNothingIsToBeSent(t *testing.T) {
	s := newOneSession(t)
	s.built.Decided, s.built.Watch = []int{0, 1, 2}, []int{3, 4, 5}
	s.collected = []flow.Collected{{Decided: []int{3, 4, 5}}}
	require.NoError(t, s.run())
	require.NotContains(t, s.steps, "open")
	landed, _, _ := s.told()
	require.Equal(t, s.built.Documents, landed)
}

func TestTransmitSession_deliversARefusalAtOnce(t *testing.T) {
	s := newOneSession(t)
	s.built.Documents = []int64{10, 11}
	s.built.Send = []int{0, 1}
	s.sent = flow.SentToSession{Sent: 1, Refused: []int{0}}
	s.collected = []flow.Collected{{Decided: []int{1}}}
	require.NoError(t, s.run())
	require.Equal(t, []string{
		"build", "open", "send [0 1]", "close KSeF session", "tell sent", "deliver [0]", "await [1]", "collect [1]", "deliver [1]",
	}, s.steps)
}

// One invoice that KSeF keeps for long holds nobody: each decided one is
// handed over as soon as it is.
func TestTransmitSession_deliversEachInvoiceWhenItIsDecided(t *testing.T) {
	s := newOneSession(t)
	s.built.Documents = []int64{10, 11, 12}
	s.built.Send = []int{0, 1, 2}
	s.sent = flow.SentToSession{Sent: 3}
	s.collected = []flow.Collected{{Decided: []int{1}}, {Decided: []int{2}}, {Decided: []int{0}}}
	require.NoError(t, s.run())
	require.Len(t, s.news, 4)
	require.Equal(t, []int64{11}, s.news[0].Landed)
	require.Equal(t, []int64{12}, s.news[1].Landed)
	require.Equal(t, []int64{10}, s.news[2].Landed)
}

// An hour without news, and a list that does not follow the counters yet, are
// waited out.
func TestTransmitSession_waitsThroughHoursWithoutNews(t *testing.T) {
	s := newOneSession(t)
	s.built.Documents = []int64{10}
	s.built.Send = []int{0}
	s.sent = flow.SentToSession{Sent: 1}
	s.await = []flow.Awaited{{}, {Decided: 1}, {Decided: 1}}
	s.collected = []flow.Collected{{}, {}, {Decided: []int{0}}}
	require.NoError(t, s.run())
	require.Equal(t, []string{
		"build", "open", "send [0]", "close KSeF session", "tell sent",
		"await [0]", "collect [0]", "await [0]", "collect [0]", "await [0]", "collect [0]", "deliver [0]",
	}, s.steps)
}

// Whether TransmitInvoices runs or not, the invoices get their answers.
func TestTransmitSession_deliversAlthoughNobodyListens(t *testing.T) {
	s := newOneSession(t)
	s.deaf = ofContent("NotFound", "no such workflow")
	s.built.Documents = []int64{10}
	s.built.Send = []int{0}
	s.sent = flow.SentToSession{Sent: 1}
	s.collected = []flow.Collected{{Decided: []int{0}}}
	require.NoError(t, s.run())
	require.Contains(t, s.steps, "deliver [0]")
}

func TestTransmitSession_saysWhatIsMissing(t *testing.T) {
	e := newEnvironment(t, "x")
	e.ExecuteWorkflow(flow.TransmitSession, flow.SessionInput{})
	require.Equal(t, flow.ErrBadInput, failedWith(t, e.GetWorkflowError()).Type())
}

// positions are those of a list of n invoices.
func positions(n int) []int {
	var all []int
	for i := range n {
		all = append(all, i)
	}
	return all
}

func TestTransmitSession_sendsAPackage(t *testing.T) {
	s := newOneSession(t)
	s.batch = true
	s.built.Send = positions(6)
	s.packed = flow.SentBatch{Session: flow.Opened{Reference: "KSeF session", Salt: "salt", Attempts: 3}, Left: []int{2}}
	s.collected = []flow.Collected{{Decided: []int{0, 1, 3}, Again: []int{4}}, {Decided: []int{5}}}
	require.NoError(t, s.run())
	require.Equal(t, []string{
		"build", "package of 6", "close KSeF session", "tell sent", "await [0 1 3 4 5]", "collect [0 1 3 4 5]", "deliver [0 1 3]",
		"await [5]", "collect [5]", "deliver [5]",
	}, s.steps)
	require.Equal(t, 3, s.opens)
	landed, again, answered := s.told()
	require.Equal(t, []int64{10, 11, 13, 15}, landed)
	require.Equal(t, []int64{12, 14}, again)
	require.Equal(t, []int64{10, 11, 13, 15}, answered)
}

func TestTransmitSession_givesTheInvoicesOfALostPackageBack(t *testing.T) {
	for name, prepare := range map[string]func(*oneSession){
		"no session came about": func(s *oneSession) { s.packed = flow.SentBatch{Left: positions(6)} },
		"KSeF lacks a part": func(s *oneSession) {
			s.packed, s.closed = flow.SentBatch{Session: flow.Opened{Reference: "KSeF session"}}, flow.Closed{Lost: true}
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newOneSession(t)
			s.batch, s.built.Send = true, positions(6)
			prepare(s)
			require.NoError(t, s.run())
			landed, again, _ := s.told()
			require.Empty(t, landed)
			require.Equal(t, s.built.Documents, again)
		})
	}
}

// The answers of the largest package and its signals stay within the 64 KB of a
// payload, whatever the documents' IDs.
func TestTransmitSession_deliversALargePackageInPieces(t *testing.T) {
	s := newOneSession(t)
	s.batch = true
	s.built.Documents = nil
	for i := range int64(2000) {
		s.built.Documents = append(s.built.Documents, 1_000_000_000_000_000_000+i)
	}
	raw, err := json.Marshal(s.built)
	require.NoError(t, err)
	require.Less(t, len(raw), 64<<10)
	s.built.Send = positions(2000)
	s.packed = flow.SentBatch{Session: flow.Opened{Reference: "KSeF session"}, Left: positions(200)}
	s.collected = []flow.Collected{{Decided: positions(1700)[200:]}, {Again: positions(2000)[1700:]}}
	require.NoError(t, s.run())
	landed, again, answered := s.told()
	require.Equal(t, s.built.Documents[200:1700], landed)
	require.Equal(t, slices.Concat(s.built.Documents[:200], s.built.Documents[1700:]), again)
	require.Equal(t, landed, answered)
}
