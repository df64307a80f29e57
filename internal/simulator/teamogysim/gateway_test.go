package teamogysim

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestQuota_refusesWhatIsOverTheScaledMinute(t *testing.T) {
	s := start(t, func(c *Config) { c.RequestsPerMinute, c.TimeScale = 3, 60 })
	get := func() reply { return s.do("GET", "/views/units", nil) }
	for range 3 {
		assert.Equal(t, 200, get().status)
	}
	refused := get()
	assert.Equal(t, 429, refused.status)
	assert.Equal(t, "1", refused.header.Get("Retry-After"))
	s.clock.advance(time.Second - time.Millisecond)
	assert.Equal(t, 429, get().status)
	s.clock.advance(time.Millisecond)
	assert.Equal(t, 200, get().status, "a minute passes in a second, and what was refused takes no place")

	counters := s.ok("GET", "/_sim/counters", nil)
	assert.Equal(t, json.Number("2"), counters["tooManyRequests"])
	assert.Equal(t, fields{"GET /views/units": fields{"200": json.Number("4"), "429": json.Number("2")}}, counters["requests"])
}

func TestQuota_answersAsSwitched(t *testing.T) {
	s := start(t, func(c *Config) { c.RequestsPerMinute, c.QuotaStatus, c.QuotaWithoutRetryAfter = 1, 403, true })
	assert.Equal(t, 200, s.do("GET", "/views/units", nil).status)
	refused := s.do("GET", "/views/units", nil)
	assert.Equal(t, 403, refused.status)
	assert.Empty(t, refused.header.Get("Retry-After"))
	assert.Equal(t, json.Number("1"), s.ok("GET", "/_sim/counters", nil)["tooManyRequests"], "counted whatever its status")

	s = start(t, func(c *Config) { c.RequestsPerMinute = 1 })
	s.do("GET", "/views/units", nil)
	s.clock.advance(20 * time.Second)
	assert.Equal(t, "40", s.do("GET", "/views/units", nil).header.Get("Retry-After"))
}

func TestQuota_neverLetsMoreThroughInAnyMinute(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.IntRange(1, 5).Draw(t, "limit")
		var q quota
		var taken []time.Time
		now := time.Unix(0, 0)
		for _, pause := range rapid.SliceOf(rapid.IntRange(0, 40)).Draw(t, "pauses") {
			now = now.Add(time.Duration(pause) * time.Second)
			wait, refused := q.refuse(now, limit, 1)
			if refused {
				require.Positive(t, wait)
				require.LessOrEqual(t, wait, time.Minute)
				copied := quota{taken: append([]time.Time(nil), q.taken...)}
				_, refused = copied.refuse(now.Add(wait), limit, 1)
				require.False(t, refused, "after the wait there is a place")
				continue
			}
			taken = append(taken, now)
			if len(taken) > limit {
				require.GreaterOrEqual(t, now.Sub(taken[len(taken)-1-limit]), time.Minute)
			}
		}
	})
}

func TestFaults_doWhatTheySay(t *testing.T) {
	for _, c := range []struct {
		fault     fields
		status    int // 0: the connection breaks
		committed bool
		label     string
	}{
		{fields{"action": "drop-after"}, 0, true, "dropped"},
		{fields{"action": "drop-before"}, 0, false, "dropped"},
		{fields{"action": "502-after"}, 502, true, "502"},
		{fields{"action": "502-before"}, 502, false, "502"},
		{fields{"action": "html"}, 200, false, "200"},
		{fields{"action": "429", "retryAfter": 7}, 429, false, "429"},
		{fields{"action": "status", "status": 403}, 403, false, "403"},
		{fields{"action": "status", "status": 422, "body": `{"error":"x"}`}, 422, false, "422"},
	} {
		t.Run(c.fault["action"].(string), func(t *testing.T) {
			s := start(t, nil)
			c.fault["operation"] = "POST /documents"
			c.fault["skip"] = 1
			s.ok("POST", "/_sim/faults", c.fault)

			assert.Equal(t, 201, s.do("POST", "/documents", purchase(nil)).status, "skipped")
			r := s.do("POST", "/documents", purchase(nil))
			assert.Equal(t, c.status, r.status)
			assert.Equal(t, c.status == 0, r.err != nil)
			assert.Equal(t, 201, s.do("POST", "/documents", purchase(nil)).status, "used up")

			want := 2
			if c.committed {
				want = 3
			}
			assert.Len(t, s.ids("invoices.purchase", ""), want)
			assert.Equal(t, 1, s.counted("POST /documents", c.label))
			assert.Equal(t, 2, s.counted("POST /documents", "201"))
			ordered := s.ok("GET", "/_sim/faults", nil)["faults"].([]any)
			assert.Equal(t, json.Number("1"), ordered[0].(fields)["fired"])
			if c.fault["action"] == "429" {
				assert.Equal(t, "7", r.header.Get("Retry-After"))
				assert.Equal(t, json.Number("1"), s.ok("GET", "/_sim/counters", nil)["tooManyRequests"])
			}
			if body, ok := c.fault["body"]; ok {
				assert.Equal(t, body, string(r.body))
			}
			if c.fault["action"] == "html" {
				assert.Contains(t, r.header.Get("Content-Type"), "text/html")
			}
		})
	}
}

