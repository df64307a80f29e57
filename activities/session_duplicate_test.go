package activities

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"teamogy-ksef/internal/flow"
	"teamogy-ksef/internal/ksef"
)

// duplicated submits the contents one after the other for document 1, the last
// one in session "s", where KSeF calls it a duplicate, and collects.
func duplicated(t *testing.T, client *fakeKSeF, contents ...string) (base, flow.Collected, error) {
	t.Helper()
	b := testBase(t, client)
	s := &Session{b}
	for _, xml := range contents[:len(contents)-1] {
		ref, err := b.Archive.PutDocument(t.Context(), []byte(xml))
		require.NoError(t, err)
		earlier := flow.HandOver{DocumentID: 1, SHA256: ref.SHA256, RunID: "run0"}
		require.NoError(t, s.noteSubmitted(t.Context(), "acme", earlier, "first", false))
	}
	last := contents[len(contents)-1]
	plan, items := sent(t, b, last)
	require.NoError(t, s.noteSubmitted(t.Context(), "acme", items[0].HandOver, "s", false))
	if client.lists == nil {
		client.lists = map[string][]ksef.InvoiceStatus{}
	}
	client.lists["s"] = []ksef.InvoiceStatus{duplicateOf(last, "first")}
	client.status = map[string]ksef.SessionStatus{"s": {Code: 445}}
	out, err := ran(t, s.CollectResults, flow.AwaitInput{Connection: "acme", Reference: "s", Plan: plan, Open: []int{0}})
	return b, out, err
}

// seenAs are the ways in which the original of a duplicate can be seen.
var seenAs = map[string]func(client *fakeKSeF, xml string){
	"by its session's list": func(client *fakeKSeF, xml string) {
		original := listed(xml, 200)
		original.KSeFNumber, original.AcquisitionDate = originalNumber, someDay
		client.lists = map[string][]ksef.InvoiceStatus{"first": {original}}
	},
	"by metadata, the session is somebody else's": func(client *fakeKSeF, xml string) {
		client.listErr = map[string]error{"first": &ksef.Error{Kind: ksef.KindForbidden, ReasonCode: "insufficient-resource-access"}}
		client.metadata = metadataWith(ksef.Metadata{KSeFNumber: originalNumber, InvoiceHash: base64Hash(xml), AcquisitionDate: someDay})
	},
	"by metadata, the session is the wrong one": func(client *fakeKSeF, xml string) {
		client.lists = map[string][]ksef.InvoiceStatus{"first": {listed("something else", 200)}}
		client.metadata = metadataWith(ksef.Metadata{KSeFNumber: originalNumber, InvoiceHash: base64Hash(xml), AcquisitionDate: someDay})
	},
	"by metadata, the session is forgotten": func(client *fakeKSeF, xml string) {
		client.listErr = map[string]error{"first": ofKSeF(ksef.KindGone)}
		client.metadata = metadataWith(ksef.Metadata{KSeFNumber: originalNumber, InvoiceHash: base64Hash(xml), AcquisitionDate: someDay})
	},
	"by its bytes only, its hash is shown nowhere": func(client *fakeKSeF, xml string) {
		unhashed := listed(xml, 200)
		unhashed.KSeFNumber, unhashed.InvoiceHash = originalNumber, ""
		client.lists = map[string][]ksef.InvoiceStatus{"first": {unhashed}}
		client.metadata = metadataWith(ksef.Metadata{KSeFNumber: originalNumber})
		client.download = map[string]string{originalNumber: xml}
	},
	"by its bytes only": func(client *fakeKSeF, xml string) {
		client.listErr = map[string]error{"first": ofKSeF(ksef.KindRejected, ksef.CodeSessionNotFound)}
		client.metadata = metadataWith()
		client.download = map[string]string{originalNumber: xml}
	},
}

func metadataWith(all ...ksef.Metadata) func(ksef.MetadataQuery) (ksef.MetadataPage, error) {
	return func(ksef.MetadataQuery) (ksef.MetadataPage, error) { return ksef.MetadataPage{Invoices: all}, nil }
}

