package connection

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func newTestStore(t *testing.T, checks ...func(*Connection) error) (store *Store, dir string, log *bytes.Buffer) {
	t.Helper()
	log = &bytes.Buffer{}
	dir = credentialDir(t)
	write(t, dir, "acme.env", settings())
	return NewStore(dir, slog.New(slog.NewTextHandler(log, nil)), checks...), dir, log
}

// write replaces a file the way an editor does, and the way a shell does when it exists.
func write(t *testing.T, dir, name, content string) {
	t.Helper()
	require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600))
}

// settle makes all files look old, so that only a change makes the store read them again.
func settle(t *testing.T, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, entry := range entries {
		old := time.Now().Add(-time.Hour)
		require.NoError(t, os.Chtimes(filepath.Join(dir, entry.Name()), old, old))
	}
}

func TestStore_givesTheSameConnectionUntilAFileChanges(t *testing.T) {
	store, dir, _ := newTestStore(t)
	settle(t, dir)
	first, err := store.Get("acme")
	require.NoError(t, err)
	again, err := store.Get("acme")
	require.NoError(t, err)
	require.Same(t, first, again)
	require.NoError(t, store.Problem("acme"))

	write(t, dir, "acme.env", settings("RECEIVE_OWNER=8"))
	changed, err := store.Get("acme")
	require.NoError(t, err)
	require.EqualValues(t, 8, changed.ReceiveOwner)
	require.NotEqual(t, first.Fingerprint(), changed.Fingerprint())

	write(t, dir, "acme.crt", "renewed")
	renewed, err := store.Get("acme")
	require.NoError(t, err)
	require.Equal(t, "renewed", string(renewed.Certificate))
	require.NotEqual(t, changed.Fingerprint(), renewed.Fingerprint())

	// Written again without a change: the same connection.
	write(t, dir, "acme.crt", "renewed")
	again, err = store.Get("acme")
	require.NoError(t, err)
	require.Same(t, renewed, again)
}

func TestStore_noticesAChangeOfTheSameSizeWithinTheClocksGrain(t *testing.T) {
	store, dir, _ := newTestStore(t)
	_, err := store.Get("acme")
	require.NoError(t, err)
	info, err := os.Stat(filepath.Join(dir, "acme.env"))
	require.NoError(t, err)
	write(t, dir, "acme.env", settings("RECEIVE_OWNER=9"))
	require.NoError(t, os.Chtimes(filepath.Join(dir, "acme.env"), info.ModTime(), info.ModTime()))
	changed, err := store.Get("acme")
	require.NoError(t, err)
	require.EqualValues(t, 9, changed.ReceiveOwner)
}

func TestStore_keepsTheLastGoodVersionOverABadEditAndSaysSoOnce(t *testing.T) {
	store, dir, log := newTestStore(t)
	good, err := store.Get("acme")
	require.NoError(t, err)
	write(t, dir, "acme.env", settings("NIP=1", "TEAMOGY_API_KEY_FILE", "TEAMOGY_API_KEY=s3cr3t key"))
	for range 3 {
		kept, err := store.Get("acme")
		require.NoError(t, err)
		require.Same(t, good, kept)
	}
	var problems *Errors
	require.ErrorAs(t, store.Problem("acme"), &problems)
	require.Len(t, problems.Problems, 2)
	require.Equal(t, 1, strings.Count(log.String(), "level=WARN"))
	require.NotContains(t, log.String(), "s3cr3t")

	write(t, dir, "acme.env", settings("NIP=2"))
	_, err = store.Get("acme")
	require.NoError(t, err)
	require.Equal(t, 2, strings.Count(log.String(), "level=WARN"), "another problem is said, too")

	require.NoError(t, os.Remove(filepath.Join(dir, "acme.key")))
	write(t, dir, "acme.env", settings())
	kept, err := store.Get("acme")
	require.NoError(t, err)
	require.Same(t, good, kept)
	require.ErrorContains(t, store.Problem("acme"), "KSEF_PRIVATE_KEY_FILE")
	settle(t, dir)
	_, err = store.Get("acme")
	require.NoError(t, err)

	write(t, dir, "acme.key", "new key") // the file that was missing comes: no change of acme.env is needed
	mended, err := store.Get("acme")
	require.NoError(t, err)
	require.Equal(t, "new key", string(mended.PrivateKey))
	require.NoError(t, store.Problem("acme"))
	require.Contains(t, log.String(), "right again")
}

