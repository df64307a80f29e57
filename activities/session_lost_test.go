package activities

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/temporal"

	"teamogy-ksef/internal/archive"
	"teamogy-ksef/internal/flow"
	"teamogy-ksef/internal/ksef"
)

// renderedAt is an invoice's XML as Teamogy renders it at a time of day.
func renderedAt(hour int, content string) string {
	return fmt.Sprintf("<Faktura><Naglowek><DataWytworzeniaFa>2026-11-22T%02d:00:00Z</DataWytworzeniaFa></Naglowek><Fa>%s</Fa></Faktura>", hour, content)
}

// A list that lags behind the sends is asked several times, with growing
// pauses, before anything is sent once more.
func TestSendToSession_looksSeveralTimesBeforeItSendsAgain(t *testing.T) {
	for name, answer := range map[string]error{
		"time-out or reset": lost(ksef.KindNetwork), "5xx": lost(ksef.KindServer), "HTML, also with status 200": lost(ksef.KindGateway),
		"21184": ofKSeF(ksef.KindRejected, ksef.CodeSessionUnavailable),
	} {
		for shownAt := range 1 + len(lookPauses) {
			t.Run(fmt.Sprintf("%s, listed at look %d", name, shownAt), func(t *testing.T) {
				client := &fakeKSeF{}
				client.send = func(int, string) (string, error) { return "", answer }
				client.onList = func(n int, _ string) []ksef.InvoiceStatus {
					if n < shownAt {
						return nil
					}
					return []ksef.InvoiceStatus{listed("one", 100)}
				}
				b := testBase(t, client)
				clock := stopClock(&b)
				plan, _ := sent(t, b, "one")
				out, err := ran(t, (&Session{b}).SendToSession, sendInput(t, plan))
				require.NoError(t, err)
				require.Equal(t, flow.SentToSession{Sent: 1}, out)
				require.Len(t, client.posts, 1, "KSeF had it, and it was sent again")
				require.Len(t, clock.pauses, shownAt)
				require.True(t, slices.IsSorted(clock.pauses), "pauses grow")
			})
		}
	}
}

// Whatever dies between POST and answer, and however often: the bytes are
// looked for as often as after any lost answer, sent once more, and then left
// to another session.
func TestSendToSession_sendsTheSameBytesTwiceAtMostHoweverOftenTheWorkerDies(t *testing.T) {
	client := &fakeKSeF{}
	b := testBase(t, client)
	stopClock(&b)
	plan, items := sent(t, b, "one")
	in := sendInput(t, plan)
	client.send = func(int, string) (string, error) { panic("the worker dies") }
	for attempt := range 4 {
		out, err := ran(t, (&Session{b}).SendToSession, in)
		if attempt < 2 {
			require.Error(t, err)
		} else {
			require.NoError(t, err)
			require.Equal(t, flow.SentToSession{Left: []int{0}}, out)
		}
		require.Equal(t, attempt*(1+len(lookPauses)), client.asked["new"], "looks before attempt %d went on", attempt)
	}
	require.Equal(t, []string{"one", "one"}, client.posts)
	record, err := b.sentRecord(t.Context(), "acme", 1)
	require.NoError(t, err)
	require.Equal(t, 2, record.posts("new", items[0].SHA256))
	require.Zero(t, record.posts("another", items[0].SHA256))
}

// interruptedStore lets something happen right before a document is read.
type interruptedStore struct {
	archive.Store
	interrupt func()
}

func (s *interruptedStore) Read(ctx context.Context, key string) ([]byte, error) {
	if strings.HasPrefix(key, "documents/") && s.interrupt != nil {
		interrupt := s.interrupt
		s.interrupt = nil
		interrupt()
	}
	return s.Store.Read(ctx, key)
}

// Two workers have the same step, because one stood still between reading the record and announcing the POST: only
// who has announced it makes it.
func TestSendToSession_twoWorkersAtOnceMakeOnePOST(t *testing.T) {
	client := &fakeKSeF{}
	b := testBase(t, client)
	stopClock(&b)
	store, err := archive.OpenStore(t.Context(), "mem://")
	require.NoError(t, err)
	interrupted := &interruptedStore{Store: store}
	b.Archive = archive.New(interrupted)
	plan, _ := sent(t, b, "one")
	interrupted.interrupt = func() {
		out, err := ran(t, (&Session{b}).SendToSession, sendInput(t, plan))
		require.NoError(t, err)
		require.Equal(t, flow.SentToSession{Sent: 1}, out)
	}
	out, err := ran(t, (&Session{b}).SendToSession, sendInput(t, plan))
	require.NoError(t, err)
	require.Equal(t, flow.SentToSession{Sent: 1}, out)
	require.Equal(t, []string{"one"}, client.posts)
}

