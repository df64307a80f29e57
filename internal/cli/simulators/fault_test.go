package simulators

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"teamogy-ksef/internal/simulator/ksefsim"
)

func TestParseFault_readsEverySetting(t *testing.T) {
	f, err := ParseFault("status,operation=POST /sessions/online/{ref}/invoices,times=3,skip=1,probability=0.5,seed=7,seconds=1.5,status=503,code=21184,retryAfter=9,contentType=text/html,body=<a b=c>")
	require.NoError(t, err)
	assert.Equal(t, ksefsim.Fault{
		Name: "status", Operation: "POST /sessions/online/{ref}/invoices", Times: 3, Skip: 1, Probability: 0.5, Seed: 7,
		Seconds: 1.5, Status: 503, Code: 21184, RetryAfter: 9, ContentType: "text/html", Body: "<a b=c>",
	}, f)
	f, err = ParseFault("session-unavailable")
	require.NoError(t, err)
	assert.Equal(t, ksefsim.Fault{Name: "session-unavailable"}, f)
}

func TestStart_refusesAFaultThatMeansNothing(t *testing.T) {
	_, err := Start(Options{KSeFAddress: "127.0.0.1:0", TeamogyAddress: "127.0.0.1:0", Faults: []ksefsim.Fault{{Name: "html"}}})
	require.ErrorContains(t, err, "operation is missing")
}

func TestStart_withoutControlHasNone(t *testing.T) {
	s, err := Start(Options{KSeFAddress: "127.0.0.1:0", TeamogyAddress: "127.0.0.1:0", NoControl: true})
	require.NoError(t, err)
	defer s.Stop()
	for _, base := range []string{s.KSeFURL, s.TeamogyURL} {
		require.ErrorContains(t, NewControl(base).Get(t.Context(), "health", nil), "404")
	}
}
