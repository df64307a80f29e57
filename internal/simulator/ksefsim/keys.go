package ksefsim

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"fmt"
	"math/big"
	"net/http"
	"slices"
	"sync"
	"time"
)

// Usages of a published key.
const (
	usageSymmetric = "SymmetricKeyEncryption"
	usageToken     = "KsefTokenEncryption"
)

// publicKey is one key pair of the simulated Ministry of Finance.
type publicKey struct {
	private     *rsa.PrivateKey
	certificate []byte // DER
	id          string // SHA-256 of the SubjectPublicKeyInfo, Base64
	usage       []string
	from, to    time.Time
}

// newRSAKey makes a key of the size that the ministry's keys have. It takes a
// while, so the tests have a stock of them.
var newRSAKey = func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) }

// keyring holds the keys of the simulated ministry. The published ones can
// change at any time.
type keyring struct {
	upo *publicKey // signs UPOs; never changes

	mu        sync.RWMutex
	published []*publicKey
	foreign   []*publicKey // those of another environment, once somebody was shown them
}

// newKeyring makes the three pairs at the same time.
func newKeyring(now time.Time) (*keyring, error) {
	made, err := newPublicKeys(now.Add(-24*time.Hour), []string{usageToken}, []string{usageSymmetric}, nil)
	if err != nil {
		return nil, err
	}
	return &keyring{published: made[:2], upo: made[2]}, nil
}

// newPublicKeys makes a pair for each usage, valid from a time on, all at the
// same time.
func newPublicKeys(from time.Time, usages ...[]string) ([]*publicKey, error) {
	made := make([]*publicKey, len(usages))
	failed := make([]error, len(usages))
	var wg sync.WaitGroup
	for i, usage := range usages {
		wg.Go(func() { made[i], failed[i] = newPublicKey(from, usage) })
	}
	wg.Wait()
	for _, err := range failed {
		if err != nil {
			return nil, fmt.Errorf("ksefsim: make the ministry's keys: %w", err)
		}
	}
	return made, nil
}

func newPublicKey(from time.Time, usage []string) (*publicKey, error) {
	private, err := newRSAKey()
	if err != nil {
		return nil, err
	}
	return certify(private, usage, from)
}

// certify gives a key a certificate that is valid for two years and a day.
func certify(private *rsa.PrivateKey, usage []string, from time.Time) (*publicKey, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial.Add(serial, big.NewInt(1)),
		Subject: pkix.Name{
			Country: []string{"PL"}, Organization: []string{"Ministerstwo Finansów (symulator)"},
			CommonName: "Ministerstwo Finansów (symulator)",
		},
		NotBefore: from.Truncate(time.Second),
		NotAfter:  from.AddDate(2, 0, 1).Truncate(time.Second),
		KeyUsage:  x509.KeyUsageKeyEncipherment | x509.KeyUsageDataEncipherment,
	}
	if usage == nil {
		template.KeyUsage = x509.KeyUsageDigitalSignature | x509.KeyUsageContentCommitment
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		return nil, err
	}
	spki, err := x509.MarshalPKIXPublicKey(&private.PublicKey)
	if err != nil {
		return nil, err
	}
	return &publicKey{
		private: private, certificate: der, id: hashBase64(spki), usage: usage,
		from: template.NotBefore, to: template.NotAfter,
	}, nil
}

// symmetric gives the keys that may have wrapped a session key: the one named
// by id, or all when id is empty. No key means that the id is unknown.
func (k *keyring) symmetric(id string) []*publicKey { return k.fitting(usageSymmetric, id) }

// forTokens gives the keys that may have encrypted a KSeF token, as symmetric
// does for session keys.
func (k *keyring) forTokens(id string) []*publicKey { return k.fitting(usageToken, id) }

// whyNot says why a key that was named cannot be used.
func (k *keyring) whyNot(id string) string {
	for _, key := range k.list() {
		if key.id == id {
			return "publicKeyId: klucz " + id + " służy do czego innego (" + key.usage[0] + ")."
		}
	}
	return "publicKeyId: nie ma klucza " + id + "."
}

// fitting gives the keys of a usage: the one named by id, or all when id is
// empty. For the id of a key of another environment, shown by
// keys-of-another-environment, it gives those that cannot decrypt it: the
// mistake shall show where the real one does, after the opening.
func (k *keyring) fitting(usage, id string) []*publicKey {
	k.mu.RLock()
	defer k.mu.RUnlock()
	foreign := id != "" && slices.ContainsFunc(k.foreign, func(key *publicKey) bool { return key.id == id && key.usage[0] == usage })
	var found []*publicKey
	for _, key := range k.published {
		if key.usage[0] == usage && (id == "" || id == key.id || foreign) {
			found = append(found, key)
		}
	}
	return found
}

// publicKeys answers GET /security/public-key-certificates.
func (s *Simulator) publicKeys(c *call) (*reply, error) {
	type item struct {
		Certificate   string   `json:"certificate"`
		CertificateID string   `json:"certificateId"`
		PublicKeyID   string   `json:"publicKeyId"`
		ValidFrom     string   `json:"validFrom"`
		ValidTo       string   `json:"validTo"`
		Usage         []string `json:"usage"`
	}
	s.strikeKeys(c)
	shown := s.keys.list()
	if c.strike(faultForeignKeys) != nil {
		var err error
		if shown, err = s.keys.another(c.now); err != nil {
			return nil, err
		}
	}
	list := make([]item, 0, len(shown))
	for _, key := range shown {
		list = append(list, item{
			Certificate:   base64.StdEncoding.EncodeToString(key.certificate),
			CertificateID: hashBase64(key.certificate), PublicKeyID: key.id,
			ValidFrom: stamp(key.from), ValidTo: stamp(key.to), Usage: key.usage,
		})
	}
	return jsonReply(http.StatusOK, list)
}

// hashBase64 is the SHA-256 of data in Base64, 44 characters.
func hashBase64(data []byte) string {
	sum := sha256.Sum256(data)
	return base64.StdEncoding.EncodeToString(sum[:])
}