func TestFaults_matchPatternsAndLastAsOrdered(t *testing.T) {
	s := start(t, nil)
	s.ok("POST", "/_sim/faults", fields{"operation": "GET /views/*", "action": "502-before", "times": 2})
	s.ok("POST", "/_sim/faults", fields{"operation": "GET /users", "action": "502-before", "times": -1})
	for _, want := range []int{502, 502, 200} {
		assert.Equal(t, want, s.do("GET", "/views/units", nil).status)
	}
	for range 5 {
		assert.Equal(t, 502, s.do("GET", "/users", nil).status)
	}
	assert.Equal(t, 200, s.do("GET", "/agencies", nil).status)
	s.ok("DELETE", "/_sim/faults", nil)
	assert.Equal(t, 200, s.do("GET", "/users?id=1", nil).status)
	for _, bad := range []fields{{"operation": "x", "action": "explode"}, {"action": "html"}, {"operation": "x", "action": "status"}, {"operation": "x", "action": "html", "color": 1}} {
		assert.Equal(t, 400, s.do("POST", "/_sim/faults", bad).status, "%v", bad)
	}
}

func TestControl_showsDocumentsWithTheHashInsteadOfTheXML(t *testing.T) {
	s := start(t, nil)
	id := s.seedSales(fields{"number": "FV/1", "xml": []byte("<Faktura/>"), "status": "READY.FOR.KSEF"})[0]
	s.ok("POST", "/documents", purchase(fields{"tags": []string{"check"}}))
	s.ok("PATCH", "/documents?id="+id, fields{"properties": fields{"ksefNumber": "K-9"}})
	documents := s.ok("GET", "/_sim/documents", nil)["documents"].([]any)
	require.Len(t, documents, 2)
	sales, received := documents[0].(fields), documents[1].(fields)
	assert.Equal(t, fields{"ksefNumber": "K-9", "ksefXmlSha256": sha256Hex([]byte("<Faktura/>")), "ksefXmlSize": json.Number("10")}, sales["properties"])
	assert.Equal(t, "seed", sales["createdVia"])
	assert.Equal(t, json.Number("1"), sales["patched"])
	assert.Equal(t, "post", received["createdVia"])
	assert.Equal(t, []any{"check"}, received["tags"])
	assert.Equal(t, "FV/1", s.ok("GET", "/_sim/documents/"+id, nil)["number"])
	assert.Equal(t, 404, s.do("GET", "/_sim/documents/5", nil).status)
	assert.Equal(t, 404, s.do("GET", "/_sim/documents/1002/xml", nil).status)
}

func TestControl_changesDocumentsLikeAPerson(t *testing.T) {
	s := start(t, func(c *Config) { c.PatchReplaces = true })
	id := s.seedSales(fields{"xml": []byte("<a/>"), "properties": fields{"keep": "me", "ksefMessage": "old"}})[0]
	s.ok("PATCH", "/_sim/documents/"+id, fields{"status": "READY.FOR.KSEF", "xml": []byte("<b/>"), "properties": fields{"ksefMessage": nil}})
	d := s.ok("GET", "/documents?id="+id, nil)
	assert.Equal(t, fields{"keep": "me", "ksefXml": "<b/>"}, d["properties"])
	assert.Equal(t, json.Number("0"), s.ok("GET", "/_sim/documents/"+id, nil)["patched"])
	assert.Equal(t, 400, s.do("PATCH", "/_sim/documents/"+id, fields{"status": "NOWHERE"}).status)
}

