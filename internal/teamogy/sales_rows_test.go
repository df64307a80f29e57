package teamogy_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"teamogy-ksef/internal/teamogy"
)

var salesTypes = []string{"INVOICE.SALES", "INVOICE.SALES.CORRECTION"}

// seedReady makes ready invoices, each with another XML; their ids are given with it.
func (b *bed) seedReady(n int, in string) (ids []int64, xml map[int64]string) {
	b.t.Helper()
	var documents []fields
	var texts []string
	for i := range n {
		text := fmt.Sprintf("<?xml version=\"1.0\"?>\r\n<Faktura>\n\t<P_2>FV/%d  ąę</P_2>%s</Faktura>\n", i, strings.Repeat("<x> </x>", i*7919%50))
		texts = append(texts, text)
		documents = append(documents, fields{"type": "INVOICE.SALES", "status": "READY.FOR.KSEF", "xml": []byte(text), "xmlIn": in})
	}
	var made struct{ Documents []struct{ ID int64 } }
	b.control(http.MethodPost, "seed", fields{"documents": documents}, &made)
	xml = map[int64]string{}
	for i, d := range made.Documents {
		ids = append(ids, d.ID)
		xml[d.ID] = texts[i]
	}
	return ids, xml
}

func inView(o *teamogy.Options) { o.Fields.XMLInView = true }

func TestReadReadyXML_readsHundredsWithAFewRequests(t *testing.T) {
	t.Parallel()
	for _, in := range []string{"property", "base64"} {
		b := newBed(t, fields{})
		ids, want := b.seedReady(1000, in)
		c, g := b.gated(inView)
		require.True(t, c.ShowsXML())
		got, err := c.ReadReadyXML(t.Context(), ids, salesTypes, "READY.FOR.KSEF")
		require.NoError(t, err)
		assert.Len(t, got, 1000)
		for id, xml := range got {
			assert.Equal(t, want[id], string(xml))
		}
		assert.LessOrEqual(t, g.count(), 50, "10 pages, and comparisons with the documents")
	}
}

// Whatever a view does with long texts, rows and pages: what is read is the document's XML byte for byte, or nothing.
func TestReadReadyXML_givesTheDocumentsBytesOrNothing(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		settings fields
		all      bool
	}{
		{fields{}, true},
		{fields{"longTexts": "cut"}, false},
		{fields{"longTexts": "stripped"}, false},
		{fields{"longTexts": "left-out"}, false},
		{fields{"pageLimit": 3}, true},
		{fields{"pageLimit": 3, "overLimit": "refused"}, true},
		{fields{"answerLimitBytes": 1500}, true},
		{fields{"answerLimitBytes": 1500, "tooLargeStatus": 500}, true},
		{fields{"answerLimitBytes": 1500, "tooLargeStatus": 502}, true},
		{fields{"flatProperties": true}, true},
		{fields{"flatProperties": true, "propertyKeys": "dotted"}, true},
		{fields{"missingProperties": "null"}, true},
		{fields{"filterAlternatives": "refused"}, true},
		{fields{"filterProperties": "refused"}, true},
		{fields{"sortOrder": "shuffled"}, true},
		{fields{"nextOffsetEnd": "empty-page"}, true},
		{fields{"absentViews": []string{"invoices.sales"}}, false},
		{fields{"columnNames": map[string]string{"status": "state"}}, false},
	} {
		t.Run(inJSON(test.settings), func(t *testing.T) {
			t.Parallel()
			b := newBed(t, test.settings)
			ids, want := b.seedReady(40, "property")
			b.clock.pass(3600e9)
			c := b.fresh(inView)
			got, err := c.ReadReadyXML(t.Context(), ids, salesTypes, "READY.FOR.KSEF")
			require.NoError(t, err)
			for id, xml := range got {
				assert.Equal(t, want[id], string(xml))
			}
			if test.all {
				assert.Len(t, got, 40)
			}
		})
	}
}

