package activities

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"teamogy-ksef/internal/flow"
	"teamogy-ksef/internal/ksef"
)

// The codes of invoices as KSeF documents them, and codes that it may invent.
func TestMeaning_ofEveryCode(t *testing.T) {
	for code, want := range map[int]verdict{
		100: pending, 150: pending, 200: accepted, 405: notProcessed, 410: forbidden, 415: forbidden, 430: rejected,
		435: notProcessed, 440: duplicate, 450: rejected, 500: notProcessed, 550: notProcessed,
		110: pending, 170: pending, 201: pending, 399: pending, 400: rejected, 451: rejected, 499: rejected, 599: rejected,
	} {
		require.Equal(t, want, meaning(code), "code %d", code)
	}
}

func TestBestMatch_prefersTheAcceptedOfTheSameBytes(t *testing.T) {
	accepted, duplicate, processing, failed := listed("x", 200), listed("x", 440), listed("x", 150), listed("x", 450)
	hash := hashHex([]byte("x"))
	for name, c := range map[string]struct {
		list []ksef.InvoiceStatus
		want int
	}{
		"accepted first":           {[]ksef.InvoiceStatus{accepted, duplicate}, 200},
		"accepted last":            {[]ksef.InvoiceStatus{duplicate, failed, accepted}, 200},
		"still processing":         {[]ksef.InvoiceStatus{duplicate, processing}, 150},
		"duplicate before failed":  {[]ksef.InvoiceStatus{failed, duplicate}, 440},
		"only failed":              {[]ksef.InvoiceStatus{failed}, 450},
		"others do not count":      {[]ksef.InvoiceStatus{listed("y", 200), failed}, 450},
		"unreadable hash is other": {[]ksef.InvoiceStatus{{InvoiceHash: "%%%", Code: 200}, failed}, 450},
	} {
		require.Equal(t, c.want, listByHash(c.list)[hash].Code, name)
	}
	require.Nil(t, listByHash([]ksef.InvoiceStatus{listed("y", 200)})[hash])
	require.Nil(t, listByHash(nil)[hash])
	require.Nil(t, listByHash([]ksef.InvoiceStatus{{InvoiceHash: "%%%"}})[hash])
}

// collect submits the contents in session "s" and collects them from a list.
func collect(t *testing.T, client *fakeKSeF, contents ...string) (base, flow.Collected, error) {
	t.Helper()
	b := testBase(t, client)
	plan, items := sent(t, b, contents...)
	in := flow.AwaitInput{Connection: "acme", Reference: "s", Plan: plan}
	for i, item := range items {
		in.Open = append(in.Open, i)
		require.NoError(t, (&Session{b}).noteSubmitted(t.Context(), "acme", item.HandOver, "s", false))
	}
	out, err := ran(t, (&Session{b}).CollectResults, in)
	return b, out, err
}

func outcomeOf(t *testing.T, b base, document int64, xml string) outcome {
	t.Helper()
	record, err := b.sentRecord(t.Context(), "acme", document)
	require.NoError(t, err)
	return record.outcomeOf(hashHex([]byte(xml)), "run1")
}

func TestCollectResults_recordsWhatKSeFSays(t *testing.T) {
	for code, want := range map[int]struct {
		kind, errorType string
		again           bool
	}{
		405: {factNotProcessed, "", true}, 435: {factNotProcessed, "", true}, 500: {factNotProcessed, "", true}, 550: {factNotProcessed, "", true},
		410: {factBlocked, flow.ErrKSeFPermission, false}, 415: {factBlocked, flow.ErrKSeFAttachments, false},
		430: {factRejected, flow.ErrInvoiceRejected, false}, 450: {factRejected, flow.ErrInvoiceRejected, false},
	} {
		t.Run(fmt.Sprint(code), func(t *testing.T) {
			status := listed("one", code)
			status.Details = []string{"the field P_1"}
			client := &fakeKSeF{
				lists:  map[string][]ksef.InvoiceStatus{"s": {status}},
				status: map[string]ksef.SessionStatus{"s": {Code: 200}},
			}
			b, out, err := collect(t, client, "one")
			require.NoError(t, err)
			require.Equal(t, code == 405 || code == 435, client.forgot > 0, "KSeF's public keys may have changed")
			if want.again {
				require.Equal(t, flow.Collected{Again: []int{0}}, out)
			} else {
				require.Equal(t, flow.Collected{Decided: []int{0}}, out)
			}
			end := outcomeOf(t, b, 1, "one").End
			require.NotNil(t, end)
			require.Equal(t, want.kind, end.Kind)
			require.Equal(t, want.errorType, end.Type)
			require.Equal(t, code, end.Code)
			if want.errorType != "" {
				require.Contains(t, end.Text, "the field P_1")
			}
		})
	}
}

