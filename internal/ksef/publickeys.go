package ksef

import (
	"context"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"net/http"
	"slices"
	"time"
)

// Usages of KSeF's public keys.
const (
	// UsageSymmetricKey is the key that wraps the AES keys of sessions and exports.
	UsageSymmetricKey = "SymmetricKeyEncryption"
	// UsageToken is the key that encrypts KSeF tokens.
	UsageToken = "KsefTokenEncryption"
)

// KSeF's keys change rarely and with notice; a withdrawn one shows itself by
// code 21470, upon which they are read anew.
const publicKeyLife = time.Hour

// PublicKey is one of KSeF's public keys for encryption. Each environment has
// its own.
type PublicKey struct {
	// ID is KSeF's name of the key (publicKeyId), Base64.
	ID string
	// Key encrypts.
	Key *rsa.PublicKey
	// ValidFrom and ValidTo bound the key's validity.
	ValidFrom, ValidTo time.Time
	// Usage tells what the key is for.
	Usage []string
}

// PublicKey returns the key for a usage that is valid now, the newest if there
// are several. The keys are kept for an hour.
func (c *Client) PublicKey(ctx context.Context, usage string) (PublicKey, error) {
	c.mu.Lock()
	keys, read := c.keys, c.keysRead
	c.mu.Unlock()
	age := c.now().Sub(read)
	if keys != nil && age >= 0 && age < publicKeyLife {
		if k, ok := choosePublicKey(keys, usage, c.ServerTime()); ok {
			return k, nil
		}
	}
	result := c.flight.DoChan("public keys", func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), renewalTimeout)
		defer cancel()
		return c.readPublicKeys(ctx)
	})
	const operation = "read KSeF's public keys"
	select {
	case <-ctx.Done():
		return PublicKey{}, &Error{Operation: operation, Kind: KindNetwork, cause: ctx.Err()}
	case r := <-result:
		if r.Err != nil {
			return PublicKey{}, r.Err
		}
		if k, ok := choosePublicKey(r.Val.([]PublicKey), usage, c.ServerTime()); ok {
			return k, nil
		}
		return PublicKey{}, &Error{Operation: operation, Kind: KindServer, Detail: "no key for " + usage + " is valid now"}
	}
}

// ForgetPublicKeys makes the next use read the keys anew. A caller does that
// when KSeF could not decrypt what was encrypted with them (session status 415,
// invoice status 435).
func (c *Client) ForgetPublicKeys() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.keys = nil
}

func choosePublicKey(keys []PublicKey, usage string, now time.Time) (best PublicKey, found bool) {
	for _, k := range keys {
		if !slices.Contains(k.Usage, usage) || now.Before(k.ValidFrom) || !k.ValidTo.IsZero() && now.After(k.ValidTo) {
			continue
		}
		if !found || k.ValidFrom.After(best.ValidFrom) {
			best, found = k, true
		}
	}
	return best, found
}

func (c *Client) readPublicKeys(ctx context.Context) ([]PublicKey, error) {
	var out []struct {
		Certificate string    `json:"certificate"`
		PublicKeyID string    `json:"publicKeyId"`
		ValidFrom   timestamp `json:"validFrom"`
		ValidTo     timestamp `json:"validTo"`
		Usage       texts     `json:"usage"`
	}
	r := request{
		operation: "read KSeF's public keys", method: http.MethodGet, path: "/security/public-key-certificates",
		group: GroupAnonymous,
	}
	if err := c.callJSON(ctx, r, nil, &out); err != nil {
		return nil, err
	}
	var keys []PublicKey
	for _, k := range out {
		der, err := base64.StdEncoding.DecodeString(k.Certificate)
		if err != nil {
			continue
		}
		certificate, err := x509.ParseCertificate(der)
		if err != nil {
			continue
		}
		public, ok := certificate.PublicKey.(*rsa.PublicKey)
		if !ok {
			continue // a kind of key that this version cannot use
		}
		id := k.PublicKeyID
		if id == "" {
			sum := sha256.Sum256(certificate.RawSubjectPublicKeyInfo)
			id = base64.StdEncoding.EncodeToString(sum[:])
		}
		keys = append(keys, PublicKey{ID: id, Key: public, ValidFrom: k.ValidFrom.Time, ValidTo: k.ValidTo.Time, Usage: k.Usage})
	}
	if len(keys) == 0 {
		return nil, &Error{Operation: r.operation, Kind: KindGateway, Status: http.StatusOK, Detail: "the answer holds no usable key"}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.keys, c.keysRead = keys, c.now()
	return keys, nil
}
