package ksefsim

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// shownKeys are the identifiers of the published keys for session keys, and of
// their certificates.
func (w *world) shownKeys() (ids, certificates []string) {
	w.t.Helper()
	var keys []struct {
		PublicKeyID, CertificateID string
		Usage                      []string
	}
	require.NoError(w.t, json.Unmarshal(w.do(http.MethodGet, "/security/public-key-certificates", "", nil).body, &keys))
	for _, k := range keys {
		if k.Usage[0] == usageSymmetric {
			ids, certificates = append(ids, k.PublicKeyID), append(certificates, k.CertificateID)
		}
	}
	return ids, certificates
}

// opening is the body that opens an online session, wrapped with a key.
func (w *world) opening(key *rsa.PublicKey, id string) map[string]any {
	w.t.Helper()
	session, iv := make([]byte, 32), make([]byte, 16)
	_, _ = rand.Read(session)
	encryption := map[string]any{
		"encryptedSymmetricKey": wrap(w.t, key, string(session)), "initializationVector": base64.StdEncoding.EncodeToString(iv),
	}
	if id != "" {
		encryption["publicKeyId"] = id
	}
	return map[string]any{
		"formCode":   map[string]any{"systemCode": "FA (3)", "schemaVersion": "1-0E", "value": "FA"},
		"encryption": encryption,
	}
}

// opened opens a session and gives its status a while later.
func (w *world) opened(access string, body map[string]any) int {
	w.t.Helper()
	a := w.do(http.MethodPost, "/sessions/online", access, body)
	if a.status != 201 {
		return a.code()
	}
	w.clock.Advance(2 * time.Second)
	return statusCode(w.do(http.MethodGet, "/sessions/"+a.json(w.t)["referenceNumber"].(string), access, nil).json(w.t))
}

func TestKeys_rotateAsPlannedInAnEmergencyAndByCertificate(t *testing.T) {
	w := newWorld(t, nil)
	access := w.login(testNIP)
	w.clock.Advance(time.Minute)
	oldKey, oldID := w.shownKey(usageSymmetric)
	w.control("keys", map[string]any{"rotate": "planned"})
	newKey, newID := w.shownKey(usageSymmetric)
	assert.NotEqual(t, oldID, newID, "the newest is a new one")
	ids, _ := w.shownKeys()
	assert.ElementsMatch(t, []string{oldID, newID}, ids)
	for _, body := range []map[string]any{w.opening(oldKey, oldID), w.opening(newKey, newID), w.opening(oldKey, ""), w.opening(newKey, "")} {
		assert.Equal(t, 100, w.opened(access, body), "both work")
	}
	assert.Equal(t, 415, w.opened(access, w.opening(oldKey, newID)), "a key under the name of another")

	w.control("keys", map[string]any{"rotate": "emergency"})
	ids, _ = w.shownKeys()
	assert.Len(t, ids, 1)
	assert.Equal(t, 21470, w.opened(access, w.opening(newKey, newID)))
	assert.Equal(t, 415, w.opened(access, w.opening(newKey, "")), "nobody can tell at once")
	key, id := w.shownKey(usageSymmetric)
	assert.Equal(t, 100, w.opened(access, w.opening(key, id)))

	_, certificates := w.shownKeys()
	w.control("keys", map[string]any{"rotate": "recertify"})
	again, other := w.shownKeys()
	assert.Equal(t, []string{id}, again, "the key is the same")
	assert.NotEqual(t, certificates, other)
	assert.Equal(t, 100, w.opened(access, w.opening(key, id)))
	assert.Equal(t, 400, w.do(http.MethodPost, "/_sim/keys", "", map[string]any{"rotate": "sideways"}).status)
}

func TestKeyFaults_strikeBeforeTheKeyIsLookedAt(t *testing.T) {
	w := newWorld(t, nil)
	access := w.login(testNIP)
	key, id := w.shownKey(usageSymmetric)
	w.control("faults", map[string]any{"name": "key-rotated"})
	assert.Equal(t, 100, w.opened(access, w.opening(key, id)), "the old one works beside the new one")
	ids, _ := w.shownKeys()
	assert.Len(t, ids, 2)
	w.control("faults", map[string]any{"name": "key-withdrawn"})
	assert.Equal(t, 21470, w.opened(access, w.opening(key, id)))
	key, id = w.shownKey(usageSymmetric)
	assert.Equal(t, 100, w.opened(access, w.opening(key, id)), "once only")

	token, _ := w.ksefToken(map[string]any{"nip": testNIP, "permissions": []string{"InvoiceRead"}})
	body := w.tokenBody(token, testNIP)
	w.control("faults", map[string]any{"name": "key-withdrawn"})
	assert.Equal(t, 21470, w.tokenLogin(body).code())
	body = w.tokenBody(token, testNIP)
	delete(body, "publicKeyId")
	w.control("faults", map[string]any{"name": "key-withdrawn"})
	status, _, _ := w.finish(w.tokenLogin(body))
	assert.Equal(t, 450, statusCode(status))
	status, _, _ = w.finish(w.tokenLogin(w.tokenBody(token, testNIP)))
	assert.Equal(t, 200, statusCode(status))

	w.control("faults", map[string]any{"name": "keys-of-another-environment"})
	key, id = w.shownKey(usageSymmetric)
	w.control("faults", map[string]any{"name": "keys-of-another-environment"})
	_, same := w.shownKey(usageSymmetric)
	assert.Equal(t, id, same, "another environment has its keys for longer, too")
	assert.Equal(t, 415, w.opened(access, w.opening(key, id)))
	assert.Equal(t, 415, w.opened(access, w.opening(key, "")))
	key, id = w.shownKey(usageSymmetric)
	assert.Equal(t, 100, w.opened(access, w.opening(key, id)))
}

func TestKeys_canChangeWhileTheyAreUsed(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.Clock = nil; c.AuthDelay = -1 })
	access := w.login(testNIP)
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			key, id := w.shownKey(usageSymmetric)
			assert.Equal(t, 201, w.do(http.MethodPost, "/sessions/online", access, w.opening(key, id)).status)
		})
		wg.Go(func() {
			assert.Equal(t, 200, w.do(http.MethodPost, "/_sim/keys", "", map[string]any{"rotate": "planned"}).status)
		})
	}
	wg.Wait()
}
