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

// keyring holds the keys of the simulated ministry.
type keyring struct {
	published []*publicKey
	upo       *publicKey // signs UPOs
}

// newKeyring makes the three pairs at the same time.
func newKeyring(now time.Time) (*keyring, error) {
	usages := [][]string{{usageToken}, {usageSymmetric}, nil}
	made := make([]*publicKey, len(usages))
	failed := make([]error, len(usages))
	var wg sync.WaitGroup
	for i, usage := range usages {
		wg.Go(func() { made[i], failed[i] = newPublicKey(now, usage) })
	}
	wg.Wait()
	for _, err := range failed {
		if err != nil {
			return nil, fmt.Errorf("ksefsim: make the ministry's keys: %w", err)
		}
	}
	return &keyring{published: made[:2], upo: made[2]}, nil
}

func newPublicKey(now time.Time, usage []string) (*publicKey, error) {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
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
		NotBefore: now.Add(-24 * time.Hour).Truncate(time.Second),
		NotAfter:  now.AddDate(2, 0, 0).Truncate(time.Second),
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
func (k *keyring) symmetric(id string) []*publicKey {
	var fitting []*publicKey
	for _, key := range k.published {
		if len(key.usage) > 0 && key.usage[0] == usageSymmetric && (id == "" || id == key.id) {
			fitting = append(fitting, key)
		}
	}
	return fitting
}

// publicKeys answers GET /security/public-key-certificates.
func (s *Simulator) publicKeys(*call) (*reply, error) {
	type item struct {
		Certificate   string   `json:"certificate"`
		CertificateID string   `json:"certificateId"`
		PublicKeyID   string   `json:"publicKeyId"`
		ValidFrom     string   `json:"validFrom"`
		ValidTo       string   `json:"validTo"`
		Usage         []string `json:"usage"`
	}
	list := make([]item, 0, len(s.keys.published))
	for _, key := range s.keys.published {
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
