package workflows

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"teamogy-ksef/internal/flow"
)

func handedOver(document int64, run string) flow.HandOver {
	return flow.HandOver{
		WorkflowID: fmt.Sprintf("acme/send/%d", document), RunID: run, ActivityID: "17",
		DocumentID: document, SHA256: fmt.Sprintf("hash%d", document), Form: "FA (3) 1-0E",
	}
}

func waitingFor(document int64, run string) flow.Waiting {
	return flow.Waiting{HandOver: handedOver(document, run)}
}

func TestQueue_registrationAgainKeepsItsPlaceAndTakesTheNewAddress(t *testing.T) {
	q := &queue{}
	q.register(handedOver(1, "a"))
	q.register(handedOver(2, "a"))
	q.register(handedOver(1, "b"))
	require.Equal(t, []flow.Waiting{waitingFor(1, "b"), waitingFor(2, "a")}, q.Pending)
}

func TestQueue_inFlightIsNotQueuedAgainAndItsSessionIsLookedAfter(t *testing.T) {
	q := &queue{}
	q.sessionStarted(flow.WaitingSession{ID: "s1", Since: start}, []flow.Waiting{waitingFor(1, "a")})
	q.register(handedOver(1, "a"))
	require.Empty(t, q.Pending)
	require.Equal(t, []string{"s1"}, q.takeSuspects())
}

func TestQueue_movedInvoiceIsAnsweredAtItsNewAddress(t *testing.T) {
	q := &queue{}
	q.sessionStarted(flow.WaitingSession{ID: "s1", Since: start}, []flow.Waiting{waitingFor(1, "a")})
	q.register(handedOver(1, "b"))
	q.sessionNews(flow.SessionNews{ID: "s1", Over: true, Answers: []flow.Answer{{DocumentID: 1, SHA256: "hash1", RunID: "a", Accepted: true}}}, start, 1)
	require.Equal(t, []flow.HandOver{handedOver(1, "b")}, q.takeKnown(10))
	require.Empty(t, q.InFlight)
	require.Empty(t, q.Sessions)
}

func TestQueue_knownAnswerIsDeliveredAndNotSent(t *testing.T) {
	q := &queue{}
	q.Answered = []flow.Answer{{DocumentID: 1, SHA256: "hash1", Accepted: true}, {DocumentID: 2, SHA256: "hash2", RunID: "a"}}
	q.register(handedOver(1, "z")) // accepted: counts for every run
	q.register(handedOver(2, "a")) // rejected in this run
	q.register(handedOver(2, "b")) // a person tries again: it is sent
	require.Equal(t, []flow.HandOver{handedOver(1, "z"), handedOver(2, "a")}, q.takeKnown(10))
	require.Equal(t, []flow.Waiting{waitingFor(2, "b")}, q.Pending)
}

func TestQueue_notProcessedIsTriedAgainWithAGrowingPause(t *testing.T) {
	q := &queue{}
	q.register(handedOver(2, "a"))
	now := start
	for try, pause := range []time.Duration{0, time.Minute, 2 * time.Minute, 4 * time.Minute} {
		items := q.take(now, 1)
		require.Equal(t, int64(2), items[0].DocumentID)
		q.sessionStarted(flow.WaitingSession{ID: "s", Since: now}, items)
		q.sessionNews(flow.SessionNews{ID: "s", Again: []int64{2}, Over: true}, now, 1)
		require.Equal(t, try+1, q.Pending[0].Tries)
		if pause > 0 {
			require.Zero(t, q.ready(now))
			require.Equal(t, now.Add(pause), q.nextReady())
		}
		now = now.Add(pause)
		require.Equal(t, 1, q.ready(now))
	}
	require.Equal(t, longestAgain, func() time.Duration {
		q := &queue{}
		q.again(flow.InFlight{Waiting: flow.Waiting{Tries: 40}}, start, 1)
		return q.Pending[0].NotBefore.Sub(start)
	}())
}

// While one invoice of a session is stuck, another one of it that was rejected
// and corrected starts a new run: it is not held up.
func TestQueue_landedInvoiceMayComeAgainWhileItsSessionGoesOn(t *testing.T) {
	q := &queue{}
	q.sessionStarted(flow.WaitingSession{ID: "s1", Since: start}, []flow.Waiting{waitingFor(1, "a"), waitingFor(2, "a")})
	q.sessionNews(flow.SessionNews{ID: "s1", Landed: []int64{1}, Answers: []flow.Answer{{DocumentID: 1, SHA256: "hash1", RunID: "a"}}}, start, 1)
	q.register(handedOver(1, "b"))
	require.Equal(t, []flow.Waiting{waitingFor(1, "b")}, q.Pending)
	require.Len(t, q.InFlight, 1)
}