// A view that begins to cut when texts are longer than those that were compared is found out.
func TestReadReadyXML_findsOutAViewThatCutsLongTexts(t *testing.T) {
	t.Parallel()
	long := "<Faktura>" + strings.Repeat("<a/>", 200) + "</Faktura>"
	cut := "<Faktura>" + strings.Repeat("<a/>", 70) + "</Faktura>" // well-formed all the same
	shown := map[string]string{"1": "<Faktura><a/></Faktura>", "2": "<Faktura></Faktura>", "3": cut}
	whole := map[string]string{"1": shown["1"], "2": shown["2"], "3": long}
	b := newBed(t, fields{})
	c := b.fresh(func(o *teamogy.Options) {
		inView(o)
		o.HTTP = &http.Client{Transport: answering(func(r *http.Request) string {
			if id := r.URL.Query().Get("id"); id != "" {
				return document(id, whole[id])
			}
			var rows []string
			for _, id := range []string{"1", "2", "3"} {
				if strings.Contains(r.URL.Query().Get("externalFilter"), "id="+id) {
					rows = append(rows, document(id, shown[id]))
				}
			}
			return `{"metadata":{"nextOffset":null},"data":[` + strings.Join(rows, ",") + `]}`
		})}
	})
	got, err := c.ReadReadyXML(t.Context(), []int64{1, 2}, salesTypes, "READY")
	require.NoError(t, err)
	assert.Len(t, got, 2)
	got, err = c.ReadReadyXML(t.Context(), []int64{3}, salesTypes, "READY")
	require.NoError(t, err)
	assert.Equal(t, long, string(got[3]))
	assert.False(t, c.ShowsXML(), "it is not asked again")
}

func document(id, xml string) string {
	return fmt.Sprintf(`{"id":%s,"type":"INVOICE.SALES","status":"READY","properties":{"ksefXml":%q}}`, id, xml)
}

// answering makes answers without a server.
type answering func(*http.Request) string

func (f answering) RoundTrip(r *http.Request) (*http.Response, error) {
	recorder := newAnswer(f(r))
	recorder.Request = r
	return recorder, nil
}

// What has changed since the list was read is left to be read by itself.
func TestReadReadyXML_leavesOutWhatIsNotReadyAnyMore(t *testing.T) {
	t.Parallel()
	b := newBed(t, fields{})
	ids, _ := b.seedReady(6, "property")
	b.control(http.MethodPatch, fmt.Sprint("documents/", ids[0]), fields{"status": "OPEN"}, nil)
	b.control(http.MethodPatch, fmt.Sprint("documents/", ids[1]), fields{"properties": fields{"ksefNumber": "K"}}, nil)
	b.control(http.MethodPatch, fmt.Sprint("documents/", ids[2]), fields{"properties": fields{"ksefXml": "<Faktura><broken>"}}, nil)
	b.control(http.MethodPatch, fmt.Sprint("documents/", ids[3]), fields{"properties": fields{"ksefXml": nil}}, nil)
	got, err := b.fresh(inView).ReadReadyXML(t.Context(), append(ids, 999999), salesTypes, "READY.FOR.KSEF")
	require.NoError(t, err)
	assert.Len(t, got, 2)
	assert.Contains(t, got, ids[4])
	assert.Contains(t, got, ids[5])
}

func merging(o *teamogy.Options) { o.Fields.PatchMode = teamogy.PatchMerge }

// firsts are records of first writes, as the archive keeps them.
type firsts struct {
	mu    sync.Mutex
	begun map[int64]int
}

func (f *firsts) of(id int64) *teamogy.FirstWrite {
	return &teamogy.FirstWrite{
		Due: func(context.Context) (bool, error) {
			f.mu.Lock()
			defer f.mu.Unlock()
			return f.begun[id] == 0, nil
		},
		Begin: func(context.Context) error {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.begun[id]++
			return nil
		},
	}
}

// numbered is the patch that gives a document its number.
func numbered(f *firsts, id int64) teamogy.SalesPatch {
	p := accepted(int(id))
	p.From, p.First = "READY.FOR.KSEF", f.of(id)
	return p
}

// writeAll writes all numbers at once, and tries again as the workflows do.
func writeAll(b *bed, c *teamogy.Client, ids []int64) {
	f := &firsts{begun: map[int64]int{}}
	var wg sync.WaitGroup
	for _, id := range ids {
		wg.Go(func() {
			assert.NoError(b.t, b.again(func() error { return c.PatchSalesInvoice(b.t.Context(), id, numbered(f, id)) }))
		})
	}
	wg.Wait()
	for _, id := range ids {
		assert.Equal(b.t, 1, f.begun[id], "a first write is recorded once")
	}
}

