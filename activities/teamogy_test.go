package activities

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"teamogy-ksef/internal/archive"
	"teamogy-ksef/internal/flow"
	"teamogy-ksef/internal/ksef"
	"teamogy-ksef/internal/teamogy"
)

// fakeTeamogy answers every call with one error or nothing.
type fakeTeamogy struct {
	TeamogyClient
	err   error
	xml   string
	reads int // of a document's XML
	lists int // of ready documents
}

func (f *fakeTeamogy) FindCompanyByNIP(context.Context, string) (teamogy.CompanyMatch, error) {
	return teamogy.CompanyMatch{}, f.err
}

func (f *fakeTeamogy) FindDocumentByKSeFNumber(context.Context, string) (teamogy.Document, bool, error) {
	return teamogy.Document{}, false, f.err
}

func (f *fakeTeamogy) RecallDoubt(string, time.Time, int64) {}

func (f *fakeTeamogy) Ping(context.Context) error { return nil }

func (f *fakeTeamogy) ListReadySalesInvoices(context.Context, []string, string, func([]teamogy.ReadyInvoice) bool) (bool, error) {
	f.lists++
	return true, f.err
}

func (f *fakeTeamogy) ReadInvoiceXML(context.Context, int64) ([]byte, teamogy.DocumentInfo, error) {
	f.reads++
	return []byte(f.xml), teamogy.DocumentInfo{}, f.err
}

func teamogyBase(t *testing.T, client TeamogyClient) base {
	t.Helper()
	b := testBase(t, nil)
	connections := b.Connections.(*fakeConnections)
	connections.teamogy, connections.settings.Send = client, true
	return b
}

// A 404 means that a document is gone only where one document was asked for. A
// list or a look-up that does not exist is a wrong address or field map: it
// must not end a workflow that runs for ever, nor fail an invoice.
func TestNotFound_isTheSetUpsFaultWhereNoDocumentWasNamed(t *testing.T) {
	b := teamogyBase(t, &fakeTeamogy{err: ofTeamogy(teamogy.NotFound)})
	none := func(context.Context, string) (int, error) { return 0, nil }
	_, err := ran(t, (&Starts{base: b, compared: newComparisons(b.Now), running: none}).StartSends, flow.StartSendsInput{Connection: "acme"})
	require.Equal(t, flow.ErrTeamogyRefused, typeOfFailure(t, err))
	_, err = ran(t, (&Teamogy{b}).FindSupplier, flow.FindSupplierInput{Connection: "acme", KSeFNumber: originalNumber, NIP: "5265877635"})
	require.Equal(t, flow.ErrTeamogyRefused, typeOfFailure(t, err))
	_, err = ran(t, (&Teamogy{b}).CreateReceivedInvoice, flow.CreateReceivedInput{Connection: "acme", KSeFNumber: originalNumber})
	require.Equal(t, flow.ErrTeamogyRefused, typeOfFailure(t, err))

	_, err = ran(t, (&Teamogy{b}).FetchIssuedXML, flow.SendInvoiceInput{Connection: "acme", DocumentID: 17})
	require.Equal(t, flow.ErrDocumentUnknown, typeOfFailure(t, err))
}

