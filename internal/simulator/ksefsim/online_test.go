package ksefsim

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestSendInvoice_passesThroughItsStatesToNumberAndUPO(t *testing.T) {
	w := newWorld(t, nil)
	s := w.open(w.login(testNIP))
	assert.Equal(t, 100, statusCode(s.session()))
	ref := s.send(fa3{}.xml())
	assert.Equal(t, 100, statusCode(s.invoice(ref)))
	w.clock.Advance(600 * time.Millisecond)
	assert.Equal(t, 150, statusCode(s.invoice(ref)))
	early := w.do(http.MethodGet, "/sessions/"+s.ref+"/invoices/"+ref+"/upo", s.access, nil)
	assert.Equal(t, 21178, early.code())
	s.close()
	assert.Equal(t, 170, statusCode(s.session()))
	w.clock.Advance(400 * time.Millisecond)

	doc := s.invoice(ref)
	assert.Equal(t, 200, statusCode(doc))
	number := doc["ksefNumber"].(string)
	assert.Regexp(t, `^`+testNIP+`-20261123-[0-9A-F]{12}-[0-9A-F]{2}$`, number)
	assert.Equal(t, "Online", doc["invoicingMode"])
	assert.Equal(t, hashBase64(fa3{}.xml()), doc["invoiceHash"])
	assert.NotContains(t, doc, "permanentStorageDate", "storage follows later")
	notYet := w.do(http.MethodGet, "/invoices/ksef/"+number, s.access, nil)
	assert.Equal(t, 21165, notYet.code())

	w.clock.Advance(time.Second)
	assert.Contains(t, s.invoice(ref), "permanentStorageDate")
	got := w.do(http.MethodGet, "/invoices/ksef/"+number, s.access, nil)
	assert.Equal(t, string(fa3{}.xml()), string(got.body))
	assert.Equal(t, hashBase64(fa3{}.xml()), got.header.Get("x-ms-meta-hash"))

	session := s.session()
	require.Equal(t, 200, statusCode(session), "%v", session)
	assert.EqualValues(t, 1, session["successfulInvoiceCount"])
	page := session["upo"].(map[string]any)["pages"].([]any)[0].(map[string]any)
	for _, upo := range []answer{
		w.do(http.MethodGet, s.invoice(ref)["upoDownloadUrl"].(string), "", nil),
		w.do(http.MethodGet, page["downloadUrl"].(string), "", nil),
		w.do(http.MethodGet, "/sessions/"+s.ref+"/invoices/"+ref+"/upo", s.access, nil),
		w.do(http.MethodGet, "/sessions/"+s.ref+"/invoices/ksef/"+number+"/upo", s.access, nil),
		w.do(http.MethodGet, "/sessions/"+s.ref+"/upo/"+page["referenceNumber"].(string), s.access, nil),
	} {
		require.Equal(t, 200, upo.status, "%s", upo.body)
		assert.Equal(t, hashBase64(upo.body), upo.header.Get("x-ms-meta-hash"))
		assert.Contains(t, string(upo.body), "<NumerKSeFDokumentu>"+number+"</NumerKSeFDokumentu>")
	}
	assert.NotEqual(t, s.invoice(ref)["upoDownloadUrl"], s.invoice(ref)["upoDownloadUrl"], "each status makes a new link")
	broken := strings.Replace(page["downloadUrl"].(string), "sig=", "sig=x", 1)
	assert.Equal(t, 403, w.do(http.MethodGet, broken, "", nil).status)
	w.clock.Advance(3 * 24 * time.Hour)
	assert.Equal(t, 403, w.do(http.MethodGet, page["downloadUrl"].(string), "", nil).status, "links end")
}

