package ksef

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// publicKeyEntry is an entry of the list of public keys.
func publicKeyEntry(t *testing.T, key *rsa.PrivateKey, id, usage string, from, to time.Time) string {
	t.Helper()
	c := newCertificate(t, key, plainName, nil)
	return fmt.Sprintf(`{"certificate":%q,"certificateId":"x","publicKeyId":%q,"validFrom":%q,"validTo":%q,"usage":[%q,"Unknown"]}`,
		base64.StdEncoding.EncodeToString(c.Raw), id, from.Format(time.RFC3339), to.Format(time.RFC3339), usage)
}

func sampleKey(t *testing.T) (k SymmetricKey) {
	t.Helper()
	_, _ = rand.Read(k.Key[:])
	_, _ = rand.Read(k.IV[:])
	return k
}

func TestPublicKey_isTheNewestThatIsValid(t *testing.T) {
	f := newFakeKSeF(t)
	day := 24 * time.Hour
	f.on("GET /security/public-key-certificates", answerJSON(200, "["+
		publicKeyEntry(t, rsaKey(), "old", UsageSymmetricKey, testNow.Add(-300*day), testNow.Add(30*day))+","+
		publicKeyEntry(t, rsaKey(), "new", UsageSymmetricKey, testNow.Add(-1*day), testNow.Add(30*day))+","+
		publicKeyEntry(t, rsaKey(), "future", UsageSymmetricKey, testNow.Add(1*day), testNow.Add(30*day))+","+
		publicKeyEntry(t, rsaKey(), "ended", UsageSymmetricKey, testNow.Add(-1*time.Hour), testNow.Add(-time.Minute))+","+
		publicKeyEntry(t, rsaKey(), "token", UsageToken, testNow.Add(-1*day), testNow.Add(30*day))+`,
		{"certificate":"!","usage":null},{"certificate":"AAAA","usage":["SymmetricKeyEncryption"]}]`))
	c := f.client()
	k, err := c.PublicKey(t.Context(), UsageSymmetricKey)
	require.NoError(t, err)
	assert.Equal(t, "new", k.ID)
	k, err = c.PublicKey(t.Context(), UsageToken)
	require.NoError(t, err)
	assert.Equal(t, "token", k.ID)
	assert.Equal(t, 1, f.called("GET /security/public-key-certificates"), "kept for an hour")
	assert.Zero(t, f.called("POST /auth/challenge"), "needs no login")

	f.advance(time.Hour + time.Second)
	_, err = c.PublicKey(t.Context(), UsageSymmetricKey)
	require.NoError(t, err)
	assert.Equal(t, 2, f.called("GET /security/public-key-certificates"))
	_, err = c.PublicKey(t.Context(), "Nothing")
	assert.ErrorContains(t, err, "no key for Nothing is valid now")
}

