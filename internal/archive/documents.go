package archive

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
)

// Ref points to a document. It is what travels through workflows instead of the bytes.
type Ref struct {
	SHA256 string `json:"sha256"` // lower-case hexadecimal
	Size   int64  `json:"size"`   // bytes
}

// ListRef points to a list of items, too long for a workflow's history.
type ListRef struct {
	Key    string `json:"key"`
	SHA256 string `json:"sha256"` // of the list's JSON, lower-case hexadecimal
	Count  int    `json:"count"`  // items
}

// PutDocument keeps the exact bytes of a document. The same bytes again are no error and give the same Ref.
func (a *Archive) PutDocument(ctx context.Context, data []byte) (Ref, error) {
	_, hash, err := a.putByHash(ctx, "documents", data)
	if err != nil {
		return Ref{}, err
	}
	return Ref{SHA256: hash, Size: int64(len(data))}, nil
}

// Document returns the bytes of a document, checked against its SHA-256: a *CorruptError if they do not
// match, ErrNotFound (wrapped) if it is not there.
func (a *Archive) Document(ctx context.Context, sha256 string) ([]byte, error) {
	key, err := hashKey("documents", sha256)
	if err != nil {
		return nil, err
	}
	return a.readByHash(ctx, key, sha256)
}

// PutList keeps a list of items (anything that encodes to a JSON array of count elements).
func (a *Archive) PutList(ctx context.Context, items any, count int) (ListRef, error) {
	data, err := json.Marshal(items)
	if err != nil {
		return ListRef{}, fmt.Errorf("encode a list for the archive: %w", err)
	}
	if count == 0 && string(data) == "null" {
		data = []byte("[]")
	}
	key, hash, err := a.putByHash(ctx, "lists", data)
	if err != nil {
		return ListRef{}, err
	}
	return ListRef{Key: key, SHA256: hash, Count: count}, nil
}

// List reads a list back into a pointer to a slice, checked against its SHA-256 and its count.
func (a *Archive) List(ctx context.Context, ref ListRef, into any) error {
	key, err := hashKey("lists", ref.SHA256)
	if err != nil {
		return err
	}
	if key != ref.Key {
		return fmt.Errorf("the reference to the list %s names another key, %s", ref.SHA256, ref.Key)
	}
	data, err := a.readByHash(ctx, key, ref.SHA256)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, into); err != nil {
		return fmt.Errorf("archive %s: decode the list: %w", key, err)
	}
	if list := reflect.Indirect(reflect.ValueOf(into)); list.Kind() == reflect.Slice && list.Len() != ref.Count {
		return fmt.Errorf("archive %s: the list has %d items, its reference says %d", key, list.Len(), ref.Count)
	}
	return nil
}

func (a *Archive) putByHash(ctx context.Context, root string, data []byte) (key, hash string, err error) {
	sum := sha256.Sum256(data)
	hash = hex.EncodeToString(sum[:])
	key, err = hashKey(root, hash)
	if err != nil {
		return "", "", err
	}
	err = a.store.Create(ctx, key, data)
	if errors.Is(err, ErrExists) {
		// It must be what its name says: better to find out now than when the bytes are wanted.
		_, err = a.readByHash(ctx, key, hash)
	}
	return key, hash, err
}

func (a *Archive) readByHash(ctx context.Context, key, hash string) ([]byte, error) {
	data, err := a.store.Read(ctx, key)
	if err != nil {
		return nil, err
	}
	if sum := sha256.Sum256(data); hex.EncodeToString(sum[:]) != hash {
		return nil, &CorruptError{Key: key, Reason: fmt.Sprintf("its %d bytes do not have the SHA-256 that its name says", len(data))}
	}
	return data, nil
}

// PutNamed keeps an object under a well-known key, such as "upo/<KSeF number>.xml". The same bytes again
// are no error; other bytes are ErrExists (wrapped) and change nothing. Parts of the key may hold letters,
// digits, '-', '_' and '.'; the archive's own folders (docs/archive.md) are refused.
func (a *Archive) PutNamed(ctx context.Context, key string, data []byte) error {
	if err := checkNamedKey(key); err != nil {
		return err
	}
	return a.createSame(ctx, key, data)
}

// createSame creates an object; when the very same is there already, that is success.
func (a *Archive) createSame(ctx context.Context, key string, data []byte) error {
	err := a.store.Create(ctx, key, data)
	if !errors.Is(err, ErrExists) {
		return err
	}
	there, readErr := a.store.Read(ctx, key)
	if readErr != nil {
		return readErr
	}
	if !bytes.Equal(there, data) {
		return fmt.Errorf("%w, with other content", err)
	}
	return nil
}

// Named returns what PutNamed kept, or ErrNotFound (wrapped).
func (a *Archive) Named(ctx context.Context, key string) ([]byte, error) {
	if err := checkNamedKey(key); err != nil {
		return nil, err
	}
	return a.store.Read(ctx, key)
}

func checkNamedKey(key string) error {
	root, rest, ok := strings.Cut(key, "/")
	if !ok || rest == "" {
		return fmt.Errorf("archive key %q is not in a folder", key)
	}
	if ownRoots[root] {
		return fmt.Errorf("archive key %q is in one of the archive's own folders", key)
	}
	return checkKey(key)
}
