// Package archive keeps what must outlive Temporal's retention: the exact bytes of every invoice and
// confirmation by their SHA-256, one record of create-only facts for each invoice, and an index of the
// records by month. Nothing in it is ever changed once written (Key layout: docs/archive.md).
package archive

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/url"
	"path/filepath"
	"strings"
)

// Archive is the register of one deployment. It is safe for concurrent use, and several processes may use
// the same one. Close it when done.
type Archive struct {
	store Store
}

// New returns an archive kept in a given store.
func New(store Store) *Archive {
	return &Archive{store: store}
}

// Open opens the archive at a URL: file:///var/lib/teamogy-ksef (the folder is made, mode 0700),
// s3://bucket?region=eu-central-1 (see gocloud.dev/blob/s3blob for more parameters), or mem:// (a new,
// empty archive in this process's memory, for tests).
func Open(ctx context.Context, address string) (*Archive, error) {
	store, err := OpenStore(ctx, address)
	if err != nil {
		return nil, err
	}
	return New(store), nil
}

// OpenStore opens what the archive at a URL is kept in, for who wants to stand between the two.
func OpenStore(ctx context.Context, address string) (Store, error) {
	parsed, err := url.Parse(address)
	if err != nil {
		// The parser's own message quotes the URL, which may hold a password.
		return nil, errors.New("the archive's URL cannot be read: write it as file:///var/lib/teamogy-ksef or s3://bucket?region=eu-central-1")
	}
	if parsed.User != nil {
		return nil, errors.New("the archive's URL has a user name or password in it: give credentials in the environment (AWS_ACCESS_KEY_ID, ...)")
	}
	switch parsed.Scheme {
	case "file":
		root, err := fileURLPath(parsed)
		if err != nil {
			return nil, err
		}
		store, err := newFileStore(root)
		if err != nil {
			return nil, err
		}
		return store, nil
	case "s3":
		store, err := openS3Store(ctx, address)
		if err != nil {
			return nil, err
		}
		return store, nil
	case "mem":
		return newMemoryStore(), nil
	default:
		return nil, fmt.Errorf("the archive's URL begins with %q, which is not supported: use file:///folder, s3://bucket or mem://", parsed.Scheme)
	}
}

func fileURLPath(parsed *url.URL) (string, error) {
	switch {
	case parsed.Host != "" || parsed.Opaque != "" || !strings.HasPrefix(parsed.Path, "/"):
		return "", errors.New("the archive's URL has no absolute path: a file URL has three slashes, file:///var/lib/teamogy-ksef")
	case parsed.RawQuery != "" || parsed.Fragment != "":
		return "", errors.New("the archive's URL has more than a path: write ? as %3F and # as %23")
	}
	return filepath.FromSlash(parsed.Path), nil
}

// FileURL is the URL of the archive in a folder of this machine; a relative path is made absolute.
func FileURL(folder string) (string, error) {
	absolute, err := filepath.Abs(folder)
	if err != nil {
		return "", fmt.Errorf("find the absolute path of %s: %w", folder, err)
	}
	return (&url.URL{Scheme: "file", Path: filepath.ToSlash(absolute)}).String(), nil
}

// Close lets connections and files go.
func (a *Archive) Close() error {
	if closer, ok := a.store.(io.Closer); ok {
		return closer.Close()
	}
	return nil
}

// Check proves that the archive can be written, read, listed and deleted from, and that what exists cannot
// be created again (an S3 look-alike that ignores If-None-Match would silently overwrite). It leaves
// nothing behind. Call it at start.
func (a *Archive) Check(ctx context.Context) (err error) {
	var random [16]byte
	rand.Read(random[:])
	data := []byte(hex.EncodeToString(random[:]))
	key := "check/" + string(data)
	defer func() {
		if deleteErr := a.store.Delete(ctx, key); err == nil {
			err = deleteErr
		}
	}()
	// That it exists can only be our own doing, whose answer got lost: nobody else has this key.
	if err := a.store.Create(ctx, key, data); err != nil && !errors.Is(err, ErrExists) {
		return err
	}
	if err := a.store.Create(ctx, key, []byte("second")); !errors.Is(err, ErrExists) {
		if err == nil {
			err = errors.New("it was created twice: this store does not honour create-only writes (If-None-Match) and cannot hold the archive")
		}
		return fmt.Errorf("check the archive with %s: %w", key, err)
	}
	read, err := a.store.Read(ctx, key)
	if err != nil {
		return err
	}
	if !bytes.Equal(read, data) {
		return &CorruptError{Key: key, Reason: "what was just written reads back differently"}
	}
	listed, err := a.store.List(ctx, "check/")
	if err != nil {
		return err
	}
	for _, other := range listed {
		if other == key {
			return nil
		}
	}
	return fmt.Errorf("check the archive with %s: it was written but is not listed", key)
}

// CorruptError says that an object of the archive is not what was once written: cut short, changed, or put
// there by something else. Restore the object from a backup, or move it away by hand; nothing here repairs
// or overwrites it.
type CorruptError struct {
	Key    string // the object's key, which is also its path below the archive's folder
	Reason string
}

func (e *CorruptError) Error() string {
	return fmt.Sprintf("archive %s is damaged: %s; restore it from a backup (nothing overwrites it)", e.Key, e.Reason)
}