// TestOnlineSession_canBeReadByKSeF decrypts with KSeF's private key what the
// client sends.
func TestOnlineSession_canBeReadByKSeF(t *testing.T) {
	f := newFakeKSeF(t)
	f.on("GET /security/public-key-certificates", answerJSON(200, "["+publicKeyEntry(t, rsaKey(), "id-1", UsageSymmetricKey, testNow.Add(-time.Hour), testNow.Add(time.Hour))+"]"))
	f.on("POST /sessions/online", answerJSON(201, `{"referenceNumber":"20261122-SO-1","validUntil":"2026-11-23T00:00:00+00:00"}`))
	f.on("POST /sessions/online/20261122-SO-1/invoices", answerJSON(202, `{"referenceNumber":"20261122-EE-1"}`))
	f.on("POST /sessions/online/20261122-SO-1/close", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) })
	c := f.client()
	k := sampleKey(t)
	opened, err := c.OpenOnlineSession(t.Context(), FA3, k)
	require.NoError(t, err)
	assert.Equal(t, OpenedSession{"20261122-SO-1", time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)}, opened)
	xml := []byte("<?xml version=\"1.0\"?>\r\n<Faktura>żółć</Faktura>")
	reference, err := c.SendInvoice(t.Context(), opened.Reference, k, InvoiceToSend{XML: xml, Offline: true})
	require.NoError(t, err)
	assert.Equal(t, "20261122-EE-1", reference)
	require.NoError(t, c.CloseOnlineSession(t.Context(), opened.Reference))

	in := decode(t, f.last("POST /sessions/online").body)
	assert.Equal(t, map[string]any{"systemCode": "FA (3)", "schemaVersion": "1-0E", "value": "FA"}, in["formCode"])
	e := in["encryption"].(map[string]any)
	assert.Equal(t, "id-1", e["publicKeyId"])
	wrapped, err := base64.StdEncoding.DecodeString(e["encryptedSymmetricKey"].(string))
	require.NoError(t, err)
	key, err := rsa.DecryptOAEP(sha256.New(), nil, rsaKey(), wrapped, nil)
	require.NoError(t, err)
	assert.Equal(t, k.Key[:], key)
	assert.Equal(t, base64.StdEncoding.EncodeToString(k.IV[:]), e["initializationVector"])

	sent := decode(t, f.last("POST /sessions/online/20261122-SO-1/invoices").body)
	encrypted, err := base64.StdEncoding.DecodeString(sent["encryptedInvoiceContent"].(string))
	require.NoError(t, err)
	plain, err := Decrypt(k, encrypted)
	require.NoError(t, err)
	assert.Equal(t, xml, plain)
	assert.Equal(t, hashOf(xml), sent["invoiceHash"])
	assert.EqualValues(t, len(xml), sent["invoiceSize"])
	assert.Equal(t, hashOf(encrypted), sent["encryptedInvoiceHash"])
	assert.EqualValues(t, len(encrypted), sent["encryptedInvoiceSize"])
	assert.Equal(t, true, sent["offlineMode"])
}

// TestOpenOnlineSession_readsTheKeysAnew after 21470, once.
func TestOpenOnlineSession_readsTheKeysAnew(t *testing.T) {
	f := newFakeKSeF(t)
	f.sequence("GET /security/public-key-certificates",
		answerJSON(200, "["+publicKeyEntry(t, rsaKey(), "old", UsageSymmetricKey, testNow.Add(-time.Hour), testNow.Add(time.Hour))+"]"),
		answerJSON(200, "["+publicKeyEntry(t, rsaKey2(), "new", UsageSymmetricKey, testNow.Add(-time.Hour), testNow.Add(time.Hour))+"]"))
	refuse := problem(400, `{"errors":[{"code":21470,"description":"publicKeyId"}]}`)
	f.sequence("POST /sessions/online", refuse, answerJSON(201, `{"referenceNumber":"S"}`), refuse)
	c := f.client()
	_, err := c.OpenOnlineSession(t.Context(), FA3, sampleKey(t))
	require.NoError(t, err)
	assert.Equal(t, "new", decode(t, f.last("POST /sessions/online").body)["encryption"].(map[string]any)["publicKeyId"])
	_, err = c.OpenOnlineSession(t.Context(), FA3, sampleKey(t))
	e, ok := AsError(err)
	require.True(t, ok)
	assert.True(t, e.Has(CodeUnknownPublicKey))
	assert.Equal(t, 4, f.called("POST /sessions/online"))
}

// TestSendInvoice_readsTheKeysAnewWhenTheSessionTakesNothing: KSeF may have
// been unable to read the session's key, so the next session is opened under a
// key that was read again.
func TestSendInvoice_readsTheKeysAnewWhenTheSessionTakesNothing(t *testing.T) {
	f := newFakeKSeF(t)
	f.sequence("GET /security/public-key-certificates",
		answerJSON(200, "["+publicKeyEntry(t, rsaKey(), "of-another-environment", UsageSymmetricKey, testNow.Add(-time.Hour), testNow.Add(time.Hour))+"]"),
		answerJSON(200, "["+publicKeyEntry(t, rsaKey2(), "right", UsageSymmetricKey, testNow.Add(-time.Hour), testNow.Add(time.Hour))+"]"))
	f.on("POST /sessions/online", answerJSON(201, `{"referenceNumber":"S"}`))
	f.on("POST /sessions/online/S/invoices", problem(400, `{"errors":[{"code":21180,"description":"status"}]}`))
	c := f.client()
	_, err := c.OpenOnlineSession(t.Context(), FA3, sampleKey(t))
	require.NoError(t, err)
	_, err = c.SendInvoice(t.Context(), "S", sampleKey(t), InvoiceToSend{XML: []byte("<Faktura/>")})
	e, ok := AsError(err)
	require.True(t, ok)
	assert.True(t, e.Has(CodeSessionForbids))
	_, err = c.OpenOnlineSession(t.Context(), FA3, sampleKey(t))
	require.NoError(t, err)
	assert.Equal(t, "right", decode(t, f.last("POST /sessions/online").body)["encryption"].(map[string]any)["publicKeyId"])
	assert.Equal(t, 1, f.called("POST /sessions/online/S/invoices"))
}

