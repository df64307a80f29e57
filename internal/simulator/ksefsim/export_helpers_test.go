package ksefsim

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// orderedExport is an export that was ordered, with its key.
type orderedExport struct {
	*world
	access, ref string
	key, iv     []byte
}

// exportBody is an order of an export with a key of its own.
func (w *world) exportBody(filters, more map[string]any) (body map[string]any, key, iv []byte) {
	key, iv = make([]byte, 32), make([]byte, 16)
	_, _ = rand.Read(key)
	_, _ = rand.Read(iv)
	body = map[string]any{"encryption": w.openBody(key, iv)["encryption"], "filters": filters}
	for k, v := range more {
		body[k] = v
	}
	return body, key, iv
}

func (w *world) order(access string, filters, more map[string]any) *orderedExport {
	w.t.Helper()
	body, key, iv := w.exportBody(filters, more)
	a := w.do(http.MethodPost, "/invoices/exports", access, body)
	require.Equal(w.t, 201, a.status, "%s", a.body)
	return &orderedExport{world: w, access: access, ref: a.json(w.t)["referenceNumber"].(string), key: key, iv: iv}
}

func (o *orderedExport) status() map[string]any {
	o.t.Helper()
	a := o.do(http.MethodGet, "/invoices/exports/"+o.ref, o.access, nil)
	require.Equal(o.t, 200, a.status, "%s", a.body)
	return a.json(o.t)
}

// ready is the package of an export that has to be ready.
func (o *orderedExport) ready() map[string]any {
	o.t.Helper()
	doc := o.status()
	require.Equal(o.t, 200, statusCode(doc), "%v", doc)
	return doc["package"].(map[string]any)
}

func partsOf(pack map[string]any) []map[string]any {
	list := []map[string]any{}
	for _, p := range pack["parts"].([]any) {
		list = append(list, p.(map[string]any))
	}
	return list
}

// contents downloads every part, checks and decrypts it, joins and unpacks them.
func (o *orderedExport) contents(pack map[string]any) (names []string, files map[string][]byte) {
	o.t.Helper()
	var whole []byte
	parts := partsOf(pack)
	for i, p := range parts {
		a := o.do(http.MethodGet, p["url"].(string), "", nil)
		require.Equal(o.t, 200, a.status, "%s", a.body)
		plain, err := decrypt(o.key, o.iv, bytes.Clone(a.body))
		require.NoError(o.t, err)
		assert.EqualValues(o.t, i+1, p["ordinalNumber"])
		assert.EqualValues(o.t, len(a.body), p["encryptedPartSize"])
		assert.EqualValues(o.t, len(plain), p["partSize"])
		assert.Equal(o.t, hashBase64(a.body), p["encryptedPartHash"])
		assert.Equal(o.t, hashBase64(plain), p["partHash"])
		assert.Equal(o.t, p["encryptedPartHash"], a.header.Get("x-ms-meta-hash"))
		whole = append(whole, plain...)
	}
	assert.EqualValues(o.t, len(whole), pack["size"])
	if strings.HasSuffix(parts[0]["partName"].(string), ".zip.aes") {
		return o.unzip(whole)
	}
	return o.untar(whole)
}

func (w *world) unzip(data []byte) (names []string, files map[string][]byte) {
	w.t.Helper()
	archive, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	require.NoError(w.t, err)
	files = map[string][]byte{}
	for _, f := range archive.File {
		r, err := f.Open()
		require.NoError(w.t, err)
		content, err := io.ReadAll(r) // checks the CRC
		require.NoError(w.t, err)
		names = append(names, f.Name)
		files[f.Name] = content
	}
	return names, files
}

func (w *world) untar(data []byte) (names []string, files map[string][]byte) {
	w.t.Helper()
	plain, err := gzip.NewReader(bytes.NewReader(data))
	require.NoError(w.t, err)
	files = map[string][]byte{}
	for archive := tar.NewReader(plain); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return names, files
		}
		require.NoError(w.t, err)
		content, err := io.ReadAll(archive)
		require.NoError(w.t, err)
		names = append(names, header.Name)
		files[header.Name] = content
	}
}

// listed are the items of _metadata.json.
func listed(w *world, files map[string][]byte) []map[string]any {
	w.t.Helper()
	var doc struct {
		Invoices []map[string]any `json:"invoices"`
	}
	require.NoError(w.t, json.Unmarshal(files[metadataFile], &doc))
	return doc.Invoices
}

// stored are filters for everything that somebody bought since the month began.
func stored(more map[string]any) map[string]any {
	return queryBody("Subject2", "2026-11-01T00:00:00Z", more)
}

// generate makes up invoices and waits until they are behind the high-water mark.
func (w *world) generate(n int, more map[string]any) map[string]any {
	w.t.Helper()
	body := map[string]any{"generate": n, "buyerNip": testNIP}
	for k, v := range more {
		body[k] = v
	}
	made := w.control("seed", body).json(w.t)
	w.clock.Advance(time.Minute)
	return made
}

// driveExports uses the endpoints of exports rightly.
func (w *world) driveExports(access string) {
	o := w.order(access, stored(nil), nil)
	o.status()
	w.clock.Advance(time.Second)
	o.contents(o.ready())
}

// misuseExports uses them wrongly.
func misuseExports(bad func(method, path, bearer string, body any), access string) {
	bad(http.MethodPost, "/invoices/exports", access, map[string]any{})
	bad(http.MethodGet, "/invoices/exports/"+strings.Repeat("0", 36), access, nil)
}
