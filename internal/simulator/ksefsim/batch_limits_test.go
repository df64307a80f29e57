package ksefsim

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// limitSessions gives a context limits of its own.
func (w *world) limitSessions(nip string, online, batch sessionLimits) {
	w.sim.lock(w.sim.now())
	defer w.sim.mu.Unlock()
	w.sim.ownSessionLimits[nip] = contextSessionLimits{online, batch}
}

func TestSessions_keepToTheLimitsOfTheirContext(t *testing.T) {
	w := newWorld(t, nil)
	access := w.login(testNIP)
	w.limitSessions(testNIP, sessionLimits{2000, 3_000_000, 2}, sessionLimits{1_000_000, 2_000_000, 3})
	large := fa3{number: "LARGE", extra: "<Stopka>" + strings.Repeat("x", 2000) + "</Stopka>"}

	s := w.open(access)
	ref := s.send(large.xml())
	s.send(fa3{number: "2"}.xml())
	path := "/sessions/online/" + s.ref + "/invoices"
	assert.Equal(t, 21155, w.do(http.MethodPost, path, access, s.body(fa3{number: "3"}.xml())).code())
	w.clock.Advance(stepInTests)
	assert.Equal(t, 430, statusCode(s.invoice(ref)), "too large online")
	w.limitSessions(testNIP, sessionLimits{2000, 2500, 10}, sessionLimits{1_000_000, 2_000_000, 3})
	assert.Equal(t, 21405, w.do(http.MethodPost, path, access, s.body(large.xml())).code(), "larger than any may be")

	b := w.sendBatch(access, large, fa3{number: "B2"}, fa3{number: "B3"})
	four := w.sendBatch(access, fa3{number: "1"}, fa3{number: "2"}, fa3{number: "3"}, fa3{number: "4"})
	w.clock.Advance(2 * stepInTests)
	assert.Equal(t, []int{200, 200, 200}, b.codes())
	assert.Equal(t, 420, statusCode(four.session()))
	assert.NotEmpty(t, four.session()["status"].(map[string]any)["details"])
}

func TestOpenSession_isStruckByChangesOfTheKeys(t *testing.T) {
	w := newWorld(t, nil)
	access := w.login(testNIP)
	s := w.newSender(access)
	for _, operation := range []string{"/sessions/online", "/sessions/batch"} {
		old, _ := s.batchBody(zipOf(t, files(fa3{number: operation})...), 1)
		if operation == "/sessions/online" {
			delete(old, "batchFile")
		}
		w.disturb("key-rotated", map[string]any{"operation": "POST " + operation})
		assert.Equal(t, 201, w.do(http.MethodPost, operation, access, old).status, "old keys work beside new ones")
		w.disturb("key-withdrawn", map[string]any{"operation": "POST " + operation})
		assert.Equal(t, 21470, w.do(http.MethodPost, operation, access, old).code())
		delete(old["encryption"].(map[string]any), "publicKeyId")
		a := w.do(http.MethodPost, operation, access, old)
		assert.Equal(t, 201, a.status, "without the key's name it shows later")
	}
	assert.Equal(t, 201, w.do(http.MethodPost, "/sessions/online", access, w.openBody(s.key, s.iv)).status)
}

func TestUploadPart_wantsALengthOfAtMost100MB(t *testing.T) {
	w := newWorld(t, nil)
	b := w.openBatch(w.login(testNIP), zipOf(t, files(fa3{})...), 1, nil)
	for code, length := range map[string]int64{"MissingContentLengthHeader": -1, "RequestBodyTooLarge": 100_000_017, "IncompleteBody": 100} {
		r := httptest.NewRequest(http.MethodPut, b.uploads[0]["url"].(string), bytes.NewReader(make([]byte, 16)))
		r.ContentLength = length
		r.Header.Set(blobTypeHeader, blobType)
		recorder := httptest.NewRecorder()
		w.sim.Handler().ServeHTTP(recorder, r)
		assert.Equal(t, 400, recorder.Code)
		assert.Equal(t, code, recorder.Header().Get("x-ms-error-code"))
	}
}

func TestBatch_takesPartsInParallelAndIsWatchedMeanwhile(t *testing.T) {
	w := newWorld(t, nil)
	access := w.login(testNIP)
	b := w.openBatch(access, zipOf(t, manyFiles(200, "")...), 8, nil)
	var wg sync.WaitGroup
	for i, part := range b.parts {
		wg.Go(func() { assert.Equal(t, 201, b.put(i+1, part).status) })
		wg.Go(func() { b.session() })
	}
	wg.Wait()
	closes := make([]int, 4)
	for i := range closes {
		wg.Go(func() { closes[i] = b.tryClose().status })
		wg.Go(func() { b.list() })
	}
	wg.Wait()
	assert.ElementsMatch(t, []int{204, 400, 400, 400}, closes, "one close only")
	w.clock.Advance(2 * stepInTests)
	doc := b.session()
	assert.Equal(t, 200, statusCode(doc))
	assert.EqualValues(t, 200, doc["successfulInvoiceCount"])
}

func TestPartedFile_readsAsOne(t *testing.T) {
	var whole []byte
	var f partedFile
	for size := range 9 {
		part := bytes.Repeat([]byte{byte(size)}, size*size)
		whole = append(whole, part...)
		f.append(part)
	}
	require.EqualValues(t, len(whole), f.size)
	assert.NoError(t, iotest.TestReader(io.NewSectionReader(&f, 0, f.size), whole))
	joined, err := io.ReadAll(f.reader())
	require.NoError(t, err)
	assert.Equal(t, whole, joined)
	_, err = f.ReadAt(make([]byte, 1), f.size)
	assert.ErrorIs(t, err, io.EOF)
}
