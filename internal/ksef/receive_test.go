package ksef

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const metadataRoute = "POST /invoices/query/metadata"

func TestQueryMetadata_asksAndReads(t *testing.T) {
	f := newFakeKSeF(t)
	f.on(metadataRoute, answerJSON(200, `{"hasMore":true,"isTruncated":false,"permanentStorageHwmDate":"2026-11-22T11:59:58.7654321+00:00","new":1,"invoices":[
		{"ksefNumber":"5265877635-20250826-0100001AF629-AF","invoiceNumber":"FV/1","issueDate":"2026-11-20","invoicingDate":"2026-11-20T10:00:00.1234567+00:00",
		"acquisitionDate":"2026-11-20T10:00:01Z","permanentStorageDate":"2026-11-20T10:00:02","seller":{"nip":"1111111111","name":"Alfa"},
		"buyer":{"identifier":{"type":"BrandNew","value":"5265877635"},"name":null},"netAmount":1000.10,"grossAmount":1230.123456789012345,"vatAmount":1.5E+2,
		"currency":"EUR","invoicingMode":"Offline","invoiceType":"SomethingNew","formCode":{"systemCode":"FA (3)","schemaVersion":"1-0E","value":"FA"},
		"isSelfInvoicing":true,"hasAttachment":true,"invoiceHash":"aGFzaA==","hashOfCorrectedInvoice":null,"thirdSubjects":[{}]}]}`))
	page, err := f.client().QueryMetadata(t.Context(), MetadataQuery{
		SubjectType: SubjectBuyer, From: testNow.Add(-time.Hour).Add(123456700), RestrictToHWM: true,
	})
	require.NoError(t, err)
	assert.True(t, page.HasMore)
	assert.False(t, page.NothingNew)
	assert.Equal(t, time.Date(2026, 11, 22, 11, 59, 58, 765432100, time.UTC), page.HWM)
	require.Len(t, page.Invoices, 1)
	m := page.Invoices[0]
	assert.Equal(t, "1000.1", m.Net.String())
	assert.Equal(t, "1230.123456789012345", m.Gross.String(), "exact, not through a float")
	assert.Equal(t, "150", m.VAT.String())
	assert.Equal(t, "1111111111", m.SellerNIP)
	assert.Equal(t, "BrandNew", m.BuyerType)
	assert.Equal(t, "SomethingNew", m.InvoiceType)
	assert.Equal(t, time.Date(2026, 11, 20, 10, 0, 2, 0, time.UTC), m.PermanentStorageDate)
	assert.Equal(t, FA3, m.FormCode)
	assert.True(t, m.SelfInvoicing && m.HasAttachment)

	r := f.last(metadataRoute)
	assert.Equal(t, "pageOffset=0&pageSize=250&sortOrder=Asc", r.query)
	assert.JSONEq(t, `{"subjectType":"Subject2","dateRange":{"dateType":"PermanentStorage","from":"2026-11-22T11:00:00.1234567Z","restrictToPermanentStorageHwmDate":true}}`, r.body)

	encoded, err := json.Marshal(m)
	require.NoError(t, err)
	var back Metadata
	require.NoError(t, json.Unmarshal(encoded, &back))
	assert.True(t, back.Gross.Equal(m.Gross))
	back.Net, back.Gross, back.VAT = m.Net, m.Gross, m.VAT
	assert.Equal(t, m, back)
	assert.Contains(t, string(encoded), `"ksefNumber":"5265877635-20250826-0100001AF629-AF"`)
}

func TestQueryMetadata_sendsEveryFilter(t *testing.T) {
	f := newFakeKSeF(t)
	f.on(metadataRoute, answerJSON(200, `{"hasMore":false,"isTruncated":true,"invoices":[]}`))
	page, err := f.client().QueryMetadata(t.Context(), MetadataQuery{
		SubjectType: SubjectSeller, From: testNow.Add(-time.Hour), To: testNow, KSeFNumber: "N",
		PageOffset: 3, PageSize: 10, DateType: DateIssue, Descending: true,
	})
	require.NoError(t, err)
	assert.True(t, page.Truncated)
	assert.True(t, page.HWM.IsZero())
	r := f.last(metadataRoute)
	assert.Equal(t, "pageOffset=3&pageSize=10&sortOrder=Desc", r.query)
	assert.JSONEq(t, `{"subjectType":"Subject1","dateRange":{"dateType":"Issue","from":"2026-11-22T11:00:00.0000000Z","to":"2026-11-22T12:00:00.0000000Z"},"ksefNumber":"N"}`, r.body)
}

func TestQueryMetadata_takes21183AsNothingNew(t *testing.T) {
	f := newFakeKSeF(t)
	f.on(metadataRoute, problem(400, `{"errors":[{"code":21183,"description":"po HWM"}]}`))
	page, err := f.client().QueryMetadata(t.Context(), MetadataQuery{SubjectType: SubjectBuyer, From: testNow, RestrictToHWM: true})
	require.NoError(t, err)
	assert.Equal(t, MetadataPage{NothingNew: true}, page)
}