// endingKSeF is a KSeF whose close is the last thing that an attempt sees.
type endingKSeF struct {
	*fakeKSeF
	end func()
}

func (f *endingKSeF) CloseOnlineSession(context.Context, string) error {
	f.end()
	return nil
}

// An attempt that ends while it looks has found nothing out: that is not "KSeF has not taken it".
func TestFind_doesNotTakeItsOwnEndForAnAnswer(t *testing.T) {
	ctx, end := context.WithCancel(t.Context())
	client := &endingKSeF{fakeKSeF: &fakeKSeF{status: map[string]ksef.SessionStatus{"s": {Code: ksef.StatusOpen}}}, end: end}
	b := testBase(t, client)
	stopClock(&b)
	_, err := (&Session{b}).listsOf(client, 1).find(ctx, "s", hashHex([]byte("one")), false, false)
	require.ErrorIs(t, err, context.Canceled)
}

// The session before may lag as well: it is asked as often before its invoice
// goes into a new one.
func TestBuildSession_looksSeveralTimesIntoTheSessionBefore(t *testing.T) {
	client := &fakeKSeF{status: map[string]ksef.SessionStatus{"earlier": {Code: 170}}}
	client.onList = func(n int, _ string) []ksef.InvoiceStatus {
		if n < len(lookPauses) {
			return nil
		}
		return []ksef.InvoiceStatus{listed("one", 150)}
	}
	_, out, err := build(t, client, []string{"one"}, func(s *Session, items []flow.HandOver) {
		require.NoError(t, s.noteSubmitted(t.Context(), "acme", items[0], "earlier", false))
	})
	require.NoError(t, err)
	require.Equal(t, []int{0}, out.Watch)
}

// Looking is bounded for one attempt; who was not looked for often enough
// comes again, and is not sent.
func TestBuildSession_looksOnlySoLongInOneAttempt(t *testing.T) {
	client := &fakeKSeF{status: map[string]ksef.SessionStatus{}}
	b := testBase(t, client)
	clock := stopClock(&b)
	b.Connections.(*fakeConnections).settings.TimeScale = 1
	s := &Session{b}
	seen := s.listsOf(client, 1)
	unclears := 0
	for i := range 10 {
		session := fmt.Sprintf("s%d", i)
		item := flow.HandOver{DocumentID: int64(i + 1), SHA256: hashHex([]byte("x")), RunID: "run1"}
		require.NoError(t, s.noteSubmitted(t.Context(), "acme", item, session, false))
		what, _, err := s.fateOf(t.Context(), "acme", item, seen)
		if what == unclear {
			require.Equal(t, flow.ErrKSeFNotYet, classify(err).Type)
			unclears++
		}
	}
	require.Positive(t, unclears)
	require.LessOrEqual(t, clock.now.Sub(someDay), longestLooks)
}

// fate finds out what is to become of document 1 with an XML, after the record
// was prepared.
func fateNow(t *testing.T, client *fakeKSeF, xml string, prepare func(s *Session, keep func(xml string) flow.HandOver)) (base, fate, planItem) {
	t.Helper()
	b := testBase(t, client)
	stopClock(&b)
	s := &Session{b}
	keep := func(xml string) flow.HandOver {
		ref, err := b.Archive.PutDocument(t.Context(), []byte(xml))
		require.NoError(t, err)
		return flow.HandOver{DocumentID: 1, SHA256: ref.SHA256, RunID: "run1"}
	}
	prepare(s, keep)
	item := keep(xml)
	item.RunID = "run2"
	what, planned, err := s.fateOf(t.Context(), "acme", item, s.listsOf(client, 1))
	require.NoError(t, err)
	return b, what, planned
}