// TestPosts_areNotRepeated proves that no failure other than 401 and 21470
// leads to a second POST.
func TestPosts_areNotRepeated(t *testing.T) {
	drop := func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }
	for name, h := range map[string]http.HandlerFunc{
		"dropped":   drop,
		"502":       answerJSON(502, `{}`),
		"500":       answerJSON(500, `{}`),
		"html":      func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) },
		"no answer": answerJSON(202, `{}`),
		"21184":     problem(400, `{"errors":[{"code":21184}]}`),
	} {
		t.Run(name, func(t *testing.T) {
			f := newFakeKSeF(t)
			f.on("POST /sessions/online/S/invoices", h)
			c := f.client()
			_, err := c.SendInvoice(t.Context(), "S", sampleKey(t), InvoiceToSend{XML: []byte("<x/>")})
			_, ok := AsError(err)
			require.True(t, ok, "%v", err)
			assert.Equal(t, 1, f.called("POST /sessions/online/S/invoices"))
		})
	}
	_, err := newFakeKSeF(t).client().SendInvoice(t.Context(), "S", SymmetricKey{}, InvoiceToSend{})
	assert.ErrorContains(t, err, "empty")
}

func TestSessionStatus_readsCountsAndUPO(t *testing.T) {
	f := newFakeKSeF(t)
	f.on("GET /sessions/S", answerJSON(200, `{"status":{"code":200,"description":"Sukces","details":null,"x":1},"dateCreated":"2026-11-22T10:00:00.1234567+00:00",
		"dateUpdated":"2026-11-22T10:01:00","validUntil":null,"invoiceCount":3,"successfulInvoiceCount":2,"failedInvoiceCount":1,"brandNew":[],
		"upo":{"pages":[{"referenceNumber":"U1","downloadUrl":"https://x.example/upo?sig=1","downloadUrlExpirationDate":"2026-11-25T00:00:00Z"}]}}`))
	s, err := f.client().SessionStatus(t.Context(), "S")
	require.NoError(t, err)
	assert.Equal(t, SessionStatus{
		Code: 200, Description: "Sukces",
		Created: time.Date(2026, 11, 22, 10, 0, 0, 123456700, time.UTC), Updated: time.Date(2026, 11, 22, 10, 1, 0, 0, time.UTC),
		InvoiceCount: 3, Successful: 2, Failed: 1,
		UPOPages: []UPOPage{{"U1", "https://x.example/upo?sig=1", time.Date(2026, 11, 25, 0, 0, 0, 0, time.UTC)}},
	}, s)
}

const duplicateInvoice = `{"ordinalNumber":2,"referenceNumber":"E2","invoiceHash":"h2","invoicingDate":"2026-11-22T10:00:00Z","invoicingMode":"SomethingNew",
	"status":{"code":440,"description":"Taka faktura już jest","details":["d"],"extensions":{"originalSessionReferenceNumber":"OS","originalKsefNumber":"5265877635-20250626-010080DD2B5E-26","other":7}}}`

func TestInvoiceStatus_namesTheOriginalOfADuplicate(t *testing.T) {
	f := newFakeKSeF(t)
	f.on("GET /sessions/S/invoices/E2", answerJSON(200, duplicateInvoice))
	s, err := f.client().InvoiceStatus(t.Context(), "S", "E2")
	require.NoError(t, err)
	assert.Equal(t, StatusDuplicate, s.Code)
	assert.Equal(t, "OS", s.OriginalSessionReference)
	assert.Equal(t, "5265877635-20250626-010080DD2B5E-26", s.OriginalKSeFNumber)
	assert.Equal(t, []string{"d"}, s.Details)
	assert.Empty(t, s.KSeFNumber)
	assert.True(t, s.PermanentStorageDate.IsZero())
}

