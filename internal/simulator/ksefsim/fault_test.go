package ksefsim

import (
	"crypto/rsa"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// fired is how often a fault has struck, by its name.
func (w *world) fired(name string) int {
	w.t.Helper()
	totals := w.do(http.MethodGet, "/_sim/faults", "", nil).json(w.t)["fired"].(map[string]any)
	n, _ := totals[name].(float64)
	return int(n)
}

func (w *world) submissions() int {
	w.t.Helper()
	var list []any
	require.NoError(w.t, json.Unmarshal(w.do(http.MethodGet, "/_sim/submissions", "", nil).body, &list))
	return len(list)
}

// faultCase shows that a fault does what it says.
type faultCase struct {
	world func(*Config)
	show  func(w *world)
}

// sending is a case in which a fault strikes one invoice sent online.
func sending(order map[string]any, committed bool, check func(w *world, a answer, err error)) func(*world) {
	return func(w *world) {
		s := w.open(w.login(testNIP))
		body := map[string]any{"name": "", "operation": opSend}
		for k, v := range order {
			body[k] = v
		}
		w.control("faults", body)
		a, err := w.try(http.MethodPost, "/sessions/online/"+s.ref+"/invoices", s.access, s.body(fa3{}.xml()))
		check(w, a, err)
		want := 0
		if committed {
			want = 1
		}
		assert.Equal(w.t, want, w.submissions(), "committed or not")
		assert.Equal(w.t, 202, w.do(http.MethodPost, "/sessions/online/"+s.ref+"/invoices", s.access, s.body(fa3{number: "next"}.xml())).status, "once only")
	}
}

func noAnswer(w *world, _ answer, err error) { assert.Error(w.t, err) }

func is502(w *world, a answer, err error) {
	require.NoError(w.t, err)
	assert.Equal(w.t, 502, a.status)
	assert.Contains(w.t, a.header.Get("Content-Type"), "text/html")
}

func isCode(code int) func(*world, answer, error) {
	return func(w *world, a answer, err error) {
		require.NoError(w.t, err)
		assert.Equal(w.t, 400, a.status)
		assert.Equal(w.t, code, a.code())
	}
}

// faultCases hold a case for each fault that has no test of its own elsewhere.
var faultCases = map[string]faultCase{
	faultRequestDropped: {show: sending(map[string]any{"name": faultRequestDropped}, false, noAnswer)},
	faultAnswerDropped:  {show: sending(map[string]any{"name": faultAnswerDropped}, true, noAnswer)},
	faultReset: {show: sending(map[string]any{"name": faultReset}, false, func(w *world, _ answer, err error) {
		assert.ErrorContains(w.t, err, "reset")
	})},
	faultResetAfter: {show: sending(map[string]any{"name": faultResetAfter}, true, func(w *world, _ answer, err error) {
		assert.ErrorContains(w.t, err, "reset")
	})},
	faultTimeout:         {show: sending(map[string]any{"name": faultTimeout, "seconds": 0.01}, false, noAnswer)},
	faultTimeoutAfter:    {show: sending(map[string]any{"name": faultTimeoutAfter, "seconds": 0.01}, true, noAnswer)},
	faultBadGateway:      {show: sending(map[string]any{"name": faultBadGateway}, false, is502)},
	faultBadGatewayAfter: {show: sending(map[string]any{"name": faultBadGatewayAfter}, true, is502)},
	faultHTML: {show: sending(map[string]any{"name": faultHTML}, false, func(w *world, a answer, _ error) {
		assert.Equal(w.t, 200, a.status)
		assert.Equal(w.t, "text/html", a.header.Get("Content-Type"))
	})},
	faultWAF: {show: sending(map[string]any{"name": faultWAF}, false, func(w *world, a answer, _ error) {
		assert.Equal(w.t, 403, a.status)
		assert.Equal(w.t, "security-service-blocked", a.json(w.t)["reasonCode"])
		assert.Equal(w.t, "127.0.0.1", a.json(w.t)["security"].(map[string]any)["clientIp"])
	})},
	faultTooMany: {show: sending(map[string]any{"name": faultTooMany, "retryAfter": 7}, false, func(w *world, a answer, _ error) {
		assert.Equal(w.t, 429, a.status)
		assert.Equal(w.t, "7", a.header.Get("Retry-After"))
	})},
	faultStatus: {show: sending(map[string]any{"name": faultStatus, "status": 503, "body": `{"a":1}`}, false, func(w *world, a answer, _ error) {
		assert.Equal(w.t, 503, a.status)
		assert.Equal(w.t, `{"a":1}`, string(a.body))
	})},
	faultAPIError:    {show: sending(map[string]any{"name": faultAPIError, "code": 21155}, false, isCode(21155))},
	faultNotYetKnown: {show: sending(map[string]any{"name": faultNotYetKnown}, false, isCode(21173))},
	faultUnavailable: {show: sending(map[string]any{"name": faultUnavailable}, false, isCode(21184))},
	faultStorm: {show: func(w *world) {
		w.disturb(faultStorm, map[string]any{"operation": "POST /auth/challenge", "times": 3, "retryAfter": 2})
		for _, want := range []string{"2", "4", "6"} {
			a := w.do(http.MethodPost, "/auth/challenge", "", nil)
			assert.Equal(w.t, 429, a.status)
			assert.Equal(w.t, want, a.header.Get("Retry-After"))
		}
		assert.Equal(w.t, 200, w.do(http.MethodPost, "/auth/challenge", "", nil).status)
	}},
	faultTruncated: {show: func(w *world) {
		xml := fa3{seller: otherNIP, number: "S"}.xml()
		number := w.control("seed", map[string]any{"buyerNip": testNIP, "invoices": []any{map[string]any{"xml": xml}}}).
			json(w.t)["invoices"].([]any)[0].(map[string]any)["ksefNumber"].(string)
		w.clock.Advance(minute)
		bearer := w.login(testNIP)
		w.disturb(faultTruncated, nil)
		a, err := w.try(http.MethodGet, "/invoices/ksef/"+number, bearer, nil)
		require.ErrorIs(w.t, err, io.ErrUnexpectedEOF)
		assert.Equal(w.t, xml[:len(a.body)], a.body)
		assert.NotEmpty(w.t, a.body)
		assert.Equal(w.t, xml, w.do(http.MethodGet, "/invoices/ksef/"+number, bearer, nil).body, "whole when asked again")
	}},
	faultUnknownFields: {show: func(w *world) {
		bearer := w.login(testNIP)
		w.disturb(faultUnknownFields, nil)
		doc := w.do(http.MethodGet, "/limits/context", bearer, nil).json(w.t)
		assert.Contains(w.t, doc, "simUnknown")
		assert.Contains(w.t, doc["onlineSession"], "simUnknown")
		assert.EqualValues(w.t, 1, doc["onlineSession"].(map[string]any)["maxInvoiceSizeInMB"], "known ones stay")
	}},
	faultUnknownEnums: {show: func(w *world) {
		w.seed(testNIP, fa3{seller: otherNIP, number: "S"})
		w.clock.Advance(minute)
		bearer := w.login(testNIP)
		w.disturb(faultUnknownEnums, nil)
		doc := w.query(bearer, "Subject2", "2026-11-01T00:00:00Z", nil, "").json(w.t)["invoices"].([]any)[0].(map[string]any)
		assert.Equal(w.t, "SimUnknown", doc["invoiceType"])
		assert.Equal(w.t, "SimUnknown", doc["invoicingMode"])
		assert.Contains(w.t, string(w.do(http.MethodGet, "/security/public-key-certificates", "", nil).body), "SimUnknown")
	}},
	faultSystemWarning: {show: func(w *world) {
		w.disturb(faultSystemWarning, map[string]any{"body": "[abc-001]: tak"})
		assert.Equal(w.t, "[abc-001]: tak", w.do(http.MethodPost, "/auth/challenge", "", nil).header.Get("X-System-Warning"))
	}},
	faultCloseWorked: {show: func(w *world) {
		s := w.open(w.login(testNIP))
		s.send(fa3{}.xml())
		w.disturb(faultCloseWorked, nil)
		assert.Equal(w.t, 502, s.do(http.MethodPost, "/sessions/online/"+s.ref+"/close", s.access, nil).status)
		w.clock.Advance(minute)
		assert.Equal(w.t, 200, statusCode(s.session()), "closed all the same")
		assert.Equal(w.t, 21180, s.do(http.MethodPost, "/sessions/online/"+s.ref+"/close", s.access, nil).code())
	}},
	faultUPOLate: {show: func(w *world) {
		s := w.open(w.login(testNIP))
		ref := s.send(fa3{}.xml())
		w.clock.Advance(minute)
		w.disturb(faultUPOLate, nil)
		path := "/sessions/" + s.ref + "/invoices/" + ref + "/upo"
		assert.Equal(w.t, 21178, s.do(http.MethodGet, path, s.access, nil).code())
		assert.Equal(w.t, 200, s.do(http.MethodGet, path, s.access, nil).status)
	}},
	faultClockSkew: {show: func(w *world) {
		w.disturb(faultClockSkew, map[string]any{"operation": "POST /auth/challenge", "seconds": -600})
		before := w.sim.now()
		doc := w.do(http.MethodPost, "/auth/challenge", "", nil)
		at, err := time.Parse(time.RFC3339Nano, doc.json(w.t)["timestamp"].(string))
		require.NoError(w.t, err)
		assert.Equal(w.t, -10*time.Minute, at.Sub(before))
		date, err := http.ParseTime(doc.header.Get("Date"))
		require.NoError(w.t, err)
		assert.Equal(w.t, at.UTC().Truncate(time.Second), date.UTC(), "the Date header goes wrong with it")
		w.do(http.MethodDelete, "/_sim/faults", "", nil)
		assert.Equal(w.t, before, w.sim.now(), "right again")
	}},
	faultWarsawMidnight: {show: func(w *world) {
		w.disturb(faultWarsawMidnight, map[string]any{"seconds": 3})
		s := w.open(w.login(testNIP)) // takes one
		today := s.send(fa3{number: "today"}.xml())
		tomorrow := s.send(fa3{number: "tomorrow", date: "2026-11-24"}.xml())
		w.clock.Advance(3 * time.Second)
		assert.Equal(w.t, "Online", s.invoice(today)["invoicingMode"])
		assert.Equal(w.t, 450, statusCode(s.invoice(tomorrow)), "P_1 lay in the future when it was sent")
		late := s.send(fa3{number: "late"}.xml())
		again := s.send(fa3{number: "again", date: "2026-11-24"}.xml())
		w.clock.Advance(3 * time.Second)
		assert.Equal(w.t, "Offline", s.invoice(late)["invoicingMode"], "yesterday's invoice, though nothing was declared")
		assert.Equal(w.t, "Online", s.invoice(again)["invoicingMode"])
	}},
	faultDSTSpring: {show: dstNight(faultDSTSpring, "+01:00", "+02:00")},
	faultDSTAutumn: {show: dstNight(faultDSTAutumn, "+02:00", "+01:00")},
}

// dstNight shows that two seconds lie between the old and the new offset of
// Polish time.
func dstNight(name, before, after string) func(*world) {
	return func(w *world) {
		w.login(testNIP)
		w.disturb(name, nil)
		w.do(http.MethodGet, "/limits/context", "", nil) // waits for a login
		w.do(http.MethodPost, "/auth/challenge", "", nil)
		local := func() string {
			return w.do(http.MethodGet, "/_sim/clock", "", nil).json(w.t)["warsaw"].(string)
		}
		first := local()
		assert.True(w.t, strings.HasSuffix(first, before), first)
		w.clock.Advance(2 * time.Second)
		second := local()
		assert.True(w.t, strings.HasSuffix(second, after), second)
	}
}

func TestFaults_doWhatTheySayAndAreCounted(t *testing.T) {
	for name, c := range faultCases {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, c.world)
			c.show(w)
			assert.Positive(t, w.fired(name), "counted")
			assert.NotEmpty(t, FaultEffect(name))
		})
	}
}

