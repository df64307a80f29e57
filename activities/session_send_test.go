package activities

import (
	"context"
	"errors"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"teamogy-ksef/internal/flow"
	"teamogy-ksef/internal/ksef"
	"teamogy-ksef/internal/sessionkey"
)

// sendInput asks to send a whole plan into the session "new".
func sendInput(t *testing.T, plan flow.ListRef) flow.SendToSessionInput {
	t.Helper()
	salt, err := sessionkey.NewSalt()
	require.NoError(t, err)
	in := flow.SendToSessionInput{Connection: "acme", Session: flow.Opened{Reference: "new", Salt: salt}, Plan: plan}
	for i := range plan.Count {
		in.Send = append(in.Send, i)
	}
	return in
}

func TestSendToSession_sendsEachInvoiceOnceAndRecordsIt(t *testing.T) {
	client := &fakeKSeF{}
	b := testBase(t, client)
	plan, items := sent(t, b, "one", "two")
	out, err := ran(t, (&Session{b}).SendToSession, sendInput(t, plan))
	require.NoError(t, err)
	require.Equal(t, flow.SentToSession{Sent: 2}, out)
	require.Equal(t, []string{"one", "two"}, client.posts)
	for i, item := range items {
		record, err := b.sentRecord(t.Context(), "acme", item.DocumentID)
		require.NoError(t, err)
		require.Equal(t, []sessionFact{{SHA256: item.SHA256, Session: "new", RunID: "run1"}}, record.Submissions)
		require.Len(t, record.Taken, 1)
		require.Equal(t, "invoice-"+string('0'+rune(i)), record.Taken[0].Reference)
	}

	// The answer of the activity is lost: nothing is sent again.
	out, err = ran(t, (&Session{b}).SendToSession, sendInput(t, plan))
	require.NoError(t, err)
	require.Equal(t, flow.SentToSession{Sent: 2}, out)
	require.Len(t, client.posts, 2)
	require.Empty(t, client.asked, "the record knew it: the list need not be asked")
}

func TestSendToSession_recordsTheSubmissionBeforeThePOST(t *testing.T) {
	client := &fakeKSeF{}
	b := testBase(t, client)
	plan, items := sent(t, b, "one")
	client.send = func(int, string) (string, error) {
		record, err := b.sentRecord(t.Context(), "acme", 1)
		require.NoError(t, err)
		require.NotNil(t, record.outcomeOf(items[0].SHA256, "run1").Open)
		return "reference", nil
	}
	_, err := ran(t, (&Session{b}).SendToSession, sendInput(t, plan))
	require.NoError(t, err)
}

// lost is an answer that did not arrive.
func lost(kind ksef.Kind) error { return &ksef.Error{Operation: "send", Kind: kind} }

func TestSendToSession_looksIntoTheListBeforeItRepeats(t *testing.T) {
	for _, kind := range []ksef.Kind{ksef.KindNetwork, ksef.KindGateway, ksef.KindServer} {
		t.Run(string(kind), func(t *testing.T) {
			client := &fakeKSeF{lists: map[string][]ksef.InvoiceStatus{"new": {listed("one", 100)}}}
			client.send = func(n int, _ string) (string, error) { return "", lost(kind) }
			b := testBase(t, client)
			plan, items := sent(t, b, "one")
			out, err := ran(t, (&Session{b}).SendToSession, sendInput(t, plan))
			require.NoError(t, err)
			require.Equal(t, flow.SentToSession{Sent: 1}, out)
			require.Len(t, client.posts, 1, "it was there, and was sent again")
			record, err := b.sentRecord(t.Context(), "acme", 1)
			require.NoError(t, err)
			require.True(t, record.outcomeOf(items[0].SHA256, "run1").Taken)
			require.Equal(t, "reference of one at 100", record.Taken[0].Reference)
		})
	}
}

func TestSendToSession_repeatsWhatDidNotArriveAfterTheOthers(t *testing.T) {
	client := &fakeKSeF{}
	client.send = func(n int, _ string) (string, error) {
		if n == 0 {
			return "", lost(ksef.KindNetwork)
		}
		return "reference", nil
	}
	b := testBase(t, client)
	plan, _ := sent(t, b, "one", "two")
	out, err := ran(t, (&Session{b}).SendToSession, sendInput(t, plan))
	require.NoError(t, err)
	require.Equal(t, flow.SentToSession{Sent: 2}, out)
	require.Equal(t, []string{"one", "two", "one"}, client.posts)
	require.Equal(t, 1+len(lookPauses), client.asked["new"], "looks before the second POST")
}