// A list of a hundred pages is not read only to learn that nothing can be started.
func TestStartSends_readsTheListOnlyWhenThereIsRoom(t *testing.T) {
	most := mostInFlight - worthReading
	for name, c := range map[string]struct {
		running int
		before  flow.StartSendsInput
		read    bool
	}{
		"none":                       {0, flow.StartSendsInput{}, true},
		"many, and no more in sight": {most + 1, flow.StartSendsInput{UnderWay: mostInFlight}, true},
		"many, and more in sight":    {most + 1, flow.StartSendsInput{NoRoom: 1, UnderWay: mostInFlight}, false},
		"some, and more in sight":    {most, flow.StartSendsInput{NoRoom: 1, UnderWay: mostInFlight}, true},
		"many that do not move":      {most + 1, flow.StartSendsInput{NoRoom: 1, UnderWay: most + 1}, true},
		"many, for the eighth time":  {most + 1, flow.StartSendsInput{NoRoom: 1, UnderWay: mostInFlight, Unread: mostUnread}, true},
		"all that may be":            {mostInFlight, flow.StartSendsInput{}, false},
		"more than may be":           {mostInFlight + 5, flow.StartSendsInput{NoRoom: 7, Unread: 9}, false},
	} {
		client := &fakeTeamogy{}
		b := teamogyBase(t, client)
		s := &Starts{base: b, compared: newComparisons(b.Now), running: func(context.Context, string) (int, error) { return c.running, nil }}
		c.before.Connection = "acme"
		out, err := ran(t, s.StartSends, c.before)
		require.NoError(t, err)
		require.Equal(t, c.read, client.lists == 1, name)
		require.Equal(t, c.read, out.Unread == 0, name)
		require.Equal(t, c.running, out.UnderWay, name)
		if !c.read {
			require.Equal(t, c.before.Unread+1, out.Unread)
			require.Equal(t, c.before.NoRoom, out.NoRoom, "it is not forgotten that there are more")
		}
	}
}

// listing is a Teamogy with ready documents, whose XML its list may show.
type listing struct {
	*fakeTeamogy
	ready []teamogy.ReadyInvoice
	shows bool
	pages int // that were read
}

func (l *listing) ListReadySalesInvoices(_ context.Context, _ []string, _ string, take func([]teamogy.ReadyInvoice) bool) (bool, error) {
	last := (len(l.ready) + 99) / 100
	for page := range slices.Chunk(l.ready, 100) {
		if l.pages++; !take(slices.Clone(page)) {
			return l.pages == last, nil
		}
	}
	return true, nil
}

func (l *listing) ShowsXML() bool { return l.shows }

func (l *listing) Queue(teamogy.Priority) time.Duration { return 0 }

func (l *listing) ReadReadyXML(_ context.Context, ids []int64, _ []string, _ string) (map[int64][]byte, error) {
	found := map[int64][]byte{}
	for _, id := range ids {
		found[id] = fmt.Appendf(nil, "<Faktura>%d</Faktura>", id)
	}
	return found, nil
}

func firstIDs(n int64) (ids []int64) {
	for id := range n {
		ids = append(ids, id+1)
	}
	return ids
}