func TestPatchSalesInvoice_costsOneRequestWhereMergingIsKnown(t *testing.T) {
	t.Parallel()
	b := newBed(t, fields{})
	ids, xml := b.seedReady(500, "property")
	c, g := b.gated(merging)
	writeAll(b, c, ids)
	t.Logf("%d requests for %d documents", g.count(), len(ids))
	assert.LessOrEqual(t, g.count(), len(ids)*11/10)
	for _, id := range ids {
		d := b.kept(id)
		assert.Equal(t, number(int(id)), d.Properties["ksefNumber"])
		assert.Equal(t, "SENT.TO.KSEF", d.Status)
		assert.EqualValues(t, fmt.Sprint(len(xml[id])), fmt.Sprint(d.Properties["ksefXmlSize"]), "the XML is gone")
	}
	var all struct{ Documents []struct{ ID, Patched int64 } }
	b.control(http.MethodGet, "documents", nil, &all)
	for _, d := range all.Documents {
		assert.LessOrEqual(t, d.Patched, int64(1), "document %d", d.ID)
	}
}

// Whatever the view shows, every number is written, once, and nothing else is lost.
func TestPatchSalesInvoice_inOneRequestIsRightWhateverTheViewDoes(t *testing.T) {
	t.Parallel()
	for _, settings := range []fields{
		{"viewDelaySeconds": 30},
		{"changeDelaySeconds": 3600},
		{"pageLimit": 3},
		{"longTexts": "left-out"},
		{"longTexts": "cut"},
		{"absentViews": []string{"invoices.sales"}},
		{"columnNames": map[string]string{"status": "state"}},
		{"flatProperties": true},
		{"missingProperties": "null"},
		{"filterAlternatives": "ignored"},
		{"saveAnswer": "empty"},
		{"missingEntity": "empty"},
		{"sortOrder": "shuffled"},
		{"entityAnswer": "array"},
		{"duplicateInvoices": "refused"},
		{"unknownProperties": "dropped"},
	} {
		t.Run(inJSON(settings), func(t *testing.T) {
			t.Parallel()
			b := newBed(t, settings)
			ids, _ := b.seedReady(60, "property")
			writeAll(b, b.fresh(merging), ids)
			for _, id := range ids {
				d := b.kept(id)
				assert.Equal(t, number(int(id)), d.Properties["ksefNumber"])
				assert.Equal(t, "SENT.TO.KSEF", d.Status)
				assert.NotNil(t, d.Properties["ksefXmlSize"], "the XML is gone")
			}
		})
	}
}

// prove has the client write a few numbers, so that it writes with one request from then on.
func prove(b *bed, c *teamogy.Client, f *firsts) {
	b.t.Helper()
	ids, _ := b.seedReady(3, "property")
	for _, id := range ids {
		require.NoError(b.t, c.PatchSalesInvoice(b.t.Context(), id, numbered(f, id)))
	}
}

// A document that has another number by now, or another status, is treated as with three requests.
func TestPatchSalesInvoice_inOneRequestTouchesNothingOfSomebodyElse(t *testing.T) {
	t.Parallel()
	b := newBed(t, fields{})
	f := &firsts{begun: map[int64]int{}}
	c := b.fresh(merging)
	prove(b, c, f)
	ids, _ := b.seedReady(3, "property")
	b.control(http.MethodPatch, fmt.Sprint("documents/", ids[0]), fields{"properties": fields{"ksefNumber": "another"}}, nil)
	err := c.PatchSalesInvoice(t.Context(), ids[0], numbered(f, ids[0]))
	e, ok := teamogy.AsError(err)
	require.True(t, ok)
	assert.Equal(t, teamogy.Conflict, e.Kind)
	assert.Equal(t, "another", b.kept(ids[0]).Properties["ksefNumber"])
	assert.Zero(t, f.begun[ids[0]])
}

// looksAndWrites counts the requests for the states of documents, and the writes.
func looksAndWrites(requests []string) (looks, writes int) {
	for _, r := range requests {
		if strings.HasPrefix(r, http.MethodPatch) {
			writes++
		} else if strings.Contains(r, "views/") {
			looks++
		}
	}
	return looks, writes
}

// Invoices that come one by one, as fast as the quota takes them, share looks if they were foreseen.
func TestForesee_letsOneLookServeThoseThatComeSoon(t *testing.T) {
	t.Parallel()
	b := newBed(t, fields{})
	f := &firsts{begun: map[int64]int{}}
	c, g := b.gated(merging)
	prove(b, c, f)
	ids, _ := b.seedReady(40, "property")
	before := g.count()
	c.Foresee(ids[:20]...)
	for i, id := range ids {
		if i > 0 && i+19 < len(ids) {
			c.Foresee(ids[i+19])
		}
		require.NoError(t, c.PatchSalesInvoice(t.Context(), id, numbered(f, id)))
		assert.Equal(t, number(int(id)), b.kept(id).Properties["ksefNumber"])
	}
	looks, writes := looksAndWrites(g.since(before))
	assert.Equal(t, 2, looks)
	assert.Equal(t, 40, writes)
}

