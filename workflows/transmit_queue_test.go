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

func TestQueue_registrationAgainKeepsItsPlaceAndTakesTheNewAddress(t *testing.T) {
	q := &queue{}
	q.register(handedOver(1, "a"))
	q.register(handedOver(2, "a"))
	q.register(handedOver(1, "b"))
	require.Equal(t, []flow.HandOver{handedOver(1, "b"), handedOver(2, "a")}, q.Pending)
}

func TestQueue_inFlightIsNotQueuedAgainAndItsSessionIsLookedAfter(t *testing.T) {
	q := &queue{}
	q.sessionStarted("s1", start, []flow.HandOver{handedOver(1, "a")})
	q.register(handedOver(1, "a"))
	require.Empty(t, q.Pending)
	require.Equal(t, []string{"s1"}, q.takeSuspects())
}

func TestQueue_movedInvoiceIsAnsweredAtItsNewAddress(t *testing.T) {
	q := &queue{}
	q.sessionStarted("s1", start, []flow.HandOver{handedOver(1, "a")})
	q.register(handedOver(1, "b"))
	q.sessionDone(flow.SessionDone{ID: "s1", Answers: []flow.Answer{{DocumentID: 1, SHA256: "hash1", RunID: "a", Accepted: true}}})
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
	require.Equal(t, []flow.HandOver{handedOver(2, "b")}, q.Pending)
}

func TestQueue_notProcessedGoesToTheFront(t *testing.T) {
	q := &queue{}
	q.register(handedOver(3, "a"))
	q.sessionStarted("s1", start, []flow.HandOver{handedOver(1, "a"), handedOver(2, "a")})
	q.sessionDone(flow.SessionDone{ID: "s1", Again: []int64{2}, Answers: []flow.Answer{{DocumentID: 1, SHA256: "hash1", Accepted: true}}})
	require.Equal(t, []flow.HandOver{handedOver(2, "a"), handedOver(3, "a")}, q.Pending)
}

func TestQueue_deadSessionGivesItsInvoicesBack(t *testing.T) {
	q := &queue{}
	q.sessionStarted("s1", start, []flow.HandOver{handedOver(1, "a")})
	q.sessionGone("s1")
	require.Equal(t, []flow.HandOver{handedOver(1, "a")}, q.Pending)
	require.False(t, q.sending("s1"))
}

func TestQueue_stuckSessionDoesNotCountForEver(t *testing.T) {
	q := &queue{}
	q.sessionStarted("s1", start, nil)
	require.Equal(t, 1, q.waiting(start.Add(-time.Second)))
	require.Equal(t, 0, q.waiting(start.Add(time.Second)))
}

// Whatever happens in whatever order, an invoice that was registered is
// pending, in flight, or answered, and in only one session at a time.
func TestQueue_losesNothingAndSendsNothingTwice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		q := &queue{}
		registered := map[int64]bool{}
		answered := map[int64]bool{}
		running := map[string][]flow.HandOver{}
		sessions := 0
		for range rapid.IntRange(1, 80).Draw(t, "steps") {
			switch rapid.IntRange(0, 4).Draw(t, "step") {
			case 0:
				d := rapid.Int64Range(1, 8).Draw(t, "document")
				registered[d] = true
				q.register(handedOver(d, rapid.SampledFrom([]string{"a", "b"}).Draw(t, "run")))
			case 1:
				items := q.take(rapid.IntRange(1, 4).Draw(t, "most"))
				if len(items) == 0 {
					continue
				}
				for _, item := range items {
					require.False(t, answered[item.DocumentID], "an accepted invoice is sent again")
					for _, others := range running {
						for _, other := range others {
							require.NotEqual(t, other.DocumentID, item.DocumentID, "in two sessions at once")
						}
					}
				}
				sessions++
				id := fmt.Sprintf("s%d", sessions)
				q.sessionStarted(id, start, items)
				running[id] = items
			case 2:
				for id, items := range running {
					done := flow.SessionDone{ID: id}
					for _, item := range items {
						if rapid.Bool().Draw(t, "accepted") {
							answered[item.DocumentID] = true
							done.Answers = append(done.Answers, flow.Answer{DocumentID: item.DocumentID, SHA256: item.SHA256, Accepted: true})
						} else {
							done.Again = append(done.Again, item.DocumentID)
						}
					}
					q.sessionDone(done)
					delete(running, id)
					break
				}
			case 3:
				for id := range running {
					q.sessionGone(id)
					delete(running, id)
					break
				}
			case 4:
				q.settle()
				// The known ones are pending again: their records answer them.
				q.Pending = withoutAnswered(q.Pending, answered)
			}
			for d := range registered {
				require.Equal(t, 1, places(q, d, answered), "document %d", d)
			}
		}
	})
}

func withoutAnswered(pending []flow.HandOver, answered map[int64]bool) []flow.HandOver {
	var kept []flow.HandOver
	for _, p := range pending {
		if !answered[p.DocumentID] {
			kept = append(kept, p)
		}
	}
	return kept
}

func places(q *queue, d int64, answered map[int64]bool) int {
	if answered[d] {
		return 1
	}
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