func TestBuildSession_knowsAnInvoiceThatWasRenderedAnew(t *testing.T) {
	first, anew := renderedAt(8, "one"), renderedAt(9, "one")
	hash := hashHex([]byte(first))
	submitted := func(s *Session, keep func(string) flow.HandOver) {
		require.NoError(t, s.noteSubmitted(t.Context(), "acme", keep(first), "earlier", false))
	}
	t.Run("not taken: the same bytes are sent again", func(t *testing.T) {
		client := &fakeKSeF{status: map[string]ksef.SessionStatus{"earlier": {Code: 440}}}
		_, what, planned := fateNow(t, client, anew, submitted)
		require.Equal(t, toSend, what)
		require.Equal(t, hash, planned.SHA256)
		require.Equal(t, 1+len(lookPauses), client.asked["earlier"])
	})
	t.Run("being decided on: it is watched", func(t *testing.T) {
		client := &fakeKSeF{lists: map[string][]ksef.InvoiceStatus{"earlier": {listed(first, 150)}}}
		_, what, planned := fateNow(t, client, anew, submitted)
		require.Equal(t, watched, what)
		require.Equal(t, hash, planned.SHA256)
		require.Equal(t, "earlier", planned.Session)
	})
	t.Run("accepted: it is answered, under the hash that was handed over", func(t *testing.T) {
		b, what, _ := fateNow(t, &fakeKSeF{}, anew, func(s *Session, keep func(string) flow.HandOver) {
			submitted(s, keep)
			require.NoError(t, s.noteAccepted(t.Context(), "acme", keep(first), flow.Transmitted{DocumentID: 1, SHA256: hash, KSeFNumber: "number"}, ""))
		})
		require.Equal(t, decided, what)
		answer := knownOf(t, b, anew, "run2").Accepted
		require.NotNil(t, answer)
		require.True(t, answer.Answers(hashHex([]byte(anew))), "the workflow will not take it for its answer")
		require.Equal(t, hash, answer.SHA256, "the verification link needs the hash that KSeF holds")
	})
	t.Run("not processed: the same bytes are sent again", func(t *testing.T) {
		_, what, planned := fateNow(t, &fakeKSeF{}, anew, func(s *Session, keep func(string) flow.HandOver) {
			submitted(s, keep)
			require.NoError(t, s.noteEnd(t.Context(), "acme", keep(first), "earlier", factNotProcessed, sessionFact{Code: 550}))
		})
		require.Equal(t, toSend, what)
		require.Equal(t, hash, planned.SHA256)
	})
	t.Run("rejected, and a person tries again: the new bytes are sent", func(t *testing.T) {
		_, what, planned := fateNow(t, &fakeKSeF{}, anew, func(s *Session, keep func(string) flow.HandOver) {
			submitted(s, keep)
			require.NoError(t, s.noteEnd(t.Context(), "acme", keep(first), "earlier", factRejected, sessionFact{Type: flow.ErrInvoiceRejected}))
		})
		require.Equal(t, toSend, what)
		require.Equal(t, hashHex([]byte(anew)), planned.SHA256)
	})
	t.Run("other content accepted: issued otherwise", func(t *testing.T) {
		b, what, _ := fateNow(t, &fakeKSeF{}, renderedAt(9, "two"), func(s *Session, keep func(string) flow.HandOver) {
			require.NoError(t, s.noteAccepted(t.Context(), "acme", keep(first), flow.Transmitted{DocumentID: 1, SHA256: hash, KSeFNumber: "number"}, ""))
		})
		require.Equal(t, decided, what)
		require.Equal(t, flow.ErrIssuedOtherwise, knownOf(t, b, renderedAt(9, "two"), "run2").End.Type)
	})
}

func knownOf(t *testing.T, b base, xml, run string) outcome {
	t.Helper()
	record, err := b.sentRecord(t.Context(), "acme", 1)
	require.NoError(t, err)
	known, _, err := b.known(t.Context(), record, flow.HandOver{DocumentID: 1, SHA256: hashHex([]byte(xml)), RunID: run})
	require.NoError(t, err)
	return known
}

// A rejection counts for the run that handed the invoice over, also if other
// bytes of it were sent than that run has fetched.
func TestKnown_findsTheRejectionOfTheBytesThatWereSentInstead(t *testing.T) {
	first, anew := renderedAt(8, "one"), renderedAt(9, "one")
	b := testBase(t, &fakeKSeF{})
	s := &Session{b}
	for _, xml := range []string{first, anew} {
		_, err := b.Archive.PutDocument(t.Context(), []byte(xml))
		require.NoError(t, err)
	}
	item := flow.HandOver{DocumentID: 1, SHA256: hashHex([]byte(first)), RunID: "run2"}
	require.NoError(t, s.noteSubmitted(t.Context(), "acme", item, "s", false))
	require.NoError(t, s.noteEnd(t.Context(), "acme", item, "s", factRejected, sessionFact{Type: flow.ErrInvoiceRejected}))
	require.NotNil(t, knownOf(t, b, anew, "run2").End)
	require.Nil(t, knownOf(t, b, anew, "run3").End, "a person's new try has no answer yet")
	require.Nil(t, knownOf(t, b, renderedAt(9, "two"), "run2").End, "other content")
}