func TestCollectResults_recordsTheNumber(t *testing.T) {
	status := listed("one", 200)
	status.KSeFNumber, status.AcquisitionDate, status.InvoicingMode = "number", someDay, "Online"
	client := &fakeKSeF{
		lists:  map[string][]ksef.InvoiceStatus{"s": {listed("one", 440), status}},
		status: map[string]ksef.SessionStatus{"s": {Code: 170}},
	}
	b, out, err := collect(t, client, "one")
	require.NoError(t, err)
	require.Equal(t, flow.Collected{Decided: []int{0}}, out)
	require.Equal(t, &flow.Transmitted{
		DocumentID: 1, SHA256: hashHex([]byte("one")), KSeFNumber: "number", AcquisitionDate: someDay, Mode: "Online",
		SessionReference: "s", InvoiceReference: status.Reference,
	}, outcomeOf(t, b, 1, "one").Accepted)
}

// A number that KSeF is still to show cannot be added to a fact later: it is waited for.
func TestCollectResults_recordsNoAcceptanceWithoutItsNumber(t *testing.T) {
	status := listed("one", 200)
	status.KSeFNumber = ""
	client := &fakeKSeF{
		lists:  map[string][]ksef.InvoiceStatus{"s": {status}},
		status: map[string]ksef.SessionStatus{"s": {Code: 170}},
	}
	b, _, err := collect(t, client, "one")
	require.Equal(t, flow.ErrKSeFNotYet, typeOfFailure(t, err))
	require.Nil(t, outcomeOf(t, b, 1, "one").Accepted)
	require.NotNil(t, outcomeOf(t, b, 1, "one").Open)
}

func TestCollectResults_takesWhatIsDecidedAndWaitsForTheRest(t *testing.T) {
	client := &fakeKSeF{
		lists:  map[string][]ksef.InvoiceStatus{"s": {listed("two", 450), listed("one", 150)}},
		status: map[string]ksef.SessionStatus{"s": {Code: 170}},
	}
	b, out, err := collect(t, client, "one", "two", "not listed yet")
	require.NoError(t, err)
	require.Equal(t, flow.Collected{Decided: []int{1}}, out)
	require.NotNil(t, outcomeOf(t, b, 1, "one").Open)
	require.NotNil(t, outcomeOf(t, b, 3, "not listed yet").Open)
}

func TestCollectResults_findsNothingWhenNothingIsDecided(t *testing.T) {
	client := &fakeKSeF{
		lists:  map[string][]ksef.InvoiceStatus{"s": {listed("one", 150)}},
		status: map[string]ksef.SessionStatus{"s": {Code: 170}},
	}
	_, out, err := collect(t, client, "one")
	require.NoError(t, err)
	require.Empty(t, out)
}

// A session that failed decides on nothing any more: what it had at 150, and
// what it never had, goes into another one.
func TestCollectResults_givesUpOnAFailedSession(t *testing.T) {
	client := &fakeKSeF{
		lists:  map[string][]ksef.InvoiceStatus{"s": {listed("one", 150)}},
		status: map[string]ksef.SessionStatus{"s": {Code: 415, Description: "the key cannot be decrypted"}},
	}
	b, out, err := collect(t, client, "one", "two")
	require.NoError(t, err)
	require.Equal(t, flow.Collected{Again: []int{0, 1}}, out)
	require.Equal(t, 1, client.forgot, "KSeF's public key has changed")
	for document, xml := range map[int64]string{1: "one", 2: "two"} {
		end := outcomeOf(t, b, document, xml).End
		require.Equal(t, factNotProcessed, end.Kind)
		require.Equal(t, 415, end.Code)
	}
}

const originalNumber = "5265877635-20250826-0100001AF629-AF"

