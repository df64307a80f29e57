package teamogysim

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestToken_isLimitedToAddresses(t *testing.T) {
	s := start(t, nil)
	units := func() int { return s.do("GET", "/views/units", nil).status }
	for _, c := range []struct {
		ips  []string
		want int
	}{
		{[]string{"10.0.0.0/8", "192.0.2.7"}, 403},
		{[]string{"10.0.0.0/8", "127.0.0.0/8"}, 200},
		{[]string{"127.0.0.1"}, 200},
		{[]string{"::1"}, 403},
		{[]string{}, 200},
	} {
		s.ok("POST", "/_sim/token", fields{"ips": c.ips})
		assert.Equal(t, c.want, units(), "%v", c.ips)
	}
	s.ok("POST", "/_sim/token", fields{"ips": []string{"10.0.0.0/8"}})
	s.switched(fields{"ipRefusalStatus": 401})
	assert.Equal(t, 401, units())

	s = start(t, func(c *Config) { c.KeyIPs = []string{"10.0.0.0/8"} })
	assert.Equal(t, 403, units())
	s.ok("POST", "/_sim/token", fields{"ips": []string{}})
	assert.Equal(t, 200, units())
	s.ok("POST", "/_sim/reset", nil)
	assert.Equal(t, 403, units())
}

func TestTenant_isLimitedToAddresses(t *testing.T) {
	s := start(t, nil)
	id := s.seedSales(fields{"xml": []byte("<a/>"), "xmlIn": "attachment"})[0]
	s.switched(fields{"allowedIps": []string{"198.51.100.0/24"}})
	assert.Equal(t, 403, s.do("GET", "/views/units", nil).status)
	assert.Equal(t, 403, s.do("GET", "/files/"+id+"/faktura.xml", nil).status)
	s.switched(fields{"allowedIps": []string{"198.51.100.0/24", "127.0.0.1"}})
	assert.Equal(t, 200, s.do("GET", "/views/units", nil).status)
}

func TestToken_isLimitedToMethodsAndPaths(t *testing.T) {
	s := start(t, nil)
	statuses := func() []int {
		return []int{s.do("GET", "/views/units", nil).status, s.do("GET", "/users", nil).status, s.do("POST", "/documents", purchase(nil)).status}
	}
	for _, c := range []struct {
		limits fields
		want   []int
	}{
		{fields{}, []int{200, 200, 201}},
		{fields{"methods": []string{"GET"}}, []int{200, 200, 403}},
		{fields{"methods": []string{"ALL"}}, []int{200, 200, 201}},
		{fields{"paths": []string{"/views/*"}}, []int{200, 403, 403}},
		{fields{"paths": []string{"/views/*", "/documents"}}, []int{200, 403, 201}},
		{fields{"paths": []string{"/*"}, "methods": []string{"POST"}}, []int{403, 403, 201}},
		{fields{"paths": []string{}, "methods": []string{}}, []int{200, 200, 201}},
	} {
		s.ok("POST", "/_sim/token", c.limits)
		assert.Equal(t, c.want, statuses(), "%v", c.limits)
	}
	for _, status := range []int{401, 403, 404, 405} {
		s.ok("POST", "/_sim/token", fields{"methods": []string{"GET"}})
		s.switched(fields{"scopeRefusalStatus": status})
		assert.Equal(t, []int{200, 200, status}, statuses())
	}
	s = start(t, func(c *Config) { c.KeyMethods, c.KeyPaths = []string{"GET"}, []string{"/users"} })
	assert.Equal(t, []int{403, 200, 403}, statuses())
}

func TestToken_expires(t *testing.T) {
	s := start(t, func(c *Config) { c.KeyExpires = time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC) })
	assert.Equal(t, 200, s.do("GET", "/views/units", nil).status)
	s.ok("POST", "/_sim/clock", fields{"advance": "240h"})
	assert.Equal(t, 401, s.do("GET", "/views/units", nil).status)
	s.switched(fields{"unknownKeyStatus": 403})
	assert.Equal(t, 403, s.do("GET", "/views/units", nil).status)
	s.ok("POST", "/_sim/token", fields{"expiresAt": nil})
	assert.Equal(t, 200, s.do("GET", "/views/units", nil).status)
	s.ok("POST", "/_sim/token", fields{"expiresAt": "2026-11-22T10:00:00Z"})
	assert.Equal(t, 403, s.do("GET", "/views/units", nil).status)
}

func TestToken_keepsWhatIsNotNamed(t *testing.T) {
	s := start(t, nil)
	s.ok("POST", "/_sim/token", fields{"rights": []string{"view-companies"}})
	s.ok("POST", "/_sim/token", fields{"ips": []string{"127.0.0.1"}})
	want := fields{"rights": []any{"view-companies"}, "ips": []any{"127.0.0.1"}, "methods": []any{}, "paths": []any{}, "expiresAt": nil}
	assert.Equal(t, want, s.ok("GET", "/_sim/token", nil))
	s.ok("POST", "/_sim/token", fields{"rights": "all"})
	want["rights"] = []any{"view-companies", "create-received", "patch-issued"}
	assert.Equal(t, want, s.ok("GET", "/_sim/token", nil))

	s = start(t, func(c *Config) { c.KeyRights = []string{} })
	assert.Equal(t, 403, s.do("GET", "/views/units", nil).status)
	s.switched(fields{"rightsRefusalStatus": 404})
	assert.Equal(t, 404, s.do("GET", "/views/units", nil).status)
	s.switched(fields{"rightsRefusalStatus": 401})
	assert.Equal(t, 401, s.do("GET", "/views/units", nil).status)
}

func TestToken_refusesWrongLimitsAndSaysWhatIsAllowed(t *testing.T) {
	s := start(t, nil)
	for body, want := range map[string]string{
		`{"ips":["everywhere"]}`: "10.0.0.0/8", `{"methods":["DELETE"]}`: "GET, POST, PATCH or ALL", `{"paths":["documents"]}`: "/views/*",
		`{"expiresAt":"soon"}`: "2026-12-01T00:00:00Z", `{"rights":"some"}`: "view-companies", `{"rights":["fly"]}`: "edit-companies",
		`{"right":"all"}`: "the fields are rights, ips, methods, paths, expiresAt",
	} {
		r := s.do("POST", "/_sim/token", body)
		assert.Equal(t, 400, r.status, body)
		assert.Contains(t, string(r.body), want, body)
	}
	assert.Panics(t, func() { New(Config{KeyRights: []string{"fly"}}) })
	assert.Panics(t, func() { New(Config{KeyIPs: []string{"x"}}) })
}
