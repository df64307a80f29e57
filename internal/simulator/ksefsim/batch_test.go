package ksefsim

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/flate"
	"compress/gzip"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// stepInTests is longer than each of the standard delays.
const stepInTests = 1100 * time.Millisecond

func TestBatch_passesThroughItsStatesToNumbersAndUPO(t *testing.T) {
	for _, compression := range []string{"", "Zip", "TarGz"} {
		t.Run("compression "+compression, func(t *testing.T) {
			w := newWorld(t, nil)
			access := w.login(testNIP)
			c := newContract(t, w)
			invoices := files(fa3{number: "1"}, fa3{number: "2", seller: otherNIP}, fa3{number: "3", date: "2026-11-20"})
			archive := zipOf(t, invoices...)
			if compression == "TarGz" {
				archive = tarGzOf(t, invoices...)
			}
			opened := w.clock.Now()
			b := w.openBatch(access, archive, 3, func(body map[string]any) {
				if compression != "" {
					body["batchFile"].(map[string]any)["compressionType"] = compression
				}
			})
			assert.Regexp(t, `^\d{8}-SB-[0-9A-F]{10}-[0-9A-F]{10}-[0-9A-F]{2}$`, b.ref)
			assert.Equal(t, 100, statusCode(b.session()))
			w.clock.Advance(time.Minute)
			b.upload()
			assert.Equal(t, 100, statusCode(b.session()))
			b.close()
			assert.Equal(t, 150, statusCode(b.session()))
			assert.Equal(t, []int{100, 100, 100}, b.codes())
			w.clock.Advance(600 * time.Millisecond)
			assert.Equal(t, []int{150, 150, 150}, b.codes())
			w.clock.Advance(500 * time.Millisecond)
			assert.Equal(t, []int{200, 410, 200}, b.codes())
			assert.Equal(t, 150, statusCode(b.session()), "the UPO is not there yet")
			w.clock.Advance(time.Second)

			doc := b.session()
			assert.Equal(t, 200, statusCode(doc))
			assert.EqualValues(t, 3, doc["invoiceCount"])
			assert.EqualValues(t, 2, doc["successfulInvoiceCount"])
			assert.EqualValues(t, 1, doc["failedInvoiceCount"])
			for i, item := range b.list() {
				assert.EqualValues(t, i+1, item["ordinalNumber"])
				assert.Equal(t, invoices[i].name, item["invoiceFileName"])
				assert.Equal(t, hashBase64(invoices[i].data), item["invoiceHash"])
				assert.Equal(t, stamp(opened), item["invoicingDate"], "that of the session")
			}
			first, third := b.list()[0], b.list()[2]
			assert.Equal(t, "Online", first["invoicingMode"])
			assert.Equal(t, "Offline", third["invoicingMode"], "issued on an earlier day")
			got := w.do(http.MethodGet, "/invoices/ksef/"+first["ksefNumber"].(string), access, nil)
			assert.Equal(t, string(invoices[0].data), string(got.body))
			upo := w.do(http.MethodGet, "/sessions/"+b.ref+"/invoices/ksef/"+third["ksefNumber"].(string)+"/upo", access, nil)
			assert.Contains(t, string(upo.body), b.ref)
			page := doc["upo"].(map[string]any)["pages"].([]any)[0].(map[string]any)
			collective := w.do(http.MethodGet, page["downloadUrl"].(string), "", nil)
			assert.Contains(t, string(collective.body), third["ksefNumber"].(string))
			assert.Empty(t, c.violations)
		})
	}
}

