package archive

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// backEnds is the one table of stores that every behaviour is tested on.
var backEnds = []struct {
	name string
	url  func(t *testing.T) string
}{
	{"file", func(t *testing.T) string {
		t.Helper()
		address, err := FileURL(filepath.Join(t.TempDir(), "a folder", "100%"))
		require.NoError(t, err)
		return address
	}},
	{"mem", func(*testing.T) string { return "mem://" }},
	{"s3", func(t *testing.T) string { t.Helper(); return openFakeS3(t, &fakeS3{}) }},
	{"versitygw", openVersityGW},
}

func onEveryBackEnd(t *testing.T, test func(t *testing.T, a *Archive)) {
	t.Helper()
	for _, backEnd := range backEnds {
		t.Run(backEnd.name, func(t *testing.T) {
			a, err := Open(t.Context(), backEnd.url(t))
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, a.Close()) })
			test(t, a)
		})
	}
}

func TestStore_keepsItsFiveVerbs(t *testing.T) {
	onEveryBackEnd(t, func(t *testing.T, a *Archive) {
		ctx, s := t.Context(), a.store
		_, err := s.Read(ctx, "a/b")
		require.ErrorIs(t, err, ErrNotFound)
		require.ErrorContains(t, err, "a/b")
		there, err := s.Exists(ctx, "a/b")
		require.NoError(t, err)
		require.False(t, there)
		require.NoError(t, s.Delete(ctx, "a/b"))

		data := []byte("one\x00\xff")
		require.NoError(t, s.Create(ctx, "a/b", data))
		data[0] = 'X' // the store keeps its own copy
		require.ErrorIs(t, s.Create(ctx, "a/b", []byte("two")), ErrExists)
		read, err := s.Read(ctx, "a/b")
		require.NoError(t, err)
		require.Equal(t, "one\x00\xff", string(read))
		there, err = s.Exists(ctx, "a/b")
		require.NoError(t, err)
		require.True(t, there)

		for _, key := range []string{"a/c/d", "a/b%2Fc", "ab/c", "a/empty"} {
			require.NoError(t, s.Create(ctx, key, nil))
		}
		keys, err := s.List(ctx, "a/")
		require.NoError(t, err)
		require.Equal(t, []string{"a/b", "a/b%2Fc", "a/c/d", "a/empty"}, keys)
		keys, err = s.List(ctx, "")
		require.NoError(t, err)
		require.Len(t, keys, 5)
		keys, err = s.List(ctx, "none/")
		require.NoError(t, err)
		require.Empty(t, keys)
		empty, err := s.Read(ctx, "a/empty")
		require.NoError(t, err)
		require.Empty(t, empty)

		require.NoError(t, s.Delete(ctx, "a/b"))
		_, err = s.Read(ctx, "a/b")
		require.ErrorIs(t, err, ErrNotFound)
		require.NoError(t, s.Create(ctx, "a/b", []byte("again")))
	})
}

func TestStore_refusesKeysThatAreNoSafePaths(t *testing.T) {
	onEveryBackEnd(t, func(t *testing.T, a *Archive) {
		ctx, s := t.Context(), a.store
		for _, key := range []string{
			"", "/", "/etc/passwd", "a/", "a//b", ".", "..", "../a", "a/../b", "a/./b", "a/.tmp-1", ".hidden/a",
			"a\\b", "a b", "a\x00b", "ą", "a:b", "C:/a", string(make([]byte, 300)),
		} {
			require.Error(t, s.Create(ctx, key, nil), "create %q", key)
			_, err := s.Read(ctx, key)
			require.Error(t, err, "read %q", key)
			require.False(t, errors.Is(err, ErrNotFound), "read %q", key)
			_, err = s.Exists(ctx, key)
			require.Error(t, err, "exists %q", key)
			require.Error(t, s.Delete(ctx, key), "delete %q", key)
		}
		for _, folder := range []string{"a", "/", "../", "a/../"} {
			_, err := s.List(ctx, folder)
			require.Error(t, err, "list %q", folder)
		}
		keys, err := s.List(ctx, "")
		require.NoError(t, err)
		require.Empty(t, keys)
	})
}

func TestStore_letsExactlyOneOfConcurrentCreatorsWin(t *testing.T) {
	onEveryBackEnd(t, func(t *testing.T, a *Archive) {
		var round atomic.Int64
		rapid.Check(t, func(rt *rapid.T) {
			creators := rapid.IntRange(2, 8).Draw(rt, "creators")
			size := rapid.IntRange(0, 5000).Draw(rt, "size")
			key := fmt.Sprintf("race/%d", round.Add(1))
			var won atomic.Int64
			var winner atomic.Int64
			var wait sync.WaitGroup
			start := make(chan struct{})
			for creator := range creators {
				wait.Go(func() {
					<-start
					data := append(make([]byte, size), byte(creator))
					err := a.store.Create(t.Context(), key, data)
					switch {
					case err == nil:
						won.Add(1)
						winner.Store(int64(creator))
					case !errors.Is(err, ErrExists):
						rt.Errorf("creator %d: %v", creator, err)
					}
					// Whoever is told that it exists, or made it, finds all of it.
					read, err := a.store.Read(t.Context(), key)
					if err != nil || len(read) != size+1 {
						rt.Errorf("creator %d reads %d bytes, %v", creator, len(read), err)
					}
				})
			}
			close(start)
			wait.Wait()
			if won.Load() != 1 {
				rt.Fatalf("%d of %d creators won", won.Load(), creators)
			}
			read, err := a.store.Read(t.Context(), key)
			if err != nil || int64(read[size]) != winner.Load() {
				rt.Fatalf("the object is not the winner's: %v", err)
			}
		})
	})
}

