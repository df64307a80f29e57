package ksefsim

import (
	"bytes"
	"io"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestSeed_takesFilesAsTheyAre(t *testing.T) {
	w := newWorld(t, nil)
	post := func(kind string, body []byte) (int, string) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.server.URL+"/_sim/seed?buyerNip="+testNIP, bytes.NewReader(body))
		require.NoError(t, err)
		r.Header.Set("Content-Type", kind)
		a, err := w.http.Do(r)
		require.NoError(t, err)
		defer a.Body.Close()
		data, err := io.ReadAll(a.Body)
		require.NoError(t, err)
		return a.StatusCode, string(data)
	}
	one := fa3{seller: otherNIP, buyer: thirdNIP, number: "ONE"}.xml()
	status, answer := post("application/xml", one)
	require.Equal(t, 200, status, answer)
	assert.Contains(t, answer, hexSHA256(one))
	archive := zipOf(t, packed{"a/1.XML", fa3{seller: otherNIP, number: "A"}.xml()}, packed{"readme.txt", []byte("no")}, packed{"2.xml", fa3{seller: otherNIP, number: "B"}.xml()})
	status, answer = post("application/zip", archive)
	require.Equal(t, 200, status, answer)
	w.clock.Advance(minute)
	found := w.query(w.login(testNIP), "Subject2", "2026-11-01T00:00:00Z", nil, "").json(t)["invoices"].([]any)
	assert.Len(t, found, 3, "shown to the buyer that was named")

	for want, body := range map[string][]byte{
		"holds no": zipOf(t, packed{"readme.txt", []byte("no")}),
		"archive":  []byte("no zip"),
		"becomes":  zipOf(t, bombs(11)...),
	} {
		status, answer := post("application/zip", body)
		assert.Equal(t, 400, status)
		assert.Contains(t, answer, want)
	}
}
