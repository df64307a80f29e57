package integration

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"teamogy-ksef/internal/flow"
	"teamogy-ksef/internal/simulator/samples"
)

// The edge cases of lost answers at KSeF, by the letters that they were named
// with.

// postedInvoices notes the hash of every invoice that is posted into a session,
// whatever becomes of the POST, and lets a test do something at each.
type postedInvoices struct {
	mu     sync.Mutex
	hashes []string
	at     func(n int, w http.ResponseWriter, r *http.Request, next http.Handler)
}

func (p *postedInvoices) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost || !strings.HasPrefix(r.URL.Path, "/v2/sessions/online/") || !strings.HasSuffix(r.URL.Path, "/invoices") {
			next.ServeHTTP(w, r)
			return
		}
		raw, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(raw))
		var body struct {
			InvoiceHash string `json:"invoiceHash"`
		}
		_ = json.Unmarshal(raw, &body)
		p.mu.Lock()
		n := len(p.hashes)
		p.hashes = append(p.hashes, body.InvoiceHash)
		p.mu.Unlock()
		if p.at == nil {
			next.ServeHTTP(w, r)
			return
		}
		p.at(n, w, r, next)
	})
}

func (p *postedInvoices) all() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string{}, p.hashes...)
}

// (a) A worker that is killed between the POST of an invoice and its answer:
// one number, two POSTs at most, the second with identical bytes.
func TestEdgeA_killedBetweenPOSTAndAnswerAtKSeF_oneNumberAndIdenticalBytes(t *testing.T) {
	for name, c := range map[string]struct {
		arrives bool
		lag     int // how many looks into the session's list are in vain
		posts   int
	}{
		"the POST arrived":                            {arrives: true, posts: 1},
		"the POST did not arrive":                     {posts: 2},
		"the POST arrived, and the list follows late": {arrives: true, lag: 4, posts: 1},
		"the POST arrived, and the list forgets it":   {arrives: true, lag: 6, posts: 2},
	} {
		t.Run(name, func(t *testing.T) {
			var mu sync.Mutex
			var worker *workerProcess
			posted := &postedInvoices{}
			posted.at = func(n int, w http.ResponseWriter, r *http.Request, next http.Handler) {
				if n > 0 {
					next.ServeHTTP(w, r)
					return
				}
				if c.arrives {
					next.ServeHTTP(httptest.NewRecorder(), r)
				}
				mu.Lock()
				defer mu.Unlock()
				worker.kill()
				panic(http.ErrAbortHandler)
			}
			b := newBed(t, func(o *bedOptions) { o.noWorker, o.wrapKSeF = true, posted.wrap })
			if c.lag > 0 {
				b.fault(b.ksefURL, map[string]any{"name": "list-lags", "seconds": 1_000_000, "times": c.lag})
			}
			mu.Lock()
			worker = b.startProcess(builtWorker(t))
			mu.Unlock()
			document := b.seedReady("EA/1", b.issued("EA/1"))
			b.startSend(document.ID)
			b.eventually("the worker is killed", func() bool { return len(posted.all()) == 1 })
			b.startProcess(builtWorker(t))

			result, err := b.awaitSend(document.ID)
			require.NoError(t, err)
			require.Equal(t, result.KSeFNumber, b.document(document.ID).property("ksefNumber"))
			hashes := posted.all()
			require.Len(t, hashes, c.posts)
			require.Equal(t, hashes[0], hashes[len(hashes)-1], "other bytes the second time")
			numbers := map[string]bool{}
			for _, i := range b.atKSeF() {
				if i.KSeFNumber != "" {
					numbers[i.KSeFNumber] = true
				}
			}
			require.Equal(t, map[string]bool{result.KSeFNumber: true}, numbers)
		})
	}
}

var renderingTime = regexp.MustCompile(`<DataWytworzeniaFa>[^<]*</DataWytworzeniaFa>`)

// renderedAnew is an invoice as Teamogy would render it the n-th time.
func renderedAnew(xml []byte, n int) []byte {
	at := time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(n) * time.Second).Format(time.RFC3339)
	return renderingTime.ReplaceAll(xml, []byte("<DataWytworzeniaFa>"+at+"</DataWytworzeniaFa>"))
}

