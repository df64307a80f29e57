package demo

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/youmark/pkcs8"
)

// credentials are the demo company's, made for this run.
type credentials struct {
	certificate []byte // PEM
	key         []byte // PEM, PKCS#8 under password (PBES2)
	password    string
	apiKey      string // of Teamogy
}

// organizationIdentifier is the subject attribute of a company's seal in which
// KSeF looks for VATPL- and the NIP.
var organizationIdentifier = asn1.ObjectIdentifier{2, 5, 4, 97}

// newCredentials makes a company's seal on EC P-256, signed by itself, which
// KSeF's simulator admits as its test environment does, and an API key.
func newCredentials(us company, now time.Time) (credentials, error) {
	var c credentials
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return c, fmt.Errorf("make the demo's key: %w", err)
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return c, fmt.Errorf("make the demo's certificate: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber: serial,
		Subject: pkix.Name{
			Country: []string{"PL"}, Organization: []string{us.name}, CommonName: us.name,
			ExtraNames: []pkix.AttributeTypeAndValue{{Type: organizationIdentifier, Value: "VATPL-" + us.nip}},
		},
		NotBefore: now.Add(-24 * time.Hour),
		NotAfter:  now.AddDate(2, 0, 0),
		KeyUsage:  x509.KeyUsageDigitalSignature, // for logging in, as against sealing offline invoices
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return c, fmt.Errorf("make the demo's certificate: %w", err)
	}
	c.password, c.apiKey = secret(), "demo-"+secret()
	sealed, err := pkcs8.MarshalPrivateKey(key, []byte(c.password), pkcs8.DefaultOpts)
	if err != nil {
		return c, fmt.Errorf("protect the demo's key: %w", err)
	}
	c.certificate = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	c.key = pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: sealed})
	return c, nil
}

func secret() string {
	var random [16]byte
	_, _ = rand.Read(random[:]) // never fails
	return hex.EncodeToString(random[:])
}

// receiveFrom is how long before the run the demo looks for invoices.
const receiveFrom = 20 * 24 * time.Hour

// writeConnection writes the demo's connection: its settings and, beside them,
// the files that they point to.
func writeConnection(folder string, us company, c credentials, ksefURL, teamogyURL string, now time.Time) error {
	settings := []string{
		"# The connection of `make demo`, made for this run.",
		"NIP=" + us.nip,
		"KSEF_ENVIRONMENT=test",
		"KSEF_URL=" + ksefURL + "/v2",
		"KSEF_CERTIFICATE_FILE=demo.crt",
		"KSEF_PRIVATE_KEY_FILE=demo.key",
		"KSEF_PRIVATE_KEY_PASSWORD_FILE=demo.password",
		"TEAMOGY_URL=" + teamogyURL,
		"TEAMOGY_UNIT=1",
		"TEAMOGY_API_KEY_FILE=demo.apikey",
		"RECEIVE=on",
		"RECEIVE_INTERVAL=15m",
		"RECEIVE_FROM=" + now.Add(-receiveFrom).In(warsaw()).Format(time.DateOnly),
		"RECEIVE_STATUS=" + importedStatus,
		"RECEIVE_OWNER=2",
		"SEND=on",
		"SEND_INTERVAL=5m",
		"SEND_READY_STATUS=" + readyStatus,
		"SEND_SENT_STATUS=" + sentStatus,
		"SEND_REJECTED_STATUS=" + rejectedStatus,
		fmt.Sprintf("TIME_SCALE=%d", TimeScale),
	}
	files := map[string][]byte{
		"demo.crt":          c.certificate,
		"demo.key":          c.key,
		"demo.password":     []byte(c.password + "\n"),
		"demo.apikey":       []byte(c.apiKey + "\n"),
		Connection + ".env": []byte(strings.Join(settings, "\n") + "\n"),
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return fmt.Errorf("make the folder of the demo's connection: %w", err)
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(folder, name), content, 0o600); err != nil {
			return fmt.Errorf("write the demo's connection: %w", err)
		}
	}
	return nil
}