// What was read ahead is not taken for the truth for long, nor twice, and never where the view did not show the document.
func TestForesee_readsAgainWhatWasReadLongAgo(t *testing.T) {
	t.Parallel()
	for passes, want := range map[time.Duration]int{31 * time.Second: 0, 33 * time.Second: 1} {
		b := newBed(t, fields{})
		f := &firsts{begun: map[int64]int{}}
		c, g := b.gated(merging)
		prove(b, c, f)
		ids, _ := b.seedReady(2, "property")
		c.Foresee(ids...)
		require.NoError(t, c.PatchSalesInvoice(t.Context(), ids[0], numbered(f, ids[0])))
		before := g.count()
		b.clock.pass(passes)
		if want > 0 {
			b.control(http.MethodPatch, fmt.Sprint("documents/", ids[1]), fields{"properties": fields{"ksefNumber": "another"}}, nil)
		}
		err := c.PatchSalesInvoice(t.Context(), ids[1], numbered(f, ids[1]))
		looks, _ := looksAndWrites(g.since(before))
		assert.Equal(t, want, looks, passes)
		if e, ok := teamogy.AsError(err); want > 0 && assert.True(t, ok) {
			assert.Equal(t, teamogy.Conflict, e.Kind)
			continue
		}
		require.NoError(t, err)
		before = g.count()
		require.NoError(t, c.PatchSalesInvoice(t.Context(), ids[1], numbered(&firsts{begun: map[int64]int{}}, ids[1])))
		looks, _ = looksAndWrites(g.since(before))
		assert.Equal(t, 1, looks, "who comes again wants to know what is there now")
	}
}

// slowLooks lets time pass after each of so many looks.
type slowLooks struct {
	gate
	slow int
	pass func()
}

func (s *slowLooks) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := s.gate.RoundTrip(r)
	if s.slow > 0 && strings.Contains(r.URL.Path, "views/") {
		s.slow--
		s.pass()
	}
	return answer, err
}

// A document whose state was read long before the write's turn comes is looked at again, and in the end written to the safe way.
func TestPatchSalesInvoice_looksAgainWhereItsTurnComesLate(t *testing.T) {
	t.Parallel()
	for slow, want := range map[int][2]int{0: {1, 1}, 1: {2, 1}, 2: {2, 1}} {
		b := newBed(t, fields{})
		f := &firsts{begun: map[int64]int{}}
		s := &slowLooks{pass: func() { b.clock.pass(46 * time.Second) }}
		c := b.fresh(func(o *teamogy.Options) {
			merging(o)
			o.HTTP = &http.Client{Transport: s}
		})
		prove(b, c, f)
		ids, _ := b.seedReady(1, "property")
		s.slow = slow
		before := s.count()
		require.NoError(t, c.PatchSalesInvoice(t.Context(), ids[0], numbered(f, ids[0])))
		looks, writes := looksAndWrites(s.since(before))
		assert.Equal(t, want, [2]int{looks, writes}, slow)
		assert.Len(t, s.since(before), want[0]+want[1]+map[bool]int{true: 2}[slow == 2], "the safe way reads before and after")
		assert.Equal(t, number(int(ids[0])), b.kept(ids[0]).Properties["ksefNumber"])
	}
}

// What is asked for while a look that was to bring it travels is told by a newer one.
func TestForesee_givesNothingThatWasOvertaken(t *testing.T) {
	t.Parallel()
	b := newBed(t, fields{})
	f := &firsts{begun: map[int64]int{}}
	c, g := b.gated(merging)
	prove(b, c, f)
	ids, _ := b.seedReady(3, "property")
	c.Foresee(ids[1], ids[2])
	before := g.count()
	open := g.close()
	done := make(chan error, 2)
	write := func(id int64) { done <- c.PatchSalesInvoice(t.Context(), id, numbered(f, id)) }
	go write(ids[0])
	eventually(t, "the look is under way", func() bool { return g.count() == before+1 })
	go write(ids[1])
	eventually(t, "the other one waits for the next", func() bool { return c.StatesWaiting() == 1 })
	open()
	require.NoError(t, <-done)
	require.NoError(t, <-done)
	looks, _ := looksAndWrites(g.since(before))
	assert.Equal(t, 2, looks)
	before = g.count()
	write(ids[2])
	require.NoError(t, <-done)
	looks, _ = looksAndWrites(g.since(before))
	assert.Zero(t, looks, "it was read ahead")
}

