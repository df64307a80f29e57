package connection

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// suffix ends the name of every settings file.
const suffix = ".env"

var validName = regexp.MustCompile(`^[a-z0-9-]{1,40}$`)

// ParseFile reads the settings file at path, such as connections/acme.env; the connection has the file's
// name. Everything that is wrong is in one *Errors.
func ParseFile(path string) (*Connection, error) {
	file, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the settings of a connection: %w", err)
	}
	dir, base := filepath.Split(path)
	return Parse(strings.TrimSuffix(base, suffix), file, filepath.Clean(dir))
}

// Parse reads a connection's settings from the content of its file, which lies in dir: relative paths of
// files that it points to begin there. Everything that is wrong is in one *Errors.
func Parse(name string, file []byte, dir string) (*Connection, error) {
	c, _, err := parse(name, file, dir)
	return c, err
}

// parse is Parse; it also returns the paths of the files that the settings point to, in the order of use.
func parse(name string, file []byte, dir string) (*Connection, []string, error) {
	r := newReader(file, dir)
	if !validName.MatchString(name) {
		r.problem(0, "", "the file's name is no connection's name", "rename it to 1 to 40 of a-z, 0-9 and '-', followed by .env")
	}
	c := &Connection{Name: name}
	if r.readable {
		r.identity(c)
		r.ksef(c)
		r.teamogy(c)
		r.receiving(c)
		r.sending(c)
		r.timeScale(c)
		r.oneByOne(c)
		r.leftovers()
	}
	paths := make([]string, 0, len(r.files))
	for _, f := range r.files {
		paths = append(paths, f.path)
	}
	if len(r.problems) > 0 {
		slices.SortStableFunc(r.problems, byLine)
		return nil, paths, &Errors{Name: name, File: filepath.Join(dir, name+suffix), Problems: r.problems}
	}
	c.fingerprint = fingerprint(name, dir, file, r.files)
	return c, paths, nil
}

// byLine puts what is about no line, such as missing settings, last.
func byLine(a, b Problem) int {
	switch {
	case a.Line == b.Line:
		return 0
	case a.Line == 0:
		return 1
	case b.Line == 0:
		return -1
	default:
		return a.Line - b.Line
	}
}

// fingerprintKey is this process's own: a fingerprint that gets out tells nothing about a secret.
var fingerprintKey = sync.OnceValue(func() []byte {
	key := make([]byte, 32)
	rand.Read(key) //nolint:errcheck // it never fails (crypto/rand)
	return key
})

func fingerprint(name, dir string, file []byte, pointedTo []pointedFile) string {
	hash := hmac.New(sha256.New, fingerprintKey())
	add := func(part []byte) {
		hash.Write(binary.BigEndian.AppendUint64(nil, uint64(len(part))))
		hash.Write(part)
	}
	add([]byte(name))
	add([]byte(dir))
	add(file)
	for _, f := range pointedTo {
		add([]byte(f.path))
		add(f.content)
	}
	return hex.EncodeToString(hash.Sum(nil))
}

// List returns the names of the connections in a folder, sorted: its *.env files, without those that begin
// with a dot. A file whose name is no connection's name is listed too, so that its mistake is seen (Parse
// says it). A folder that is not there has no connections.
func List(dir string) (names []string, err error) {
	entries, err := os.ReadDir(dir)
	if os.IsNotExist(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list the connections: %w", err)
	}
	for _, entry := range entries {
		name, ok := strings.CutSuffix(entry.Name(), suffix)
		if ok && !entry.IsDir() && name != "" && name[0] != '.' {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, nil
}
