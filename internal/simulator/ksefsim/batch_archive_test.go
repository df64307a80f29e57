package ksefsim

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/flate"
	"compress/gzip"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestBatch_endsWithTheCodeOfWhatIsWrongWithThePackage(t *testing.T) {
	w := newWorld(t, nil)
	access := w.login(testNIP)
	good := zipOf(t, files(fa3{number: "G"})...)
	long := strings.Repeat("x", 125) + ".xml"
	many := make([]packed, 10_001)
	for i := range many {
		many[i].name = itoa(i) + ".xml"
	}
	folder := append([]packed{{"dir/", nil}}, files(fa3{number: "F"})...)
	broken := bytes.Clone(good)
	broken[60] ^= 0xff
	tarGz := func(b map[string]any) { b["batchFile"].(map[string]any)["compressionType"] = "TarGz" }
	for name, tc := range map[string]struct {
		archive []byte
		change  func(map[string]any)
		code    int
	}{
		"hash of the package": {good, func(b map[string]any) { b["batchFile"].(map[string]any)["fileHash"] = hashBase64(nil) }, 405},
		"size of the package": {good, func(b map[string]any) { b["batchFile"].(map[string]any)["fileSize"] = len(good) + 1 }, 405},
		"hash of a part": {good, func(b map[string]any) {
			b["batchFile"].(map[string]any)["fileParts"].([]any)[0].(map[string]any)["fileHash"] = hashBase64(nil)
		}, 405},
		"key": {good, func(b map[string]any) {
			b["encryption"].(map[string]any)["encryptedSymmetricKey"] = "AAAA"
		}, 415},
		"IV": {good, func(b map[string]any) {
			b["encryption"].(map[string]any)["initializationVector"] = "AAAA"
		}, 415},
		"no archive":            {[]byte("dear sirs"), nil, 430},
		"bad checksum":          {broken, nil, 430},
		"cut":                   {good[:len(good)-10], nil, 430},
		"zip called tar.gz":     {good, tarGz, 430},
		"tar.gz called zip":     {tarGzOf(t, files(fa3{})...), nil, 430},
		"cut tar.gz":            {tarGzOf(t, files(fa3{})...)[:100], tarGz, 430},
		"folder":                {zipOf(t, folder...), nil, 430},
		"folder in tar.gz":      {tarGzOf(t, packed{"a/b.xml", fa3{}.xml()}), tarGz, 430},
		"path upwards":          {zipOf(t, packed{"../b.xml", fa3{}.xml()}), nil, 430},
		"path from the root":    {tarGzOf(t, packed{"/b.xml", fa3{}.xml()}), tarGz, 430},
		"path of Windows":       {zipOf(t, packed{`c:\b.xml`, fa3{}.xml()}), nil, 430},
		"other kind of file":    {zipOf(t, packed{"b.pdf", []byte("%PDF")}), nil, 430},
		"one name twice":        {zipOf(t, packed{"b.xml", fa3{}.xml()}, packed{"b.xml", fa3{number: "2"}.xml()}), nil, 430},
		"name too long":         {zipOf(t, packed{long, fa3{}.xml()}), nil, 430},
		"link":                  {linkIn(t, "zip"), nil, 430},
		"link in tar.gz":        {linkIn(t, "tar.gz"), tarGz, 430},
		"file larger than said": {lyingZip(t), nil, 430},
		"file like a bomb":      {zipOf(t, packed{"b.xml", make([]byte, 16_000_000)}), nil, 430},
		"archive like a bomb":   {zipOf(t, bombs(12)...), nil, 430},
		"bomb in tar.gz":        {tarGzOf(t, bombs(12)...), tarGz, 430},
		"more than 10,000":      {zipOf(t, many...), nil, 420},
		"10,001 in tar.gz":      {tarGzOf(t, many...), tarGz, 420},
		"nothing in it":         {zipOf(t), nil, 440},
		"nothing in the tar.gz": {tarGzOf(t), tarGz, 440},
		"no good invoice":       {zipOf(t, packed{"b.xml", []byte("<a/>")}), nil, 445},
	} {
		t.Run(name, func(t *testing.T) {
			b := w.openBatch(access, tc.archive, 1, tc.change)
			b.upload()
			b.close()
			assert.Equal(t, 150, statusCode(b.session()), "it does not show at once")
			w.clock.Advance(2 * stepInTests)
			doc := b.session()
			assert.Equal(t, tc.code, statusCode(doc), "%v", doc)
			assert.NotContains(t, doc, "upo")
			if tc.code != 445 {
				assert.EqualValues(t, 0, doc["invoiceCount"])
				assert.Empty(t, b.list())
			}
		})
	}
	undecryptable := w.openBatch(access, good, 1, func(b map[string]any) {
		part := b["batchFile"].(map[string]any)["fileParts"].([]any)[0].(map[string]any)
		part["fileSize"], part["fileHash"] = 17, hashBase64(make([]byte, 17))
	})
	require.Equal(t, 201, undecryptable.put(1, make([]byte, 17)).status)
	undecryptable.close()
	w.clock.Advance(2 * stepInTests)
	assert.Equal(t, 435, statusCode(undecryptable.session()))
	failed := w.do(http.MethodGet, "/sessions?sessionType=Batch&statuses=Failed&pageSize=100", access, nil).json(t)
	assert.NotEmpty(t, failed["sessions"])
	assert.NotContains(t, failed["sessions"].([]any)[0], "validUntil", "only an online session closes by itself")
}