// The bytes of an earlier version's record may be gone from the archive, or
// never have been there: then only the hash counts.
func TestAlike_withoutBytesOnlyTheHashCounts(t *testing.T) {
	b := testBase(t, &fakeKSeF{})
	s := &Session{b}
	item := flow.HandOver{DocumentID: 1, SHA256: hashHex([]byte(renderedAt(8, "one"))), RunID: "run1"}
	require.NoError(t, s.noteSubmitted(t.Context(), "acme", item, "s", false))
	record, err := b.sentRecord(t.Context(), "acme", 1)
	require.NoError(t, err)
	alike, err := b.alike(t.Context(), record, hashHex([]byte(renderedAt(9, "one"))))
	require.NoError(t, err)
	require.Empty(t, alike)
}

// A rejected document that Teamogy renders anew at each look is refused still;
// corrected, it is not.
func TestRefusedAlike_seesThroughANewRendering(t *testing.T) {
	b := testBase(t, &fakeKSeF{})
	ref, err := b.Archive.PutDocument(t.Context(), []byte(renderedAt(8, "one")))
	require.NoError(t, err)
	require.NoError(t, b.note(t.Context(), sentKey("acme", 1), factRejected, "run-1", sessionFact{SHA256: ref.SHA256, Type: flow.ErrInvoiceRejected}))
	record, err := b.sentRecord(t.Context(), "acme", 1)
	require.NoError(t, err)
	for xml, want := range map[string]bool{
		renderedAt(8, "one"): true, renderedAt(9, "one"): true, renderedAt(8, "two"): false,
		strings.Replace(renderedAt(8, "one"), "<Fa>", "<Fa> ", 1): false,
	} {
		refused, err := b.refusedAlike(t.Context(), record, []byte(xml))
		require.NoError(t, err)
		require.Equal(t, want, refused, xml)
	}
}

// ---- closing and waiting ----

// A close that failed is read: KSeF may have closed the session all the same.
func TestCloseSession_readsWhatAFailedCloseHasDone(t *testing.T) {
	for code, closed := range map[int]bool{100: false, 150: true, 170: true, 200: true, 415: true, 440: true, 445: true, 500: true} {
		client := &fakeKSeF{closeErr: lost(ksef.KindGateway), status: map[string]ksef.SessionStatus{"new": {Code: code}}}
		_, err := ran(t, (&Session{testBase(t, client)}).CloseSession, flow.CloseInput{Connection: "acme", Reference: "new"})
		require.Equal(t, closed, err == nil, "status %d: %v", code, err)
	}
	client := &fakeKSeF{closeErr: lost(ksef.KindGateway), onState: func(int, string) (ksef.SessionStatus, error) {
		return ksef.SessionStatus{}, lost(ksef.KindNetwork)
	}}
	_, err := ran(t, (&Session{testBase(t, client)}).CloseSession, flow.CloseInput{Connection: "acme", Reference: "new"})
	require.Equal(t, flow.ErrKSeFUnavailable, typeOfFailure(t, err))
}

// awaiting runs AwaitSession again and again, as the workflow does, for as long
// as its own clock says, and counts what KSeF is asked.
func awaiting(t *testing.T, client *fakeKSeF, long time.Duration, each func(b *base)) *movableClock {
	t.Helper()
	b := testBase(t, client)
	clock := stopClock(&b)
	b.Connections.(*fakeConnections).settings.TimeScale = 1
	if each != nil {
		each(&b)
	}
	plan, _ := sent(t, b, "one")
	in := flow.AwaitInput{Connection: "acme", Reference: "s", Plan: plan, Open: []int{0}}
	for clock.now.Sub(someDay) < long {
		in.WaitedSeconds = int64(clock.now.Sub(someDay) / time.Second)
		ctx := context.WithValue(t.Context(), scheduledKey{}, clock.now)
		for attempt := 1; ; attempt++ {
			out, err := (&Session{b}).AwaitSession(context.WithValue(ctx, attemptCountKey{}, attempt), in)
			if err == nil {
				require.Zero(t, out.Decided)
				break
			}
			require.Equal(t, flow.ErrKSeFNotYet, typeOfFailure(t, err))
			var failure *temporal.ApplicationError
			require.ErrorAs(t, err, &failure)
			require.Equal(t, temporal.ApplicationErrorCategoryBenign, failure.Category())
			require.Greater(t, failure.NextRetryDelay(), heldPause)
			clock.now = clock.now.Add(failure.NextRetryDelay())
		}
	}
	return clock
}