// An earlier rendering of the document is our own success.
func TestResolveDuplicate_adoptsWhatWeSentBeforeItWasRenderedAnew(t *testing.T) {
	first, anew := renderedAt(8, "one"), renderedAt(9, "one")
	for name, show := range seenAs {
		t.Run(name, func(t *testing.T) {
			client := &fakeKSeF{}
			show(client, first)
			b, out, err := duplicated(t, client, first, anew)
			require.NoError(t, err)
			require.Equal(t, flow.Collected{Decided: []int{0}}, out)
			answer := knownOf(t, b, anew, "run1").Accepted
			require.NotNil(t, answer)
			require.True(t, answer.Adopted)
			require.Equal(t, originalNumber, answer.KSeFNumber)
			require.Equal(t, hashHex([]byte(first)), answer.SHA256)
			require.True(t, answer.Answers(hashHex([]byte(anew))))
		})
	}
}

// A package of which everything is a duplicate costs one look into the session
// of the originals, not one for each: those have a quota of 200 an hour, which
// the results of all other sessions come out of.
func TestResolveDuplicate_asksOnceForTheOriginalsOfAPackage(t *testing.T) {
	for name, refusal := range map[string]error{
		"ours": nil, "somebody else's": &ksef.Error{Kind: ksef.KindForbidden, ReasonCode: "insufficient-resource-access"},
		"refused": ofKSeF(ksef.KindRejected),
	} {
		t.Run(name, func(t *testing.T) {
			contents := []string{renderedAt(8, "one"), renderedAt(8, "two"), renderedAt(8, "three")}
			client := &fakeKSeF{lists: map[string][]ksef.InvoiceStatus{}, listErr: map[string]error{"first": refusal}, status: map[string]ksef.SessionStatus{"s": {Code: 445}}}
			b := testBase(t, client)
			s := &Session{b}
			plan, items := sent(t, b, contents...)
			for n, xml := range contents {
				require.NoError(t, s.noteSubmitted(t.Context(), "acme", items[n].HandOver, "s", true))
				duplicate, original := duplicateOf(xml, "first"), listed(xml, 200)
				number := []string{originalNumber, "5265877635-20250626-010080DD2B5E-26", "5265877635-20250916-0200A0D6723E-C2"}[n]
				duplicate.OriginalKSeFNumber, original.KSeFNumber = number, number
				client.lists["s"] = append(client.lists["s"], duplicate)
				if refusal == nil {
					client.lists["first"] = append(client.lists["first"], original)
				}
			}
			client.metadata = func(q ksef.MetadataQuery) (ksef.MetadataPage, error) {
				for n, d := range client.lists["s"] {
					if d.OriginalKSeFNumber == q.KSeFNumber {
						return ksef.MetadataPage{Invoices: []ksef.Metadata{{KSeFNumber: q.KSeFNumber, InvoiceHash: base64Hash(contents[n])}}}, nil
					}
				}
				return ksef.MetadataPage{}, nil
			}
			out, err := ran(t, s.CollectResults, flow.AwaitInput{Connection: "acme", Reference: "s", Plan: plan, Open: []int{0, 1, 2}, Batch: true})
			require.NoError(t, err)
			require.Equal(t, flow.Collected{Decided: []int{0, 1, 2}}, out)
			require.Equal(t, 1, client.asked["first"])
		})
	}
}

// KSeF holds another content that we sent for the document: it is issued, and
// was changed since.
func TestResolveDuplicate_saysThatADocumentWasChangedAfterItWasIssued(t *testing.T) {
	first, changed := renderedAt(8, "one"), renderedAt(9, "two")
	for name, show := range seenAs {
		t.Run(name, func(t *testing.T) {
			client := &fakeKSeF{}
			show(client, first)
			b, out, err := duplicated(t, client, first, changed)
			require.NoError(t, err)
			require.Equal(t, flow.Collected{Decided: []int{0}}, out)
			known := knownOf(t, b, changed, "run1")
			require.Nil(t, known.Accepted)
			require.Equal(t, flow.ErrIssuedOtherwise, known.End.Type)
			require.Contains(t, known.End.Text, originalNumber)
			record, err := b.sentRecord(t.Context(), "acme", 1)
			require.NoError(t, err)
			require.Equal(t, originalNumber, record.Accepted.KSeFNumber, "its number is to stand beside the reason")
		})
	}
}