// struck are the faults that struck in the tests of this run.
var struck = struct {
	sync.Mutex
	names map[string]bool
}{names: map[string]bool{}}

// witness notes at the end of a test which faults have struck in it.
func (w *world) witness() {
	_, fired := w.sim.faults.all()
	struck.Lock()
	defer struck.Unlock()
	for name, n := range fired {
		struck.names[name] = struck.names[name] || n > 0
	}
}

// TestMain fails a run of all tests in which a fault never struck: each has to
// have a test that shows what it does.
func TestMain(m *testing.M) {
	newRSAKey = stockOfKeys(newRSAKey)
	code := m.Run()
	whole := flag.Lookup("test.run").Value.String() == "" && flag.Lookup("test.list").Value.String() == "" && flag.Lookup("test.skip").Value.String() == "" && !testing.Short()
	for _, name := range FaultNames() {
		if code == 0 && whole && !struck.names[name] {
			fmt.Fprintf(os.Stderr, "no test shows what the fault %s does\n", name)
			code = 1
		}
	}
	os.Exit(code)
}

// stockOfKeys gives keys in turn out of a stock, which is large enough that no
// simulator meets one twice.
func stockOfKeys(make func() (*rsa.PrivateKey, error)) func() (*rsa.PrivateKey, error) {
	var mu sync.Mutex
	var stock [16]*rsa.PrivateKey
	next := 0
	return func() (*rsa.PrivateKey, error) {
		mu.Lock()
		defer mu.Unlock()
		at := next % len(stock)
		next++
		if stock[at] == nil {
			key, err := make()
			if err != nil {
				return nil, err
			}
			stock[at] = key
		}
		return stock[at], nil
	}
}