func TestSendToSession_leavesWhatNeverArrivesForAnotherSession(t *testing.T) {
	client := &fakeKSeF{}
	client.send = func(_ int, xml string) (string, error) {
		if xml == "one" {
			return "", lost(ksef.KindGateway)
		}
		return "reference", nil
	}
	b := testBase(t, client)
	plan, _ := sent(t, b, "one", "two")
	out, err := ran(t, (&Session{b}).SendToSession, sendInput(t, plan))
	require.NoError(t, err)
	require.Equal(t, flow.SentToSession{Sent: 1, Left: []int{0}}, out)
	require.Equal(t, []string{"one", "two", "one"}, client.posts, "two POSTs of the same bytes in one session are enough")
}

// The session is over in the middle: what was doubtful and what comes after
// goes into another session.
func TestSendToSession_leavesTheRestWhenTheSessionIsOver(t *testing.T) {
	for _, code := range []int{ksef.CodeSessionForbids, ksef.CodeSessionInvoiceLimit} {
		client := &fakeKSeF{}
		client.send = func(n int, xml string) (string, error) {
			switch xml {
			case "doubtful":
				return "", lost(ksef.KindNetwork)
			case "last straw":
				return "", ofKSeF(ksef.KindRejected, code)
			}
			return "reference", nil
		}
		b := testBase(t, client)
		plan, _ := sent(t, b, "first", "doubtful", "last straw", "never tried")
		out, err := ran(t, (&Session{b}).SendToSession, sendInput(t, plan))
		require.NoError(t, err)
		require.Equal(t, flow.SentToSession{Sent: 1, Left: []int{1, 2, 3}}, out)
		require.Equal(t, []string{"first", "doubtful", "last straw"}, client.posts)
	}
}

// Right after opening KSeF may not know the session yet, or it is unavailable
// for a moment: the invoice was not taken.
func TestSendToSession_triesAgainWhenTheSessionIsNotThereYet(t *testing.T) {
	for _, code := range []int{ksef.CodeSessionNotFound, ksef.CodeSessionUnavailable} {
		client := &fakeKSeF{}
		client.send = func(n int, _ string) (string, error) {
			if n == 0 {
				return "", ofKSeF(ksef.KindRejected, code)
			}
			return "reference", nil
		}
		b := testBase(t, client)
		plan, _ := sent(t, b, "one")
		out, err := ran(t, (&Session{b}).SendToSession, sendInput(t, plan))
		require.NoError(t, err)
		require.Equal(t, flow.SentToSession{Sent: 1}, out)
	}
}

func TestSendToSession_recordsARefusalAndGoesOn(t *testing.T) {
	client := &fakeKSeF{}
	client.send = func(_ int, xml string) (string, error) {
		if xml == "bad" {
			refusal := ofKSeF(ksef.KindRejected, ksef.CodeValidation)
			refusal.Status = http.StatusBadRequest
			return "", refusal
		}
		return "reference", nil
	}
	b := testBase(t, client)
	plan, items := sent(t, b, "bad", "good")
	out, err := ran(t, (&Session{b}).SendToSession, sendInput(t, plan))
	require.NoError(t, err)
	require.Equal(t, flow.SentToSession{Sent: 1, Refused: []int{0}}, out)
	record, err := b.sentRecord(t.Context(), "acme", 1)
	require.NoError(t, err)
	end := record.outcomeOf(items[0].SHA256, "run1").End
	require.NotNil(t, end)
	require.Equal(t, factRejected, end.Kind)
	require.Equal(t, flow.ErrInvoiceRejected, end.Type)
	require.Contains(t, end.Text, "21405")
}

// Without KSeF's reason it is not the invoice that is refused: something on the
// way may have answered.
func TestSendToSession_takesA4xxWithoutReasonForDoubtful(t *testing.T) {
	client := &fakeKSeF{}
	client.send = func(n int, _ string) (string, error) {
		if n == 0 {
			return "", &ksef.Error{Kind: ksef.KindRejected, Status: http.StatusRequestEntityTooLarge}
		}
		return "reference", nil
	}
	b := testBase(t, client)
	plan, _ := sent(t, b, "one")
	out, err := ran(t, (&Session{b}).SendToSession, sendInput(t, plan))
	require.NoError(t, err)
	require.Equal(t, flow.SentToSession{Sent: 1}, out)
}