func TestUPO_carriesASignatureThatXmlsecAccepts(t *testing.T) {
	tool := xmlsec(t)
	w := newWorld(t, nil)
	s := w.open(w.login(testNIP))
	s.send(fa3{}.xml())
	s.send(fa3{number: "FV/<&>\"2"}.xml2())
	s.close()
	w.clock.Advance(3 * time.Second)
	session := s.session()
	require.EqualValues(t, 2, session["successfulInvoiceCount"])
	page := session["upo"].(map[string]any)["pages"].([]any)[0].(map[string]any)
	upo := w.do(http.MethodGet, page["downloadUrl"].(string), "", nil).body
	assert.NoError(t, xmlsecVerify(t, tool, upo))
	assert.Error(t, xmlsecVerify(t, tool, bytes.Replace(upo, []byte("FV/1<"), []byte("FV/7<"), 1)))
}

func TestUPO_fitsItsSchemaApartFromNameAndSignature(t *testing.T) {
	w := newWorld(t, nil)
	s := w.open(w.login(testNIP))
	ref := s.send(fa3{}.xml())
	s.close()
	w.clock.Advance(3 * time.Second)
	page := s.session()["upo"].(map[string]any)["pages"].([]any)[0].(map[string]any)
	for _, link := range []string{page["downloadUrl"].(string), s.invoice(ref)["upoDownloadUrl"].(string)} {
		fitsUPOSchema(t, w.do(http.MethodGet, link, "", nil).body)
	}
}

// xml2 is xml with a number that needs escapes.
func (f fa3) xml2() []byte {
	number := f.number
	f.number = "NUMBER"
	return bytes.Replace(f.xml(), []byte("NUMBER"), []byte(escaped(number)), 1)
}

func TestSendInvoice_decidesByTheRules(t *testing.T) {
	w := newWorld(t, nil)
	access := w.login(testNIP)
	replaced := func(old, new string) []byte {
		return bytes.Replace(fa3{number: "R"}.xml(), []byte(old), []byte(new), 1)
	}
	for name, tc := range map[string]struct {
		xml  []byte
		code int
	}{
		"BOM":                     {append([]byte("\xef\xbb\xbf"), fa3{}.xml()...), 430},
		"other encoding":          {fa3{head: `<?xml version="1.0" encoding="windows-1250"?>`}.xml(), 430},
		"no XML":                  {[]byte("dear sirs"), 430},
		"cut":                     {fa3{}.xml()[:400], 430},
		"two roots":               {append(fa3{}.xml(), "<x/>"...), 430},
		"invalid bytes":           {replaced("Beta", "B\xff"), 450},
		"doctype":                 {fa3{head: `<!DOCTYPE Faktura>`}.xml(), 450},
		"processing instruction":  {fa3{head: `<?xml-stylesheet href="a"?>`}.xml(), 450},
		"discouraged character":   {replaced("Beta", "B\u0086"), 450},
		"other namespace":         {replaced("13775", "12648"), 450},
		"other form":              {replaced("FA (3)", "FA (2)"), 450},
		"blank before prolog":     {append([]byte("\n"), fa3{}.xml()...), 430},
		"second prolog":           {fa3{extra: `<?xml version="1.0"?>`}.xml(), 430},
		"section of no namespace": {replaced("<Fa>", `<Fa xmlns="">`), 450},
		"undeclared prefix":       {replaced("<P_16>2</P_16>", "<x:P_16>2</x:P_16>"), 450},
		"amount with exponent":    {replaced("<P_15>1230.00", "<P_15>1.23e3"), 450},
		"amount of three places":  {replaced("<P_15>1230.00", "<P_15>1230.001"), 450},
		"no number":               {replaced("<P_2>R</P_2>", ""), 450},
		"no JST":                  {replaced("<JST>2</JST>", ""), 450},
		"unknown kind":            {replaced(">VAT<", ">TAV<"), 450},
		"wrong order":             {replaced("</Faktura>", "<Podmiot1></Podmiot1></Faktura>"), 450},
		"from tomorrow":           {fa3{date: "2026-11-24"}.xml(), 450},
		"other seller":            {fa3{seller: otherNIP}.xml(), 410},
		"attachment":              {fa3{extra: "<Zalacznik></Zalacznik>"}.xml(), 415},
		"larger than 1 MB":        {fa3{extra: "<Stopka>" + strings.Repeat("x", 1_000_000) + "</Stopka>"}.xml(), 430},
		"good":                    {fa3{number: "GOOD"}.xml(), 200},
	} {
		t.Run(name, func(t *testing.T) {
			s := w.open(access)
			ref := s.send(tc.xml)
			w.clock.Advance(time.Second)
			doc := s.invoice(ref)
			assert.Equal(t, tc.code, statusCode(doc), "%v", doc)
			failed := w.do(http.MethodGet, "/sessions/"+s.ref+"/invoices/failed", access, nil).json(t)["invoices"].([]any)
			s.close()
			w.clock.Advance(time.Second)
			if tc.code == 200 {
				assert.Empty(t, failed)
				assert.Equal(t, 200, statusCode(s.session()))
				return
			}
			assert.Len(t, failed, 1)
			assert.Equal(t, 445, statusCode(s.session()), "no good invoice")
		})
	}
}