// What a session dropped or could not have decided, and what registered again
// before the session said so, is pending and not forgotten.
func TestQueue_registeredAgainBeforeTheSessionDroppedIt(t *testing.T) {
	for _, news := range []flow.SessionNews{{ID: "s1", Landed: []int64{1}}, {ID: "s1", Over: true}} {
		q := &queue{}
		q.sessionStarted(flow.WaitingSession{ID: "s1", Since: start}, []flow.Waiting{waitingFor(1, "a")})
		q.register(handedOver(1, "a"))
		q.sessionNews(news, start, 1)
		require.Equal(t, []flow.Waiting{waitingFor(1, "a")}, q.Pending)
	}
}

func TestQueue_deadSessionGivesItsInvoicesBack(t *testing.T) {
	q := &queue{}
	q.sessionStarted(flow.WaitingSession{ID: "s1", Since: start}, []flow.Waiting{waitingFor(1, "a")})
	q.sessionGone("s1")
	require.Equal(t, []flow.Waiting{waitingFor(1, "a")}, q.Pending)
	require.False(t, q.sending("s1"))
}

func TestQueue_stuckSessionDoesNotCountForEver(t *testing.T) {
	q := &queue{}
	q.sessionStarted(flow.WaitingSession{ID: "s1", Since: start}, nil)
	waiting, sending := q.waiting(start.Add(-time.Second))
	require.Equal(t, 1, waiting)
	require.True(t, sending)
	waiting, sending = q.waiting(start.Add(time.Second))
	require.Zero(t, waiting)
	require.False(t, sending)
}

// Whatever happens in whatever order, an invoice that somebody waits for is
// pending, in flight, or about to be answered, and in only one session at a
// time.
func TestQueue_losesNothingAndSendsNothingTwice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		q := &queue{}
		waits := map[int64]bool{} // somebody waits for an answer
		accepted := map[int64]bool{}
		running := map[string][]flow.Waiting{}
		sessions, now := 0, start
		anyOf := func() (string, []flow.Waiting) {
			for i := 1; i <= sessions; i++ {
				if items, there := running[fmt.Sprintf("s%d", i)]; there {
					return fmt.Sprintf("s%d", i), items
				}
			}
			return "", nil
		}
		for range rapid.IntRange(1, 80).Draw(t, "steps") {
			now = now.Add(time.Minute)
			switch rapid.IntRange(0, 5).Draw(t, "step") {
			case 0:
				d := rapid.Int64Range(1, 8).Draw(t, "document")
				waits[d] = true
				q.register(handedOver(d, rapid.SampledFrom([]string{"a", "b"}).Draw(t, "run")))
			case 1:
				items := q.take(now, rapid.IntRange(1, 4).Draw(t, "most"))
				if len(items) == 0 {
					continue
				}
				for _, item := range items {
					for _, others := range running {
						for _, other := range others {
							require.NotEqual(t, other.DocumentID, item.DocumentID, "in two sessions at once")
						}
					}
				}
				sessions++
				id := fmt.Sprintf("s%d", sessions)
				q.sessionStarted(flow.WaitingSession{ID: id, Since: now}, items)
				running[id] = items
			case 2, 3:
				id, items := anyOf()
				if id == "" {
					continue
				}
				news := flow.SessionNews{ID: id}
				var left []flow.Waiting
				for _, item := range items {
					switch rapid.IntRange(0, 3).Draw(t, "fate") {
					case 0:
						accepted[item.DocumentID] = true
						news.Landed = append(news.Landed, item.DocumentID)
						news.Answers = append(news.Answers, flow.Answer{DocumentID: item.DocumentID, SHA256: item.SHA256, Accepted: true})
						for _, f := range q.InFlight {
							if f.DocumentID == item.DocumentID && !f.Moved {
								delete(waits, item.DocumentID) // delivered
							}
						}
					case 1:
						news.Again = append(news.Again, item.DocumentID)
					default:
						left = append(left, item)
					}
				}
				running[id] = left
				if len(left) == 0 {
					news.Over = true
					delete(running, id)
				}
				q.sessionNews(news, now, 1)
			case 4:
				if id, _ := anyOf(); id != "" {
					q.sessionGone(id)
					delete(running, id)
				}
			case 5:
				for _, item := range q.takeKnown(2) {
					require.True(t, accepted[item.DocumentID], "answered without an answer")
					delete(waits, item.DocumentID)
				}
			}
			for d := range waits {
				require.GreaterOrEqual(t, places(q, d), 1, "document %d is lost", d)
			}
			for d := int64(1); d <= 8; d++ {
				require.LessOrEqual(t, inQueue(q, d), 1, "document %d is queued twice", d)
			}
		}
	})
}

// places counts where a document stands.
func places(q *queue, d int64) int {
	n := inQueue(q, d)
	for _, k := range q.known {
		if k.DocumentID == d {
			n++
		}
	}
	return n
}

func inQueue(q *queue, d int64) int {
	n := 0
	for _, p := range q.Pending {
		if p.DocumentID == d {
			n++
		}
	}
	for _, f := range q.InFlight {
		if f.DocumentID == d {
			n++
		}
	}
	return n
}