func TestAwaitSession_asksEverMoreRarelyAboutAnInvoiceThatIsStuck(t *testing.T) {
	stuck := func() *fakeKSeF {
		return &fakeKSeF{status: map[string]ksef.SessionStatus{"s": {Code: 170, InvoiceCount: 1}}}
	}
	asked := func(long time.Duration) int {
		client := stuck()
		awaiting(t, client, long, nil)
		return client.states
	}
	halfHour, hour, day, fiveDays := asked(30*time.Minute), asked(time.Hour), asked(24*time.Hour), asked(5*24*time.Hour)
	t.Logf("requests in half an hour %d, an hour %d, a day %d, five days %d", halfHour, hour, day, fiveDays)
	require.LessOrEqual(t, hour, 35)
	require.LessOrEqual(t, day-hour, 24*6)
	require.LessOrEqual(t, fiveDays-day, 4*24+1)
	require.Greater(t, fiveDays, day, "it is not asked any more")
}

// Hundreds of sessions on which KSeF does not decide for days leave the worker's
// slots to others.
func TestAwaitSession_givesItsSlotBackWhileASessionIsStuck(t *testing.T) {
	client := &fakeKSeF{status: map[string]ksef.SessionStatus{"s": {Code: 170, InvoiceCount: 1}}}
	var held time.Duration
	awaiting(t, client, 24*time.Hour, func(b *base) {
		pause := b.wait
		b.wait = func(ctx context.Context, d time.Duration) error {
			held += d
			return pause(ctx, d)
		}
	})
	require.Positive(t, held)
	require.LessOrEqual(t, held, 2*time.Minute, "of a day")
}

func TestAwaitSession_closesNowAndThenWhatCouldNotBeClosed(t *testing.T) {
	client := &fakeKSeF{closeErr: lost(ksef.KindServer), status: map[string]ksef.SessionStatus{"s": {Code: 100, InvoiceCount: 1}}}
	awaiting(t, client, 12*time.Hour, func(b *base) { b.vain = &vainLooks{} })
	require.Greater(t, len(client.closed), 3)
	require.LessOrEqual(t, len(client.closed), 20, "half a day of closing")
}

// From the first decision on the wait begins anew; what was not waited for
// long is looked at soon.
func TestUntilNextLook_growsWithTheWait(t *testing.T) {
	last := time.Duration(0)
	for waited := time.Duration(0); waited < 3*24*time.Hour; waited += time.Minute {
		next := untilNextLook(waited)
		require.GreaterOrEqual(t, next, last)
		require.LessOrEqual(t, next, rarestLook)
		last = next
	}
	require.Equal(t, firstLook, untilNextLook(0))
	require.Equal(t, rarestLook, last)
}

// ---- failures of sessions ----

// Whatever a session fails with, its undecided invoices go into another one.
func TestCollectResults_goesToANewSessionAfterEveryFailureOfASession(t *testing.T) {
	for _, session := range []int{405, 415, 420, 430, 435, 440, 445, 500, 550} {
		for _, status := range []int{0, 100, 150, 405, 435, 500, 550} { // of the invoice; 0: not listed
			t.Run(fmt.Sprintf("session %d, invoice %d", session, status), func(t *testing.T) {
				client := &fakeKSeF{lists: map[string][]ksef.InvoiceStatus{}, status: map[string]ksef.SessionStatus{"s": {Code: session}}}
				if status != 0 {
					client.lists["s"] = []ksef.InvoiceStatus{listed("one", status)}
				}
				b, out, err := collect(t, client, "one")
				require.NoError(t, err)
				require.Equal(t, flow.Collected{Again: []int{0}}, out)
				known := outcomeOf(t, b, 1, "one")
				require.Equal(t, factNotProcessed, known.End.Kind)
				require.NotNil(t, known.Last, "the same bytes are to be sent again")
			})
		}
	}
}

// The list may lag also behind the end of its session.
func TestCollectResults_looksSeveralTimesBeforeItBelievesThatKSeFNeverHadIt(t *testing.T) {
	client := &fakeKSeF{status: map[string]ksef.SessionStatus{"s": {Code: 200}}}
	client.onList = func(n int, _ string) []ksef.InvoiceStatus {
		if n < len(lookPauses) {
			return nil
		}
		accepted := listed("one", 200)
		accepted.KSeFNumber = "number"
		return []ksef.InvoiceStatus{accepted}
	}
	b, out, err := collect(t, client, "one")
	require.NoError(t, err)
	require.Equal(t, flow.Collected{Decided: []int{0}}, out)
	require.Equal(t, "number", outcomeOf(t, b, 1, "one").Accepted.KSeFNumber)
}
