package archive

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// modelDisk is a disk in memory that knows what a loss of power may leave of it. It is as hostile as a
// file system may be: a change of a name is on the disk only when the folder was flushed, each name by
// itself, and a file's content only when the file was; until then it may be there, in part, or not.
type modelDisk struct {
	root  *node
	temps int
}

// node is a file or a folder.
type node struct {
	folder bool
	// names are a folder's, as the system shows them now.
	names map[string]*node
	// maybe are, for each name that was changed since the folder was flushed, all that it has meant since
	// (nil: absent). After a loss of power it may be any of them.
	maybe map[string][]*node
	// content is a file's, which is on the disk if synced.
	content []byte
	synced  bool
}

func newFolder() *node {
	return &node{folder: true, names: map[string]*node{}, maybe: map[string][]*node{}}
}

func newModelDisk() *modelDisk { return &modelDisk{root: newFolder()} }

// set changes what a name means.
func (n *node) set(name string, to *node) {
	if _, pending := n.maybe[name]; !pending {
		n.maybe[name] = []*node{n.names[name]}
	}
	n.maybe[name] = append(n.maybe[name], to)
	if to == nil {
		delete(n.names, name)
	} else {
		n.names[name] = to
	}
}

// afterPowerLoss is what the disk shows when the power comes back, where choose(n) decides between n
// possibilities.
func (d *modelDisk) afterPowerLoss(choose func(n int) int) *modelDisk {
	return &modelDisk{temps: d.temps, root: d.root.afterPowerLoss(map[*node]*node{}, choose)}
}

func (n *node) afterPowerLoss(seen map[*node]*node, choose func(int) int) *node {
	if left, again := seen[n]; again { // a second name of the same file
		return left
	}
	left := &node{folder: n.folder, synced: true}
	seen[n] = left
	if !n.folder {
		left.content = n.content
		if !n.synced && len(n.content) > 0 {
			left.content = n.content[:choose(3)*len(n.content)/2]
		}
		return left
	}
	left.names, left.maybe = map[string]*node{}, map[string][]*node{}
	names := map[string]bool{}
	for name := range n.names {
		names[name] = true
	}
	for name := range n.maybe {
		names[name] = true
	}
	for _, name := range sorted(names) {
		is := n.names[name]
		if maybe := n.maybe[name]; len(maybe) > 0 {
			is = maybe[choose(len(maybe))]
		}
		if is != nil {
			left.names[name] = is.afterPowerLoss(seen, choose)
		}
	}
	return left
}

func sorted[V any](names map[string]V) []string {
	list := make([]string, 0, len(names))
	for name := range names {
		list = append(list, name)
	}
	slices.Sort(list)
	return list
}

// find gives what is at a path, or the error of the system.
func (d *modelDisk) find(op, path string) (*node, error) {
	at := d.root
	for part := range strings.SplitSeq(strings.Trim(filepath.ToSlash(path), "/"), "/") {
		if part == "" {
			continue
		}
		if !at.folder {
			return nil, &fs.PathError{Op: op, Path: path, Err: syscall.ENOTDIR}
		}
		next, ok := at.names[part]
		if !ok {
			return nil, &fs.PathError{Op: op, Path: path, Err: syscall.ENOENT}
		}
		at = next
	}
	return at, nil
}

// findFolder gives the folder that a path is in, and its name there.
func (d *modelDisk) findFolder(op, path string) (*node, string, error) {
	folder, err := d.find(op, filepath.Dir(path))
	if err == nil && !folder.folder {
		err = &fs.PathError{Op: op, Path: path, Err: syscall.ENOTDIR}
	}
	return folder, filepath.Base(path), err
}

func (n *node) mode() fs.FileMode {
	if n.folder {
		return fs.ModeDir | 0o700
	}
	return 0o600
}

func (d *modelDisk) Stat(path string) (fs.FileMode, error) {
	n, err := d.find("stat", path)
	if err != nil {
		return 0, err
	}
	return n.mode(), nil
}

func (d *modelDisk) Lstat(path string) (fs.FileMode, error) { return d.Stat(path) }

func (d *modelDisk) ReadFile(path string) ([]byte, error) {
	n, err := d.find("open", path)
	switch {
	case err != nil:
		return nil, err
	case n.folder:
		return nil, &fs.PathError{Op: "read", Path: path, Err: syscall.EISDIR}
	}
	return slices.Clone(n.content), nil
}

func (d *modelDisk) ReadDir(path string) ([]fs.DirEntry, error) {
	n, err := d.find("open", path)
	if err != nil {
		return nil, err
	}
	var entries []fs.DirEntry
	for _, name := range sorted(n.names) {
		entries = append(entries, fs.FileInfoToDirEntry(modelInfo{name, n.names[name]}))
	}
	return entries, nil
}

