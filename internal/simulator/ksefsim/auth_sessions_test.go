package ksefsim

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestAuthSessions_areListedNewestFirstAndRevoked(t *testing.T) {
	w := newWorld(t, nil)
	seal := sealOf(t, testNIP)
	var refresh []string
	access := ""
	for range 12 {
		var r string
		access, r = w.loginWith(seal, testNIP)
		refresh = append(refresh, r)
		w.clock.Advance(time.Second)
	}
	stranger := w.login(otherNIP)
	page := w.do(http.MethodGet, "/auth/sessions", access, nil).json(t)
	items := page["items"].([]any)
	require.Len(t, items, 10, "ten to a page")
	first := items[0].(map[string]any)
	assert.Equal(t, true, first["isCurrent"], "newest first")
	assert.Equal(t, true, first["isTokenRedeemed"])
	assert.Equal(t, false, items[1].(map[string]any)["isCurrent"])
	assert.Greater(t, first["startDate"], items[1].(map[string]any)["startDate"])
	rest := w.do(http.MethodGet, "/auth/sessions", access, nil, "x-continuation-token", page["continuationToken"].(string)).json(t)
	require.Len(t, rest["items"], 2)
	assert.NotContains(t, rest, "continuationToken")
	assert.Len(t, w.do(http.MethodGet, "/auth/sessions?pageSize=100", access, nil).json(t)["items"], 12)
	assert.Len(t, w.do(http.MethodGet, "/auth/sessions", stranger, nil).json(t)["items"], 1, "everybody sees his own")
	for _, size := range []string{"9", "101", "x"} {
		assert.Equal(t, 21405, w.do(http.MethodGet, "/auth/sessions?pageSize="+size, access, nil).code())
	}
	assert.Equal(t, 21418, w.do(http.MethodGet, "/auth/sessions", access, nil, "x-continuation-token", "junk").code())

	oldest := rest["items"].([]any)[1].(map[string]any)["referenceNumber"].(string)
	assert.Equal(t, 21405, w.do(http.MethodDelete, "/auth/sessions/"+oldest, stranger, nil).code(), "somebody else's")
	assert.Equal(t, 200, w.do(http.MethodPost, "/auth/token/refresh", refresh[0], nil).status)
	assert.Equal(t, 204, w.do(http.MethodDelete, "/auth/sessions/"+oldest, access, nil).status)
	assert.Equal(t, 21405, w.do(http.MethodDelete, "/auth/sessions/"+oldest, access, nil).code(), "it is not active any more")
	assert.Equal(t, 21301, w.do(http.MethodPost, "/auth/token/refresh", refresh[0], nil).code())
	assert.Equal(t, 200, w.do(http.MethodPost, "/auth/token/refresh", refresh[1], nil).status, "the others go on")
	assert.Len(t, w.do(http.MethodGet, "/auth/sessions?pageSize=100", access, nil).json(t)["items"], 11)

	assert.Equal(t, 204, w.do(http.MethodDelete, "/auth/sessions/current", refresh[1], nil).status, "with the refresh token too")
	assert.Equal(t, 21301, w.do(http.MethodPost, "/auth/token/refresh", refresh[1], nil).code())
	w.clock.Advance(8 * 24 * time.Hour)
	assert.Len(t, w.do(http.MethodGet, "/auth/sessions", w.login(testNIP), nil).json(t)["items"], 1, "ended ones are not listed")
}

func TestAuthStatus_isGoneAfterSevenDays(t *testing.T) {
	w := newWorld(t, nil)
	seal := sealOf(t, testNIP)
	authToken, ref := w.authenticate(signing{credentials: seal, nip: testNIP})
	w.clock.Advance(time.Second)
	require.Equal(t, 200, w.do(http.MethodPost, "/auth/token/redeem", authToken, nil).status)
	w.clock.Advance(7*24*time.Hour - 2*time.Second)
	later, _ := w.authenticate(signing{credentials: seal, nip: testNIP})
	stranger, _ := w.authenticate(signing{credentials: sealOf(t, otherNIP), nip: otherNIP})
	assert.Equal(t, 401, w.do(http.MethodGet, "/auth/"+ref, authToken, nil).status, "its own token is long over")
	assert.Equal(t, 21304, w.do(http.MethodGet, "/auth/"+ref, later, nil).code(), "the token of another log-in")
	assert.Equal(t, 21304, w.do(http.MethodGet, "/auth/"+ref, stranger, nil).code())
	for _, d := range []time.Duration{time.Second, 30 * time.Minute} {
		w.clock.Advance(d)
		a := w.do(http.MethodGet, "/auth/"+ref, later, nil)
		assert.Equal(t, 410, a.status)
		assert.Equal(t, "application/problem+json", a.header.Get("Content-Type"))
		assert.EqualValues(t, 410, a.json(t)["status"])
		assert.Equal(t, 21304, w.do(http.MethodGet, "/auth/"+ref, stranger, nil).code())
		w.newChallenge() // forgets what is over
	}
	unknown := newReference(kindAuth, w.clock.Now())
	assert.Equal(t, 21304, w.do(http.MethodGet, "/auth/"+unknown, later, nil).code())
}

