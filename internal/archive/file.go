package archive

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
)

// tempPrefix begins the name of a file that is still being written, or was left behind by a process that
// was killed while writing. No key can begin so (checkKey), and listings pass over such files.
const tempPrefix = ".tmp-"

// fileStore keeps objects as files below a folder. A new object is written to a temporary file beside its
// place, flushed to the disk, and then given its name by link(2), which fails when the name is taken: so
// creation is atomic across processes, and a kill at any point leaves either nothing or the whole object.
// Before that the names of all folders above it are flushed, and after it its own: so an object that was
// created, or was said to exist, is there after a loss of power.
type fileStore struct {
	root string
	disk disk
	// flushed are folders whose names this process knows to be on the disk.
	flushed flushedFolders
}

// newFileStore makes the folder (mode 0700) if it is absent.
func newFileStore(root string) (*fileStore, error) {
	return openFileStore(osDisk{}, root)
}

func openFileStore(on disk, root string) (*fileStore, error) {
	s := &fileStore{root: filepath.Clean(root), disk: on}
	err := s.makeRoot(s.root)
	// A folder that was there may lie in one that this user may not read, and so not flush either: it was
	// there before us, so its name is on the disk for all that we can know.
	if err != nil && !errors.Is(err, errNotFlushed) {
		return nil, fmt.Errorf("make the archive's folder %s: %w", root, err)
	}
	return s, nil
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
	if _, err := s.disk.Lstat(path); err == nil {
		return s.taken(key, folder)
	}
	if err := s.makeFolders(folder); err != nil {
		return fmt.Errorf("archive %s: make its folder: %w", key, err)
	}
	temp, err := s.writeTemp(folder, data)
	if err != nil {
		return fmt.Errorf("archive %s: %w", key, err)
	}
	defer s.disk.Remove(temp) //nolint:errcheck // a leftover is harmless: listings pass over it
	if err := s.disk.Link(temp, path); err != nil {
		if errors.Is(err, fs.ErrExist) {
			return s.taken(key, folder)
		}
		return fmt.Errorf("archive %s: give the new file its name (the archive's file system must support hard links): %w", key, err)
	}
	if err := s.disk.SyncFolder(folder); err != nil {
		return fmt.Errorf("archive %s: flush its folder to the disk: %w", key, err)
	}
	return nil
}

// taken answers a Create whose key exists. It flushes the folder as well: the winner may have been killed
// before it did, and who is told "it exists" relies on it from now on.
func (s *fileStore) taken(key, folder string) error {
	if err := s.disk.SyncFolder(folder); err != nil {
		return fmt.Errorf("archive %s: flush its folder to the disk: %w", key, err)
	}
	return fmt.Errorf("archive %s: %w", key, ErrExists)
}

// writeTemp writes data to a new temporary file in folder and flushes it to the disk.
func (s *fileStore) writeTemp(folder string, data []byte) (name string, err error) {
	file, err := s.disk.CreateTemp(folder)
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
		s.disk.Remove(file.Name()) //nolint:errcheck // the first error is the one that matters
		return "", fmt.Errorf("write a temporary file: %w", err)
	}
	return file.Name(), nil
}

func (s *fileStore) Read(ctx context.Context, key string) ([]byte, error) {
	if err := errors.Join(checkKey(key), ctx.Err()); err != nil {
		return nil, err
	}
	data, err := s.disk.ReadFile(s.path(key))
	if isAbsent(err) || errors.Is(err, syscall.EISDIR) {
		if err = s.checkRoot(); err == nil {
			err = ErrNotFound
		}
	}
	if err != nil {
		return nil, fmt.Errorf("archive %s: %w", key, err)
	}
	return data, nil
}