// duplicateOf is a duplicate answer that names an original.
func duplicateOf(xml, session string) ksef.InvoiceStatus {
	status := listed(xml, 440)
	status.OriginalKSeFNumber, status.OriginalSessionReference = originalNumber, session
	return status
}

func TestCollectResults_resolvesDuplicates(t *testing.T) {
	original := func(xml string) ksef.InvoiceStatus {
		o := listed(xml, 200)
		o.KSeFNumber, o.AcquisitionDate, o.InvoicingMode = originalNumber, someDay, "Online"
		return o
	}
	metadataOf := func(xml string) func(ksef.MetadataQuery) (ksef.MetadataPage, error) {
		return func(q ksef.MetadataQuery) (ksef.MetadataPage, error) {
			if q.KSeFNumber != originalNumber || q.SubjectType != ksef.SubjectSeller ||
				!q.From.Before(time.Date(2025, 8, 26, 0, 0, 0, 0, time.UTC)) || q.To.Sub(q.From) > 99*24*time.Hour {
				return ksef.MetadataPage{}, fmt.Errorf("a query that finds nothing: %+v", q)
			}
			if xml == "" {
				return ksef.MetadataPage{}, nil
			}
			return ksef.MetadataPage{Invoices: []ksef.Metadata{
				{KSeFNumber: "another", InvoiceHash: base64Hash("another")},
				{KSeFNumber: originalNumber, InvoiceHash: base64Hash(xml), AcquisitionDate: someDay, InvoicingMode: "Online"},
			}}, nil
		}
	}
	forbidden := &ksef.Error{Operation: "list", Kind: ksef.KindForbidden, ReasonCode: "insufficient-resource-access"}
	cases := map[string]struct {
		duplicate ksef.InvoiceStatus
		lists     map[string][]ksef.InvoiceStatus
		listErr   error
		metadata  func(ksef.MetadataQuery) (ksef.MetadataPage, error)
		adopted   bool
		reference string // of the invoice in its own session
		fails     string // the activity is tried again
	}{
		"our own, by the session's list": {
			duplicate: duplicateOf("one", "first"), lists: map[string][]ksef.InvoiceStatus{"first": {listed("x", 200), original("one")}},
			adopted: true, reference: "reference of one at 200",
		},
		"a conflict, by the session's list": {
			duplicate: duplicateOf("one", "first"), lists: map[string][]ksef.InvoiceStatus{"first": {original("other content")}},
		},
		"our own, in somebody else's session": {
			duplicate: duplicateOf("one", "foreign"), listErr: forbidden, metadata: metadataOf("one"), adopted: true,
		},
		"a conflict, in somebody else's session": {
			duplicate: duplicateOf("one", "foreign"), listErr: forbidden, metadata: metadataOf("other content"),
		},
		"the session named is wrong (seen in batches)": {
			duplicate: duplicateOf("one", "wrong"), lists: map[string][]ksef.InvoiceStatus{"wrong": {listed("x", 200)}}, metadata: metadataOf("one"), adopted: true,
		},
		"the session named does not exist": {
			duplicate: duplicateOf("one", "gone"), listErr: ofKSeF(ksef.KindRejected, ksef.CodeSessionNotFound), metadata: metadataOf("one"), adopted: true,
		},
		"no session named": {
			duplicate: duplicateOf("one", ""), metadata: metadataOf("one"), adopted: true,
		},
		"original not listed yet": {
			duplicate: duplicateOf("one", "foreign"), listErr: forbidden, metadata: metadataOf(""), fails: flow.ErrKSeFNotYet,
		},
		"original not named": {
			duplicate: listed("one", 440), fails: flow.ErrKSeFNotYet,
		},
		"the list cannot be read for now": {
			duplicate: duplicateOf("one", "first"), listErr: lost(ksef.KindNetwork), fails: flow.ErrKSeFUnavailable,
		},
		"no metadata query is left this hour": {
			duplicate: duplicateOf("one", "foreign"), listErr: forbidden, fails: flow.ErrKSeFQuota,
			metadata: func(ksef.MetadataQuery) (ksef.MetadataPage, error) {
				return ksef.MetadataPage{}, &ksef.Error{Kind: ksef.KindRateLimited, Local: true}
			},
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			client := &fakeKSeF{
				lists: map[string][]ksef.InvoiceStatus{"s": {c.duplicate}}, status: map[string]ksef.SessionStatus{"s": {Code: 445}},
				listErr:  map[string]error{c.duplicate.OriginalSessionReference: c.listErr},
				metadata: c.metadata,
			}
			for session, list := range c.lists {
				client.lists[session] = list
			}
			b, out, err := collect(t, client, "one")
			known := outcomeOf(t, b, 1, "one")
			if c.fails != "" {
				require.Equal(t, c.fails, typeOfFailure(t, err))
				require.Nil(t, known.Accepted)
				require.NotNil(t, known.Open)
				return
			}
			require.NoError(t, err)
			require.Equal(t, flow.Collected{Decided: []int{0}}, out)
			if c.adopted {
				require.Equal(t, &flow.Transmitted{
					DocumentID: 1, SHA256: hashHex([]byte("one")), KSeFNumber: originalNumber, AcquisitionDate: someDay, Mode: "Online",
					SessionReference: c.duplicate.OriginalSessionReference, InvoiceReference: c.reference, Adopted: true,
				}, known.Accepted)
				return
			}
			require.Nil(t, known.Accepted)
			require.Equal(t, factRejected, known.End.Kind)
			require.Equal(t, flow.ErrNumberTaken, known.End.Type)
			require.Contains(t, known.End.Text, originalNumber)
		})
	}
}