func TestAllowedIPs_boundTheTokensOfBothWaysOfLoggingIn(t *testing.T) {
	w := newWorld(t, nil)
	token, _ := w.ksefToken(map[string]any{"nip": testNIP, "permissions": []string{"InvoiceRead"}})
	for name, tc := range map[string]struct {
		xml     string
		kind    string
		entry   string
		allowed bool
	}{
		"address":          {"<Ip4Address>127.0.0.1</Ip4Address>", "ip4Addresses", "127.0.0.1", true},
		"range":            {"<Ip4Range>126.0.0.0-127.0.0.1</Ip4Range>", "ip4Ranges", "126.0.0.0-127.0.0.1", true},
		"mask":             {"<Ip4Mask>127.77.0.0/8</Ip4Mask>", "ip4Masks", "127.77.0.0/8", true},
		"another address":  {"<Ip4Address>127.0.0.2</Ip4Address>", "ip4Addresses", "127.0.0.2", false},
		"another range":    {"<Ip4Range>127.0.0.2-127.0.0.9</Ip4Range>", "ip4Ranges", "127.0.0.2-127.0.0.9", false},
		"another network":  {"<Ip4Mask>127.0.0.2/31</Ip4Mask>", "ip4Masks", "127.0.0.2/31", false},
		"the second of it": {"<Ip4Address>10.0.0.1</Ip4Address><Ip4Mask>0.0.0.0/0</Ip4Mask>", "ip4Masks", "0.0.0.0/0", true},
	} {
		t.Run(name, func(t *testing.T) {
			check := func(access, refresh string) {
				for method, path := range map[string]string{http.MethodGet: "/rate-limits", http.MethodPost: "/auth/token/refresh"} {
					bearer := access
					if method == http.MethodPost {
						bearer = refresh
					}
					a := w.do(method, path, bearer, nil)
					if tc.allowed {
						assert.Equal(t, 200, a.status, path)
						continue
					}
					require.Equal(t, 403, a.status, path)
					assert.Equal(t, "ip-not-allowed", a.json(t)["reasonCode"])
					assert.Equal(t, "127.0.0.1", a.json(t)["security"].(map[string]any)["clientIp"])
				}
			}
			s := signing{credentials: sealOf(t, testNIP), nip: testNIP, policy: tc.xml, challenge: w.newChallenge()}
			_, access, refresh := w.finish(w.do(http.MethodPost, "/auth/xades-signature", "", s.document(t)))
			check(access, refresh)
			body := w.tokenBody(token, testNIP)
			body["authorizationPolicy"] = map[string]any{"allowedIps": map[string]any{tc.kind: []string{tc.entry}}}
			_, access, refresh = w.finish(w.tokenLogin(body))
			check(access, refresh)
		})
	}
	for name, xml := range map[string]string{
		"no address":      "<Ip4Address>127.0.0</Ip4Address>",
		"backwards":       "<Ip4Range>127.0.0.2-127.0.0.1</Ip4Range>",
		"out of order":    "<Ip4Mask>10.0.0.0/8</Ip4Mask><Ip4Address>127.0.0.1</Ip4Address>",
		"unknown element": "<Ip6Address>::1</Ip6Address>",
	} {
		s := signing{credentials: sealOf(t, testNIP), nip: testNIP, policy: xml, challenge: w.newChallenge()}
		assert.Equal(t, 21401, w.do(http.MethodPost, "/auth/xades-signature", "", s.document(t)).code(), name)
	}
}

func TestIPPolicy_countsItsEnds(t *testing.T) {
	var p ipPolicy
	require.True(t, p.add("Ip4Range", "10.0.0.5-10.0.0.7"))
	require.True(t, p.add("Ip4Mask", "192.168.1.77/30"))
	for ip, want := range map[string]bool{
		"10.0.0.4": false, "10.0.0.5": true, "10.0.0.7": true, "10.0.0.8": false,
		"192.168.1.75": false, "192.168.1.76": true, "192.168.1.79": true, "192.168.1.80": false,
		"::ffff:10.0.0.6": true, "::1": false, "junk": false,
	} {
		assert.Equal(t, want, p.allows(ip), ip)
	}
	assert.True(t, ipPolicy(nil).allows("::1"), "no policy")
}

func TestLoginFaults_keepOneAtWorkOrEndIt(t *testing.T) {
	w := newWorld(t, nil)
	token, _ := w.ksefToken(map[string]any{"nip": testNIP, "permissions": []string{"InvoiceRead"}})
	w.control("faults", map[string]any{"name": "login-stuck"})
	authToken, ref := w.authenticate(signing{credentials: sealOf(t, testNIP), nip: testNIP})
	code := func() int { return statusCode(w.do(http.MethodGet, "/auth/"+ref, authToken, nil).json(t)) }
	w.clock.Advance(40 * time.Minute)
	assert.Equal(t, 100, code())
	assert.Equal(t, 21301, w.do(http.MethodPost, "/auth/token/redeem", authToken, nil).code())
	w.login(testNIP) // once only
	w.control("faults", map[string]any{"name": "login-stuck", "seconds": 60})
	authToken, ref = w.authenticate(signing{credentials: sealOf(t, testNIP), nip: testNIP})
	w.clock.Advance(59 * time.Second)
	assert.Equal(t, 100, code())
	w.clock.Advance(time.Second)
	assert.Equal(t, 200, code())

	w.control("faults", map[string]any{"name": "login-fails"})
	status, _, _ := w.finish(w.tokenLogin(w.tokenBody(token, testNIP)))
	assert.Equal(t, 450, statusCode(status))
	w.control("faults", map[string]any{"name": "login-fails", "status": 550})
	status, _, _ = w.finish(w.tokenLogin(w.tokenBody(token, testNIP)))
	assert.Equal(t, 550, statusCode(status))
}