func TestSession_withABrokenKeyDoesNotEndBeforeItsInvoices(t *testing.T) {
	w := newWorld(t, nil)
	s := &sender{world: w, access: w.login(testNIP), key: make([]byte, 32)}
	a := w.do(http.MethodPost, "/sessions/online", s.access, w.openBody(s.key, make([]byte, 8)))
	require.Equal(t, 201, a.status)
	s.ref, s.iv = a.json(t)["referenceNumber"].(string), make([]byte, 16)
	w.clock.Advance(900 * time.Millisecond)
	w.disturb(faultStuck, nil)
	refs := []string{s.send(fa3{number: "1"}.xml()), s.send(fa3{number: "2"}.xml())}
	w.clock.Advance(100 * time.Millisecond)
	assert.Equal(t, 415, statusCode(s.session()))
	for _, ref := range refs {
		assert.Equal(t, 405, statusCode(s.invoice(ref)), "#334: first the invoices, then the session")
	}
	assert.EqualValues(t, 2, s.session()["failedInvoiceCount"])
}

func TestSendInvoice_findsDuplicates(t *testing.T) {
	w := newWorld(t, nil)
	first := w.open(w.login(testNIP))
	original := first.send(fa3{number: "FV/9"}.xml())
	again := first.send(fa3{number: "FV/9"}.xml())
	w.clock.Advance(time.Second)
	number := first.invoice(original)["ksefNumber"].(string)
	for ref, s := range map[string]*sender{again: first} {
		doc := s.invoice(ref)
		require.Equal(t, 440, statusCode(doc))
		assert.NotContains(t, doc, "ksefNumber")
		extensions := doc["status"].(map[string]any)["extensions"].(map[string]any)
		assert.Equal(t, number, extensions["originalKsefNumber"])
		assert.Equal(t, first.ref, extensions["originalSessionReferenceNumber"])
	}
	second := w.open(w.login(testNIP))
	other := second.send(fa3{number: "FV/9", buyer: thirdNIP}.xml())
	kind := second.send(fa3{number: "FV/9", kind: "ROZ"}.xml())
	w.clock.Advance(time.Second)
	assert.Equal(t, 440, statusCode(second.invoice(other)), "other content under the same number")
	assert.Equal(t, 200, statusCode(second.invoice(kind)), "another kind is no duplicate")

	seeded := fa3{number: "FV/10"}.xml()
	w.control("seed", map[string]any{"buyerNip": otherNIP, "invoices": []any{map[string]any{"xml": seeded}, map[string]any{"xml": seeded}}})
	taken := second.send(fa3{number: "FV/10"}.xml())
	w.clock.Advance(time.Second)
	assert.Equal(t, 440, statusCode(second.invoice(taken)), "what was seeded holds its number")
}

func TestSendInvoice_marksLateInvoicesOffline(t *testing.T) {
	w := newWorld(t, nil)
	s := w.open(w.login(testNIP))
	late := s.send(fa3{number: "A", date: "2026-11-22"}.xml())
	today := s.send(fa3{number: "B"}.xml())
	w.clock.Advance(time.Second)
	assert.Equal(t, "Offline", s.invoice(late)["invoicingMode"])
	assert.Equal(t, "Online", s.invoice(today)["invoicingMode"])
	w.clock.Advance(13 * time.Hour) // 00:00:01 in Warsaw
	night := w.open(w.login(testNIP))
	ref := night.send(fa3{number: "C", date: "2026-11-24"}.xml())
	w.clock.Advance(time.Second)
	assert.Equal(t, 200, statusCode(night.invoice(ref)), "the Polish day has begun though UTC's has not")
}