func TestControl_changesStatusesAndSettingsUntilReset(t *testing.T) {
	s := start(t, nil)
	s.ok("POST", "/_sim/statuses", fields{"statuses": []string{"PARKED"}})
	assert.Equal(t, 201, s.do("POST", "/documents", purchase(fields{"status": "PARKED"})).status)
	assert.Equal(t, 400, s.do("POST", "/documents", purchase(nil)).status)
	s.ok("POST", "/_sim/settings", fields{"patchReplaces": true})
	settings := s.ok("GET", "/_sim/settings", nil)
	assert.Equal(t, true, settings["patchReplaces"])
	assert.Equal(t, json.Number("1000"), settings["pageLimit"], "what is not named stays")
	for _, bad := range []fields{{"filterProperties": "maybe"}, {"pageLimit": 0}, {"entityAnswer": "xml"}, {"quotaStatus": 200}, {"nonsense": 1}} {
		assert.Equal(t, 400, s.do("POST", "/_sim/settings", bad).status, "%v", bad)
	}
	s.ok("POST", "/_sim/token", fields{"rights": "none"})
	s.ok("POST", "/_sim/faults", fields{"operation": "*", "action": "html"})
	s.ok("POST", "/_sim/reset", nil)
	assert.Empty(t, s.ok("GET", "/_sim/documents", nil)["documents"])
	assert.Empty(t, s.ok("GET", "/_sim/faults", nil)["faults"])
	assert.Equal(t, false, s.ok("GET", "/_sim/settings", nil)["patchReplaces"])
	assert.Equal(t, 201, s.do("POST", "/documents", purchase(nil)).status)
	assert.Equal(t, "ok", s.ok("GET", "/_sim/health", nil)["status"])
}

func TestSeed_givesIDsAndNamesTheDocumentThatIsWrong(t *testing.T) {
	s := start(t, nil)
	r := s.ok("POST", "/_sim/seed", fields{
		"companies": []fields{{"name": "Alfa", "nip": "5265877635", "client": true}},
		"users":     []fields{{"id": 42, "firstName": "Ewa", "lastName": "Maj"}},
		"documents": []fields{{"type": "INVOICE.SALES", "status": "OPEN", "number": "FV/1", "companyName": "Alfa", "xml": []byte("<a/>")}},
	})
	assert.Equal(t, []any{fields{"id": json.Number("101"), "name": "Alfa", "nip": "5265877635"}}, r["companies"])
	assert.Equal(t, []any{fields{"id": json.Number("1001"), "number": "FV/1", "sha256": sha256Hex([]byte("<a/>"))}}, r["documents"])
	assert.Equal(t, json.Number("101"), s.ok("GET", "/documents?id=1001", nil)["companyId"])
	assert.Equal(t, 201, s.do("POST", "/documents", purchase(fields{"ownerId": 42})).status)
	wrong := s.do("POST", "/_sim/seed", fields{"documents": []fields{{"type": "INVOICE.SALES"}, {"type": "NOTHING", "number": "X"}}})
	assert.Equal(t, 400, wrong.status)
	assert.Contains(t, string(wrong.body), "document 2 (X)")
}

func TestControl_isForLoopbackCallersAndCanBeOff(t *testing.T) {
	foreign := func(c Config) int {
		request := httptest.NewRequest(http.MethodGet, "/_sim/health", nil)
		request.RemoteAddr = "192.0.2.7:1234"
		recorder := httptest.NewRecorder()
		New(c).Handler().ServeHTTP(recorder, request)
		return recorder.Code
	}
	assert.Equal(t, 403, foreign(Config{Control: true}))
	assert.Equal(t, 200, foreign(Config{Control: true, ControlFromAnywhere: true}))
	assert.Equal(t, 404, foreign(Config{}))
}

func TestSimulator_standsManyCallersAtOnce(t *testing.T) {
	s := start(t, nil)
	const callers, each = 8, 20
	var wait sync.WaitGroup
	for range callers {
		wait.Go(func() {
			for range each {
				assert.Equal(t, 201, s.do("POST", "/documents", purchase(nil)).status)
				s.do("GET", "/views/documents?limit=5", nil)
				s.do("GET", "/page.json", nil)
			}
		})
	}
	wait.Wait()
	assert.Len(t, s.ids("documents", ""), callers*each)
	assert.Equal(t, callers*each, s.counted("POST /documents", "201"))
	numbers := map[string]bool{}
	for _, d := range s.ok("GET", "/_sim/documents", nil)["documents"].([]any) {
		numbers[d.(fields)["number"].(string)] = true
	}
	assert.Len(t, numbers, callers*each)
}

func TestNew_refusesASwitchThatDoesNotExist(t *testing.T) {
	assert.PanicsWithValue(t, `teamogysim: filterProperties "maybe": want honoured, ignored, refused or matches-nothing`, func() {
		New(Config{FilterProperties: "maybe"})
	})
	assert.True(t, strings.HasPrefix(DefaultStatuses()[0], "OPEN"))
}