// (b) KSeF calls our own invoice a duplicate: success, also when the worker has
// forgotten everything and Teamogy has rendered the XML anew in between.
func TestEdgeB_duplicateOfOurOwnInvoiceIsSuccess_alsoWhenTheXMLWasRenderedAnew(t *testing.T) {
	for name, anew := range map[string]bool{"the same bytes": false, "rendered anew": true} {
		t.Run(name, func(t *testing.T) {
			posted := &postedInvoices{}
			posted.at = func(n int, w http.ResponseWriter, r *http.Request, next http.Handler) {
				if n > 0 {
					next.ServeHTTP(w, r)
					return
				}
				next.ServeHTTP(httptest.NewRecorder(), r)
				panic(http.ErrAbortHandler)
			}
			b := newBed(t, func(o *bedOptions) { o.wrapKSeF = posted.wrap })
			b.fault(b.ksefURL, map[string]any{"name": "request-dropped", "operation": "GET /sessions/{ref}/invoices", "times": -1})
			xml := b.issued("EB/1")
			document := b.seedReady("EB/1", xml)
			b.startSend(document.ID)
			b.eventually("KSeF has got it, and nobody knows", func() bool { return b.submissions(document.SHA256) == 1 && len(b.sessions()) > 0 })
			for _, id := range append(b.sessions(), flow.TransmitID(b.connection), flow.SendInvoiceID(b.connection, document.ID)) {
				require.NoError(t, b.client.TerminateWorkflow(b.within(), id, "", "test"))
			}
			if anew {
				b.setDocument(document.ID, map[string]any{"xml": renderedAnew(xml, 1)})
			}
			b.clearFaults(b.ksefURL)
			// The session's list never shows it again; only the duplicate does.
			b.fault(b.ksefURL, map[string]any{"name": "list-lags", "seconds": 1_000_000, "times": 6})
			result, err := b.sendOne(document.ID)
			require.NoError(t, err)
			require.True(t, result.Adopted)
			require.Equal(t, result.KSeFNumber, b.document(document.ID).property("ksefNumber"))
			require.Equal(t, "SENT.TO.KSEF", b.document(document.ID).Status)
			hashes := posted.all()
			require.Len(t, hashes, 2)
			require.Equal(t, hashes[0], hashes[1], "other bytes the second time")
			kept, err := b.archive.Document(t.Context(), document.SHA256)
			require.NoError(t, err)
			require.Equal(t, xml, kept, "the bytes that KSeF holds are evidence")
		})
	}
}

// (b) However oddly KSeF tells about the duplicate of our own invoice.
func TestEdgeB_duplicateOfOurOwnInvoiceIsSuccess_whereverItsOriginalIs(t *testing.T) {
	for _, fault := range []string{"duplicate-of-itself", "original-in-foreign-session"} {
		t.Run(fault, func(t *testing.T) {
			b := newBed(t)
			b.fault(b.ksefURL, map[string]any{"name": fault})
			document := b.seedReady("EB/2", b.issued("EB/2"))
			result, err := b.sendOne(document.ID)
			require.NoError(t, err)
			require.Equal(t, result.KSeFNumber, b.document(document.ID).property("ksefNumber"))
			require.Equal(t, 1, b.submissions(document.SHA256))
		})
	}
}

// warsawAt is a time in Warsaw some days from now.
func warsawAt(t testing.TB, days, hour, minute int) time.Time {
	t.Helper()
	warsaw, err := time.LoadLocation("Europe/Warsaw")
	require.NoError(t, err)
	now := time.Now().In(warsaw)
	return time.Date(now.Year(), now.Month(), now.Day()+days, hour, minute, 0, 0, warsaw)
}

// nextChange is the next night on which Polish clocks are changed: the instant
// of the change.
func nextChange(t testing.TB, forward bool) time.Time {
	t.Helper()
	at := warsawAt(t, 1, 0, 0)
	for range 800 * 24 {
		_, before := at.Zone()
		next := at.Add(time.Hour)
		if _, after := next.Zone(); after != before && (after > before) == forward {
			return next
		}
		at = next
	}
	require.FailNow(t, "clocks are not changed any more")
	return time.Time{}
}

var issueDate = regexp.MustCompile(`<P_1>[^<]*</P_1>`)

func issuedOn(xml []byte, day time.Time) []byte {
	return issueDate.ReplaceAll(xml, []byte("<P_1>"+day.Format(time.DateOnly)+"</P_1>"))
}

// bedAt is a bed whose worker and KSeF live at another time.
func bedAt(t *testing.T, at time.Time) *bed {
	t.Helper()
	offset := time.Until(at)
	b := newBed(t, func(o *bedOptions) { o.now = func() time.Time { return time.Now().Add(offset) } })
	b.control(http.MethodPost, b.ksefURL+"/_sim/clock", map[string]any{"set": time.Now().Add(offset).Format(time.RFC3339)}, nil)
	return b
}