func TestFileStore_isNotDisturbedByWhatAKilledWriterLeft(t *testing.T) {
	root := t.TempDir()
	store, err := newFileStore(root)
	require.NoError(t, err)
	ctx := t.Context()
	// A writer killed before link(2) leaves only a temporary file, whole or cut short.
	folder := filepath.Join(root, "records", "acme", "sent", "7")
	require.NoError(t, os.MkdirAll(folder, 0o700))
	temp, err := store.writeTemp(folder, []byte(`{"kind":"acc`))
	require.NoError(t, err)
	// One killed between link(2) and the removal leaves a second name of a whole object.
	require.NoError(t, store.Create(ctx, "records/acme/sent/7/b.json", []byte("whole")))
	require.NoError(t, os.Link(filepath.Join(folder, "b.json"), filepath.Join(folder, tempPrefix+"2")))
	require.NoError(t, os.Mkdir(filepath.Join(root, "lost+found"), 0o000))

	keys, err := store.List(ctx, "")
	require.NoError(t, err)
	require.Equal(t, []string{"records/acme/sent/7/b.json"}, keys)
	there, err := store.Exists(ctx, "records/acme/sent/7/a.json")
	require.NoError(t, err)
	require.False(t, there)
	require.NoError(t, store.Create(ctx, "records/acme/sent/7/a.json", []byte("mine")))
	require.FileExists(t, temp, "another process may still be writing it")
	read, err := store.Read(ctx, "records/acme/sent/7/a.json")
	require.NoError(t, err)
	require.Equal(t, "mine", string(read))
}

func TestFileStore_leavesNoTemporaryFileAndLetsOnlyItsOwnerRead(t *testing.T) {
	root := filepath.Join(t.TempDir(), "new")
	store, err := newFileStore(root)
	require.NoError(t, err)
	require.NoError(t, store.Create(t.Context(), "a/b", []byte("x")))
	require.ErrorIs(t, store.Create(t.Context(), "a/b", []byte("y")), ErrExists)
	entries, err := os.ReadDir(filepath.Join(root, "a"))
	require.NoError(t, err)
	require.Len(t, entries, 1)
	for path, mode := range map[string]os.FileMode{root: 0o700, filepath.Join(root, "a"): 0o700, filepath.Join(root, "a", "b"): 0o600} {
		info, err := os.Stat(path)
		require.NoError(t, err)
		require.Equal(t, mode, info.Mode().Perm(), path)
	}
}

func TestFileStore_worksWhenItsFolderIsASymbolicLink(t *testing.T) {
	folder := t.TempDir()
	require.NoError(t, os.Symlink(t.TempDir(), filepath.Join(folder, "link")))
	store, err := newFileStore(filepath.Join(folder, "link"))
	require.NoError(t, err)
	require.NoError(t, store.Create(t.Context(), "a", nil))
	keys, err := store.List(t.Context(), "")
	require.NoError(t, err)
	require.Equal(t, []string{"a"}, keys)
}

func TestS3Store_triesAgainWhenAnotherWriteIsUnderWay(t *testing.T) {
	fake := &fakeS3{conflicts: 2}
	a, err := Open(t.Context(), openFakeS3(t, fake))
	require.NoError(t, err)
	require.NoError(t, a.store.Create(t.Context(), "a/b", []byte("x")))
	require.Equal(t, 0, fake.conflicts)
	require.ErrorIs(t, a.store.Create(t.Context(), "a/b", []byte("y")), ErrExists)
}

func TestCheck_passesAndLeavesNothingBehind(t *testing.T) {
	onEveryBackEnd(t, func(t *testing.T, a *Archive) {
		require.NoError(t, a.Check(t.Context()))
		keys, err := a.store.List(t.Context(), "")
		require.NoError(t, err)
		require.Empty(t, keys)
	})
}

func TestCheck_findsAStoreThatWouldOverwrite(t *testing.T) {
	a, err := Open(t.Context(), openFakeS3(t, &fakeS3{ignoreIfNoneMatch: true}))
	require.NoError(t, err)
	require.ErrorContains(t, a.Check(t.Context()), "If-None-Match")
}

func TestOpen_saysWhatIsWrongWithAURL(t *testing.T) {
	for address, wanted := range map[string]string{
		"":                           "not supported",
		"/var/lib/archive":           "file:///folder",
		"file://var/lib":             "three slashes",
		"file:var":                   "three slashes",
		"file:///a?b":                "%3F",
		"gs://bucket":                `"gs"`,
		"s3://key:hunter2@bucket":    "AWS_ACCESS_KEY_ID",
		"s3://key:hunter2@buc ket%%": "cannot be read",
		"s3://b?nonsense=1":          "nonsense",
	} {
		_, err := Open(t.Context(), address)
		require.ErrorContains(t, err, wanted, address)
		require.NotContains(t, err.Error(), "hunter2")
	}
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	address, err := FileURL(file)
	require.NoError(t, err)
	_, err = Open(t.Context(), address)
	require.ErrorContains(t, err, "not a directory")
}
