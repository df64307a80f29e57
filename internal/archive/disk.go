package archive

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"runtime"
	"syscall"
)

// disk is every call that the file store makes to the operating system, so that the tests can let the
// process die, and the power fail, between any two of them.
type disk interface {
	// Stat says what is at a path; fs.ErrNotExist if nothing is. It follows symbolic links, Lstat does not.
	Stat(path string) (fs.FileMode, error)
	Lstat(path string) (fs.FileMode, error)
	ReadFile(path string) ([]byte, error)
	ReadDir(path string) ([]fs.DirEntry, error)
	// CreateTemp makes a new file (mode 0600) whose name begins with tempPrefix.
	CreateTemp(folder string) (tempFile, error)
	// Mkdir makes a folder (mode 0700).
	Mkdir(path string) error
	// Link gives a file a second name: fs.ErrExist if that is taken.
	Link(from, to string) error
	Remove(path string) error
	// SyncFolder flushes the names in a folder to the disk.
	SyncFolder(path string) error
}

// tempFile is a file that is being written.
type tempFile interface {
	io.WriteCloser
	// Sync flushes the content to the disk.
	Sync() error
	// Name is the file's path.
	Name() string
}

// osDisk is the disk of this machine.
type osDisk struct{}

func (osDisk) Stat(path string) (fs.FileMode, error)  { return modeOf(os.Stat(path)) }
func (osDisk) Lstat(path string) (fs.FileMode, error) { return modeOf(os.Lstat(path)) }

func modeOf(info fs.FileInfo, err error) (fs.FileMode, error) {
	if err != nil {
		return 0, err
	}
	return info.Mode(), nil
}

func (osDisk) ReadFile(path string) ([]byte, error)       { return os.ReadFile(path) }
func (osDisk) ReadDir(path string) ([]fs.DirEntry, error) { return os.ReadDir(path) }
func (osDisk) Mkdir(path string) error                    { return os.Mkdir(path, 0o700) }
func (osDisk) Link(from, to string) error                 { return os.Link(from, to) }
func (osDisk) Remove(path string) error                   { return os.Remove(path) }

func (osDisk) CreateTemp(folder string) (tempFile, error) {
	file, err := os.CreateTemp(folder, tempPrefix+"*")
	if err != nil {
		return nil, err // not the nil *os.File: it would be a tempFile that is not nil
	}
	return file, nil
}

func (osDisk) SyncFolder(path string) error {
	if runtime.GOOS == "windows" {
		return nil // Windows cannot flush a folder; NTFS journals its names
	}
	opened, err := os.Open(path)
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
