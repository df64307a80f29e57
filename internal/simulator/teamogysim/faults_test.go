package teamogysim

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// purchases is how many received invoices the tenant holds.
func (s *site) purchases() int {
	s.t.Helper()
	return len(s.ids("invoices.purchase", ""))
}

func (s *site) totals() fields {
	s.t.Helper()
	return s.ok("GET", "/_sim/faults", nil)["totals"].(fields)
}

func TestFaults_haveNamesAndTheOldOnesStillWork(t *testing.T) {
	s := start(t, nil)
	names := s.ok("GET", "/_sim/faults/names", nil)["names"].([]any)
	var got []string
	for _, entry := range names {
		kind := entry.(fields)
		got = append(got, kind["name"].(string))
		assert.True(t, strings.HasSuffix(kind["does"].(string), "."), "%v says what it does", kind["name"])
	}
	assert.Equal(t, strings.Fields("answer-dropped request-dropped reset reset-after timeout timeout-after bad-gateway bad-gateway-after html too-many-requests status truncated"), got)

	for alias, name := range map[string]string{
		"drop-after": "answer-dropped", "drop-before": "request-dropped", "502-before": "bad-gateway", "502-after": "bad-gateway-after", "429": "too-many-requests",
	} {
		ordered := s.ok("POST", "/_sim/faults", fields{"operation": "*", "action": alias})
		assert.Equal(t, alias, ordered["action"])
		assert.Equal(t, name, ordered["name"])
		ordered = s.ok("POST", "/_sim/faults", fields{"operation": "*", "name": name})
		assert.Equal(t, name, ordered["action"], "name is a synonym of action")
	}
}

func TestFaults_refuseAWrongOrderAndSayWhatIsAllowed(t *testing.T) {
	s := start(t, nil)
	for order, want := range map[string]string{
		`{"operation":"*","action":"explode"}`:                                "answer-dropped = drop-after, request-dropped = drop-before, reset,",
		`{"operation":"*"}`:                                                   "action is missing",
		`{"operation":"*","action":"html","name":"reset"}`:                    "two different faults",
		`{"action":"html"}`:                                                   "POST /documents",
		`{"operation":"documents","action":"html"}`:                           "GET /views/*",
		`{"operation":"*","action":"html","times":-2}`:                        "1 or more",
		`{"operation":"*","action":"html","skip":-1}`:                         "0 or more",
		`{"operation":"*","action":"html","probability":1.5}`:                 "0 to 1",
		`{"operation":"*","action":"html","seconds":1}`:                       "only with timeout",
		`{"operation":"*","action":"status"}`:                                 "200 to 599",
		`{"operation":"*","action":"too-many-requests","retryAfter":-5}`:      "whole seconds",
		`{"operation":"*","action":"html","colour":"red"}`:                    "the fields are id, operation, action, name, times, skip, probability, seed",
		`{"operation":"*","action":"html"} {"operation":"*","action":"html"}`: "more than one",
	} {
		r := s.do("POST", "/_sim/faults", order)
		assert.Equal(t, 400, r.status, order)
		assert.Contains(t, string(r.body), want, order)
	}
}

func TestFault_resetIsATCPReset(t *testing.T) {
	for action, committed := range map[string]int{"reset": 0, "reset-after": 1} {
		s := start(t, nil)
		s.ok("POST", "/_sim/faults", fields{"operation": "POST /documents", "action": action})
		r := s.do("POST", "/documents", purchase(nil))
		require.Error(t, r.err)
		assert.True(t, errors.Is(r.err, syscall.ECONNRESET) || errors.Is(r.err, io.EOF), "%v", r.err)
		assert.Equal(t, committed, s.purchases(), action)
		assert.Equal(t, 1, s.counted("POST /documents", "reset"))
	}
}

func TestFault_truncatedEndsInTheMiddleOfTheAnswer(t *testing.T) {
	s := start(t, nil)
	s.ok("POST", "/_sim/faults", fields{"operation": "POST /documents", "action": "truncated"})
	r := s.do("POST", "/documents", purchase(nil))
	assert.Equal(t, 201, r.status)
	require.ErrorIs(t, r.err, io.ErrUnexpectedEOF)
	assert.True(t, strings.HasPrefix(string(r.body), `{"id":`), "%s", r.body)
	assert.NotContains(t, string(r.body), "}")
	assert.Equal(t, 1, s.purchases())
	assert.Equal(t, 1, s.counted("POST /documents", "truncated"))
}

