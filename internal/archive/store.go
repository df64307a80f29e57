package archive

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// ErrNotFound says that no object has the key that was asked for.
var ErrNotFound = errors.New("no such object in the archive")

// ErrExists says that an object with this key is there already; nothing was changed.
var ErrExists = errors.New("the archive has this object already")

// Store is what an archive is kept in: objects under keys such as "documents/ab/cdef", written once and
// never changed. Implementations are safe for concurrent use by several processes (the memory store: by
// several goroutines).
type Store interface {
	// Create writes a new object, durably and all at once: nobody ever sees a part of it. Of several
	// concurrent creators of one key exactly one succeeds; the others get an error that wraps ErrExists.
	Create(ctx context.Context, key string, data []byte) error
	// Read returns the object's bytes, or an error that wraps ErrNotFound.
	Read(ctx context.Context, key string) ([]byte, error)
	// Exists says whether the object is there.
	Exists(ctx context.Context, key string) (bool, error)
	// List returns the keys of all objects below a folder such as "index/acme/sent/2026/11/", sorted.
	// A folder that is not there is empty; "" is the whole archive.
	List(ctx context.Context, folder string) ([]string, error)
	// Delete removes an object; one that is not there is no error.
	Delete(ctx context.Context, key string) error
}

// maxSegment is the greatest length in bytes of one part of a key: file systems allow 255 for a name.
const maxSegment = 200

// checkKey refuses keys that are no safe relative paths: every store calls it first, so that no ID from
// outside can reach another folder, a hidden file or a temporary one.
func checkKey(key string) error {
	for segment := range strings.SplitSeq(key, "/") {
		switch {
		case segment == "":
			return fmt.Errorf("archive key %q has an empty part", key)
		case segment[0] == '.':
			return fmt.Errorf("archive key %q has a part that begins with a dot", key)
		case len(segment) > maxSegment:
			return fmt.Errorf("archive key %q has a part longer than %d bytes", key, maxSegment)
		}
		for i := range len(segment) {
			if c := segment[i]; !isPlain(c) && c != '%' && c != '~' {
				return fmt.Errorf("archive key %q has a character that is not allowed: %q", key, c)
			}
		}
	}
	return nil
}

// validKey says whether checkKey lets a key pass.
func validKey(key string) bool { return checkKey(key) == nil }

// checkFolder is checkKey for List.
func checkFolder(folder string) error {
	if folder == "" {
		return nil
	}
	inner, ok := strings.CutSuffix(folder, "/")
	if !ok {
		return fmt.Errorf("archive folder %q does not end with a slash", folder)
	}
	return checkKey(inner)
}

// isPlain says whether a byte stands for itself in a key.
func isPlain(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_' || c == '.'
}