func TestFaults_byChanceAreRepeatable(t *testing.T) {
	pattern := func(seed int) (struck string) {
		w := newWorld(t, nil)
		w.disturb(faultTooMany, map[string]any{"operation": "POST /auth/challenge", "times": -1, "probability": 0.5, "seed": seed})
		for range 40 {
			if w.do(http.MethodPost, "/auth/challenge", "", nil).status == 429 {
				struck += "x"
			} else {
				struck += "."
			}
		}
		assert.Equal(t, strings.Count(struck, "x"), w.fired(faultTooMany))
		return struck
	}
	first := pattern(1)
	assert.Equal(t, first, pattern(1))
	assert.NotEqual(t, first, pattern(2))
	assert.Contains(t, first, "x")
	assert.Contains(t, first, ".")
}

func TestFaults_wrongOrdersAreRefusedWithWhatIsAllowed(t *testing.T) {
	w := newWorld(t, nil)
	for want, order := range map[string]map[string]any{
		"answer-dropped":           {"name": "explode"},
		"operation is missing":     {"name": faultBadGateway},
		`operation \"POST /nope\"`: {"name": faultBadGateway, "operation": "POST /nope"},
		"probability":              {"name": faultStorm, "operation": "*", "probability": 2},
		"code 0":                   {"name": faultAPIError, "operation": "*"},
		"has an effect on":         {"name": faultPartHash, "operation": "GET /sessions"},
		"status 99":                {"name": faultStatus, "operation": "*", "status": 99},
		"times must be":            {"name": faultStorm, "operation": "*", "times": -2},
	} {
		a := w.do(http.MethodPost, "/_sim/faults", "", order)
		assert.Equal(t, 400, a.status)
		assert.Contains(t, string(a.body), want)
	}
}

func TestFaultNames_areListedWithTheirEffects(t *testing.T) {
	w := newWorld(t, nil)
	doc := w.do(http.MethodGet, "/_sim/faults/names", "", nil).json(t)
	assert.Len(t, doc["names"], len(faultKinds))
	assert.Contains(t, doc["operations"], opSend)
}