func TestStore_refusesAConnectionThatWasNeverRight(t *testing.T) {
	store, dir, log := newTestStore(t)
	write(t, dir, "beta.env", settings("NIP"))
	for range 2 {
		_, err := store.Get("beta")
		var problems *Errors
		require.ErrorAs(t, err, &problems)
	}
	require.Equal(t, 1, strings.Count(log.String(), "level=WARN"))
	_, err := store.Get("acme")
	require.NoError(t, err, "the others work")
	write(t, dir, "beta.env", settings())
	_, err = store.Get("beta")
	require.NoError(t, err)
	names, err := store.Names()
	require.NoError(t, err)
	require.Equal(t, []string{"acme", "beta"}, names)
}

func TestStore_saysWhichConnectionsThereAreWhenOneIsUnknown(t *testing.T) {
	store, dir, _ := newTestStore(t)
	for _, name := range []string{"acmee", "", ".", "../acme", "/acme", `..\acme`, ".acme"} {
		_, err := store.Get(name)
		var unknown *UnknownError
		require.ErrorAs(t, err, &unknown, name)
		require.ErrorAs(t, store.Problem(name), &unknown, name)
	}
	_, err := store.Get("acmee")
	require.ErrorContains(t, err, "did you mean acme? (known: acme)")

	_, err = store.Get("acme")
	require.NoError(t, err)
	require.NoError(t, os.Remove(filepath.Join(dir, "acme.env")))
	_, err = store.Get("acme")
	require.ErrorContains(t, err, "CONNECTIONS_DIR")
}

func TestStore_treatsAVersionThatAChecksRefusesAsABadEdit(t *testing.T) {
	refuse := ""
	checked := 0
	store, dir, _ := newTestStore(t, func(c *Connection) error {
		checked++
		if string(c.Certificate) == refuse {
			return errors.New("the key does not belong to the certificate")
		}
		return nil
	})
	good, err := store.Get("acme")
	require.NoError(t, err)
	refuse = "renewed"
	write(t, dir, "acme.crt", "renewed")
	settle(t, dir)
	kept, err := store.Get("acme")
	require.NoError(t, err)
	require.Same(t, good, kept)
	require.ErrorContains(t, store.Problem("acme"), "acme are wrong: the key does not belong")

	before := checked
	_, err = store.Get("acme")
	require.NoError(t, err)
	require.Equal(t, before, checked, "nothing changed")
	refuse = "" // as when a certificate becomes valid
	store.now = func() time.Time { return time.Now().Add(time.Minute) }
	now, err := store.Get("acme")
	require.NoError(t, err)
	require.Equal(t, "renewed", string(now.Certificate))
	require.NoError(t, store.Problem("acme"))
}

func TestStore_mayBeUsedByManyAtOnce(t *testing.T) {
	store, dir, _ := newTestStore(t)
	var wait sync.WaitGroup
	for n := range 8 {
		wait.Go(func() {
			for range 20 {
				if n == 0 {
					replacement := filepath.Join(dir, "acme.env.new")
					_ = os.WriteFile(replacement, []byte(settings("RECEIVE_OWNER=8")), 0o600)
					_ = os.Rename(replacement, filepath.Join(dir, "acme.env"))
				}
				if _, err := store.Get("acme"); err != nil {
					t.Error(err)
				}
				if err := store.Problem("acme"); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wait.Wait()
}