func TestOpenBatch_checksWhatIsAnnounced(t *testing.T) {
	w := newWorld(t, nil)
	access := w.login(testNIP)
	file := func(change func(file map[string]any)) func(map[string]any) {
		return func(body map[string]any) { change(body["batchFile"].(map[string]any)) }
	}
	part := func(change func(part map[string]any)) func(map[string]any) {
		return file(func(f map[string]any) { change(f["fileParts"].([]any)[0].(map[string]any)) })
	}
	form := func(system, version, value string) func(map[string]any) {
		return func(body map[string]any) {
			body["formCode"] = map[string]any{"systemCode": system, "schemaVersion": version, "value": value}
		}
	}
	for name, tc := range map[string]struct {
		change func(map[string]any)
		code   int // 0: accepted
	}{
		"as it should be":        {func(map[string]any) {}, 0},
		"no form":                {func(b map[string]any) { delete(b, "formCode") }, 21405},
		"no file":                {func(b map[string]any) { delete(b, "batchFile") }, 21405},
		"no encryption":          {func(b map[string]any) { delete(b, "encryption") }, 21405},
		"FA(2) on TEST":          {form("FA (2)", "1-0E", "FA"), 0},
		"FA_RR":                  {form("FA_RR (1)", "1-1E", "FA_RR"), 0},
		"PEF goes one by one":    {form("PEF (3)", "2-1", "PEF"), 21405},
		"unknown form":           {form("FA (9)", "1-0E", "FA"), 21405},
		"5 GB":                   {file(func(f map[string]any) { f["fileSize"] = 5_000_000_000 }), 0},
		"over 5 GB":              {file(func(f map[string]any) { f["fileSize"] = 5_000_000_001 }), 21405},
		"size 0":                 {file(func(f map[string]any) { f["fileSize"] = 0 }), 21405},
		"bad hash":               {file(func(f map[string]any) { f["fileHash"] = "abc" }), 21405},
		"unknown compression":    {file(func(f map[string]any) { f["compressionType"] = "Rar" }), 21405},
		"no compression":         {file(func(f map[string]any) { f["compressionType"] = nil }), 0},
		"no part":                {file(func(f map[string]any) { f["fileParts"] = []any{} }), 21405},
		"50 parts":               {file(func(f map[string]any) { f["fileParts"] = numbered(50) }), 0},
		"51 parts":               {file(func(f map[string]any) { f["fileParts"] = numbered(51) }), 21161},
		"a part missing between": {file(func(f map[string]any) { f["fileParts"] = append(numbered(1), numbered(3)[2]) }), 21405},
		"a part twice":           {file(func(f map[string]any) { f["fileParts"] = append(numbered(1), numbered(1)...) }), 21405},
		"numbered from 0":        {part(func(p map[string]any) { p["ordinalNumber"] = 0 }), 21405},
		"part of size 0":         {part(func(p map[string]any) { p["fileSize"] = 0 }), 21405},
		"part without hash":      {part(func(p map[string]any) { delete(p, "fileHash") }), 21405},
		"100 MB encrypted":       {part(func(p map[string]any) { p["fileSize"] = 100_000_016 }), 0},
		"over 100 MB":            {part(func(p map[string]any) { p["fileSize"] = 100_000_032 }), 21157},
		"unknown key": {func(b map[string]any) {
			b["encryption"].(map[string]any)["publicKeyId"] = hashBase64([]byte("old key"))
		}, 21470},
	} {
		t.Run(name, func(t *testing.T) {
			body, _ := w.newSender(access).batchBody(zipOf(t, files(fa3{})...), 1)
			tc.change(body)
			a := w.do(http.MethodPost, "/sessions/batch", access, body)
			assert.Equal(t, tc.code, a.code(), "%s", a.body)
			assert.Equal(t, tc.code == 0, a.status == 201)
		})
	}
	for _, environment := range []string{EnvironmentDemo, EnvironmentProduction} {
		sim, err := New(Config{Environment: environment})
		require.NoError(t, err)
		for _, batch := range []bool{false, true} {
			assert.False(t, sim.admits(formCode{"FA (2)", "1-0E", "FA"}, batch), environment)
			assert.True(t, sim.admits(formCode{"FA (3)", "1-0E", "FA"}, batch), environment)
		}
	}
	w.control("permissions", map[string]any{"nip": otherNIP, "permissions": []string{"InvoiceRead"}})
	assert.Equal(t, 403, w.do(http.MethodPost, "/sessions/batch", w.login(otherNIP), map[string]any{}).status)
}

// numbered are parts as an opening announces them.
func numbered(count int) []any {
	list := []any{}
	for i := range count {
		list = append(list, map[string]any{"ordinalNumber": i + 1, "fileSize": 16, "fileHash": hashBase64(nil)})
	}
	return list
}

