package activities

import (
	"testing"

	"github.com/stretchr/testify/require"

	"teamogy-ksef/internal/flow"
	"teamogy-ksef/internal/ksef"
)

// build runs BuildSession on hand-overs of the contents, one document each,
// after the record was prepared.
func build(t *testing.T, client *fakeKSeF, contents []string, prepare func(s *Session, items []flow.HandOver)) (base, flow.Built, error) {
	t.Helper()
	b := testBase(t, client)
	_, planned := sent(t, b, contents...)
	var items []flow.HandOver
	for _, p := range planned {
		items = append(items, p.HandOver)
	}
	list, err := b.Archive.PutList(t.Context(), items, len(items))
	require.NoError(t, err)
	prepare(&Session{b}, items)
	out, err := ran(t, (&Session{b}).BuildSession, flow.BuildInput{Connection: "acme", List: flow.ListRef(list)})
	return b, out, err
}

func TestBuildSession_onlyDeliversWhatTheRecordKnows(t *testing.T) {
	client := &fakeKSeF{}
	_, out, err := build(t, client, []string{"accepted", "rejected"}, func(s *Session, items []flow.HandOver) {
		require.NoError(t, s.noteAccepted(t.Context(), "acme", items[0], flow.Transmitted{SHA256: items[0].SHA256, KSeFNumber: "number"}, ""))
		require.NoError(t, s.noteSubmitted(t.Context(), "acme", items[1], "earlier", false))
		require.NoError(t, s.noteEnd(t.Context(), "acme", items[1], "earlier", factRejected, sessionFact{Type: flow.ErrInvoiceRejected}))
	})
	require.NoError(t, err)
	require.Equal(t, []int{0, 1}, out.Decided)
	require.Equal(t, []int64{1, 2}, out.Documents)
	require.Empty(t, client.asked, "KSeF was asked for what is known")
}

// What was sent before without an answer is watched where it is, by this run.
func TestBuildSession_watchesWhatWasSentBefore(t *testing.T) {
	client := &fakeKSeF{lists: map[string][]ksef.InvoiceStatus{"earlier": {listed("one", 150), listed("two", 200)}}}
	b, out, err := build(t, client, []string{"one", "two"}, func(s *Session, items []flow.HandOver) {
		for _, item := range items {
			item.RunID = "the run before"
			require.NoError(t, s.noteSubmitted(t.Context(), "acme", item, "earlier", false))
		}
	})
	require.NoError(t, err)
	require.Equal(t, []int{0, 1}, out.Watch)
	require.Equal(t, 1, client.asked["earlier"])
	plan, err := (&Session{b}).plan(t.Context(), out.Plan)
	require.NoError(t, err)
	require.Equal(t, "earlier", plan[0].Session)
	record, err := b.sentRecord(t.Context(), "acme", 1)
	require.NoError(t, err)
	require.Len(t, record.Submissions, 2, "this run did not take it over")
}

// One invoice that cannot be cleared up holds nobody up; if it is all of them,
// the step waits.
func TestBuildSession_leavesTheUnclearToAnotherSession(t *testing.T) {
	prepare := func(s *Session, items []flow.HandOver) {
		require.NoError(t, s.noteSubmitted(t.Context(), "acme", items[0], "out of order", false))
		for _, item := range items[1:] {
			require.NoError(t, s.noteAccepted(t.Context(), "acme", item, flow.Transmitted{SHA256: item.SHA256}, ""))
		}
	}
	client := func() *fakeKSeF { return &fakeKSeF{listErr: map[string]error{"out of order": lost(ksef.KindServer)}} }
	_, out, err := build(t, client(), []string{"unclear", "accepted"}, prepare)
	require.NoError(t, err)
	require.Equal(t, []int{0}, out.Unclear)
	require.Equal(t, []int{1}, out.Decided)

	_, _, err = build(t, client(), []string{"unclear"}, prepare)
	require.Equal(t, flow.ErrKSeFUnavailable, typeOfFailure(t, err))
}

// The document was changed while an earlier content of it was on its way to
// KSeF. First the fate of that one must be known.
func TestBuildSession_settlesAnEarlierContentFirst(t *testing.T) {
	earlier := func(s *Session, items []flow.HandOver) {
		other := items[0]
		other.SHA256, other.RunID = hashHex([]byte("earlier content")), "the run before"
		require.NoError(t, s.noteSubmitted(t.Context(), "acme", other, "s", false))
	}
	t.Run("KSeF is still deciding", func(t *testing.T) {
		client := &fakeKSeF{lists: map[string][]ksef.InvoiceStatus{"s": {listed("earlier content", 150)}}, status: map[string]ksef.SessionStatus{"s": {Code: 170}}}
		_, out, err := build(t, client, []string{"new content"}, earlier)
		require.NoError(t, err)
		require.Equal(t, []int{0}, out.Unclear, "two contents of one document at KSeF at once")
	})
	t.Run("it is accepted", func(t *testing.T) {
		client := &fakeKSeF{lists: map[string][]ksef.InvoiceStatus{"s": {listed("earlier content", 200)}}, status: map[string]ksef.SessionStatus{"s": {Code: 200}}}
		b, out, err := build(t, client, []string{"new content"}, earlier)
		require.NoError(t, err)
		require.Equal(t, []int{0}, out.Decided)
		end := outcomeOf(t, b, 1, "new content").End
		require.NotNil(t, end, "nobody who waits will get an answer")
		require.Equal(t, flow.ErrIssuedOtherwise, end.Type)
		require.NotNil(t, outcomeOf(t, b, 1, "earlier content").Accepted)
	})
}