func TestFault_timeoutHoldsTheAnswerUntilTheCallerLeaves(t *testing.T) {
	for action, committed := range map[string]int{"timeout": 0, "timeout-after": 1} {
		s := start(t, nil)
		s.ok("POST", "/_sim/faults", fields{"operation": "POST /documents", "action": action})
		ctx, leave := context.WithCancel(t.Context())
		request, err := http.NewRequestWithContext(ctx, "POST", s.url+"/rest/v1/1/documents", strings.NewReader(`{"type":"INVOICE.PURCHASE","agencyId":1,"ownerId":2}`))
		require.NoError(t, err)
		request.Header.Set("Authorization", "Bearer "+testKey)
		request.Header.Set("Content-Type", "application/json")
		left := make(chan error, 1)
		go func() { left <- s.send(request).err }()
		s.eventually("it is counted while it is held", func() bool { return s.counted("POST /documents", "timeout") == 1 })
		leave()
		require.ErrorIs(t, <-left, context.Canceled)
		assert.Equal(t, committed, s.purchases(), action)
	}
}

func TestFault_timeoutEndsAfterItsSecondsOrWhenFaultsAreRemoved(t *testing.T) {
	s := start(t, nil)
	s.ok("POST", "/_sim/faults", fields{"operation": "GET /views/units", "action": "timeout", "seconds": 0.001})
	assert.Equal(t, 504, s.do("GET", "/views/units", nil).status)

	for _, remove := range []func(){
		func() { s.ok("DELETE", "/_sim/faults", nil) },
		func() { s.ok("POST", "/_sim/reset", nil) },
	} {
		before := s.counted("GET /views/units", "timeout")
		s.ok("POST", "/_sim/faults", fields{"operation": "GET /views/units", "action": "timeout"})
		held := make(chan int, 1)
		go func() { held <- s.do("GET", "/views/units", nil).status }()
		s.eventually("the answer is held", func() bool { return s.counted("GET /views/units", "timeout") > before })
		remove()
		assert.Equal(t, 504, <-held)
	}
}

func TestFault_tooManyRequestsWithAndWithoutRetryAfter(t *testing.T) {
	s := start(t, nil)
	for _, c := range []struct {
		order any
		want  string
	}{{nil, "1"}, {30, "30"}, {-1, ""}} {
		order := fields{"operation": "GET /users", "name": "too-many-requests"}
		if c.order != nil {
			order["retryAfter"] = c.order
		}
		s.ok("POST", "/_sim/faults", order)
		r := s.do("GET", "/users", nil)
		assert.Equal(t, 429, r.status)
		assert.Equal(t, c.want, r.header.Get("Retry-After"))
	}
}

func TestFaults_ofARandomKindStrikeTheSameRequestsForTheSameSeed(t *testing.T) {
	pattern := func(seed int, probability float64) string {
		s := start(t, nil)
		s.ok("POST", "/_sim/faults", fields{"operation": "GET /users", "name": "bad-gateway", "times": -1, "probability": probability, "seed": seed})
		var out strings.Builder
		for range 40 {
			if s.do("GET", "/users", nil).status == 502 {
				out.WriteByte('x')
			} else {
				out.WriteByte('.')
			}
		}
		return out.String()
	}
	one := pattern(1, 0.5)
	assert.Equal(t, one, pattern(1, 0.5))
	assert.NotEqual(t, one, pattern(2, 0.5))
	assert.Contains(t, one, "x")
	assert.Contains(t, one, ".")
	assert.Equal(t, strings.Repeat(".", 40), pattern(1, 0))
	assert.Equal(t, strings.Repeat("x", 40), pattern(1, 1))
}

func TestFaults_totalsByNameOutliveTheirRemovalUntilReset(t *testing.T) {
	s := start(t, nil)
	s.ok("POST", "/_sim/faults", fields{"operation": "GET /users", "action": "502-before", "times": 2})
	s.ok("POST", "/_sim/faults", fields{"operation": "GET /agencies", "name": "bad-gateway"})
	s.do("GET", "/users", nil)
	s.do("GET", "/users", nil)
	s.do("GET", "/agencies", nil)
	s.ok("DELETE", "/_sim/faults", nil)
	assert.Empty(t, s.ok("GET", "/_sim/faults", nil)["faults"])
	assert.Equal(t, fields{"bad-gateway": json.Number("3")}, s.totals())
	s.ok("POST", "/_sim/reset", nil)
	assert.Empty(t, s.totals())
}

func TestFaults_strikeAttachmentsToo(t *testing.T) {
	s := start(t, nil)
	id := s.seedSales(fields{"xml": []byte("<a/>"), "xmlIn": "attachment"})[0]
	s.ok("POST", "/_sim/faults", fields{"operation": "GET /files", "action": "html"})
	assert.Contains(t, string(s.do("GET", "/files/"+id+"/faktura.xml", nil).body), "<html>")
	assert.Equal(t, "<a/>", string(s.do("GET", "/files/"+id+"/faktura.xml", nil).body))
	assert.Equal(t, 2, s.counted("GET /files", "200"))
}
