package teamogysim

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// asOther asks for the units with another API key or under another host name.
func (s *site) asOther(key, host string) int {
	s.t.Helper()
	request, err := http.NewRequestWithContext(s.t.Context(), "GET", s.url+"/rest/v1/1/views/units", nil)
	require.NoError(s.t, err)
	request.Header.Set("Authorization", "Bearer "+key)
	if host != "" {
		request.Host = host
	}
	return s.send(request).status
}

func TestQuota_isSharedAsSwitched(t *testing.T) {
	for scope, want := range map[string][]int{
		QuotaTenant: {200, 429, 429, 429},
		QuotaHost:   {200, 429, 200, 429},
		QuotaKey:    {200, 429, 429, 200},
	} {
		s := start(t, func(c *Config) { c.APIKey, c.RequestsPerMinute, c.QuotaScope = "", 1, scope })
		got := []int{s.asOther("a", ""), s.asOther("a", ""), s.asOther("a", "acme.example"), s.asOther("b", "")}
		assert.Equal(t, want, got, scope)
	}
}

func TestQuota_countsTheMinuteAsSwitched(t *testing.T) {
	// The test's clock starts at a full hour.
	for window, want := range map[string]int{WindowSliding: 429, WindowFixed: 200} {
		s := start(t, func(c *Config) { c.RequestsPerMinute, c.QuotaWindow = 1, window })
		s.clock.advance(50 * time.Second)
		assert.Equal(t, 200, s.do("GET", "/users", nil).status)
		refused := s.do("GET", "/users", nil)
		assert.Equal(t, 429, refused.status)
		assert.Equal(t, map[string]string{WindowSliding: "60", WindowFixed: "10"}[window], refused.header.Get("Retry-After"))
		s.clock.advance(10 * time.Second)
		assert.Equal(t, want, s.do("GET", "/users", nil).status, window)
	}
}

func TestQuota_mayCountWhatItRefuses(t *testing.T) {
	for counts, want := range map[bool]int{false: 200, true: 429} {
		s := start(t, func(c *Config) { c.RequestsPerMinute, c.QuotaCountsRefused = 1, counts })
		s.do("GET", "/users", nil)
		s.clock.advance(30 * time.Second)
		assert.Equal(t, 429, s.do("GET", "/users", nil).status)
		s.clock.advance(30 * time.Second)
		assert.Equal(t, want, s.do("GET", "/users", nil).status, "counts refused: %v", counts)
		s.clock.advance(time.Minute)
		assert.Equal(t, 200, s.do("GET", "/users", nil).status, "who waits is let in")
	}
}

func TestQuota_saysWhenInSecondsOrAsADate(t *testing.T) {
	s := start(t, func(c *Config) { c.RequestsPerMinute = 1 })
	s.do("GET", "/users", nil)
	s.clock.advance(15 * time.Second)
	assert.Equal(t, "45", s.do("GET", "/users", nil).header.Get("Retry-After"))
	s.switched(fields{"retryAfterForm": RetryAfterDate})
	assert.Equal(t, "Sun, 22 Nov 2026 10:01:00 GMT", s.do("GET", "/users", nil).header.Get("Retry-After"))
	s.switched(fields{"quotaRetryAfter": false, "quotaStatus": 403})
	refused := s.do("GET", "/users", nil)
	assert.Equal(t, 403, refused.status)
	assert.Empty(t, refused.header.Get("Retry-After"))
	s.switched(fields{"requestsPerMinute": 0})
	assert.Equal(t, 200, s.do("GET", "/users", nil).status)
}

func TestGateway_answersAnUnknownKeyAsSwitched(t *testing.T) {
	s := start(t, nil)
	assert.Equal(t, 401, s.asOther("wrong", ""))
	s.switched(fields{"unknownKeyStatus": 403})
	assert.Equal(t, 403, s.asOther("wrong", ""))
}

func TestGateway_answersAnUnknownUnitAsSwitched(t *testing.T) {
	s := start(t, nil)
	for _, status := range []int{404, 403, 400} {
		s.switched(fields{"unknownUnitStatus": status})
		assert.Equal(t, status, s.do("GET", "/rest/v1/2/users", nil).status)
		assert.Equal(t, 200, s.do("GET", "/rest/v1/1/users", nil).status)
	}
}

func TestGateway_mayAskForAHeader(t *testing.T) {
	s := start(t, nil)
	assert.Equal(t, 200, s.do("GET", "/users", nil).status)
	s.switched(fields{"requiredHeader": "Domain"})
	assert.Equal(t, 400, s.do("GET", "/users", nil).status)
	request, err := http.NewRequestWithContext(t.Context(), "GET", s.url+"/rest/v1/1/users", nil)
	require.NoError(t, err)
	request.Header.Set("Authorization", "Bearer "+testKey)
	request.Header.Set("domain", "acme.teamogy.com")
	assert.Equal(t, 200, s.send(request).status)
}

func TestErrors_haveTheBodyThatIsSwitchedOn(t *testing.T) {
	s := start(t, nil)
	for shape, want := range map[string]struct{ kind, body string }{
		ErrorMessage: {"application/json", `{"message":"no such view: x<y"}`},
		ErrorObject:  {"application/json", `{"error":{"code":404,"message":"no such view: x<y"}}`},
		ErrorText:    {"text/plain", "no such view: x<y"},
		ErrorHTML:    {"text/html", "<html><body><h1>Error 404</h1><p>no such view: x&lt;y</p></body></html>"},
		ErrorEmpty:   {"", ""},
	} {
		s.switched(fields{"errorBody": shape})
		r := s.do("GET", "/views/x%3Cy", nil)
		assert.Equal(t, 404, r.status, shape)
		assert.Equal(t, want.body, strings.TrimSpace(string(r.body)), shape)
		assert.True(t, strings.HasPrefix(r.header.Get("Content-Type"), want.kind), "%s: %s", shape, r.header.Get("Content-Type"))
		assert.Equal(t, "1", s.firstUser(), "what works is answered as ever")
	}
	s.switched(fields{"errorBody": ErrorHTML, "requestsPerMinute": 1})
	s.do("GET", "/users", nil)
	refused := s.do("GET", "/users", nil)
	assert.Equal(t, 429, refused.status)
	assert.NotEmpty(t, refused.header.Get("Retry-After"), "headers stay")
	assert.Contains(t, string(refused.body), "<h1>Error 429</h1>")
}

func (s *site) firstUser() string { return s.ids("users", "")[0] }

func TestGateway_refusesLargeAnswersAsSwitched(t *testing.T) {
	s := start(t, nil)
	assert.Equal(t, 200, s.do("GET", "/users", nil).status)
	s.switched(fields{"answerLimitBytes": 100})
	r := s.do("GET", "/users", nil)
	assert.Equal(t, 413, r.status)
	assert.Contains(t, string(r.body), "larger than 100 bytes")
	for _, status := range []int{500, 502} {
		s.switched(fields{"tooLargeStatus": status})
		assert.Equal(t, status, s.do("GET", "/users", nil).status)
	}
}

func TestQuery_readsAPlusSignAsSwitched(t *testing.T) {
	s := start(t, nil)
	s.seedSales(fields{"number": "FV 1"}, fields{"number": "FV+1"})
	assert.Equal(t, "FV+1", s.ok("GET", "/documents?number=FV+1", nil)["number"])
	s.switched(fields{"plusInQuery": PlusIsSpace})
	assert.Equal(t, "FV 1", s.ok("GET", "/documents?number=FV+1", nil)["number"])
	assert.Equal(t, "FV+1", s.ok("GET", "/documents?number=FV%2B1", nil)["number"])
}