func TestSessionInvoices_readsAllPages(t *testing.T) {
	f := newFakeKSeF(t)
	f.on("GET /sessions/S/invoices", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("x-continuation-token") == "" {
			writeJSON(w, 200, `{"continuationToken":"next==","invoices":[{"ordinalNumber":1,"ksefNumber":"K","upoDownloadUrl":"https://x.example/1","invoicingMode":"Online","status":{"code":200}}]}`)
			return
		}
		writeJSON(w, 200, `{"continuationToken":null,"invoices":[%s]}`, duplicateInvoice)
	})
	c := f.client()
	all, err := c.SessionInvoices(t.Context(), "S")
	require.NoError(t, err)
	require.Len(t, all, 2)
	assert.Equal(t, "K", all[0].KSeFNumber)
	assert.Equal(t, "https://x.example/1", all[0].UPODownloadURL.Reveal())
	assert.Equal(t, "E2", all[1].Reference)
	assert.Equal(t, "next==", f.last("GET /sessions/S/invoices").header.Get("X-Continuation-Token"))
	assert.Equal(t, "pageSize=1000", f.last("GET /sessions/S/invoices").query)

	f.on("GET /sessions/S/invoices", answerJSON(200, `{"continuationToken":"same","invoices":[]}`))
	_, err = c.SessionInvoices(t.Context(), "S")
	assert.ErrorContains(t, err, "does not end")
}

func TestRateLimits_areReadAndKept(t *testing.T) {
	f := newFakeKSeF(t)
	f.on("GET /rate-limits", answerJSON(200, `{"onlineSession":{"perSecond":1,"perMinute":2,"perHour":3},"invoiceDownload":{"perSecond":2,"perMinute":2,"perHour":2},
		"other":{"perSecond":100,"perMinute":300,"perHour":1200},"brandNew":{"perSecond":7},"global":{"perSecond":-1,"perMinute":-1,"perHour":-1},"anonymous":null,"odd":"text"}`))
	f.on("GET /invoices/ksef/N", func(w http.ResponseWriter, _ *http.Request) { writeXML(w, "<x/>") })
	c := f.client()
	l, err := c.RateLimits(t.Context())
	require.NoError(t, err)
	assert.Equal(t, RateLimits{
		GroupOnlineSession: {1, 2, 3}, GroupInvoiceDownload: {2, 2, 2}, GroupOther: {100, 300, 1200},
		"brandNew": {PerSecond: 7}, GroupGlobal: {-1, -1, -1},
	}, l)
	_, err = c.DownloadInvoice(t.Context(), "N", "")
	require.NoError(t, err)
	_, err = c.DownloadInvoice(t.Context(), "N", "")
	e, ok := AsError(err)
	require.True(t, ok, "paced by what was read: two an hour, less one")
	assert.True(t, e.Local)
}

func TestNew_checksItsOptions(t *testing.T) {
	good := Options{BaseURL: Test.BaseURL(), NIP: "5265877635", Credentials: testCredentials(t)}
	_, err := New(good)
	require.NoError(t, err)
	for want, change := range map[string]func(*Options){
		"use https":   func(o *Options) { o.BaseURL = "http://api.example/v2" },
		"not an addr": func(o *Options) { o.BaseURL = "" },
		"ten digits":  func(o *Options) { o.NIP = "526-587-76-35" },
		"certificate": func(o *Options) { o.Credentials = Credentials{} },
		"negative":    func(o *Options) { o.TimeScale = -1 },
	} {
		o := good
		change(&o)
		_, err := New(o)
		assert.ErrorContains(t, err, want)
	}
	for _, loopback := range []string{"http://127.0.0.1:8081/v2", "http://localhost/v2", "http://[::1]:1/v2/"} {
		o := good
		o.BaseURL = loopback
		_, err := New(o)
		assert.NoError(t, err)
	}
}
