package ksefsim

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"crypto/rand"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// packed is one file of a package.
type packed struct {
	name string
	data []byte
}

func zipOf(t testing.TB, files ...packed) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, f := range files {
		w, err := z.Create(f.name)
		require.NoError(t, err)
		_, err = w.Write(f.data)
		require.NoError(t, err)
	}
	require.NoError(t, z.Close())
	return b.Bytes()
}

func tarGzOf(t testing.TB, files ...packed) []byte {
	t.Helper()
	var b bytes.Buffer
	g := gzip.NewWriter(&b)
	w := tar.NewWriter(g)
	for _, f := range files {
		require.NoError(t, w.WriteHeader(&tar.Header{Name: f.name, Mode: 0o600, Size: int64(len(f.data))}))
		_, err := w.Write(f.data)
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	require.NoError(t, g.Close())
	return b.Bytes()
}

// files are invoices as they lie in a package.
func files(invoices ...fa3) []packed {
	list := []packed{}
	for i, f := range invoices {
		list = append(list, packed{"faktura-" + itoa(i+1) + ".xml", f.xml()})
	}
	return list
}

// batchSender is an open batch session with its encrypted parts.
type batchSender struct {
	*sender
	parts   [][]byte
	uploads []map[string]any
}

// batchBody announces an archive that is cut into a number of parts.
func (s *sender) batchBody(archive []byte, count int) (body map[string]any, parts [][]byte) {
	s.t.Helper()
	announced := []any{}
	size := (len(archive) + count - 1) / count
	for i := range count {
		part := s.encrypt(archive[min(i*size, len(archive)):min((i+1)*size, len(archive))])
		parts = append(parts, part)
		announced = append(announced, map[string]any{"ordinalNumber": i + 1, "fileSize": len(part), "fileHash": hashBase64(part)})
	}
	body = s.openBody(s.key, s.iv)
	body["batchFile"] = map[string]any{"fileSize": len(archive), "fileHash": hashBase64(archive), "fileParts": announced}
	return body, parts
}

// newSender is a sender with a key and without a session.
func (w *world) newSender(access string) *sender {
	s := &sender{world: w, access: access, key: make([]byte, 32), iv: make([]byte, 16)}
	_, _ = rand.Read(s.key)
	_, _ = rand.Read(s.iv)
	return s
}

// openBatch opens a session for an archive. change may spoil the request.
func (w *world) openBatch(access string, archive []byte, count int, change func(map[string]any)) *batchSender {
	w.t.Helper()
	b := &batchSender{sender: w.newSender(access)}
	var body map[string]any
	body, b.parts = b.batchBody(archive, count)
	if change != nil {
		change(body)
	}
	b.start(body)
	return b
}

func (b *batchSender) start(body map[string]any) {
	b.t.Helper()
	a := b.do(http.MethodPost, "/sessions/batch", b.access, body)
	require.Equal(b.t, 201, a.status, "%s", a.body)
	doc := a.json(b.t)
	b.ref = doc["referenceNumber"].(string)
	for _, u := range doc["partUploadRequests"].([]any) {
		b.uploads = append(b.uploads, u.(map[string]any))
	}
}

// put uploads a part; number counts from 1.
func (b *batchSender) put(number int, data []byte, headers ...string) answer {
	b.t.Helper()
	if headers == nil {
		headers = []string{blobTypeHeader, blobType}
	}
	return b.do(http.MethodPut, b.uploads[number-1]["url"].(string), "", data, headers...)
}

func (b *batchSender) upload() {
	b.t.Helper()
	for i, part := range b.parts {
		a := b.put(i+1, part)
		require.Equal(b.t, 201, a.status, "%s", a.body)
	}
}

func (b *batchSender) tryClose() answer {
	b.t.Helper()
	return b.do(http.MethodPost, "/sessions/batch/"+b.ref+"/close", b.access, nil)
}

func (b *batchSender) close() {
	b.t.Helper()
	a := b.tryClose()
	require.Equal(b.t, 204, a.status, "%s", a.body)
}

// sendBatch sends invoices in one zip archive of one part.
func (w *world) sendBatch(access string, invoices ...fa3) *batchSender {
	w.t.Helper()
	b := w.openBatch(access, zipOf(w.t, files(invoices...)...), 1, nil)
	b.upload()
	b.close()
	return b
}

// allowAttachments notifies that a taxpayer issues invoices with attachments.
func (w *world) allowAttachments(nip string) {
	w.sim.lock(w.sim.now())
	defer w.sim.mu.Unlock()
	w.sim.attachments[nip] = time.Time{}
}

// list is every invoice of a session, page by page.
func (s *sender) list() []map[string]any {
	s.t.Helper()
	found, token := []map[string]any{}, ""
	for {
		a := s.do(http.MethodGet, "/sessions/"+s.ref+"/invoices?pageSize=1000", s.access, nil, "x-continuation-token", token)
		require.Equal(s.t, 200, a.status, "%s", a.body)
		doc := a.json(s.t)
		for _, i := range doc["invoices"].([]any) {
			found = append(found, i.(map[string]any))
		}
		if token, _ = doc["continuationToken"].(string); token == "" {
			return found
		}
	}
}

// codes are the statuses of a session's invoices, in their order.
func (s *sender) codes() []int {
	s.t.Helper()
	codes := []int{}
	for _, i := range s.list() {
		codes = append(codes, statusCode(i))
	}
	return codes
}

// driveBatch uses the operations of batch sessions as they should be.
func (w *world) driveBatch(access string) *batchSender {
	w.t.Helper()
	b := w.sendBatch(access, fa3{number: "B/1"}, fa3{number: "B/1"}, fa3{number: "B/2", date: "2026-11-30"})
	get := func(path string) answer { return w.do(http.MethodGet, path, access, nil) }
	for range 3 {
		b.session()
		get("/sessions?sessionType=Batch")
		get("/sessions/" + b.ref + "/invoices/failed")
		b.invoice(b.list()[0]["referenceNumber"].(string))
		w.clock.Advance(stepInTests)
	}
	page := b.session()["upo"].(map[string]any)["pages"].([]any)[0].(map[string]any)
	get("/sessions/" + b.ref + "/upo/" + page["referenceNumber"].(string))
	return b
}