func TestSendInvoice_checksWhatIsSent(t *testing.T) {
	w := newWorld(t, nil)
	s := w.open(w.login(testNIP))
	path := "/sessions/online/" + s.ref + "/invoices"
	for name, tc := range map[string]struct {
		change func(map[string]any)
		code   int
	}{
		"encrypted size": {func(b map[string]any) { b["encryptedInvoiceSize"] = 5 }, 21402},
		"encrypted hash": {func(b map[string]any) { b["encryptedInvoiceHash"] = hashBase64(nil) }, 21403},
		"no hash":        {func(b map[string]any) { delete(b, "invoiceHash") }, 21405},
		"size 0":         {func(b map[string]any) { b["invoiceSize"] = 0 }, 21405},
		"no Base64":      {func(b map[string]any) { b["encryptedInvoiceContent"] = "!" }, 21405},
		"over 3 MB":      {func(b map[string]any) { b["invoiceSize"] = 3_000_001 }, 21405},
	} {
		body := s.body(fa3{}.xml())
		tc.change(body)
		assert.Equal(t, tc.code, w.do(http.MethodPost, path, s.access, body).code(), name)
	}
	unknown := strings.Replace(path, s.ref, newReference(kindSession, w.clock.Now()), 1)
	assert.Equal(t, 21173, w.do(http.MethodPost, unknown, s.access, s.body(fa3{}.xml())).code())
	assert.Equal(t, 21173, w.do(http.MethodPost, path, w.login(otherNIP), s.body(fa3{}.xml())).code(), "somebody else's")

	lie := s.body(fa3{number: "L"}.xml())
	lie["invoiceHash"] = hashBase64([]byte("other"))
	ref := w.do(http.MethodPost, path, s.access, lie).json(t)["referenceNumber"].(string)
	wrongKey := *s
	wrongKey.key = bytes.Repeat([]byte{1}, 32)
	undecryptable := wrongKey.send(fa3{number: "U"}.xml())
	w.clock.Advance(time.Second)
	assert.Equal(t, 430, statusCode(s.invoice(ref)))
	assert.Contains(t, []int{430, 435}, statusCode(s.invoice(undecryptable)))

	s.close()
	assert.Equal(t, 21180, w.do(http.MethodPost, path, s.access, s.body(fa3{}.xml())).code(), "closed")
	assert.Equal(t, 21180, w.do(http.MethodPost, "/sessions/online/"+s.ref+"/close", s.access, nil).code())
}

func TestSession_endsByItselfAndWhenEmptyOrItsKeyIsBad(t *testing.T) {
	w := newWorld(t, nil)
	access := w.login(testNIP)
	empty := w.open(access)
	empty.close()
	w.clock.Advance(time.Second)
	assert.Equal(t, 440, statusCode(empty.session()))

	key, iv := make([]byte, 32), make([]byte, 16)
	unknown := w.openBody(key, iv)
	unknown["encryption"].(map[string]any)["publicKeyId"] = hashBase64([]byte("old key"))
	assert.Equal(t, 21470, w.do(http.MethodPost, "/sessions/online", access, unknown).code())
	noForm := w.openBody(key, iv)
	noForm["formCode"] = map[string]any{"systemCode": "FA (1)", "schemaVersion": "1-0E", "value": "FA"}
	assert.Equal(t, 21405, w.do(http.MethodPost, "/sessions/online", access, noForm).code())

	for name, change := range map[string]func(map[string]any){
		"key": func(e map[string]any) {
			junk := make([]byte, 256)
			_, _ = rand.Read(junk)
			e["encryptedSymmetricKey"] = base64.StdEncoding.EncodeToString(junk)
		},
		"iv": func(e map[string]any) {
			e["initializationVector"] = base64.StdEncoding.EncodeToString(make([]byte, 12))
		},
	} {
		body := w.openBody(key, iv)
		change(body["encryption"].(map[string]any))
		a := w.do(http.MethodPost, "/sessions/online", access, body)
		require.Equal(t, 201, a.status, "a bad %s does not show at once", name)
		s := &sender{world: w, access: access, ref: a.json(t)["referenceNumber"].(string), key: key, iv: iv}
		ref := s.send(fa3{number: name}.xml())
		w.clock.Advance(time.Second)
		assert.Equal(t, 415, statusCode(s.session()), name)
		assert.Equal(t, 405, statusCode(s.invoice(ref)), name)
		assert.Equal(t, 21180, w.do(http.MethodPost, "/sessions/online/"+s.ref+"/close", access, nil).code())
	}

	open := w.open(access)
	ref := open.send(fa3{number: "LONG"}.xml())
	w.clock.Advance(12*time.Hour + time.Second)
	open.access = w.login(testNIP)
	assert.Equal(t, 200, statusCode(open.session()), "closed by itself")
	assert.Equal(t, 200, statusCode(open.invoice(ref)))
}

