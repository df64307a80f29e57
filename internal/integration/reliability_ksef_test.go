package integration

import (
	"fmt"
	"net/http"
	"slices"

	"teamogy-ksef/internal/simulator/ksefsim"
)

const ofKSeF = "KSeF"

// occasions says how often the product calls an operation while n invoices go
// each way, so that a fault is ordered where it can strike.
type occasions int

const (
	seldom      occasions = iota // once or a few times, whatever there is
	eachInvoice                  // once for each invoice
)

// operationsOf are the calls to KSeF that the product makes, by direction.
var ksefOperations = map[direction]map[string]occasions{
	received: {
		"POST /invoices/query/metadata":           seldom,
		"GET /invoices/ksef/{ksefNumber}":         eachInvoice,
		"POST /auth/challenge":                    seldom,
		"POST /auth/xades-signature":              seldom,
		"GET /auth/{ref}":                         seldom,
		"POST /auth/token/redeem":                 seldom,
		"GET /rate-limits":                        seldom,
		"POST /permissions/query/personal/grants": seldom,
	},
	sent: {
		"GET /security/public-key-certificates":     seldom,
		"POST /sessions/online":                     seldom,
		"POST /sessions/online/{ref}/invoices":      eachInvoice,
		"POST /sessions/online/{ref}/close":         seldom,
		"GET /sessions/{ref}":                       seldom,
		"GET /sessions/{ref}/invoices":              seldom,
		"GET /sessions/{ref}/invoices/{invoiceRef}": seldom, // only where the link to a confirmation has failed
		"GET /storage/{file}":                       eachInvoice,
	},
}

// atKSeFFault orders a fault at KSeF. Where it can strike once for each
// invoice, the seed says how many pass first.
func (t *trial) atKSeFFault(name, operation string, times int, more map[string]any) {
	t.Helper()
	order := map[string]any{"name": name, "times": times}
	if operation != "" {
		order["operation"] = operation
	}
	if ksefOperations[received][operation] == eachInvoice || ksefOperations[sent][operation] == eachInvoice {
		order["skip"] = t.random.IntN(t.n / 2)
	}
	for k, v := range more {
		order[k] = v
	}
	t.fault(t.ksefURL, order)
}

// everywhereAtKSeF orders a fault at each operation of the product, several
// times where each invoice is an occasion.
func everywhereAtKSeF(name string, seldomTimes, oftenTimes int, more map[string]any) func(*trial) {
	return func(t *trial) {
		for _, d := range []direction{received, sent} {
			for _, operation := range sortedKeys(ksefOperations[d]) {
				times := seldomTimes
				if ksefOperations[d][operation] == eachInvoice {
					times = oftenTimes
				}
				t.atKSeFFault(name, operation, times, more)
			}
		}
	}
}

// withScale makes an experiment's time pass faster or slower than others'.
func withScale(scale float64) func(*bedOptions) {
	return func(o *bedOptions) {
		o.ksef.TimeScale, o.teamogy.TimeScale = scale, scale
		o.settings["TIME_SCALE"] = fmt.Sprint(scale)
	}
}