// Foreseen documents that the view does not show are written to the safe way, and those that are never asked for are forgotten.
func TestForesee_takesNothingForKnownThatIsNotShown(t *testing.T) {
	t.Parallel()
	b := newBed(t, fields{})
	f := &firsts{begun: map[int64]int{}}
	c, g := b.gated(merging)
	prove(b, c, f)
	ids, _ := b.seedReady(2, "property")
	for id := range int64(500) {
		c.Foresee(900_000 + id)
	}
	c.Foresee(ids[0])
	require.NoError(t, c.PatchSalesInvoice(t.Context(), ids[1], numbered(f, ids[1])))
	before := g.count()
	require.NoError(t, c.PatchSalesInvoice(t.Context(), ids[0], numbered(f, ids[0])))
	looks, writes := looksAndWrites(g.since(before))
	assert.Equal(t, [2]int{1, 1}, [2]int{looks, writes}, "the latest 100 are kept, of which one look takes 99")
	e, ok := teamogy.AsError(c.PatchSalesInvoice(t.Context(), 900_450, numbered(f, 900_450)))
	require.True(t, ok)
	assert.Equal(t, teamogy.NotFound, e.Kind)
}

// A write whose answer was lost is repeated the safe way: a status that a person has set since stays.
func TestPatchSalesInvoice_repeatsALostFirstWriteTheSafeWay(t *testing.T) {
	t.Parallel()
	b := newBed(t, fields{"changeDelaySeconds": 3600})
	f := &firsts{begun: map[int64]int{}}
	c := b.fresh(merging)
	prove(b, c, f)
	b.clock.pass(2 * 3600e9)
	prove(b, c, f) // now the view has shown a number
	ids, _ := b.seedReady(1, "property")
	b.clock.pass(2 * 3600e9)
	b.control(http.MethodPost, "faults", fields{"operation": "PATCH /documents", "name": "answer-dropped"}, nil)
	require.Error(t, c.PatchSalesInvoice(t.Context(), ids[0], numbered(f, ids[0])))
	b.control(http.MethodDelete, "faults", nil, nil)
	assert.Equal(t, number(int(ids[0])), b.kept(ids[0]).Properties["ksefNumber"], "it was written")
	b.control(http.MethodPatch, fmt.Sprint("documents/", ids[0]), fields{"status": "APPROVED"}, nil)
	for _, client := range []*teamogy.Client{c, b.fresh(merging)} {
		require.NoError(t, client.PatchSalesInvoice(t.Context(), ids[0], numbered(f, ids[0])))
		assert.Equal(t, "APPROVED", b.kept(ids[0]).Status)
	}
	assert.Equal(t, 1, f.begun[ids[0]])
}

// A tenant that replaces although the field map says that it merges is found out with the first document.
func TestPatchSalesInvoice_inOneRequestIsNotDoneWherePatchReplaces(t *testing.T) {
	t.Parallel()
	b := newBed(t, fields{"patchReplaces": true})
	ids, _ := b.seedReady(30, "property")
	writeAll(b, b.fresh(merging), ids)
	for _, id := range ids {
		assert.NotNil(t, b.kept(id).Properties["ksefXmlSize"], "the XML is gone")
		assert.Equal(t, number(int(id)), b.kept(id).Properties["ksefNumber"])
	}
}

// A deleted document is told to be gone, and a refused status is named.
func TestPatchSalesInvoice_inOneRequestTellsWhatIsWrong(t *testing.T) {
	t.Parallel()
	b := newBed(t, fields{})
	f := &firsts{begun: map[int64]int{}}
	c := b.fresh(merging)
	prove(b, c, f)
	e, ok := teamogy.AsError(c.PatchSalesInvoice(t.Context(), 987654, numbered(f, 987654)))
	require.True(t, ok)
	assert.Equal(t, teamogy.NotFound, e.Kind)
	ids, _ := b.seedReady(1, "property")
	p := numbered(f, ids[0])
	p.Status = "NO.SUCH.STATUS"
	e, ok = teamogy.AsError(c.PatchSalesInvoice(t.Context(), ids[0], p))
	require.True(t, ok)
	assert.Equal(t, teamogy.UnknownStatus, e.Kind)
	assert.Equal(t, "NO.SUCH.STATUS", e.DocumentStatus)
}

func newAnswer(body string) *http.Response {
	recorder := httptest.NewRecorder()
	recorder.Header().Set("Content-Type", "application/json")
	_, _ = recorder.WriteString(body)
	return recorder.Result()
}