func TestSessions_areListedAndPagedByContinuationToken(t *testing.T) {
	w := newWorld(t, nil)
	access := w.login(testNIP)
	s := w.open(access)
	for i := range 25 {
		s.send(fa3{number: "P/" + itoa(i)}.xml())
	}
	w.clock.Advance(time.Second)
	seen := map[string]bool{}
	tokenText := ""
	for range 3 {
		a := w.do(http.MethodGet, "/sessions/"+s.ref+"/invoices?pageSize=10", access, nil, "x-continuation-token", tokenText).json(t)
		for _, i := range a["invoices"].([]any) {
			seen[i.(map[string]any)["referenceNumber"].(string)] = true
		}
		tokenText, _ = a["continuationToken"].(string)
	}
	assert.Len(t, seen, 25)
	assert.Empty(t, tokenText)
	assert.Equal(t, 21418, w.do(http.MethodGet, "/sessions/"+s.ref+"/invoices", access, nil, "x-continuation-token", "junk").code())
	assert.Equal(t, 21405, w.do(http.MethodGet, "/sessions/"+s.ref+"/invoices?pageSize=9", access, nil).code())

	for range 12 {
		w.open(access)
	}
	first := w.do(http.MethodGet, "/sessions?sessionType=Online", access, nil).json(t)
	assert.Len(t, first["sessions"], 10)
	second := w.do(http.MethodGet, "/sessions?sessionType=Online", access, nil, "x-continuation-token", first["continuationToken"].(string)).json(t)
	assert.Len(t, second["sessions"], 3)
	assert.NotContains(t, second, "continuationToken")
	one := w.do(http.MethodGet, "/sessions?sessionType=Online&statuses=InProgress&referenceNumber="+s.ref, access, nil).json(t)
	assert.Len(t, one["sessions"], 1)
	assert.Equal(t, 21405, w.do(http.MethodGet, "/sessions", access, nil).code(), "sessionType is required")
}

func TestTechnicalCorrection_needsAnOriginalThatWasNotAccepted(t *testing.T) {
	w := newWorld(t, nil)
	s := w.open(w.login(testNIP))
	good := fa3{number: "T1"}.xml()
	s.send(good)
	w.clock.Advance(time.Second)
	body := s.body(fa3{number: "T2"}.xml())
	body["offlineMode"], body["hashOfCorrectedInvoice"] = true, hashBase64(good)
	path := "/sessions/online/" + s.ref + "/invoices"
	assert.Equal(t, 21167, w.do(http.MethodPost, path, s.access, body).code())
	body["hashOfCorrectedInvoice"] = hashBase64([]byte("rejected"))
	assert.Equal(t, 202, w.do(http.MethodPost, path, s.access, body).status)
	w.clock.Advance(time.Second)
	assert.Equal(t, 21166, w.do(http.MethodPost, path, s.access, body).code())
}
