package ksefsim

import (
	"fmt"
	"slices"
	"time"
)

// Ways of changing the published keys.
const (
	rotatePlanned   = "planned"   // new keys beside the old, both work
	rotateEmergency = "emergency" // new keys in place of the old
	rotateRecertify = "recertify" // new certificates for the same keys: publicKeyId stays
)

// list gives the published keys at this moment.
func (k *keyring) list() []*publicKey {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return slices.Clone(k.published)
}

// rotate changes the published keys. Making RSA keys takes a while, so that is
// done while the old ones are still in use.
func (k *keyring) rotate(mode string, now time.Time) error {
	var fresh []*publicKey
	var err error
	switch mode {
	case rotateRecertify:
		for _, old := range k.list() {
			var again *publicKey
			if again, err = certify(old.private, old.usage, now); err != nil {
				break
			}
			fresh = append(fresh, again)
		}
	case rotatePlanned, rotateEmergency:
		fresh, err = newPublicKeys(now, []string{usageToken}, []string{usageSymmetric})
	default:
		return fmt.Errorf("rotate %q: must be %q, %q or %q", mode, rotatePlanned, rotateEmergency, rotateRecertify)
	}
	if err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if mode == rotatePlanned {
		k.published = append(slices.Clone(k.published), fresh...)
	} else {
		k.published = fresh
	}
	return nil
}

// another gives the keys of another environment: they look right, but nobody
// here has their private halves.
func (k *keyring) another(now time.Time) ([]*publicKey, error) {
	k.mu.RLock()
	known := k.foreign
	k.mu.RUnlock()
	if known != nil {
		return known, nil
	}
	made, err := newPublicKeys(now.Add(-24*time.Hour), []string{usageToken}, []string{usageSymmetric})
	if err != nil {
		return nil, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.foreign == nil {
		k.foreign = made
	}
	return k.foreign, nil
}

// strikeKeys changes the published keys when somebody ordered it for this call.
// An operation calls it before it looks at publicKeyId and without the lock.
func (s *Simulator) strikeKeys(c *call) {
	for fault, mode := range map[string]string{faultKeyRotated: rotatePlanned, faultKeyWithdrawn: rotateEmergency} {
		if c.strike(fault) == nil {
			continue
		}
		if err := s.keys.rotate(mode, c.now); err != nil {
			s.log.Error("ksef simulator: the keys could not be changed", "fault", fault, "error", err)
		}
	}
}
