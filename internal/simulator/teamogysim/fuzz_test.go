package teamogysim

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"
)

// endless ends the process when what a target does goes on and on. It is to be
// deferred.
func endless() func() bool {
	return time.AfterFunc(time.Minute, func() { panic("it does not come to an end") }).Stop
}

// FuzzFilter proves that an expression means the same in parentheses and twice
// negated, the opposite once negated, and names no property once those are
// taken out; and that the longer dialects take all that the short one takes.
func FuzzFilter(f *testing.F) {
	f.Add("(type='INVOICE.SALES' AND status='APPROVED') OR NOT id>5")
	f.Add("a=ANY('x',1,true)")
	f.Add("ANY (tags='check' OR participantIds>2) AND properties.gross>1230.49")
	f.Add(`status='it''s' OR status='it\'s' OR id<>-7.50 AND id>=0`)
	f.Add("((((")
	f.Add(strings.Repeat("NOT ", maxFilterDepth) + "true")
	isBase := func(name string) bool { return (view{columns: documentColumns}).isBase(name) }
	f.Fuzz(func(t *testing.T, text string) {
		defer endless()()
		for _, d := range []dialect{{}, {comparators: ComparatorsAll}, {comparators: ComparatorsAll, quotes: QuotesDoubled}, {quotes: QuotesBackslash}} {
			parsed, err := parseFilter(text, d)
			if err != nil {
				if parsed != nil {
					t.Fatalf("%+v beside %v", parsed, err)
				}
				continue
			}
			kept := parsed.keep(sampleRow(), false)
			enclosed, err := parseFilter("("+text+")", d)
			if err == nil && !reflect.DeepEqual(parsed, enclosed) {
				t.Fatalf("%+v, in parentheses %+v", parsed, enclosed)
			}
			for negated, want := range map[string]bool{"NOT (" + text + ")": !kept, "NOT (NOT (" + text + "))": kept} {
				if other, err := parseFilter(negated, d); err == nil && other.keep(sampleRow(), false) != want {
					t.Fatalf("%s is not %v", negated, want)
				}
			}
			if bare := parsed.without(isBase); bare != nil && len(bare.properties(isBase)) > 0 {
				t.Fatalf("%+v still names properties", bare)
			}
			if d.quotes == "" && d.comparators == "" {
				if longer, err := parseFilter(text, dialect{comparators: ComparatorsAll}); err != nil || !reflect.DeepEqual(parsed, longer) {
					t.Fatalf("the longer dialect reads %+v: %v", longer, err)
				}
			}
		}
	})
}

// FuzzGlance proves that the web page shows nothing of an XML that is not in it.
func FuzzGlance(f *testing.F) {
	f.Add([]byte(sampleXML))
	f.Add([]byte(strings.ReplaceAll(sampleXML, "Nazwa", "x")))
	f.Add([]byte("\ufeff<Faktura><Fa><P_1>2026&amp;<!-- -->-11<b/>"))
	f.Fuzz(func(t *testing.T, data []byte) {
		defer endless()()
		g := glanceXML(data)
		// A reference such as &Gt; may stand for more bytes than it is written with.
		if shown := len(g.seller + g.buyer + g.date + g.gross + g.currency); shown > len("NIP NIP ")+2*len(data) {
			t.Fatalf("%d bytes are shown of %d", shown, len(data))
		}
	})
}

// caller sends requests of any content to a simulator, without a network.
type caller struct {
	t       *testing.T
	sim     *Simulator
	handler http.Handler
}

// call sends a request. The caller has hung up, so that nobody makes it wait.
// It gives 0 for a connection that was cut, as faults do.
func (c caller) call(method, path, query string, body []byte) (status int, answered []byte) {
	ctx, hangUp := context.WithCancel(context.Background())
	hangUp()
	r := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(body)).WithContext(ctx)
	r.Method, r.URL.Path, r.URL.RawQuery, r.RemoteAddr = method, path, query, "127.0.0.1:1"
	r.Header.Set("Authorization", "Bearer "+testKey)
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	disturbed := len(c.sim.faults.ordered) > 0
	defer func() {
		if cut := recover(); cut != nil {
			if err, is := cut.(error); !is || !errors.Is(err, http.ErrAbortHandler) || !disturbed {
				panic(cut)
			}
			status, answered = 0, nil
		}
	}()
	c.handler.ServeHTTP(w, r)
	status, answered = w.Code, w.Body.Bytes()
	control := strings.HasPrefix(path, "/_sim/")
	if control && status >= 500 || bytes.Contains(answered, []byte("teamogysim: encode an answer")) && !disturbed {
		c.t.Fatalf("%s %s?%s: %d %s", method, path, query, status, answered)
	}
	if strings.Contains(w.Header().Get("Content-Type"), "json") && (control || !disturbed) && !json.Valid(answered) {
		c.t.Fatalf("%s %s?%s: no JSON in %d %s", method, path, query, status, answered)
	}
	return status, answered
}