func TestUploadPart_needsTheGivenHeaderTheLinkAndNothingElse(t *testing.T) {
	w := newWorld(t, nil)
	access := w.login(testNIP)
	b := w.openBatch(access, zipOf(t, files(fa3{})...), 2, nil)
	upload := b.uploads[0]
	assert.Equal(t, "PUT", upload["method"])
	assert.Equal(t, map[string]any{"x-ms-blob-type": "BlockBlob"}, upload["headers"])
	link := upload["url"].(string)
	assert.Contains(t, link, "/storage/00/"+strings.ToLower(b.ref)+"/batch-parts/1?")

	refused := func(status int, code string, a answer) {
		t.Helper()
		assert.Equal(t, status, a.status, "%s", a.body)
		assert.Equal(t, code, a.header.Get("x-ms-error-code"))
		assert.Contains(t, string(a.body), "<Code>"+code+"</Code>")
	}
	put := func(url string, headers ...string) answer {
		return w.do(http.MethodPut, url, "", bytes.Repeat([]byte{1}, 1<<20), append([]string{blobTypeHeader, blobType}, headers...)...)
	}
	refused(401, "InvalidAuthenticationInfo", put(link, "Authorization", "Bearer "+access))
	refused(400, "MissingRequiredHeader", b.put(1, b.parts[0], "x-ms-version", "2025-01-05"))
	refused(400, "InvalidHeaderValue", b.put(1, b.parts[0], blobTypeHeader, "PageBlob"))
	refused(403, "AuthenticationFailed", put(strings.Replace(link, "/1?", "/2?", 1)))
	refused(403, "AuthenticationFailed", put(strings.Replace(link, "sp=w", "sp=r", 1)))
	refused(403, "AuthorizationPermissionMismatch", w.do(http.MethodGet, link, "", nil))

	w.clock.Advance(40*time.Minute - time.Second)
	assert.Equal(t, 201, b.put(2, b.parts[1]).status, "two parts, forty minutes")
	w.clock.Advance(time.Second)
	refused(403, "AuthenticationFailed", put(link))

	again := w.openBatch(w.login(testNIP), zipOf(t, files(fa3{})...), 1, nil)
	assert.Equal(t, 201, again.put(1, []byte("junk")).status)
	again.upload()
	again.close()
	assert.Contains(t, []int{403}, again.put(1, again.parts[0]).status, "closed")
	w.clock.Advance(2 * stepInTests)
	assert.Equal(t, []int{200}, again.codes(), "the last upload of a part counts")

	online := w.open(w.login(testNIP))
	ref := online.send(fa3{number: "O"}.xml())
	w.clock.Advance(stepInTests)
	refused(403, "AuthorizationPermissionMismatch", put(online.invoice(ref)["upoDownloadUrl"].(string)))
}

func TestCloseBatch_refusesWhatIsNotThere(t *testing.T) {
	w := newWorld(t, nil)
	access := w.login(testNIP)
	b := w.openBatch(access, zipOf(t, files(fa3{})...), 2, nil)
	assert.Equal(t, 21205, b.tryClose().code(), "nothing was uploaded")
	b.put(1, b.parts[0])
	assert.Equal(t, 21205, b.tryClose().code(), "a part is missing")
	b.put(2, append(bytes.Clone(b.parts[1]), make([]byte, 16)...))
	assert.Equal(t, 21157, b.tryClose().code(), "a part is larger than announced")
	assert.Equal(t, 100, statusCode(b.session()), "a refused close changes nothing")
	b.upload()
	b.close()
	assert.Equal(t, 21180, b.tryClose().code(), "closed already")
	w.clock.Advance(2 * stepInTests)
	assert.Equal(t, 200, statusCode(b.session()))
	assert.Equal(t, 21180, b.tryClose().code())

	unknown := *b.sender
	unknown.ref = newReference(kindBatch, w.clock.Now())
	assert.Equal(t, 21173, (&batchSender{sender: &unknown}).tryClose().code())
	online := w.open(access)
	assert.Equal(t, 21173, (&batchSender{sender: online}).tryClose().code(), "an online session")
	assert.Equal(t, 21173, w.do(http.MethodPost, "/sessions/online/"+b.ref+"/close", access, nil).code(), "a batch session")
	assert.Equal(t, 21173, w.do(http.MethodPost, "/sessions/online/"+b.ref+"/invoices", access, online.body(fa3{}.xml())).code())
	somebody := w.openBatch(w.login(otherNIP), zipOf(t, files(fa3{})...), 1, nil)
	somebody.access = access
	assert.Equal(t, 21173, somebody.tryClose().code(), "another taxpayer's")

	late := w.openBatch(access, zipOf(t, files(fa3{number: "L"})...), 1, nil)
	late.upload()
	w.clock.Advance(20 * time.Minute)
	late.access = w.login(testNIP)
	assert.Equal(t, 21208, late.tryClose().code())
	doc := late.session()
	assert.Equal(t, 440, statusCode(doc))
	assert.NotEmpty(t, doc["status"].(map[string]any)["details"])
	cancelled := w.do(http.MethodGet, "/sessions?sessionType=Batch&statuses=Cancelled", late.access, nil).json(t)
	assert.Len(t, cancelled["sessions"], 1)
}

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
	list := make([]packed, count)
	for i := range list {
		list[i] = packed{itoa(i) + ".xml", make([]byte, 10_000_000)}
	}
	return list
}