func (s *fileStore) Exists(ctx context.Context, key string) (bool, error) {
	if err := errors.Join(checkKey(key), ctx.Err()); err != nil {
		return false, err
	}
	mode, err := s.disk.Stat(s.path(key))
	if isAbsent(err) {
		mode, err = fs.ModeDir, s.checkRoot()
	}
	if err != nil {
		return false, fmt.Errorf("archive %s: %w", key, err)
	}
	return mode.IsRegular(), nil
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
func (s *fileStore) entries(ctx context.Context, folder string) ([]fs.DirEntry, error) {
	entries, err := s.disk.ReadDir(s.path(folder))
	if isAbsent(err) {
		err = s.checkRoot() // an empty folder, unless the archive itself is not there
	}
	if err := errors.Join(err, ctx.Err()); err != nil {
		return nil, fmt.Errorf("list the archive's folder %q: %w", folder, err)
	}
	return entries, nil
}

// Delete removes an object for good: also when it is absent already, because whoever removed it may have
// been killed before it flushed the folder.
func (s *fileStore) Delete(ctx context.Context, key string) error {
	if err := errors.Join(checkKey(key), ctx.Err()); err != nil {
		return err
	}
	path := s.path(key)
	err := s.disk.Remove(path)
	if err == nil || isAbsent(err) {
		err = s.disk.SyncFolder(filepath.Dir(path))
	}
	if isAbsent(err) { // the folder
		err = s.checkRoot()
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

// checkRoot tells an object that is absent from an archive that is: one that was moved away or whose disk
// is not mounted would otherwise look as if nothing had ever been sent.
func (s *fileStore) checkRoot() error {
	mode, err := s.disk.Stat(s.root)
	if err == nil && !mode.IsDir() {
		err = &fs.PathError{Op: "open", Path: s.root, Err: syscall.ENOTDIR}
	}
	if err != nil {
		return fmt.Errorf("the archive's folder is gone: mount its disk or bring it back: %w", err)
	}
	return nil
}

// makeFolders makes a folder below the root and those above it (mode 0700), and sees to it that their names
// are on the disk. That goes for those that exist, too: whoever made one may not have flushed its name yet,
// or have been killed before it did, and what is put into it would go with it.
func (s *fileStore) makeFolders(folder string) error {
	if folder == s.root {
		return s.checkRoot()
	}
	mode, err := s.disk.Stat(folder)
	switch {
	case err == nil && !mode.IsDir():
		return &fs.PathError{Op: "mkdir", Path: folder, Err: syscall.ENOTDIR}
	case err == nil && s.flushed.has(folder):
		return nil
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return err
	}
	above := filepath.Dir(folder)
	if err := s.makeFolders(above); err != nil {
		return err
	}
	if err != nil {
		if err := s.disk.Mkdir(folder); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	if err := s.disk.SyncFolder(above); err != nil {
		return err
	}
	s.flushed.add(folder)
	return nil
}

// errNotFlushed says that a folder is there but the one above it may not be flushed.
var errNotFlushed = errors.New("the folder above it cannot be flushed")

// makeRoot makes the archive's own folder and those above it, as far as they are absent, and flushes the
// name of each that it made, and of the root.
func (s *fileStore) makeRoot(folder string) error {
	mode, err := s.disk.Stat(folder)
	above := filepath.Dir(folder)
	switch {
	case err == nil && !mode.IsDir():
		return &fs.PathError{Op: "mkdir", Path: folder, Err: syscall.ENOTDIR}
	case err == nil:
		if err := s.disk.SyncFolder(above); errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS) {
			return errNotFlushed
		} else if err != nil {
			return err
		}
		return nil
	case !errors.Is(err, fs.ErrNotExist) || above == folder:
		return err
	}
	if err := s.makeRoot(above); err != nil && !errors.Is(err, errNotFlushed) {
		return err
	}
	if err := s.disk.Mkdir(folder); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return s.disk.SyncFolder(above)
}

// flushedFolders remembers folders, at most mostFlushed: forgetting one costs a flush that was not needed.
type flushedFolders struct {
	mutex   sync.Mutex
	folders map[string]struct{}
}

const mostFlushed = 10_000

func (f *flushedFolders) has(folder string) bool {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	_, is := f.folders[folder]
	return is
}

func (f *flushedFolders) add(folder string) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	if f.folders == nil || len(f.folders) >= mostFlushed {
		f.folders = map[string]struct{}{}
	}
	f.folders[folder] = struct{}{}
}