// FuzzRequests proves that no sequence of requests, one in each line, to the API
// or the control API, makes the simulator fail or leaves it unable to answer.
func FuzzRequests(f *testing.F) {
	const document = `{"type":"INVOICE.PURCHASE","agencyId":1,"ownerId":1,"status":"OPEN","tags":["a"],"process":{"x":[1]},` +
		`"properties":{"ksefNumber":"1","totalGross":12.50,"items":[{"a":null}],"issueDate":"2026-11-22"}}`
	view := "\nGET /rest/v1/1/views/documents?columns=id,number,x&properties=totalGross,extStatus&externalFilter=" + url.PathEscape("id>5 AND totalGross>1")
	for _, script := range []string{
		"POST /rest/v1/1/documents " + document + "\nGET /rest/v1/1/documents?id=1001\nGET /files/1001/faktura.xml" + view,
		"POST /rest/v1/1/documents " + document + "\n" + `PATCH /rest/v1/1/documents?id=1001 {"id":1001,"version":1,"status":"APPROVED","statusDate":"2026-11-22","properties":{"items":null}}` + view,
		`PATCH /rest/v1/1/documents?number=FV%2F1 {"companyId":-9223372036854775808,"attach":["x"],"acl":{},"isDraft":true}`,
		`POST /rest/v1/1/companies {"name":"A","registrations":{"vatId":"PL1"}}` + "\nGET /rest/v1/1/companies?registration=PL1\nGET /rest/v1/1/views/companies.supplier?limit=1&offset=9223372036854775807",
		"GET /rest/v1/1/users?id=1\nGET /rest/v1/1/agencies\nGET /rest/v1/1/views/invoices.sales?a=%zz&&=+&limit=0\nGET /page.json?since=-1\nGET /",
		`POST /_sim/settings {"pageLimit":9223372036854775807,"viewDelaySeconds":1e300,"sortOrder":"shuffled","sortSeed":-1,"entityAnswer":"data"}` + view,
		`POST /_sim/settings {"filterComparators":"all","filterQuotes":"doubled","columnNames":{"number":"id"},"nextOffsetEnd":"empty-page","emptyData":"null"}` + view,
		`POST /_sim/settings {"requestsPerMinute":1,"quotaStatus":599,"quotaWindow":"fixed","retryAfterForm":"date","errorBody":"html"}` + view + view,
		`POST /_sim/settings {"knownProperties":{"totalGross":"number"},"unknownProperties":"refused","numberProperties":"numbers","documentVersion":"checked","saveAnswer":"entity","patchDepth":"all"}` +
			"\nPOST /rest/v1/1/documents " + document,
		`POST /_sim/seed {"companies":[{"name":"A","nip":"5265877635","supplier":true}],"users":[{"id":9}],"documents":[{"type":"INVOICE.SALES","companyName":"A","xml":"PGEvPg==","xmlIn":"attachment"}]}` +
			"\n" + `PATCH /_sim/documents/1001 {"status":"OPEN","xml":"/w==","when":"after-next-read","properties":{"a":1e400}}` + "\nGET /rest/v1/1/documents?id=1001\nGET /_sim/documents/1001/xml",
		`POST /_sim/faults {"operation":"GET /views/*","action":"status","status":599,"body":"{","retryAfter":-1,"times":-1,"probability":0.5,"seed":7}` + view,
		`POST /_sim/faults {"operation":"*","name":"timeout","seconds":1e300}` + view + "\nDELETE /_sim/faults",
		`POST /_sim/faults {"operation":"*","name":"truncated"}` + view,
		`POST /_sim/clock {"advance":"2562047h","rate":1000000}` + "\nPOST /rest/v1/1/documents " + document + view,
		strings.Repeat("POST /_sim/clock {\"advance\":\"2562047h\"}\n", 35) + "POST /rest/v1/1/documents " + document + view,
		`POST /_sim/token {"rights":"none","ips":["127.0.0.0/8"],"methods":["GET"],"paths":["/views/*"],"expiresAt":"9999-12-31T23:59:59-12:00"}` + view,
		`POST /_sim/token {"expiresAt":"2036-12-01T00:00:00+24:00"}`,
		`POST /_sim/settings {"pageLimit":9223372036854775807}` + "\nGET /rest/v1/1/views/users?offset=1",
		`POST /_sim/settings {"numberProperties":"numbers"}` + "\n" + `POST /rest/v1/1/documents {"type":"INVOICE.PURCHASE","agencyId":1,"ownerId":1,"properties":{"ksefNumber":"1 "}}`,
		`POST /_sim/statuses {"statuses":[]}` + "\nGET /_sim/statuses\nPOST /_sim/reset\nGET /_sim/counters",
	} {
		f.Add([]byte(script))
	}
	f.Fuzz(func(t *testing.T, script []byte) {
		defer endless()()
		config := DefaultConfig()
		config.APIKey, config.RequestsPerMinute = testKey, 0
		now := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
		config.Now = func() time.Time { now = now.Add(time.Second); return now }
		sim := New(config)
		c := caller{t, sim, sim.Handler()}
		for i, line := range bytes.Split(script, []byte("\n")) {
			head, body, _ := bytes.Cut(line, []byte(" {"))
			if len(body) > 0 {
				body = append([]byte("{"), body...)
			}
			method, address, _ := strings.Cut(string(head), " ")
			path, query, _ := strings.Cut(address, "?")
			if i == 40 || !strings.HasPrefix(path, "/") {
				return
			}
			c.call(method, path, query, body)
		}
		c.call(http.MethodDelete, "/_sim/faults", "", nil)
		for _, path := range []string{"/_sim/health", "/_sim/documents", "/_sim/counters", "/_sim/faults", "/_sim/clock", "/_sim/token", "/_sim/statuses", "/_sim/settings", "/page.json"} {
			if status, answered := c.call(http.MethodGet, path, "", nil); status != http.StatusOK {
				t.Fatalf("%s: %d %s", path, status, answered)
			}
		}
		c.call(http.MethodGet, "/rest/v1/1/views/documents", "limit=2&offset=1&properties=ksefXml", nil)
		c.call(http.MethodGet, "/rest/v1/1/documents", "id=1001", nil)
	})
}