func TestBatch_judgesEachInvoiceLikeOneSentAlone(t *testing.T) {
	w := newWorld(t, nil)
	access := w.login(testNIP)
	number := w.sendBatch(access, fa3{number: "OLD"})
	w.clock.Advance(2 * stepInTests)
	original := number.list()[0]["ksefNumber"]
	attached := fa3{number: "A", extra: "<Zalacznik></Zalacznik>"}
	large := fa3{number: "L", extra: "<Stopka>" + strings.Repeat("x", 1_000_000) + "</Stopka>"}
	b := w.sendBatch(access, fa3{number: "1"}, fa3{number: "1"}, fa3{number: "OLD"}, fa3{number: "2", kind: "TAV"},
		fa3{number: "3", date: "2026-11-24"}, fa3{number: "4", head: "\xef\xbb\xbf"}, attached, large)
	w.clock.Advance(2 * stepInTests)
	assert.Equal(t, []int{200, 440, 440, 450, 450, 430, 415, 430}, b.codes())
	list := b.list()
	extensions := func(i int) map[string]any {
		return list[i]["status"].(map[string]any)["extensions"].(map[string]any)
	}
	assert.Equal(t, list[0]["ksefNumber"], extensions(1)["originalKsefNumber"], "a duplicate within the package")
	assert.Equal(t, b.ref, extensions(1)["originalSessionReferenceNumber"])
	assert.Equal(t, original, extensions(2)["originalKsefNumber"])
	assert.Equal(t, number.ref, extensions(2)["originalSessionReferenceNumber"])

	// With a notification attachments are taken, and larger invoices with them.
	w.allowAttachments(thirdNIP)
	long := "<Zalacznik>" + strings.Repeat("x", 2_000_000) + "</Zalacznik>"
	notified := w.sendBatch(w.login(thirdNIP), fa3{seller: thirdNIP, number: "A", extra: "<Zalacznik></Zalacznik>"},
		fa3{seller: thirdNIP, number: "B", extra: long}, fa3{seller: thirdNIP, number: "C", extra: strings.Repeat(long, 1) + strings.Repeat(" ", 1_000_000)})
	w.clock.Advance(2 * stepInTests)
	assert.Equal(t, []int{200, 200, 430}, notified.codes())
}

func TestBatch_goesByTheDayOfItsOpening(t *testing.T) {
	w := newWorld(t, nil)
	w.clock.Advance(12*time.Hour + 50*time.Minute) // 23:50 in Warsaw
	access := w.login(testNIP)
	invoices := files(fa3{number: "1"}, fa3{number: "2", date: "2026-11-22"}, fa3{number: "3", date: "2026-11-24"})
	b := w.openBatch(access, zipOf(t, invoices...), 1, nil)
	offline := w.openBatch(access, zipOf(t, files(fa3{number: "4"}, fa3{number: "5"})...), 1, func(body map[string]any) { body["offlineMode"] = true })
	w.clock.Advance(15 * time.Minute) // the next day
	for _, s := range []*batchSender{b, offline} {
		s.access = w.login(testNIP)
		s.upload()
		s.close()
	}
	w.clock.Advance(2 * stepInTests)
	assert.Equal(t, []int{200, 200, 450}, b.codes(), "issued on the day after the opening: in the future")
	assert.Equal(t, "Online", b.list()[0]["invoicingMode"])
	assert.Equal(t, "Offline", b.list()[1]["invoicingMode"])
	for _, i := range offline.list() {
		assert.Equal(t, "Offline", i["invoicingMode"], "declared for the whole package")
	}
}

func TestSessions_areListedByType(t *testing.T) {
	w := newWorld(t, nil)
	access := w.login(testNIP)
	w.open(access)
	b := w.sendBatch(access, fa3{number: "1"})
	for range 11 {
		w.openBatch(access, zipOf(t, files(fa3{})...), 1, nil)
	}
	w.clock.Advance(2 * stepInTests)
	refs := func(query string, headers ...string) (refs []string, token string) {
		doc := w.do(http.MethodGet, "/sessions?"+query, access, nil, headers...).json(t)
		for _, n := range doc["sessions"].([]any) {
			refs = append(refs, n.(map[string]any)["referenceNumber"].(string))
		}
		token, _ = doc["continuationToken"].(string)
		return refs, token
	}
	online, _ := refs("sessionType=Online")
	assert.Len(t, online, 1)
	first, token := refs("sessionType=Batch")
	assert.Len(t, first, 10)
	second, end := refs("sessionType=Batch", "x-continuation-token", token)
	assert.Len(t, second, 2)
	assert.Empty(t, end)
	assert.Equal(t, b.ref, second[1], "newest first")
	done, _ := refs("sessionType=Batch&statuses=Succeeded")
	assert.Equal(t, []string{b.ref}, done)
	closed, _ := refs("sessionType=Batch&dateClosedFrom=2026-11-23T00:00:00Z")
	assert.Equal(t, []string{b.ref}, closed)
}
