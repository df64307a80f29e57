package ksef

import (
	"bytes"
	"context"
	"crypto"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/youmark/pkcs8"
	"software.sslmate.com/src/go-pkcs12"
)

// endless ends the process when what a target does goes on and on. It is to be
// deferred.
func endless() func() bool {
	return time.AfterFunc(time.Minute, func() { panic("it does not come to an end") }).Stop
}

// sameAnswer answers every request alike.
type sameAnswer struct {
	status int
	header http.Header
	body   []byte
}

func (a sameAnswer) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: a.status, Header: a.header.Clone(), Body: io.NopCloser(bytes.NewReader(a.body)), Request: r}, nil
}

// FuzzAnswers proves that whatever KSeF, or what stands before it, answers to a
// call, an error is one of ours, is bounded and tells no token and no link, and
// what was read survives being written as JSON.
func FuzzAnswers(f *testing.F) {
	const jsonType, problemType = "application/json; charset=utf-8", "application/problem+json"
	for _, s := range []struct {
		status            int
		kind, retry, body string
	}{
		{400, jsonType, "", `{"exception":{"exceptionDetailList":[{"exceptionCode":21173,"exceptionDescription":"Brak https://x.example/y?sig=1","details":["a","eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln"]}]}}`},
		{400, problemType, "", `{"title":"Bad Request","status":400,"detail":7,"errors":[{"code":21405,"description":"Walidacja","details":"pole\u0007"},{"code":21165},{"code":1},{"code":2}]}`},
		{403, problemType, "", `{"title":"Forbidden","reasonCode":"missing-permissions","security":{"requiredAnyOfPermissions":["InvoiceWrite","` + strings.Repeat("ż", 600) + `"]}}`},
		{403, jsonType, "", `{"security":{"incidentId":"1-2"}}`},
		{429, jsonType, "30", `{"status":{"code":429}}`},
		{429, jsonType, "Sun, 22 Nov 2026 13:00:00 GMT", `{}`},
		{503, "", "9223372036854775807", ""},
		{502, "text/html", "-1", "<html>"},
		{302, jsonType, "", ""},
		{410, problemType, "", `{"title":"Gone"}`},
		{401, problemType, "", `{}`},
		{200, jsonType, "", `{"status":{"code":100,"details":null},"dateCreated":"2026-09-18T12:24:16.0154302+00:00","invoiceCount":1,"upo":{"pages":[{"referenceNumber":"x","downloadUrl":"https://x.example/?sig=1"}]}}`},
		{200, jsonType, "", `{"status":{"code":440,"description":"Duplikat","extensions":{"originalKsefNumber":"x"}},"acquisitionDate":"9999-12-31T23:59:59-10:00","continuationToken":"a","invoices":[{}]}`},
		{200, jsonType, "", `{"hasMore":true,"permanentStorageHwmDate":"2026-11-22 12:00:00","invoices":[{"ksefNumber":"5265877635-20250826-0100001AF629-AF","issueDate":"2026-11-2ż",` +
			`"invoicingDate":"0000-01-01T00:00:00+10:00","seller":{"nip":"1"},"buyer":{"identifier":{"type":"None"}},"netAmount":1.10,"grossAmount":"1e99","vatAmount":-0.00}]}`},
		{200, jsonType, "", `{"invoiceSend":{"perSecond":-1,"perMinute":1,"perHour":1},"other":null,"permissions":[{"permissionScope":"InvoiceRead"}],"hasMore":true}`},
		{200, jsonType, "", `{"challenge":"x","referenceNumber":"y","authenticationToken":{"token":"z","validUntil":"2026-11-22T12:00:01Z"},"accessToken":{"token":"a"},"status":{"code":200}}`},
		{200, jsonType, "", `{"status":{"code":-1},"authenticationToken":{"token":"z"}}`},
		{200, jsonType, "", `{"status":{"code":1`},
		{200, "http://x", "", `{}`},
		{400, problemType, "", `{"title":"http://","detail":"x","errors":[{"code":1,"description":"x","details":["https://"]}]}`},
		{403, problemType, "", `{"security":{"requiredAnyOfPermissions":["x"` + strings.Repeat(`,"x"`, 4000) + `]}}`},
	} {
		f.Add(s.status, s.kind, s.retry, []byte(s.body))
	}
	credentials := testCredentials(f)
	f.Fuzz(func(t *testing.T, status int, kind, retry string, body []byte) {
		defer endless()()
		now := testNow
		header := http.Header{"Content-Type": {kind}, "Retry-After": {retry}, "Date": {testNow.Format(http.TimeFormat)}, "X-System-Warning": {kind}}
		c, err := New(Options{
			BaseURL: "https://ksef.example/v2", NIP: "5265877635", Credentials: credentials, Now: func() time.Time { return now },
			HTTP: &http.Client{Transport: sameAnswer{100 + int(uint(status)-100)%500, header, body}},
		})
		if err != nil {
			t.Fatal(err)
		}
		c.pacer.sleep = func(_ context.Context, d time.Duration) error { now = now.Add(d); return nil }
		check := func(read any, err error) {
			t.Helper()
			if err != nil {
				checkError(t, err)
				return
			}
			written, err := json.Marshal(read)
			if err != nil {
				t.Fatalf("%+v cannot be written: %v", read, err)
			}
			again := reflect.New(reflect.TypeOf(read))
			if err := json.Unmarshal(written, again.Interface()); err != nil {
				t.Fatal(err)
			}
			if twice, err := json.Marshal(again.Interface()); err != nil || !bytes.Equal(twice, written) {
				t.Fatalf("%s\n%s: %v", written, twice, err)
			}
		}
		for _, logged := range []bool{true, false} {
			if logged {
				c.tokens.access = token{value: "t", validUntil: now.Add(time.Hour), renewAt: now.Add(time.Hour)}
			}
			s, err := c.SessionStatus(t.Context(), "S")
			check(s, err)
			i, err := c.InvoiceStatus(t.Context(), "S", "I")
			check(i, err)
			list, err := c.SessionInvoices(t.Context(), "S")
			check(list, err)
			page, err := c.QueryMetadata(t.Context(), MetadataQuery{SubjectType: "Subject2", From: now})
			check(page, err)
			for _, m := range page.Invoices {
				if !utf8.ValidString(m.IssueDate) || len(m.IssueDate) > len(time.DateOnly) {
					t.Fatalf("%q is cut", m.IssueDate)
				}
			}
			limits, err := c.RateLimits(t.Context())
			check(limits, err)
			granted, err := c.Permissions(t.Context())
			check(granted, err)
			c.pacer = newPacer(c.now, c.scale) // without the limits that it may have learnt
			c.pacer.sleep = func(_ context.Context, d time.Duration) error { now = now.Add(d); return nil }
			c.tokens = tokens{}
		}
		_, err = c.PublicKey(t.Context(), "SymmetricKeyEncryption")
		check(0, err)
	})
}