// Whatever runs already and whatever is held: never more than there is room for,
// none twice, and the rest waits for the next poll.
func TestStartSends_startsAsManyAsThereIsRoomFor(t *testing.T) {
	for name, c := range map[string]struct {
		ready, running int
		shows          bool
		perMinute      int
		descending     bool                // the view's order
		already        func(id int64) bool // runs, and is in the list
		held           []int64
		want           flow.StartSendsResult
	}{
		"all, with XML": {ready: 350, shows: true, want: flow.StartSendsResult{Ready: 350, Started: 350, UnderWay: 350}},
		"all, without":  {ready: 350, want: flow.StartSendsResult{Ready: 350, Started: 350, UnderWay: 350}},
		"some held":     {ready: 20, shows: true, held: []int64{3, 20}, want: flow.StartSendsResult{Ready: 20, Held: 2, Started: 18, UnderWay: 18}},
		"little room": {
			ready: 30, running: mostInFlight - 13, shows: true,
			want: flow.StartSendsResult{Ready: 30, Started: 13, Deferred: 17, NoRoom: 17, UnderWay: mostInFlight},
		},
		"little room, and some of them run": {
			ready: 30, running: mostInFlight - 13, shows: true, already: func(id int64) bool { return id <= 10 },
			want: flow.StartSendsResult{Ready: 30, Running: 10, Started: 13, Deferred: 7, NoRoom: 7, UnderWay: mostInFlight},
		},
		"more than may be under way": {
			ready: 2050, shows: true,
			want: flow.StartSendsResult{Ready: 2050, Started: mostInFlight, Deferred: 50, NoRoom: 50, UnderWay: mostInFlight},
		},
		"many more, of which the front runs": { // what is behind need not be looked at
			ready: 5000, running: 500, shows: true, already: func(id int64) bool { return id <= 500 },
			want: flow.StartSendsResult{Ready: 2100, Partly: true, Running: 500, Started: 1500, Deferred: 100, NoRoom: 100, UnderWay: mostInFlight},
		},
		"many more, the newest first": { // all are read: the oldest must not wait for ever
			ready: 5000, running: 500, shows: true, descending: true,
			want: flow.StartSendsResult{Ready: 5000, Started: 1500, Deferred: 3500, NoRoom: 3500, UnderWay: mostInFlight},
		},
		"many more, of which the front is held": {
			ready: 5000, shows: true, held: firstIDs(2500),
			want: flow.StartSendsResult{Ready: 4600, Partly: true, Held: 2500, Started: mostInFlight, Deferred: 100, NoRoom: 100, UnderWay: mostInFlight},
		},
		"as fast as Teamogy gives their XML": {
			ready: 1000, perMinute: 60, want: flow.StartSendsResult{Ready: 1000, Started: 177, Deferred: 823, UnderWay: 177},
		},
	} {
		t.Run(name, func(t *testing.T) {
			client := &listing{fakeTeamogy: &fakeTeamogy{}, shows: c.shows}
			for id := range int64(c.ready) {
				client.ready = append(client.ready, teamogy.ReadyInvoice{ID: id + 1, Number: fmt.Sprint("FV/", id+1)})
			}
			if c.descending {
				slices.Reverse(client.ready)
			}
			b := teamogyBase(t, client)
			stopClock(&b)
			settings := b.Connections.(*fakeConnections).settings
			settings.TeamogyRequestsPerMinute, settings.TimeScale = c.perMinute, 1
			var mu sync.Mutex
			begun := map[int64]flow.SendInvoiceInput{}
			s := &Starts{
				base: b, compared: newComparisons(b.Now), running: func(context.Context, string) (int, error) { return c.running, nil },
				begin: func(_ context.Context, start flow.InvoiceStart) (bool, error) {
					in := start.Input.(flow.SendInvoiceInput)
					mu.Lock()
					defer mu.Unlock()
					require.NotContains(t, begun, in.DocumentID)
					begun[in.DocumentID] = in
					return c.already == nil || !c.already(in.DocumentID), nil
				},
			}
			out, err := ran(t, s.StartSends, flow.StartSendsInput{Connection: "acme", Held: c.held})
			require.NoError(t, err)
			out.Settings = flow.Settings{}
			require.Equal(t, c.want, out)
			if c.descending {
				require.Contains(t, begun, int64(1), "the oldest come first")
				require.NotContains(t, begun, int64(c.ready))
			}
			for id, in := range begun {
				require.NotContains(t, c.held, id)
				if c.already != nil {
					continue // XML was read for what runs already
				}
				if require.Equal(t, c.shows, in.Shown != nil); c.shows {
					xml, err := b.Archive.Document(t.Context(), in.Shown.Document.SHA256)
					require.NoError(t, err)
					require.Equal(t, fmt.Sprintf("<Faktura>%d</Faktura>", id), string(xml))
				}
			}
		})
	}
}

// comparing is a StartSends that has refused a content of document 17 before.
func comparing(t *testing.T, client TeamogyClient, refused archive.Fact) func() (bool, error) {
	t.Helper()
	b := teamogyBase(t, client)
	s := &Starts{base: b, compared: newComparisons(b.Now)}
	_, err := b.Archive.AddFact(t.Context(), sentKey("acme", 17), refused)
	require.NoError(t, err)
	settings, err := b.Connections.Settings(t.Context(), "acme")
	require.NoError(t, err)
	return func() (bool, error) { return s.changed(t.Context(), client, settings, 17) }
}

func refusal(t *testing.T, at time.Time, xml, errorType string) archive.Fact {
	t.Helper()
	f := fact(t, factRejected, sessionFact{SHA256: hashHex([]byte(xml)), Type: errorType})
	f.At, f.Name = at, "run-x"
	return f
}