func TestQueryMetadata_spendsNoQuotaOnNonsense(t *testing.T) {
	f := newFakeKSeF(t)
	c := f.client()
	for _, q := range []MetadataQuery{
		{From: testNow},
		{SubjectType: SubjectBuyer},
		{SubjectType: SubjectBuyer, From: testNow, To: testNow.Add(-1)},
		{SubjectType: SubjectBuyer, From: testNow, PageSize: 251},
		{SubjectType: SubjectBuyer, From: testNow, PageSize: 9},
		{SubjectType: SubjectBuyer, From: testNow, PageOffset: -1},
		{SubjectType: SubjectBuyer, From: testNow, DateType: DateIssue, RestrictToHWM: true},
	} {
		_, err := c.QueryMetadata(t.Context(), q)
		assert.Error(t, err)
	}
	assert.Zero(t, f.called(metadataRoute))
}

func TestAmount_readsOddNumbersAsZero(t *testing.T) {
	for in, want := range map[string]string{
		`12.50`: "12.5", `"12.50"`: "12.5", `-0.01`: "-0.01", `1e3`: "1000", `null`: "0", `1e999999999`: "0", `"abc"`: "0", `{}`: "0",
	} {
		var a amount
		require.NoError(t, json.Unmarshal([]byte(in), &a), in)
		assert.Equal(t, want, a.String(), in)
	}
}

func TestDownloadInvoice_givesExactBytesAndChecksThem(t *testing.T) {
	const number = "5265877635-20250826-0100001AF629-AF"
	const xml = "\ufeff<?xml version=\"1.0\"?>\r\n<Faktura/>\n"
	f := newFakeKSeF(t)
	f.on("GET /invoices/ksef/"+number, func(w http.ResponseWriter, _ *http.Request) { writeXML(w, xml) })
	c := f.client()
	got, err := c.DownloadInvoice(t.Context(), number, hashOf([]byte(xml)))
	require.NoError(t, err)
	assert.Equal(t, xml, string(got))
	assert.Contains(t, f.last("GET /invoices/ksef/"+number).header.Get("Accept"), "application/xml")

	_, err = c.DownloadInvoice(t.Context(), number, hashOf([]byte("other")))
	e, ok := AsError(err)
	require.True(t, ok)
	assert.Equal(t, KindHashMismatch, e.Kind)

	for name, h := range map[string]struct {
		answer http.HandlerFunc
		kind   Kind
	}{
		"wrong hash": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/xml")
			w.Header().Set("x-ms-meta-hash", hashOf([]byte("other")))
			_, _ = w.Write([]byte(xml))
		}, KindHashMismatch},
		"cut off": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/xml")
			w.Header().Set("Content-Length", "500")
			_, _ = w.Write([]byte(xml))
		}, KindNetwork},
		"empty": {func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Type", "application/xml") }, KindGateway},
		"JSON":  {answerJSON(200, `{}`), KindGateway},
		"HTML": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			_, _ = w.Write([]byte(xml))
		}, KindGateway},
		"not yet": {problem(400, `{"errors":[{"code":21165}]}`), KindNotYet},
		"unknown": {problem(400, `{"errors":[{"code":21164}]}`), KindRejected},
	} {
		t.Run(name, func(t *testing.T) {
			f.on("GET /invoices/ksef/"+number, h.answer)
			f.advance(time.Hour)
			_, err := c.DownloadInvoice(t.Context(), number, "")
			e, ok := AsError(err)
			require.True(t, ok, "%v", err)
			assert.Equal(t, h.kind, e.Kind)
		})
	}
}

func TestDocument_isBounded(t *testing.T) {
	f := newFakeKSeF(t)
	f.on("GET /invoices/ksef/N", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/xml")
		_, _ = w.Write([]byte(strings.Repeat("x", 2000)))
	})
	c := f.client()
	_, err := c.call(t.Context(), request{
		operation: "x", method: http.MethodGet, path: "/invoices/ksef/N", group: GroupInvoiceDownload, accept: xmlTypes, maxBody: 1999, auth: authAccess,
	})
	assert.ErrorContains(t, err, "larger than 1999 bytes")
}

func TestUPO_comesByLinkWithoutATokenAndByTheAPI(t *testing.T) {
	f := newFakeKSeF(t)
	upo := func(w http.ResponseWriter, _ *http.Request) { writeXML(w, "<Potwierdzenie/>") }
	for _, route := range []string{"GET /storage/upo", "GET /sessions/S/invoices/E/upo", "GET /sessions/S/invoices/ksef/K/upo"} {
		f.on(route, upo)
	}
	c := f.client()
	got, err := c.UPOByLink(t.Context(), SecretURL(f.server.URL+"/storage/upo?sig=geheim"))
	require.NoError(t, err)
	assert.Equal(t, "<Potwierdzenie/>", string(got))
	r := f.last("GET /storage/upo")
	assert.Empty(t, r.header.Get("Authorization"))
	assert.Equal(t, "sig=geheim", r.query)
	assert.Zero(t, f.called("POST /auth/challenge"))

	_, err = c.InvoiceUPO(t.Context(), "S", "E")
	require.NoError(t, err)
	_, err = c.InvoiceUPOByNumber(t.Context(), "S", "K")
	require.NoError(t, err)
	for _, bad := range []SecretURL{"", "ftp://x/y", "http://example.com/upo?sig=geheim", "/storage/upo", "https://user:geheim@x/y", "::geheim"} {
		_, err := c.UPOByLink(t.Context(), bad)
		e, ok := AsError(err)
		require.True(t, ok)
		assert.Equal(t, KindRejected, e.Kind)
		assert.NotContains(t, err.Error(), "geheim")
	}
}