func (d *modelDisk) CreateTemp(folder string) (tempFile, error) {
	d.temps++
	path := filepath.Join(folder, fmt.Sprint(tempPrefix, d.temps))
	in, name, err := d.findFolder("open", path)
	if err != nil {
		return nil, err
	}
	file := &node{}
	in.set(name, file)
	return &modelFile{node: file, path: path}, nil
}

func (d *modelDisk) Mkdir(path string) error {
	in, name, err := d.findFolder("mkdir", path)
	if err != nil {
		return err
	}
	if in.names[name] != nil {
		return &fs.PathError{Op: "mkdir", Path: path, Err: syscall.EEXIST}
	}
	in.set(name, newFolder())
	return nil
}

func (d *modelDisk) Link(from, to string) error {
	file, err := d.find("link", from)
	if err != nil {
		return err
	}
	in, name, err := d.findFolder("link", to)
	if err != nil {
		return err
	}
	if in.names[name] != nil {
		return &fs.PathError{Op: "link", Path: to, Err: syscall.EEXIST}
	}
	in.set(name, file)
	return nil
}

func (d *modelDisk) Remove(path string) error {
	in, name, err := d.findFolder("remove", path)
	if err != nil {
		return err
	}
	if in.names[name] == nil {
		return &fs.PathError{Op: "remove", Path: path, Err: syscall.ENOENT}
	}
	in.set(name, nil)
	return nil
}

func (d *modelDisk) SyncFolder(path string) error {
	n, err := d.find("open", path)
	if err != nil {
		return err
	}
	n.maybe = map[string][]*node{}
	return nil
}

type modelFile struct {
	*node
	path string
}

func (f *modelFile) Write(data []byte) (int, error) {
	f.content, f.synced = append(f.content, data...), false
	return len(data), nil
}

func (f *modelFile) Sync() error  { f.synced = true; return nil }
func (f *modelFile) Close() error { return nil }
func (f *modelFile) Name() string { return f.path }

type modelInfo struct {
	name string
	node *node
}

func (i modelInfo) Name() string       { return i.name }
func (i modelInfo) Size() int64        { return int64(len(i.node.content)) }
func (i modelInfo) Mode() fs.FileMode  { return i.node.mode() }
func (i modelInfo) ModTime() time.Time { return time.Time{} }
func (i modelInfo) IsDir() bool        { return i.node.folder }
func (i modelInfo) Sys() any           { return nil }

// errDied is what a dead process's calls give; it does not live to see it.
var errDied = errors.New("the process has died")

// tracedDisk counts the calls that change something, and lets before decide about each: nil lets it
// happen, an error keeps it from happening.
type tracedDisk struct {
	disk
	before func(call string) error
}

func (d tracedDisk) CreateTemp(folder string) (tempFile, error) {
	if err := d.before("create a temporary file in " + folder); err != nil {
		return nil, err
	}
	file, err := d.disk.CreateTemp(folder)
	if err != nil {
		return nil, err
	}
	return tracedFile{file, d.before}, nil
}

func (d tracedDisk) Mkdir(path string) error {
	return d.do("mkdir "+path, func() error { return d.disk.Mkdir(path) })
}

func (d tracedDisk) Link(from, to string) error {
	return d.do("link "+to, func() error { return d.disk.Link(from, to) })
}

func (d tracedDisk) Remove(path string) error {
	return d.do("remove "+path, func() error { return d.disk.Remove(path) })
}

func (d tracedDisk) SyncFolder(path string) error {
	return d.do("sync folder "+path, func() error { return d.disk.SyncFolder(path) })
}

func (d tracedDisk) do(call string, then func() error) error {
	if err := d.before(call); err != nil {
		return err
	}
	return then()
}

type tracedFile struct {
	tempFile
	before func(call string) error
}

// Write is two calls, so that there is a moment at which half of it is written.
func (f tracedFile) Write(data []byte) (written int, err error) {
	for _, part := range [][]byte{data[:len(data)/2], data[len(data)/2:]} {
		if err := f.before("write " + f.Name()); err != nil {
			return written, err
		}
		n, err := f.tempFile.Write(part)
		if written += n; err != nil {
			return written, err
		}
	}
	return written, nil
}

func (f tracedFile) Sync() error {
	if err := f.before("sync " + f.Name()); err != nil {
		return err
	}
	return f.tempFile.Sync()
}

func (f tracedFile) Close() error {
	if err := f.before("close " + f.Name()); err != nil {
		return err
	}
	return f.tempFile.Close()
}