// checkError checks what every error of a call is.
func checkError(t *testing.T, err error) {
	t.Helper()
	e, ok := AsError(err)
	if !ok || e.Kind == "" || e.Operation == "" || e.RetryAfter < 0 || e.RetryAfter > longestRetryAfter+time.Second {
		t.Fatalf("no good error: %#v", err)
	}
	text := err.Error()
	if len(text) > 10_000 || !utf8.ValidString(text) || tokenPattern.MatchString(text) || linkPattern.MatchString(text) ||
		strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		t.Fatalf("it tells too much: %q", text)
	}
}

// FuzzParse proves that a KSeF number that is accepted is rebuilt from its
// parts, and that a time that is read is the same when KSeF reads it back.
func FuzzParse(f *testing.F) {
	for _, text := range []string{
		"5265877635-20250826-0100001AF629-AF", "5265877635-20250626-010080DD2B5E-26", "5265877635-20251326-0100001AF629-AF", "5265877635-20250826-010000-1AF629-AF",
		"2026-09-18T14:24:16.0154302+02:00", "2026-09-18T12:24Z", "2026-09-18 12:24:16", "9999-12-31T23:59:59-10:00", "0000-01-01T00:00:00+10:00", "2026-09-18T12:24:16,5",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		n, err := ParseNumber(text)
		switch {
		case err != nil:
			if n != "" || len(err.Error()) > 400 || !utf8.ValidString(err.Error()) {
				t.Fatalf("no good error: %v", err)
			}
			if number := Number(text); len(number) == numberLength && number.AcceptedOn().IsZero() && number.SellerNIP() == "" {
				t.Fatal("of its length and without a NIP")
			}
		case string(n) != text || n.SellerNIP()+"-"+n.AcceptedOn().Format("20060102")+text[19:] != text || remainder(text[:numberChecked]+text[33:]) != 0:
			t.Fatalf("%q was accepted", text)
		}

		at := parseTime(text)
		if at.Location() != time.UTC || at.Year() < 0 || at.Year() > 9999 {
			t.Fatalf("%q is %v", text, at)
		}
		if again := parseTime(formatTime(at)); !again.Equal(at.Truncate(100 * time.Nanosecond)) {
			t.Fatalf("%v is read back as %v", at, again)
		}
	})
}