// A duplicate that is not clear yet does not keep the others from their
// numbers.
func TestCollectResults_unclearDuplicateHoldsNobody(t *testing.T) {
	client := &fakeKSeF{
		lists:  map[string][]ksef.InvoiceStatus{"s": {listed("one", 440), listed("two", 450)}},
		status: map[string]ksef.SessionStatus{"s": {Code: 200}},
	}
	_, out, err := collect(t, client, "one", "two")
	require.NoError(t, err)
	require.Equal(t, flow.Collected{Decided: []int{1}}, out)
}

// find decides whether an invoice whose answer was lost may be sent again.
func TestFind_seeksALostInvoiceInItsSession(t *testing.T) {
	hash := hashHex([]byte("one"))
	cases := map[string]struct {
		client *fakeKSeF
		taken  bool
		found  bool
		closed []string
		fails  string
	}{
		"it is there": {client: &fakeKSeF{lists: map[string][]ksef.InvoiceStatus{"s": {listed("one", 150)}}}, found: true},
		"it is not there and the session has ended": {
			client: &fakeKSeF{status: map[string]ksef.SessionStatus{"s": {Code: 200}}}, taken: true,
		},
		"it is not there and the session is still open": {
			client: &fakeKSeF{status: map[string]ksef.SessionStatus{"s": {Code: 100}}}, closed: []string{"s"},
		},
		"KSeF has taken it and does not list it yet": {
			client: &fakeKSeF{status: map[string]ksef.SessionStatus{"s": {Code: 100}}}, taken: true, fails: flow.ErrKSeFNotYet,
		},
		"the session never came to be": {
			client: &fakeKSeF{listErr: map[string]error{"s": ofKSeF(ksef.KindRejected, ksef.CodeSessionNotFound)}},
		},
		"no answer": {client: &fakeKSeF{listErr: map[string]error{"s": lost(ksef.KindNetwork)}}, fails: flow.ErrKSeFUnavailable},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			lists := (&Session{testBase(t, c.client)}).listsOf(c.client, 1000)
			status, err := lists.find(t.Context(), "s", hash, c.taken, false)
			if c.fails != "" {
				require.Equal(t, c.fails, classify(err).Type)
				return
			}
			require.NoError(t, err)
			require.Equal(t, c.found, status != nil)
			require.Equal(t, c.closed, c.client.closed)
		})
	}
}

func TestFind_readsEachListOnce(t *testing.T) {
	client := &fakeKSeF{lists: map[string][]ksef.InvoiceStatus{"s": {listed("one", 150), listed("two", 150)}}}
	lists := (&Session{testBase(t, client)}).listsOf(client, 1000)
	for _, xml := range []string{"one", "two", "one"} {
		status, err := lists.find(t.Context(), "s", hashHex([]byte(xml)), true, false)
		require.NoError(t, err)
		require.NotNil(t, status)
	}
	require.Equal(t, 1, client.asked["s"])
}