// (h) Days are Warsaw's: an invoice of yesterday is sent and is Offline, one of
// today is Online although it is still yesterday in UTC.
func TestEdgeH_daysAreWarsaws_yesterdaysInvoiceIsOffline(t *testing.T) {
	moments := map[string]time.Time{
		"five past midnight":                  warsawAt(t, 1, 0, 5),
		"before clocks go forward":            nextChange(t, true).Add(-time.Minute),
		"after clocks went forward":           nextChange(t, true).Add(time.Minute),
		"before clocks go back":               nextChange(t, false).Add(-time.Minute),
		"after clocks went back":              nextChange(t, false).Add(time.Minute),
		"five past midnight, forward tonight": midnightOf(nextChange(t, true)).Add(5 * time.Minute),
		"five past midnight, back tonight":    midnightOf(nextChange(t, false)).Add(5 * time.Minute),
	}
	for name, at := range moments {
		t.Run(name, func(t *testing.T) {
			b := bedAt(t, at)
			today := b.seedReady("EH/1", issuedOn(b.issued("EH/1"), at))
			yesterday := b.seedReady("EH/2", issuedOn(b.issued("EH/2"), at.AddDate(0, 0, -1)))
			tomorrow := b.seedReady("EH/3", issuedOn(b.issued("EH/3"), at.AddDate(0, 0, 1)))
			first, second := b.startSend(today.ID), b.startSend(yesterday.ID)
			_, err := b.sendOne(tomorrow.ID)
			require.Equal(t, flow.ErrIssueDateFuture, failure(t, err).Type())
			require.NoError(t, first.Get(b.within(), nil))
			require.NoError(t, second.Get(b.within(), nil))
			require.Equal(t, "Online", b.document(today.ID).property("ksefMode"))
			require.Equal(t, "Offline", b.document(yesterday.ID).property("ksefMode"))
		})
	}
}

func midnightOf(at time.Time) time.Time {
	return time.Date(at.Year(), at.Month(), at.Day(), 0, 0, 0, 0, at.Location())
}

// (h) KSeF's day changes, or its clocks, while the invoice is on its way.
func TestEdgeH_midnightAndClockChangesOnTheWayLoseNothing(t *testing.T) {
	for _, fault := range []string{"warsaw-midnight", "dst-spring", "dst-autumn"} {
		t.Run(fault, func(t *testing.T) {
			b := newBed(t)
			b.fault(b.ksefURL, map[string]any{"name": fault})
			document := b.seedReady("EH/4", b.issued("EH/4"))
			result, err := b.sendOne(document.ID)
			require.NoError(t, err)
			require.Len(t, b.atKSeF(), 1)
			require.Equal(t, 1, b.submissions(document.SHA256))
			require.Equal(t, result.KSeFNumber, b.document(document.ID).property("ksefNumber"))
			require.Contains(t, []string{"Online", "Offline"}, b.document(document.ID).property("ksefMode"))
		})
	}
}

// (i) An issued invoice that is too large is refused here; a received one is
// taken as it is.
func TestEdgeI_tooLargeIsNotSentWithAnyCallToKSeF_andALargeReceivedOneIsImportedWhole(t *testing.T) {
	b := newBed(t)
	filled := func(xml []byte, size int) []byte {
		end := []byte("</Faktura>")
		filler := "<!-- " + strings.Repeat("x", size-len(xml)-len("<!--  -->")) + " -->"
		return bytes.Replace(xml, end, append([]byte(filler), end...), 1)
	}
	document := b.seedReady("EI/1", filled(b.issued("EI/1"), 1_200_000))
	_, err := b.sendOne(document.ID)
	require.Equal(t, flow.ErrInvoiceInvalid, failure(t, err).Type())
	require.Contains(t, failure(t, err).Message(), "too-large")
	require.Zero(t, b.allRequests(b.ksefURL), "KSeF was called")
	require.Equal(t, "REJECTED.BY.KSEF", b.document(document.ID).Status)

	large := filled(samples.GenerateReceived(b.sampleOptions(), 2)[0].XML, 3_000_000)
	seeded := b.seedKSeF(b.nip, xmlOf(large))[0]
	imported, err := b.importOne(seeded.KSeFNumber)
	require.NoError(t, err)
	require.NotZero(t, imported.DocumentID)
	require.Equal(t, sha256Of(large), seeded.SHA256)
	kept, err := b.archive.Document(t.Context(), seeded.SHA256)
	require.NoError(t, err)
	require.Equal(t, sha256Of(large), sha256Of(kept))
	require.Len(t, kept, 3_000_000)
}

