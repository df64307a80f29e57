package archive

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"
)

// tempPrefix begins the name of a file that is still being written, or was left behind by a process that
// was killed while writing. No key can begin so (checkKey), and listings pass over such files.
const tempPrefix = ".tmp-"

// fileStore keeps objects as files below a folder. A new object is written to a temporary file beside its
// place, flushed to the disk, and then given its name by link(2), which fails when the name is taken: so
// creation is atomic across processes, and a kill at any point leaves either nothing or the whole object.
type fileStore struct {
	root string
}

// newFileStore makes the folder (mode 0700) if it is absent.
func newFileStore(root string) (*fileStore, error) {
	if err := makeFolders(filepath.Clean(root)); err != nil {
		return nil, fmt.Errorf("make the archive's folder %s: %w", root, err)
	}
	return &fileStore{root: filepath.Clean(root)}, nil
}

func (s *fileStore) path(key string) string {
	return filepath.Join(s.root, filepath.FromSlash(key))
}

func (s *fileStore) Create(ctx context.Context, key string, data []byte) error {
	if err := errors.Join(checkKey(key), ctx.Err()); err != nil {
		return err
	}
	path := s.path(key)
	folder := filepath.Dir(path)
	if _, err := os.Lstat(path); err == nil {
		return s.taken(key, folder)
	}
	if err := makeFolders(folder); err != nil {
		return fmt.Errorf("archive %s: make its folder: %w", key, err)
	}
	temp, err := writeTemp(folder, data)
	if err != nil {
		return fmt.Errorf("archive %s: %w", key, err)
	}
	defer os.Remove(temp) //nolint:errcheck // a leftover is harmless: listings pass over it
	if err := os.Link(temp, path); err != nil {
		if errors.Is(err, fs.ErrExist) {
			return s.taken(key, folder)
		}
		return fmt.Errorf("archive %s: give the new file its name (the archive's file system must support hard links): %w", key, err)
	}
	if err := syncFolder(folder); err != nil {
		return fmt.Errorf("archive %s: flush its folder to the disk: %w", key, err)
	}
	return nil
}

// taken answers a Create whose key exists. It flushes the folder as well: the winner may have been killed
// before it did, and who is told "it exists" relies on it from now on.
func (s *fileStore) taken(key, folder string) error {
	if err := syncFolder(folder); err != nil {
		return fmt.Errorf("archive %s: flush its folder to the disk: %w", key, err)
	}
	return fmt.Errorf("archive %s: %w", key, ErrExists)
}

// writeTemp writes data to a new temporary file (mode 0600) in folder and flushes it to the disk.
func writeTemp(folder string, data []byte) (name string, err error) {
	file, err := os.CreateTemp(folder, tempPrefix+"*")
	if err != nil {
		return "", fmt.Errorf("make a temporary file: %w", err)
	}
	_, err = file.Write(data)
	if err == nil {
		err = file.Sync()
	}
	if closeErr := file.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		os.Remove(file.Name()) //nolint:errcheck // the first error is the one that matters
		return "", fmt.Errorf("write a temporary file: %w", err)
	}
	return file.Name(), nil
}

func (s *fileStore) Read(ctx context.Context, key string) ([]byte, error) {
	if err := errors.Join(checkKey(key), ctx.Err()); err != nil {
		return nil, err
	}
	data, err := os.ReadFile(s.path(key))
	switch {
	case isAbsent(err) || errors.Is(err, syscall.EISDIR):
		return nil, fmt.Errorf("archive %s: %w", key, ErrNotFound)
	case err != nil:
		return nil, fmt.Errorf("archive %s: %w", key, err)
	}
	return data, nil
}

func (s *fileStore) Exists(ctx context.Context, key string) (bool, error) {
	if err := errors.Join(checkKey(key), ctx.Err()); err != nil {
		return false, err
	}
	info, err := os.Stat(s.path(key))
	switch {
	case isAbsent(err):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("archive %s: %w", key, err)
	}
	return info.Mode().IsRegular(), nil
}

func (s *fileStore) List(ctx context.Context, folder string) ([]string, error) {
	var keys []string
	err := s.walk(ctx, folder, func(key string) error {
		keys = append(keys, key)
		return nil
	})
	if err != nil {
		return nil, err
	}
	slices.Sort(keys)
	return keys, nil
}

// walk visits the keys below a folder. It passes over what cannot be a key: temporary files, lost+found.
func (s *fileStore) walk(ctx context.Context, folder string, visit func(key string) error) error {
	if err := checkFolder(folder); err != nil {
		return err
	}
	entries, err := s.entries(ctx, folder)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		key := folder + entry.Name()
		switch {
		case !validKey(key):
		case entry.IsDir():
			if err := s.walk(ctx, key+"/", visit); err != nil {
				return err
			}
		case entry.Type().IsRegular():
			if err := visit(key); err != nil {
				return err
			}
		}
	}
	return nil
}

// folders are the names of the folders in a folder.
func (s *fileStore) folders(ctx context.Context, folder string) ([]string, error) {
	if err := checkFolder(folder); err != nil {
		return nil, err
	}
	entries, err := s.entries(ctx, folder)
	var names []string
	for _, entry := range entries {
		if entry.IsDir() && validKey(folder+entry.Name()) {
			names = append(names, entry.Name())
		}
	}
	return names, err
}

// entries reads a folder; one that is not there is empty.
func (s *fileStore) entries(ctx context.Context, folder string) ([]os.DirEntry, error) {
	entries, err := os.ReadDir(s.path(folder))
	if isAbsent(err) {
		err = nil
	}
	if err := errors.Join(err, ctx.Err()); err != nil {
		return nil, fmt.Errorf("list the archive's folder %q: %w", folder, err)
	}
	return entries, nil
}

func (s *fileStore) Delete(ctx context.Context, key string) error {
	if err := errors.Join(checkKey(key), ctx.Err()); err != nil {
		return err
	}
	path := s.path(key)
	err := os.Remove(path)
	if isAbsent(err) {
		return nil
	}
	if err == nil {
		err = syncFolder(filepath.Dir(path))
	}
	if err != nil {
		return fmt.Errorf("delete %s from the archive: %w", key, err)
	}
	return nil
}

// isAbsent is fs.ErrNotExist, or a file where the path wants a folder.
func isAbsent(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
}

// makeFolders makes a folder and those above it (mode 0700), flushing each new one's entry to the disk.
func makeFolders(folder string) error {
	info, err := os.Stat(folder)
	switch {
	case err == nil && !info.IsDir():
		return &fs.PathError{Op: "mkdir", Path: folder, Err: syscall.ENOTDIR}
	case err == nil:
		return nil
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	above := filepath.Dir(folder)
	if above == folder {
		return err
	}
	if err := makeFolders(above); err != nil {
		return err
	}
	if err := os.Mkdir(folder, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncFolder(above)
}

// syncFolder flushes the names in a folder to the disk.
func syncFolder(folder string) error {
	if runtime.GOOS == "windows" {
		return nil // Windows cannot flush a folder; NTFS journals its names
	}
	opened, err := os.Open(folder)
	if err != nil {
		return err
	}
	err = opened.Sync()
	if closeErr := opened.Close(); err == nil {
		err = closeErr
	}
	// Some network file systems cannot flush a folder and say EINVAL: nothing more can be done there.
	if errors.Is(err, syscall.EINVAL) {
		return nil
	}
	return err
}