// What we never sent is somebody else's, whatever it says.
func TestResolveDuplicate_neverTakesOverWhatWeDidNotSend(t *testing.T) {
	ours := renderedAt(9, "one")
	for original, says := range map[string]string{
		renderedAt(8, "two"): "with other content", renderedAt(8, "one"): "not from teamogy-ksef",
	} {
		for name, show := range seenAs {
			t.Run(says+", "+name, func(t *testing.T) {
				client := &fakeKSeF{}
				show(client, original)
				client.download = map[string]string{originalNumber: original}
				b, out, err := duplicated(t, client, "something earlier", ours)
				require.NoError(t, err)
				require.Equal(t, flow.Collected{Decided: []int{0}}, out)
				known := knownOf(t, b, ours, "run1")
				require.Nil(t, known.Accepted)
				require.Equal(t, flow.ErrNumberTaken, known.End.Type)
				require.Contains(t, known.End.Text, originalNumber)
				require.Contains(t, known.End.Text, says)
				record, err := b.sentRecord(t.Context(), "acme", 1)
				require.NoError(t, err)
				require.Nil(t, record.Accepted)
			})
		}
	}
}

// An original that KSeF does not show is waited for, and seldom asked about:
// each look is a query and a download that receiving lives on.
func TestResolveDuplicate_waitsForAnOriginalThatIsNotVisible(t *testing.T) {
	client := &fakeKSeF{metadata: metadataWith()}
	b := testBase(t, client)
	b.vain = &vainLooks{}
	clock := stopClock(&b)
	b.Connections.(*fakeConnections).settings.TimeScale = 1
	plan, items := sent(t, b, "one")
	s := &Session{b}
	require.NoError(t, s.noteSubmitted(t.Context(), "acme", items[0].HandOver, "s", false))
	client.lists = map[string][]ksef.InvoiceStatus{"s": {duplicateOf("one", "")}}
	client.status = map[string]ksef.SessionStatus{"s": {Code: 445}}
	for range 24 * 60 {
		_, err := ran(t, s.CollectResults, flow.AwaitInput{Connection: "acme", Reference: "s", Plan: plan, Open: []int{0}})
		require.Equal(t, flow.ErrKSeFNotYet, typeOfFailure(t, err))
		clock.now = clock.now.Add(time.Minute)
	}
	require.Greater(t, client.queries, 20)
	require.LessOrEqual(t, client.queries, 28, "of 480 metadata queries a day")
	require.NotNil(t, outcomeOf(t, b, 1, "one").Open, "it was decided on")

	client.metadata = metadataWith(ksef.Metadata{KSeFNumber: originalNumber, InvoiceHash: base64Hash("one")})
	clock.now = clock.now.Add(time.Hour)
	out, err := ran(t, s.CollectResults, flow.AwaitInput{Connection: "acme", Reference: "s", Plan: plan, Open: []int{0}})
	require.NoError(t, err)
	require.Equal(t, flow.Collected{Decided: []int{0}}, out)
	require.Equal(t, originalNumber, outcomeOf(t, b, 1, "one").Accepted.KSeFNumber)
}

// Nor does it hold up what KSeF is still working on in the same session: it
// waits elsewhere.
func TestCollectResults_anInvisibleOriginalWaitsApartFromTheOthers(t *testing.T) {
	client := &fakeKSeF{
		metadata: metadataWith(),
		lists:    map[string][]ksef.InvoiceStatus{"s": {duplicateOf("one", ""), listed("two", 150)}},
		status:   map[string]ksef.SessionStatus{"s": {Code: 170}},
	}
	b, out, err := collect(t, client, "one", "two")
	require.NoError(t, err)
	require.Equal(t, flow.Collected{Again: []int{0}}, out)
	require.NotNil(t, outcomeOf(t, b, 1, "one").Open, "the next session will find it by this")
}