// rendersAnew makes Teamogy render a document's XML anew whenever it is read.
type rendersAnew struct {
	mu  sync.Mutex
	xml map[string][]byte // by document
	n   int
}

func (a *rendersAnew) set(id int64, xml []byte) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.xml == nil {
		a.xml = map[string][]byte{}
	}
	a.xml[itoa(id)] = xml
}

func (a *rendersAnew) times() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.n
}

func (a *rendersAnew) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, "/documents") && strings.HasPrefix(r.URL.Path, "/rest/") {
			a.mu.Lock()
			id := r.URL.Query().Get("id")
			if xml := a.xml[id]; xml != nil {
				a.n++
				body, _ := json.Marshal(map[string]any{"xml": renderedAnew(xml, a.n)})
				change := httptest.NewRequest(http.MethodPatch, "/_sim/documents/"+id, bytes.NewReader(body))
				change.RemoteAddr, change.Host = r.RemoteAddr, r.Host
				change.Header.Set("Content-Type", "application/json")
				next.ServeHTTP(httptest.NewRecorder(), change)
			}
			a.mu.Unlock()
		}
		next.ServeHTTP(w, r)
	})
}

// (m) A rejected document that stays ready for a day, in a Teamogy that renders
// its XML anew at every look, is rejected once; corrected, it is sent.
func TestEdgeM_aRejectedDocumentLeftReadyForADayIsRejectedOnce_andSentWhenCorrected(t *testing.T) {
	const scale = 3600 // an hour is a second
	anew := &rendersAnew{}
	posted := &postedInvoices{}
	b := newBed(t, func(o *bedOptions) {
		o.ksef.TimeScale, o.teamogy.TimeScale = scale, scale
		o.settings["TIME_SCALE"] = fmt.Sprint(scale)
		o.settings["RECEIVE"] = "off"
		o.wrapTeamogy, o.wrapKSeF = anew.wrap, posted.wrap
	})
	b.verdict("EM/1", 450)
	xml := b.issued("EM/1")
	document := b.seedReady("EM/1", xml)
	anew.set(document.ID, xml)
	b.startSends()
	b.eventually("it is rejected", func() bool { return b.document(document.ID).Status == "REJECTED.BY.KSEF" })
	_, err := b.awaitSend(document.ID)
	require.Equal(t, flow.ErrInvoiceRejected, failure(t, err).Type())

	before, day := anew.times(), time.Now().Add(24*time.Hour/scale)
	b.eventually("a day is over", func() bool {
		b.setDocument(document.ID, map[string]any{"status": "READY.FOR.KSEF"})
		return time.Now().After(day)
	})
	require.Greater(t, anew.times(), before, "nobody has looked whether it was corrected")
	require.Len(t, posted.all(), 1, "it was sent again without a correction")
	require.Equal(t, 1, b.sendStatus().Totals.Started)
	require.Equal(t, 1, b.facts(document.ID)["submitted"])

	anew.set(document.ID, edited(xml))
	b.eventually("the corrected one is sent", func() bool {
		// Once a day is how often it is compared by now; out of the list and back, it is compared at once.
		for _, status := range []string{"OPEN", "READY.FOR.KSEF"} {
			if b.document(document.ID).property("ksefNumber") != "" {
				return true
			}
			b.setDocument(document.ID, map[string]any{"status": status})
			cycles := b.sendStatus().Totals.Cycles
			b.eventually("a poll", func() bool { return b.sendStatus().Totals.Cycles > cycles+1 })
		}
		return b.document(document.ID).property("ksefNumber") != ""
	})
	require.Len(t, posted.all(), 2)
}

// A session that can never be closed holds nothing up: its own invoice gets its
// number, and the next session opens.
func TestTransmitSession_thatCannotBeClosedHoldsNothingUp(t *testing.T) {
	b := newBed(t)
	b.fault(b.ksefURL, map[string]any{"name": "bad-gateway", "operation": "POST /sessions/online/{ref}/close", "times": -1})
	first := b.seedReady("EC/1", b.issued("EC/1"))
	b.startSend(first.ID)
	b.eventually("the first one has its number", func() bool { return b.document(first.ID).property("ksefNumber") != "" })
	second := b.seedReady("EC/2", b.issued("EC/2"))
	b.startSend(second.ID)
	b.eventually("the second one has its number", func() bool { return b.document(second.ID).property("ksefNumber") != "" })
	require.Len(t, b.sessions(), 2)
	b.requireSent(first, 1)
	b.requireSent(second, 1)
}