// linkIn is an archive with a link in it.
func linkIn(t *testing.T, kind string) []byte {
	t.Helper()
	var b bytes.Buffer
	if kind == "zip" {
		z := zip.NewWriter(&b)
		header := &zip.FileHeader{Name: "a.xml"}
		header.SetMode(os.ModeSymlink | 0o777)
		w, err := z.CreateHeader(header)
		require.NoError(t, err)
		_, err = w.Write([]byte("/etc/passwd"))
		require.NoError(t, err)
		require.NoError(t, z.Close())
		return b.Bytes()
	}
	g := gzip.NewWriter(&b)
	w := tar.NewWriter(g)
	require.NoError(t, w.WriteHeader(&tar.Header{Name: "a.xml", Typeflag: tar.TypeSymlink, Linkname: "/etc/passwd"}))
	require.NoError(t, w.Close())
	require.NoError(t, g.Close())
	return b.Bytes()
}

// lyingZip says of a large file that it is small.
func lyingZip(t *testing.T) []byte {
	t.Helper()
	var packed, b bytes.Buffer
	f, err := flate.NewWriter(&packed, flate.BestSpeed)
	require.NoError(t, err)
	_, err = f.Write(make([]byte, 10_000_000))
	require.NoError(t, err)
	require.NoError(t, f.Close())
	z := zip.NewWriter(&b)
	w, err := z.CreateRaw(&zip.FileHeader{
		Name: "a.xml", Method: zip.Deflate, CompressedSize64: uint64(packed.Len()), UncompressedSize64: 100,
	})
	require.NoError(t, err)
	_, err = w.Write(packed.Bytes())
	require.NoError(t, err)
	require.NoError(t, z.Close())
	return b.Bytes()
}

// bombs are files each of which is allowed.
func bombs(count int) []packed {
	list, zeros := make([]packed, count), make([]byte, 10_000_000)
	for i := range list {
		list[i] = packed{itoa(i) + ".xml", zeros}
	}
	return list
}

// Archives that other software makes are taken as they are.
func TestBatch_takesWhatOtherToolsPack(t *testing.T) {
	w := newWorld(t, nil)
	access := w.login(testNIP)
	folder := t.TempDir()
	for _, f := range files(fa3{number: "1"}, fa3{number: "2"}) {
		require.NoError(t, os.WriteFile(filepath.Join(folder, f.name), f.data, 0o600))
	}
	seen := 0
	for tool, arguments := range map[string][]string{
		"tar":     {"czf", "out.bin", "faktura-1.xml", "faktura-2.xml"},
		"bsdtar":  {"czf", "out.bin", "faktura-1.xml", "faktura-2.xml"},
		"zip":     {"-q", "out.bin.zip", "faktura-1.xml", "faktura-2.xml"},
		"python3": {"-m", "zipfile", "-c", "out.bin", "faktura-1.xml", "faktura-2.xml"},
	} {
		path, err := exec.LookPath(tool)
		if err != nil {
			continue
		}
		seen++
		run := exec.CommandContext(t.Context(), path, arguments...)
		run.Dir = folder
		out, err := run.CombinedOutput()
		require.NoError(t, err, "%s: %s", tool, out)
		name := filepath.Join(folder, "out.bin")
		if tool == "zip" {
			name += ".zip"
		}
		archive, err := os.ReadFile(name)
		require.NoError(t, err)
		b := w.openBatch(access, archive, 2, func(body map[string]any) {
			if strings.HasSuffix(tool, "tar") {
				body["batchFile"].(map[string]any)["compressionType"] = "TarGz"
			}
		})
		b.upload()
		b.close()
		w.clock.Advance(2 * stepInTests)
		assert.Len(t, b.codes(), 2, "%s: %v", tool, b.session())
	}
	if seen == 0 {
		t.Skip("neither tar, bsdtar, zip nor python3 is installed: no archive of other software is tried")
	}
}