// One invoice whose bytes cannot be read holds nobody up.
func TestSendToSession_leavesAnUnreadableInvoiceAndGoesOn(t *testing.T) {
	client := &fakeKSeF{}
	b := testBase(t, client)
	_, items := sent(t, b, "one", "two")
	items[0].SHA256 = hashHex([]byte("not in the archive"))
	list, err := b.Archive.PutList(t.Context(), items, len(items))
	require.NoError(t, err)
	out, err := ran(t, (&Session{b}).SendToSession, sendInput(t, flow.ListRef(list)))
	require.NoError(t, err)
	require.Equal(t, flow.SentToSession{Sent: 1, Left: []int{0}}, out)
	require.Nil(t, outcomeOf(t, b, 1, "not in the archive").Open, "the record says that it was submitted")
}

// Quota, login and permission concern the whole step: it waits, and its next
// attempt goes on where it stopped.
func TestSendToSession_goesOnWhereItStopped(t *testing.T) {
	for want, failure := range map[string]*ksef.Error{
		flow.ErrKSeFQuota:        ofKSeF(ksef.KindRateLimited),
		flow.ErrKSeFLoginRefused: ofKSeF(ksef.KindLoginRefused, 460),
		flow.ErrKSeFPermission:   {Kind: ksef.KindForbidden, ReasonCode: "missing-permissions"},
	} {
		client := &fakeKSeF{}
		client.send = func(n int, _ string) (string, error) {
			if n == 1 {
				return "", failure
			}
			return "reference", nil
		}
		b := testBase(t, client)
		plan, _ := sent(t, b, "one", "two")
		in := sendInput(t, plan)
		_, err := ran(t, (&Session{b}).SendToSession, in)
		require.Equal(t, want, typeOfFailure(t, err))
		out, err := ran(t, (&Session{b}).SendToSession, in)
		require.NoError(t, err)
		require.Equal(t, flow.SentToSession{Sent: 2}, out)
		require.Equal(t, []string{"one", "two", "two"}, client.posts)
	}
}

func TestSendToSession_waitsWhenTheListCannotBeRead(t *testing.T) {
	client := &fakeKSeF{listErr: map[string]error{"new": lost(ksef.KindNetwork)}}
	client.send = func(int, string) (string, error) { return "", lost(ksef.KindNetwork) }
	b := testBase(t, client)
	plan, _ := sent(t, b, "one")
	_, err := ran(t, (&Session{b}).SendToSession, sendInput(t, plan))
	require.Equal(t, flow.ErrKSeFUnavailable, typeOfFailure(t, err))
	require.Len(t, client.posts, 1, "it was sent again without a look")
}

// A session list that stays broken keeps no other session of the connection
// from beginning: what is doubtful goes to the next one, which looks first.
func TestSendToSession_leavesTheDoubtfulWhenTheListCannotBeReadForLong(t *testing.T) {
	client := &fakeKSeF{listErr: map[string]error{"new": lost(ksef.KindServer)}}
	client.send = func(n int, _ string) (string, error) {
		if n == 0 {
			return "", lost(ksef.KindNetwork)
		}
		return "reference", nil
	}
	b := testBase(t, client)
	stopClock(&b)
	plan, _ := sent(t, b, "one", "two")
	ctx := context.WithValue(t.Context(), attemptCountKey{}, outageTries)
	out, err := (&Session{b}).SendToSession(ctx, sendInput(t, plan))
	require.NoError(t, err)
	require.Equal(t, flow.SentToSession{Sent: 1, Left: []int{0}}, out)
	require.Len(t, client.posts, 2, "it was sent again without a look")
}

func TestCloseSession_findsItClosed(t *testing.T) {
	client := &fakeKSeF{closeErr: ofKSeF(ksef.KindRejected, ksef.CodeSessionForbids)}
	_, err := ran(t, (&Session{testBase(t, client)}).CloseSession, flow.CloseInput{Connection: "acme", Reference: "new"})
	require.NoError(t, err)
	client.closeErr = lost(ksef.KindServer)
	_, err = ran(t, (&Session{testBase(t, client)}).CloseSession, flow.CloseInput{Connection: "acme", Reference: "new"})
	require.Equal(t, flow.ErrKSeFUnavailable, typeOfFailure(t, err))
}

func TestSessionKey_neverComesFromABrokenSalt(t *testing.T) {
	b := testBase(t, nil)
	_, err := (&Session{b}).key("acme", "no salt")
	var own *problem
	require.True(t, errors.As(err, &own))
	require.Equal(t, flow.ErrSecretUnusable, own.Type)
}