// A refused document that was deleted between list and look does not end the
// poll for all others; one whose XML was taken away has changed.
func TestChanged_leavesADeletedDocumentAlone(t *testing.T) {
	for kind, want := range map[teamogy.Kind]bool{teamogy.NotFound: false, teamogy.XMLMissing: true} {
		changed, err := comparing(t, &fakeTeamogy{err: ofTeamogy(kind)}, refusal(t, someDay, "refused", flow.ErrInvoiceRejected))()
		require.NoError(t, err, kind)
		require.Equal(t, want, changed, kind)
	}
	_, err := comparing(t, &fakeTeamogy{err: ofTeamogy(teamogy.Network)}, refusal(t, someDay, "refused", flow.ErrInvoiceRejected))()
	require.Error(t, err)
}

func TestChanged_comparesTheContent(t *testing.T) {
	for xml, want := range map[string]bool{"refused": false, "corrected": true} {
		changed, err := comparing(t, &fakeTeamogy{xml: xml}, refusal(t, someDay, "refused", flow.ErrInvoiceRejected))()
		require.NoError(t, err)
		require.Equal(t, want, changed)
	}
}

// A date of issue that was in the future yesterday may be right today, in
// Warsaw's days.
func TestChanged_triesADateOfIssueAgainOnAnotherDay(t *testing.T) {
	justAfterMidnight := time.Date(2026, 11, 22, 0, 30, 0, 0, Warsaw)
	for at, want := range map[time.Time]bool{justAfterMidnight: false, justAfterMidnight.Add(-time.Hour): true} {
		changed, err := comparing(t, &fakeTeamogy{xml: "early"}, refusal(t, at, "early", flow.ErrIssueDateFuture))()
		require.NoError(t, err)
		require.Equal(t, want, changed, "refused at %s, now it is %s", at, someDay)
	}
}

// KSeF may leave a group out of its limits: then those of "other" hold, as
// in the client.
func TestLimitsOf_takesOtherForGroupsThatAreNotNamed(t *testing.T) {
	limits := limitsOf(ksef.RateLimits{
		ksef.GroupInvoiceMetadata: {PerHour: 20}, ksef.GroupOther: {PerSecond: 10, PerMinute: 30, PerHour: 120},
	}, 1)
	require.Equal(t, flow.Limits{
		QueriesPerHour: 20, DownloadsPerMinute: 30, DownloadsPerHour: 120,
		OpensPerMinute: 30, OpensPerHour: 120, SendsPerMinute: 30, SendsPerHour: 120,
		ExportsPerMinute: 30, ExportsPerHour: 120, BatchesPerMinute: 30, BatchesPerHour: 120,
	}, limits)
}

// The number belongs to the bytes that KSeF has: where it cannot be told whether the document still holds them, it is
// not written yet. A document that is gone, or has lost its XML, tells nothing later either.
func TestFetchIssuedXML_comparesAnAcceptedDocumentBeforeItsNumberIsWritten(t *testing.T) {
	for kind, want := range map[teamogy.Kind]string{
		teamogy.Server: flow.ErrTeamogyUnavailable, teamogy.Network: flow.ErrTeamogyUnavailable, teamogy.RateLimited: flow.ErrTeamogyQuota,
		teamogy.NotFound: "", teamogy.XMLMissing: "",
	} {
		b := teamogyBase(t, &fakeTeamogy{err: ofTeamogy(kind)})
		require.NoError(t, b.note(t.Context(), sentKey("acme", 1), factAccepted, "x", flow.Transmitted{DocumentID: 1, SHA256: "aa", KSeFNumber: "number"}))
		out, err := ran(t, (&Teamogy{b}).FetchIssuedXML, flow.SendInvoiceInput{Connection: "acme", DocumentID: 1})
		if want != "" {
			require.Equal(t, want, typeOfFailure(t, err), kind)
			continue
		}
		require.NoError(t, err, kind)
		require.Equal(t, "number", out.Accepted.KSeFNumber)
	}
}

