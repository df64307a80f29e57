package ksefsim

import (
	"bytes"
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const (
	testNIP   = "5265877635"
	otherNIP  = "1111111111"
	thirdNIP  = "2222222222"
	testStart = "2026-11-23T10:00:00Z"
	minute    = time.Minute
)

// clock is a hand-moved clock.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func newClock() *clock {
	t, _ := time.Parse(time.RFC3339, testStart)
	return &clock{t: t}
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

// world is a simulator behind a server, with a clock.
type world struct {
	t      testing.TB
	sim    *Simulator
	server *httptest.Server
	clock  *clock
	http   *http.Client
}

func newWorld(t testing.TB, change func(*Config)) *world {
	t.Helper()
	c := newClock()
	cfg := Config{Clock: c.Now, Limits: LimitsOff, Control: true}
	if change != nil {
		change(&cfg)
	}
	sim, err := New(cfg)
	require.NoError(t, err)
	server := httptest.NewServer(sim.Handler())
	t.Cleanup(server.Close)
	w := &world{t: t, sim: sim, server: server, clock: c, http: server.Client()}
	t.Cleanup(w.witness)
	return w
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   []byte
}

func (a answer) json(t testing.TB) map[string]any {
	t.Helper()
	var v map[string]any
	require.NoError(t, json.Unmarshal(a.body, &v), "body: %s", a.body)
	return v
}

// code is the first error code of a 400 in the default format.
func (a answer) code() int {
	var v struct {
		Exception struct {
			List []struct {
				Code int `json:"exceptionCode"`
			} `json:"exceptionDetailList"`
		} `json:"exception"`
	}
	if json.Unmarshal(a.body, &v) != nil || len(v.Exception.List) == 0 {
		return 0
	}
	return v.Exception.List[0].Code
}

func (w *world) do(method, path, bearer string, body any, headers ...string) answer {
	w.t.Helper()
	a, err := w.try(method, path, bearer, body, headers...)
	require.NoError(w.t, err)
	return a
}

func (w *world) try(method, path, bearer string, body any, headers ...string) (answer, error) {
	w.t.Helper()
	var reader io.Reader
	kind := ""
	switch body := body.(type) {
	case nil:
	case []byte:
		reader, kind = bytes.NewReader(body), "application/xml"
	default:
		data, err := json.Marshal(body)
		require.NoError(w.t, err)
		reader, kind = bytes.NewReader(data), "application/json"
	}
	if strings.HasPrefix(path, "/") {
		if !strings.HasPrefix(path, "/_sim/") {
			path = "/v2" + path
		}
		path = w.server.URL + path
	}
	req, err := http.NewRequestWithContext(w.t.Context(), method, path, reader)
	require.NoError(w.t, err)
	if kind != "" {
		req.Header.Set("Content-Type", kind)
	}
	if bearer != "" {
		req.Header.Set("Authorization", "Bearer "+bearer)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := w.http.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header, data}, err
}

func (w *world) control(path string, body any) answer {
	w.t.Helper()
	a := w.do(http.MethodPost, "/_sim/"+path, "", body)
	require.Equal(w.t, 200, a.status, "%s", a.body)
	return a
}

// login signs in for a NIP with its own seal and gives an access token.
func (w *world) login(nip string) string {
	w.t.Helper()
	access, _ := w.loginWith(sealOf(w.t, nip), nip)
	return access
}

func (w *world) loginWith(c credentials, nip string) (access, refresh string) {
	w.t.Helper()
	authToken, ref := w.authenticate(signing{credentials: c, nip: nip})
	w.clock.Advance(time.Second)
	status := w.do(http.MethodGet, "/auth/"+ref, authToken, nil).json(w.t)
	require.EqualValues(w.t, 200, status["status"].(map[string]any)["code"], "%v", status)
	tokens := w.do(http.MethodPost, "/auth/token/redeem", authToken, nil)
	require.Equal(w.t, 200, tokens.status)
	return tokenIn(tokens.json(w.t)["accessToken"]), tokenIn(tokens.json(w.t)["refreshToken"])
}

// authenticate sends a signed request, which must be accepted.
func (w *world) authenticate(s signing) (authToken, ref string) {
	w.t.Helper()
	s.challenge = w.newChallenge()
	a := w.do(http.MethodPost, "/auth/xades-signature", "", s.document(w.t))
	require.Equal(w.t, 202, a.status, "%s", a.body)
	v := a.json(w.t)
	return tokenIn(v["authenticationToken"]), v["referenceNumber"].(string)
}

func (w *world) newChallenge() string {
	w.t.Helper()
	return w.do(http.MethodPost, "/auth/challenge", "", nil).json(w.t)["challenge"].(string)
}

func tokenIn(v any) string { return v.(map[string]any)["token"].(string) }

// sender is an open session with its key.
type sender struct {
	*world
	access, ref string
	key, iv     []byte
}

func (w *world) openBody(key, iv []byte) map[string]any {
	w.t.Helper()
	var keys []struct {
		Certificate, PublicKeyID string
		Usage                    []string
	}
	require.NoError(w.t, json.Unmarshal(w.do(http.MethodGet, "/security/public-key-certificates", "", nil).body, &keys))
	for _, k := range keys {
		if k.Usage[0] != usageSymmetric {
			continue
		}
		der, err := base64.StdEncoding.DecodeString(k.Certificate)
		require.NoError(w.t, err)
		cert, err := x509.ParseCertificate(der)
		require.NoError(w.t, err)
		wrapped, err := rsa.EncryptOAEP(sha256.New(), rand.Reader, cert.PublicKey.(*rsa.PublicKey), key, nil)
		require.NoError(w.t, err)
		return map[string]any{
			"formCode": map[string]any{"systemCode": "FA (3)", "schemaVersion": "1-0E", "value": "FA"},
			"encryption": map[string]any{
				"encryptedSymmetricKey": base64.StdEncoding.EncodeToString(wrapped),
				"initializationVector":  base64.StdEncoding.EncodeToString(iv),
				"publicKeyId":           k.PublicKeyID,
			},
		}
	}
	w.t.Fatal("no key to encrypt with")
	return nil
}

func (w *world) open(access string) *sender {
	w.t.Helper()
	s := &sender{world: w, access: access, key: make([]byte, 32), iv: make([]byte, 16)}
	_, _ = rand.Read(s.key)
	_, _ = rand.Read(s.iv)
	a := w.do(http.MethodPost, "/sessions/online", access, w.openBody(s.key, s.iv))
	require.Equal(w.t, 201, a.status, "%s", a.body)
	s.ref = a.json(w.t)["referenceNumber"].(string)
	return s
}

func (s *sender) encrypt(plain []byte) []byte {
	block, err := aes.NewCipher(s.key)
	require.NoError(s.t, err)
	pad := aes.BlockSize - len(plain)%aes.BlockSize
	text := append(bytes.Clone(plain), bytes.Repeat([]byte{byte(pad)}, pad)...)
	cipher.NewCBCEncrypter(block, s.iv).CryptBlocks(text, text)
	return text
}

func (s *sender) body(xml []byte) map[string]any {
	text := s.encrypt(xml)
	return map[string]any{
		"invoiceHash": hashBase64(xml), "invoiceSize": len(xml),
		"encryptedInvoiceHash": hashBase64(text), "encryptedInvoiceSize": len(text),
		"encryptedInvoiceContent": base64.StdEncoding.EncodeToString(text), "offlineMode": false,
	}
}

func (s *sender) send(xml []byte) string {
	s.t.Helper()
	a := s.do(http.MethodPost, "/sessions/online/"+s.ref+"/invoices", s.access, s.body(xml))
	require.Equal(s.t, 202, a.status, "%s", a.body)
	return a.json(s.t)["referenceNumber"].(string)
}

func (s *sender) close() {
	s.t.Helper()
	require.Equal(s.t, 204, s.do(http.MethodPost, "/sessions/online/"+s.ref+"/close", s.access, nil).status)
}

func (s *sender) invoice(ref string) map[string]any {
	s.t.Helper()
	a := s.do(http.MethodGet, "/sessions/"+s.ref+"/invoices/"+ref, s.access, nil)
	require.Equal(s.t, 200, a.status, "%s", a.body)
	return a.json(s.t)
}

func (s *sender) session() map[string]any {
	s.t.Helper()
	a := s.do(http.MethodGet, "/sessions/"+s.ref, s.access, nil)
	require.Equal(s.t, 200, a.status, "%s", a.body)
	return a.json(s.t)
}

func statusCode(doc map[string]any) int { return int(doc["status"].(map[string]any)["code"].(float64)) }

// fa3 is a small FA(3) invoice.
type fa3 struct {
	seller, buyer, number, kind, date, extra, head string
}

func (f fa3) xml() []byte {
	or := func(s, standard string) string {
		if s == "" {
			return standard
		}
		return s
	}
	return []byte(fmt.Sprintf(`%s<Faktura xmlns="http://crd.gov.pl/wzor/2025/06/25/13775/"><Naglowek>`+
		`<KodFormularza kodSystemowy="FA (3)" wersjaSchemy="1-0E">FA</KodFormularza><WariantFormularza>3</WariantFormularza>`+
		`<DataWytworzeniaFa>2026-11-23T09:00:00Z</DataWytworzeniaFa></Naglowek>`+
		`<Podmiot1><DaneIdentyfikacyjne><NIP>%s</NIP><Nazwa>Alfa &amp; Żółw sp. z o.o.</Nazwa></DaneIdentyfikacyjne>`+
		`<Adres><KodKraju>PL</KodKraju><AdresL1>ul. Długa 1</AdresL1></Adres></Podmiot1>`+
		`<Podmiot2><DaneIdentyfikacyjne><NIP>%s</NIP><Nazwa>Beta</Nazwa></DaneIdentyfikacyjne><JST>2</JST><GV>2</GV></Podmiot2>`+
		`<Podmiot3><DaneIdentyfikacyjne><NIP>`+thirdNIP+`</NIP><Nazwa>Faktor</Nazwa></DaneIdentyfikacyjne><Rola>1</Rola></Podmiot3>`+
		`<Fa><KodWaluty>PLN</KodWaluty><P_1>%s</P_1><P_2>%s</P_2><P_13_1>1000.00</P_13_1><P_14_1>230.00</P_14_1><P_15>1230.00</P_15>`+
		`<Adnotacje><P_16>2</P_16><P_17>2</P_17></Adnotacje><RodzajFaktury>%s</RodzajFaktury></Fa>%s</Faktura>`,
		or(f.head, `<?xml version="1.0" encoding="UTF-8"?>`+"\n"), or(f.seller, testNIP), or(f.buyer, otherNIP),
		or(f.date, "2026-11-23"), or(f.number, "FV/1"), or(f.kind, "VAT"), f.extra))
}

// credentials are a certificate with its key.
type credentials struct {
	key  crypto.Signer
	cert *x509.Certificate
}
