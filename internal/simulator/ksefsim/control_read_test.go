package ksefsim

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestControl_saysWhatIsAllowedInsteadOfWhatGoSays(t *testing.T) {
	w := newWorld(t, nil)
	for want, request := range map[string]struct {
		path string
		body any
	}{
		`unknown field \"pesel\"; there are [\"nip\" \"to\" \"permissions\" \"dropTokens\"]`: {"permissions", map[string]any{"pesel": "1"}},
		"generate: must be a number, not string":                                             {"seed", map[string]any{"generate": "many"}},
		"dropTokens: must be true or false, not number":                                      {"permissions", map[string]any{"dropTokens": 1}},
		"is no time such as": {"clock", map[string]any{"set": "tomorrow"}},
		"is no JSON object":  {"reset-not", nil},
		`kind \"stamp\": must be one of [\"seal\" \"person\"]`: {"certificates", map[string]any{"nip": testNIP, "kind": "stamp"}},
		"to: want": {"permissions", map[string]any{"nip": testNIP, "to": map[string]any{"type": "Pesel", "value": "x"}}},
	} {
		if request.body == nil {
			request.path, request.body = "faults", []byte("oh no")
		}
		a := w.do(http.MethodPost, "/_sim/"+request.path, "", request.body)
		assert.Equal(t, 400, a.status, want)
		assert.Contains(t, string(a.body), want)
		assert.NotContains(t, string(a.body), "Go struct")
	}
}

func TestPermissions_canBeGrantedToSomebodyInEveryEnvironment(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.Environment = EnvironmentProduction })
	person := w.issue(map[string]any{"pesel": "44051401359"}).credentials
	code := func() (int, string) { return w.signIn(signing{credentials: person}, "") }
	got, detail := code()
	assert.Equal(t, 415, got)
	assert.Contains(t, detail, "44051401359", "who it was taken for")
	assert.Contains(t, detail, testNIP, "and where")
	to := map[string]any{"type": "Pesel", "value": "44051401359"}
	w.control("permissions", map[string]any{"nip": testNIP, "to": to, "permissions": []string{"InvoiceRead"}})
	got, _ = code()
	assert.Equal(t, 200, got)
	access, _ := w.loginWith(person, testNIP)
	assert.Equal(t, 200, w.query(access, "Subject2", "2026-11-01T00:00:00Z", nil, "").status)
	assert.Equal(t, 403, w.do(http.MethodPost, "/sessions/online", access, map[string]any{}).status)
	w.control("permissions", map[string]any{"nip": testNIP, "to": to, "permissions": []string{}})
	got, _ = code()
	assert.Equal(t, 415, got)
}
