package ksef

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// statusError makes one call whose answer is h and returns its error.
func statusError(t *testing.T, h http.HandlerFunc) *Error {
	t.Helper()
	f := newFakeKSeF(t)
	f.on("GET /sessions/S", h)
	_, err := f.client().SessionStatus(t.Context(), "S")
	e, ok := AsError(err)
	require.True(t, ok, "%v", err)
	return e
}

func TestError_hasTheKindOfTheAnswer(t *testing.T) {
	html := func(status int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			w.WriteHeader(status)
			_, _ = w.Write([]byte("<html>Request unsuccessful. Incapsula incident ID: 1</html>"))
		}
	}
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		kind   Kind
		code   int
	}{
		"exceptions":              {answerJSON(400, `{"exception":{"exceptionDetailList":[{"exceptionCode":21173,"exceptionDescription":"Brak sesji","details":["a","b"]}],"serviceCode":"x","timestamp":"2026-11-22T12:00:00"}}`), KindRejected, 21173},
		"problem document":        {problem(400, `{"title":"Bad Request","status":400,"errors":[{"code":21405,"description":"Walidacja","details":["pole"]}],"traceId":"x"}`), KindRejected, 21405},
		"details null":            {problem(400, `{"status":400,"errors":[{"code":21405,"description":"x","details":null}]}`), KindRejected, 21405},
		"details a text":          {problem(400, `{"status":400,"errors":[{"code":21405,"description":"x","details":"y"}]}`), KindRejected, 21405},
		"odd type of a field":     {problem(400, `{"title":7,"status":"x","errors":[{"code":21405}],"security":"none"}`), KindRejected, 21405},
		"unknown code":            {problem(400, `{"errors":[{"code":99999}]}`), KindRejected, 99999},
		"not available yet":       {problem(400, `{"errors":[{"code":21165}]}`), KindNotYet, 21165},
		"no UPO yet":              {answerJSON(400, `{"exception":{"exceptionDetailList":[{"exceptionCode":21178}]}}`), KindNotYet, 21178},
		"forbidden":               {problem(403, `{"title":"Forbidden","status":403,"detail":"Brak","reasonCode":"missing-permissions","security":{"requiredAnyOfPermissions":["InvoiceWrite"],"presentPermissions":[]}}`), KindForbidden, 0},
		"firewall as JSON":        {answerJSON(403, `{"title":"Forbidden","status":403,"detail":"blocked","security":{"incidentId":"1-2","clientIp":"1.2.3.4"}}`), KindGateway, 0},
		"firewall with reason":    {problem(403, `{"title":"Forbidden","status":403,"reasonCode":"security-service-blocked"}`), KindGateway, 0},
		"firewall as HTML":        {html(403), KindGateway, 0},
		"HTML with 200":           {html(200), KindGateway, 0},
		"HTML with 400":           {html(400), KindGateway, 0},
		"HTML with 401":           {html(401), KindGateway, 0},
		"gone":                    {problem(410, `{"title":"Gone","status":410}`), KindGone, 0},
		"exception 500":           {answerJSON(500, `{"exception":{"exceptionDetailList":[{"exceptionCode":500,"exceptionDescription":"x"}]}}`), KindServer, 500},
		"503 in JSON":             {answerJSON(503, `{}`), KindServer, 0},
		"502 with JSON":           {answerJSON(502, `{}`), KindGateway, 0},
		"504 without body":        {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(504) }, KindGateway, 0},
		"redirect":                {func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Location", "/x"); w.WriteHeader(302) }, KindGateway, 0},
		"good but cut off":        {answerJSON(200, `{"status":{"code":1`), KindGateway, 0},
		"good but without status": {answerJSON(200, `{}`), KindGateway, 0},
		"good but another type":   {problem(200, `{"status":{"code":100}}`), KindGateway, 0},
	} {
		t.Run(name, func(t *testing.T) {
			e := statusError(t, c.answer)
			assert.Equal(t, c.kind, e.Kind, e.Error())
			assert.Contains(t, e.Error(), "read a session's status")
			if c.code != 0 {
				assert.True(t, e.Has(c.code))
			}
			assert.False(t, e.Has(1))
		})
	}
}

func TestError_tellsWhichPermissionToGrant(t *testing.T) {
	e := statusError(t, problem(403, `{"title":"Forbidden","reasonCode":"missing-permissions","security":{"requiredAnyOfPermissions":["InvoiceWrite","Introspection"]}}`))
	assert.Equal(t, []string{"InvoiceWrite", "Introspection"}, e.MissingPermissions)
	assert.Equal(t, "missing-permissions", e.ReasonCode)
	assert.ErrorContains(t, e, "the taxpayer has to grant one of these permissions in KSeF: InvoiceWrite, Introspection")
}

func TestError_containsNoSecretAndIsBounded(t *testing.T) {
	e := statusError(t, problem(400, `{"errors":[{"code":1,"description":"bad eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln\u0007","details":["see https://x.example/upo?sig=geheim now","`+strings.Repeat("ż", 5000)+`"]}]}`))
	for _, s := range []string{e.Error(), e.Codes[0].Description, strings.Join(e.Codes[0].Details, "")} {
		assert.NotContains(t, s, "eyJ")
		assert.NotContains(t, s, "geheim")
		assert.NotContains(t, s, "\u0007")
	}
	assert.Less(t, len(e.Error()), 2000)
}

