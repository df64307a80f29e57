package ksef

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"teamogy-ksef/internal/simulator/ksefsim"
)

// TestSignature_isJudgedAlikeByTheSimulatorAndXmlsec puts our signed request,
// and eight ways of tampering with it, before two judges that share no code
// with us or with each other.
func TestSignature_isJudgedAlikeByTheSimulatorAndXmlsec(t *testing.T) {
	needTool(t, "xmlsec1")
	sim, err := ksefsim.New(ksefsim.Config{Clock: func() time.Time { return testNow }, Limits: ksefsim.LimitsOff})
	require.NoError(t, err)
	server := httptest.NewServer(sim.Handler())
	t.Cleanup(server.Close)
	post := func(path string, body []byte) (int, []byte) {
		t.Helper()
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+"/v2"+path, bytes.NewReader(body))
		require.NoError(t, err)
		request.Header.Set("Content-Type", "application/xml")
		answer, err := server.Client().Do(request)
		require.NoError(t, err)
		defer answer.Body.Close()
		data, err := io.ReadAll(answer.Body)
		require.NoError(t, err)
		return answer.StatusCode, data
	}
	seal := slices.DeleteFunc(slices.Clone(polishName), func(p part) bool { return p.oid == "2.5.4.4" }) // a seal has no surname
	for _, s := range signers() {
		t.Run(s.name, func(t *testing.T) {
			c := Credentials{Certificate: newCertificate(t, s.key, seal, nil), Key: s.key}
			dir := t.TempDir()
			certificate := filepath.Join(dir, "certificate.pem")
			require.NoError(t, os.WriteFile(certificate, pemOf("CERTIFICATE", c.Certificate.Raw), 0o600))
			var issued struct{ Challenge string }
			_, body := post("/auth/challenge", nil)
			require.NoError(t, json.Unmarshal(body, &issued))
			doc, err := signAuthTokenRequest(c, issued.Challenge, "5265877635", testNow)
			require.NoError(t, err)

			tampered := tamperedCopies(t, doc)
			digests := regexp.MustCompile(`<ds:DigestValue>(.{4})`).FindAllIndex(doc, -1)
			require.GreaterOrEqual(t, len(digests), 2)
			for n, what := range []string{"request digest", "properties digest"} {
				copied := bytes.Clone(doc)
				at := digests[n][1] - 1
				copied[at] = map[bool]byte{true: 'A', false: 'B'}[copied[at] != 'A']
				tampered[what] = copied
			}
			require.Len(t, tampered, 8)
			for what, copied := range tampered {
				good, _ := xmlsecVerifies(t, dir, certificate, copied)
				assert.False(t, good, "xmlsec1: %s", what)
				status, body := post("/auth/xades-signature", copied)
				assert.Equal(t, http.StatusBadRequest, status, "the simulator: %s: %s", what, body)
				assert.Contains(t, string(body), `"exceptionCode":9105`, "the simulator: %s", what)
			}
			good, output := xmlsecVerifies(t, dir, certificate, doc)
			assert.True(t, good, output)
			status, body := post("/auth/xades-signature", doc)
			assert.Equal(t, http.StatusAccepted, status, "%s", body)
		})
	}
}
