package ksefsim

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestEnvironment_mustBeOneThatExists(t *testing.T) {
	_, err := New(Config{Environment: "prod"})
	require.ErrorContains(t, err, `"production"`)
}

func TestCheckDigitsOfNIPs_areCheckedOnTESTOnlyOnRequest(t *testing.T) {
	w := newWorld(t, nil)
	s := w.open(w.login(testNIP))
	wrong := func(number string) []byte { return fa3{buyer: "5265877636", number: number}.xml() }
	lenient := s.send(wrong("L"))
	a := s.do(http.MethodPost, "/sessions/online/"+s.ref+"/invoices", s.access, s.body(wrong("S")),
		"X-KSeF-Feature", "enforce-xades-compliance, subject-identifier-validation")
	strict := a.json(t)["referenceNumber"].(string)
	w.clock.Advance(minute)
	assert.Equal(t, 200, statusCode(s.invoice(lenient)))
	doc := s.invoice(strict)
	assert.Equal(t, 450, statusCode(doc))
	assert.Contains(t, doc["status"].(map[string]any)["details"].([]any)[0], "5265877636")
}

func TestSystemWarning_isAnsweredOnRequestOnTEST(t *testing.T) {
	w := newWorld(t, nil)
	a := w.do(http.MethodPost, "/auth/challenge", "", nil, "X-Test-System-Warning", "[abc-001]: tak")
	assert.Equal(t, "[abc-001]: tak", a.header.Get("X-System-Warning"))
	a = w.do(http.MethodPost, "/auth/challenge", "", nil, "X-Test-System-Warning", "[abc-002]: żółć 1€")
	assert.Equal(t, "[abc-002]: zolc 1?", a.header.Get("X-System-Warning"), "folded to ASCII")
	assert.Empty(t, w.do(http.MethodPost, "/auth/challenge", "", nil).header.Get("X-System-Warning"))
}