// What Teamogy's list has shown a moment ago is not asked for again, and nothing older or otherwise started is.
func TestFetchIssuedXML_takesWhatTheListHasShownAMomentAgo(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*flow.SendInvoiceInput, *base)
		reads  int
	}{
		"a moment ago":      {func(*flow.SendInvoiceInput, *base) {}, 0},
		"minutes ago":       {func(in *flow.SendInvoiceInput, _ *base) { in.Shown.At = someDay.Add(-shownFor) }, 1},
		"by another clock":  {func(in *flow.SendInvoiceInput, _ *base) { in.Shown.At = someDay.Add(time.Hour) }, 1},
		"not from the list": {func(in *flow.SendInvoiceInput, _ *base) { in.Listed = false }, 1},
		"not in the archive": {func(in *flow.SendInvoiceInput, _ *base) {
			in.Shown.Document.SHA256 = hashHex([]byte("something else"))
		}, 1},
		"accepted before": {func(_ *flow.SendInvoiceInput, b *base) {
			require.NoError(t, b.note(t.Context(), sentKey("acme", 1), factAccepted, "x", flow.Transmitted{DocumentID: 1, SHA256: hashHex([]byte("<Faktura/>")), KSeFNumber: "number"}))
		}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			client := &fakeTeamogy{xml: "<Faktura/>"}
			b := teamogyBase(t, client)
			ref, err := b.Archive.PutDocument(t.Context(), []byte("<Faktura/>"))
			require.NoError(t, err)
			in := flow.SendInvoiceInput{Connection: "acme", DocumentID: 1, Listed: true, Shown: &flow.ShownXML{Document: flow.Ref(ref), Number: "S-1", At: someDay}}
			test.change(&in, &b)
			out, err := ran(t, (&Teamogy{b}).FetchIssuedXML, in)
			require.NoError(t, err)
			require.Equal(t, ref.SHA256, out.Document.SHA256)
			require.Equal(t, test.reads, client.reads)
			if out.Accepted == nil {
				record, err := b.sentRecord(t.Context(), "acme", 1)
				require.NoError(t, err)
				require.Len(t, record.Fetched, 1)
			}
		})
	}
}

// writingTeamogy writes as *teamogy.Client does with "patchMode": "merge".
type writingTeamogy struct {
	TeamogyClient
	firsts []bool
	err    error
}

func (w *writingTeamogy) PatchSalesInvoice(ctx context.Context, _ int64, patch teamogy.SalesPatch) error {
	first, err := patch.First.Due(ctx)
	if err != nil {
		return err
	}
	w.firsts = append(w.firsts, first)
	if first {
		if err := patch.First.Begin(ctx); err != nil {
			return err
		}
	}
	return w.err
}

// Only what can never have been written before is written in one request: not after an attempt whose answer was lost,
// nor to a document that was refused before.
func TestRecordKSeFNumber_isAFirstWriteOnce(t *testing.T) {
	number := func(t *testing.T, b base) error {
		xml, err := b.Archive.PutDocument(t.Context(), []byte("<Faktura/>"))
		require.NoError(t, err)
		_, err = ran(t, (&Teamogy{b}).RecordKSeFNumber, flow.RecordNumberInput{
			Connection: "acme", DocumentID: 1, Answer: flow.Transmitted{DocumentID: 1, SHA256: xml.SHA256, KSeFNumber: "number"},
		})
		return err
	}
	client := &writingTeamogy{err: ofTeamogy(teamogy.Network)}
	b := teamogyBase(t, client)
	require.Error(t, number(t, b))
	client.err = nil
	require.NoError(t, number(t, b))
	require.NoError(t, number(t, b))
	require.Equal(t, []bool{true, false, false}, client.firsts)

	client = &writingTeamogy{}
	b = teamogyBase(t, client)
	require.NoError(t, b.note(t.Context(), sentKey("acme", 1), factRejected, "x", sessionFact{SHA256: "aa"}))
	require.NoError(t, number(t, b))
	require.Equal(t, []bool{false}, client.firsts)
}