func TestRateLimited_blocksTheGroupFor429(t *testing.T) {
	for name, c := range map[string]struct {
		header string
		scale  float64
		want   time.Duration
	}{
		"seconds":        {"30", 1, 31 * time.Second},
		"seconds scaled": {"30", 60, 31 * time.Second},
		"date":           {testNow.Add(2492 * time.Second).Format(http.TimeFormat), 1, 2493 * time.Second},
		"none":           {"", 1, 61 * time.Second},
		"none scaled":    {"", 60, 2 * time.Second},
		"nonsense":       {"soon", 1, 61 * time.Second},
		"negative":       {"-5", 1, time.Second},
		"date far away":  {"Fri, 31 Dec 9999 23:59:59 GMT", 1, longestRetryAfter + time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFakeKSeF(t)
			f.on("GET /invoices/ksef/N", func(w http.ResponseWriter, _ *http.Request) {
				if c.header != "" {
					w.Header().Set("Retry-After", c.header)
				}
				writeJSON(w, 429, `{"status":{"code":429,"description":"Too Many Requests","details":["x"]}}`)
			})
			client := f.client(func(o *Options) { o.TimeScale = c.scale })
			_, err := client.DownloadInvoice(t.Context(), "N", "")
			e, ok := AsError(err)
			require.True(t, ok)
			assert.Equal(t, KindRateLimited, e.Kind)
			assert.Equal(t, c.want, e.RetryAfter)
			assert.False(t, e.Local)

			_, err = client.DownloadInvoice(t.Context(), "N", "")
			e, _ = AsError(err)
			require.NotNil(t, e)
			if c.want > longestPacing {
				assert.True(t, e.Local)
				assert.Equal(t, c.want, e.RetryAfter)
				assert.Equal(t, 1, f.called("GET /invoices/ksef/N"), "no second call")
			}
		})
	}
}

func TestNetworkError_hasNoAddress(t *testing.T) {
	f := newFakeKSeF(t)
	c := f.client()
	_, err := c.Login(t.Context())
	require.NoError(t, err)
	f.server.Close()
	_, err = c.SessionStatus(t.Context(), "secret-reference")
	e, ok := AsError(err)
	require.True(t, ok)
	assert.Equal(t, KindNetwork, e.Kind)
	assert.NotContains(t, err.Error(), "secret-reference")
	assert.NotContains(t, err.Error(), "http://")
	_, err = c.UPOByLink(t.Context(), SecretURL(f.server.URL+"/upo?sig=geheim"))
	require.Error(t, err)
	assert.NotContains(t, err.Error(), "geheim")
	assert.NotContains(t, err.Error(), "/upo?")
}

func TestCanceledCall_isRecognisable(t *testing.T) {
	f := newFakeKSeF(t)
	ctx, cancel := context.WithCancel(t.Context())
	f.on("GET /sessions/S", func(_ http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done() // no answer comes before the client has given up
	})
	_, err := f.client().SessionStatus(ctx, "S")
	assert.True(t, errors.Is(err, context.Canceled), "%v", err)
}

func TestWarnings_areCountedByCode(t *testing.T) {
	f := newFakeKSeF(t)
	f.on("GET /sessions/S", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-System-Warning", "[xml-002]: znaki niezalecane | [sig-001]: podpis")
		writeJSON(w, 200, `{"status":{"code":100}}`)
	})
	f.on("GET /sessions/T", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-System-Warning", "no code at all")
		writeJSON(w, 200, `{"status":{"code":100}}`)
	})
	c := f.client()
	for _, s := range []string{"S", "S", "T"} {
		_, err := c.SessionStatus(t.Context(), s)
		require.NoError(t, err)
	}
	assert.Equal(t, map[string]int{"xml-002": 2, "sig-001": 2, "unknown": 1}, c.Warnings())
}

func TestParseTime_readsWhatKSeFWrites(t *testing.T) {
	want := time.Date(2026, 9, 18, 12, 24, 16, 15430200, time.UTC)
	for in, want := range map[string]time.Time{
		"2026-09-18T12:24:16.0154302+00:00": want,
		"2026-09-18T14:24:16.0154302+02:00": want,
		"2026-09-18T12:24:16.0154302Z":      want,
		"2026-09-18T12:24:16.0154302":       want,
		"2026-09-18T12:24:16":               want.Truncate(time.Second),
		"2026-09-18":                        want.Truncate(24 * time.Hour),
		"yesterday":                         {},
		"":                                  {},
	} {
		assert.Equal(t, want, parseTime(in), in)
	}
	for in, valid := range map[string]bool{`"2026-09-18T12:24:16.0154302\u002B00:00"`: true, `null`: false, `7`: false} {
		var got timestamp
		require.NoError(t, json.Unmarshal([]byte(in), &got))
		assert.Equal(t, valid, got.Equal(want), in)
	}
	assert.Equal(t, "2026-09-18T12:24:16.0154302Z", formatTime(want), "the full precision goes back")
}