// skewed puts KSeF's clock wrong before anything is there: the fault strikes a
// call that everybody may make.
func skewed(seconds float64) func(*trial) {
	return func(t *trial) {
		t.fault(t.ksefURL, more{"name": "clock-skew", "operation": "*", "seconds": seconds})
		t.controlRaw(http.MethodGet, t.ksefURL+"/v2/security/public-key-certificates", nil)
	}
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// atKSeFOnce orders one fault where its name belongs.
func atKSeFOnce(name, operation string, times int, more map[string]any) func(*trial) {
	return func(t *trial) { t.atKSeFFault(name, operation, times, more) }
}

type more = map[string]any

// ksefExperiments are all faults of KSeF that the product can meet. A test
// compares them with those that there are.
func ksefExperiments() []experiment {
	const (
		query    = "POST /invoices/query/metadata"
		download = "GET /invoices/ksef/{ksefNumber}"
		open     = "POST /sessions/online"
		send     = "POST /sessions/online/{ref}/invoices"
		closing  = "POST /sessions/online/{ref}/close"
		state    = "GET /sessions/{ref}"
		list     = "GET /sessions/{ref}/invoices"
		keys     = "GET /security/public-key-certificates"
		login    = "POST /auth/xades-signature"
		storage  = "GET /storage/{file}"
		upo      = "GET /sessions/{ref}/invoices/{invoiceRef}/upo"
	)
	all := []experiment{
		// What can happen to every call.
		{name: "request-dropped", direction: both, arrange: everywhereAtKSeF("request-dropped", 1, 4, nil)},
		{name: "answer-dropped", direction: both, arrange: everywhereAtKSeF("answer-dropped", 1, 4, nil)},
		{name: "reset", direction: both, arrange: everywhereAtKSeF("reset", 1, 4, nil)},
		{name: "reset-after", direction: both, arrange: everywhereAtKSeF("reset-after", 1, 4, nil)},
		{name: "timeout", direction: both, arrange: everywhereAtKSeF("timeout", 1, 3, more{"seconds": 0.2})},
		{name: "timeout-after", direction: both, arrange: everywhereAtKSeF("timeout-after", 1, 3, more{"seconds": 0.2})},
		{name: "bad-gateway", direction: both, arrange: everywhereAtKSeF("bad-gateway", 1, 4, nil)},
		{name: "bad-gateway-after", direction: both, arrange: everywhereAtKSeF("bad-gateway-after", 1, 4, nil)},
		{name: "html", direction: both, arrange: everywhereAtKSeF("html", 1, 4, nil)},
		{name: "waf-blocked", direction: both, arrange: everywhereAtKSeF("waf-blocked", 1, 3, nil)},
		{name: "too-many-requests", direction: both, arrange: everywhereAtKSeF("too-many-requests", 1, 2, nil)},
		{name: "rate-limit-storm", direction: both, arrange: func(t *trial) {
			for _, operation := range []string{query, download, send, state} {
				t.atKSeFFault("rate-limit-storm", operation, 4, nil)
			}
		}},
		{name: "status", variant: "503", direction: both, arrange: everywhereAtKSeF("status", 1, 4, more{"status": 503, "body": "maintenance"})},
		{name: "status", variant: "500", direction: both, arrange: everywhereAtKSeF("status", 1, 4, more{"status": 500})},
		{name: "status", variant: "401", direction: both, arrange: everywhereAtKSeF("status", 1, 2, more{"status": 401})},
		{name: "api-error", direction: both, arrange: func(t *trial) {
			for operation, code := range map[string]int{query: 21183, open: 21470, login: 21111} {
				t.atKSeFFault("api-error", operation, 1, more{"code": code})
			}
		}},
		{name: "download-truncated", direction: both, arrange: func(t *trial) {
			t.atKSeFFault("download-truncated", download, 5, nil)
			t.atKSeFFault("download-truncated", storage, 5, nil)
		}},
		{name: "unknown-fields", direction: both, arrange: atKSeFOnce("unknown-fields", "", 0, nil)},
		{name: "unknown-enums", direction: both, arrange: atKSeFOnce("unknown-enums", "", 0, nil)},
		{name: "system-warning", direction: both, arrange: atKSeFOnce("system-warning", "", -1, nil)},

		// Sessions and what becomes of invoices in them.
		{name: "close-failed-but-worked", direction: sent, arrange: atKSeFOnce("close-failed-but-worked", closing, 2, nil)},
		{name: "session-not-yet-known", direction: sent, arrange: func(t *trial) {
			t.atKSeFFault("session-not-yet-known", send, 4, nil)
			t.atKSeFFault("session-not-yet-known", closing, 1, nil)
			t.atKSeFFault("session-not-yet-known", state, 2, nil)
		}},
		{name: "session-unavailable", direction: sent, arrange: atKSeFOnce("session-unavailable", send, 5, nil)},
		{name: "list-lags", direction: sent, arrange: func(t *trial) {
			t.atKSeFFault("list-lags", "", -1, nil)
			t.atKSeFFault("answer-dropped", send, 5, nil)
		}},
		{name: "upo-not-ready", direction: sent, arrange: func(t *trial) {
			t.atKSeFFault("status", storage, 5, more{"status": 403})
			t.atKSeFFault("upo-not-ready", upo, 3, nil)
		}},
		{name: "invoice-stuck", direction: sent, arrange: atKSeFOnce("invoice-stuck", send, 5, more{"seconds": 3600})},
		{name: "invoice-cancelled", direction: sent, arrange: atKSeFOnce("invoice-cancelled", send, 4, nil)},
		{name: "duplicate-of-itself", direction: sent, arrange: atKSeFOnce("duplicate-of-itself", send, 5, nil)},
		{name: "original-in-foreign-session", direction: sent, arrange: atKSeFOnce("original-in-foreign-session", send, 5, nil)},
		{name: "original-session-wrong", direction: sent, arrange: func(t *trial) {
			// Only a real duplicate has an original: the same bytes once more, because
			// the answer was lost and the list does not show them for long.
			t.atKSeFFault("answer-dropped", send, 3, nil)
			t.atKSeFFault("list-lags", "", -1, more{"seconds": 6 * 3600})
			t.atKSeFFault("original-session-wrong", "", -1, nil)
		}, act: func(t *trial) {
			t.until("a duplicate was answered with a wrong session", func() bool {
				return slices.ContainsFunc(t.faultsAt(t.ksefURL), func(f orderedFault) bool { return f.Name == "original-session-wrong" && f.Fired > 0 })
			})
			t.endFaults(t.ksefURL)
		}},
		{name: "session-fails", direction: sent, arrange: atKSeFOnce("session-fails", closing, 1, nil)},
		{name: "key-rotated", direction: sent, arrange: func(t *trial) {
			t.atKSeFFault("key-rotated", keys, 1, nil)
			t.atKSeFFault("key-rotated", open, 1, nil)
		}},
		{name: "key-withdrawn", direction: sent, arrange: atKSeFOnce("key-withdrawn", open, 2, nil)},
		{name: "keys-of-another-environment", direction: sent, arrange: atKSeFOnce("keys-of-another-environment", keys, 1, nil)},
		{name: "link-expired", direction: sent, arrange: atKSeFOnce("link-expired", storage, 5, nil)},

		// Logins.
		{name: "login-stuck", direction: both, arrange: atKSeFOnce("login-stuck", login, 1, more{"seconds": 3600})},
		{name: "login-fails", direction: both, arrange: atKSeFOnce("login-fails", login, 2, nil)},

		// Time.
		{name: "hwm-went-back", direction: received, arrange: atKSeFOnce("hwm-went-back", query, -1, nil), act: func(t *trial) {
			t.until("it has gone back", func() bool { return t.struckAt(t.ksefURL) > 1 })
			t.endFaults(t.ksefURL)
		}},
		{name: "record-behind-hwm", direction: received, options: withScale(2400), prepare: func(t *trial) {
			t.atKSeFFault("record-behind-hwm", "POST /_sim/seed", 3, nil)
		}},
		{name: "clock-skew", variant: "ahead", direction: both, prepare: skewed(600)},
		{name: "clock-skew", variant: "behind", direction: both, prepare: skewed(-600)},
		{name: "warsaw-midnight", direction: both, arrange: atKSeFOnce("warsaw-midnight", "", 1, nil)},
		// KSeF's clock leaps by months then, and only KSeF's: a query that a client
		// with the right time makes would be too long for it.
		{name: "dst-spring", direction: sent, arrange: atKSeFOnce("dst-spring", "", 1, nil)},
		{name: "dst-autumn", direction: sent, arrange: atKSeFOnce("dst-autumn", "", 1, nil)},
	}
	for i := range all {
		all[i].group, all[i].what, all[i].fired = ofKSeF, ksefsim.FaultEffect(all[i].name), allStruck
	}
	return all
}