// remainder divides a number's checked characters, followed by its checksum in
// hexadecimal, as a polynomial: bit by bit, as nobody would write crc8.
func remainder(text string) int {
	checked, sum := text[:numberChecked], text[numberChecked:]
	register := 0
	shift := func(bit int) {
		register = register<<1 | bit
		if register > 0xff {
			register ^= 0x107
		}
	}
	for i := range len(checked) {
		for bit := 7; bit >= 0; bit-- {
			shift(int(checked[i]) >> bit & 1)
		}
	}
	for i := range len(sum) {
		digit := strings.IndexByte("0123456789ABCDEF", sum[i])
		for bit := 3; bit >= 0; bit-- {
			shift(digit >> bit & 1)
		}
	}
	return register
}

// FuzzLoadCredentials proves that files of any content give either a
// certificate with the key that belongs to it, or an error that says what is
// wrong with them and not what is in them.
func FuzzLoadCredentials(f *testing.F) {
	certificate := newCertificate(f, ecKey(), polishName, nil)
	chain := bytes.Join([][]byte{pemOf("CERTIFICATE", newCertificate(f, ecKey384(), plainName, nil).Raw), pemOf("CERTIFICATE", certificate.Raw)}, []byte("\n"))
	encrypted := encryptedKey(f, ecKey(), sha256Options)
	scrypt := encryptedKey(f, ecKey(), &pkcs8.Opts{Cipher: pkcs8.AES256CBC, KDFOpts: pkcs8.ScryptOpts{SaltSize: 8, CostParameter: 16, BlockSize: 8, ParallelizationParameter: 1}})
	for _, s := range [][2][]byte{
		{certificate.Raw, encrypted},
		{chain, pemOf("ENCRYPTED PRIVATE KEY", encrypted)},
		{chain, scrypt},
		{append([]byte("\xef\xbb\xbf"), chain...), []byte("-----BEGIN EC PRIVATE KEY-----\nDEK-Info: x\n\nAAAA\n-----END EC PRIVATE KEY-----\n")},
		{must(pkcs12.Modern.Encode(ecKey(), certificate, nil, keyPassword)), nil},
		{must(pkcs12.LegacyRC2.Encode(ecKey(), certificate, nil, keyPassword)), nil},
		{append(bytes.Clone(chain), pemOf("ENCRYPTED PRIVATE KEY", encrypted)...), nil},
		{nil, []byte{0x30, 0x80, 2, 1, 3}},
	} {
		f.Add(s[0], s[1])
	}
	f.Fuzz(func(t *testing.T, certificate, key []byte) {
		defer endless()()
		c, err := LoadCredentials(certificate, key, keyPassword, testNow)
		if err != nil {
			var problem *CredentialError
			if !errors.As(err, &problem) || problem.Problem == "" || problem.Detail == "" || c.Key != nil || c.Certificate != nil {
				t.Fatalf("no good error: %#v", err)
			}
			if strings.Contains(err.Error(), strings.TrimSpace(keyPassword)) && !bytes.Contains(certificate, []byte(strings.TrimSpace(keyPassword))) {
				t.Fatal("the error tells the password")
			}
			return
		}
		digest := sha256.Sum256(nil)
		if !c.Key.Public().(interface{ Equal(crypto.PublicKey) bool }).Equal(c.Certificate.PublicKey) {
			t.Fatal("another key")
		}
		if _, err := c.Key.Sign(nil, digest[:], crypto.SHA256); err != nil {
			t.Fatalf("it cannot sign: %v", err)
		}
	})
}
