package connection

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

const (
	// settleTime is how long a file must have been left alone before its time of change is trusted to tell
	// about the next change: clocks of file systems are coarse.
	settleTime = 2 * time.Second
	// recheckBad is after how long settings that are wrong are looked at again although no file changed: a
	// certificate may have become valid meanwhile.
	recheckBad = 30 * time.Second
)

// Store gives the connections of a folder, and reads their files again when they change. It is safe for
// concurrent use.
type Store struct {
	dir    string
	logger *slog.Logger
	checks []func(*Connection) error
	now    func() time.Time

	mutex   sync.Mutex
	entries map[string]*entry
}

// entry is what is known of one connection.
type entry struct {
	good    *Connection // the last version without a mistake; nil if there never was one
	problem error       // what is wrong with the present version; nil if nothing
	warned  string      // the problem that was logged
	stamps  []stamp     // the files as they were read
	read    time.Time
}

// stamp tells whether a file has changed.
type stamp struct {
	path string
	info os.FileInfo // nil if the file was not there
}

// NewStore returns the connections of a folder (CONNECTIONS_DIR). The folder may be absent, and files may
// come and go. Each version of a connection's settings is also given to the checks, if any: one for which a
// check returns an error counts as wrong, so that, say, a new certificate with the old key leaves the last
// good pair at work.
func NewStore(dir string, logger *slog.Logger, checks ...func(*Connection) error) *Store {
	return &Store{dir: dir, logger: logger, checks: checks, now: time.Now, entries: map[string]*entry{}}
}

// Names returns the names of all connections that have a file now, sorted.
func (s *Store) Names() ([]string, error) {
	return List(s.dir)
}

// Get returns a connection as its files say now. If they are wrong, the last version that was right is
// returned (and the mistake is logged once, and returned by Problem); if there never was one, the mistake is
// the error: an *Errors for what is in the files. A connection without a file is an *UnknownError.
func (s *Store) Get(name string) (*Connection, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	current, err := s.current(name)
	if err != nil {
		return nil, err
	}
	if current.good == nil {
		return nil, current.problem
	}
	return current.good, nil
}

// Problem says what is wrong with a connection's files as they are now: nil if nothing is. Get may return
// an older, good version meanwhile.
func (s *Store) Problem(name string) error {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	current, err := s.current(name)
	if err != nil {
		return err
	}
	return current.problem
}

// current returns the entry of a connection, up to date.
func (s *Store) current(name string) (*entry, error) {
	e := s.entries[name]
	if e != nil && !s.stale(e) {
		return e, nil
	}
	if e == nil {
		e = &entry{}
	}
	e.read = s.now()
	path := filepath.Join(s.dir, name+suffix)
	var file []byte
	err := fs.ErrNotExist
	if name != "" && name[0] != '.' && !strings.ContainsAny(name, `/\`) { // else it is no file's name
		file, err = readFile(path)
	}
	if errors.Is(err, fs.ErrNotExist) {
		delete(s.entries, name)
		known, err := List(s.dir)
		if err != nil {
			return nil, err
		}
		return nil, &UnknownError{Name: name, Dir: s.dir, Known: known}
	}
	s.entries[name] = e
	if err != nil {
		s.refuse(name, e, &Errors{Name: name, File: path, Problems: []Problem{{Wrong: "the file cannot be read: " + reason(err), Remedy: "let this process read it"}}})
		e.stamps = stampsOf(path)
		return e, nil
	}
	c, pointedTo, err := parse(name, file, s.dir)
	e.stamps = stampsOf(append([]string{path}, pointedTo...)...)
	if err == nil {
		err = s.check(c)
	}
	if err != nil {
		s.refuse(name, e, err)
		return e, nil
	}
	s.accept(name, e, c)
	return e, nil
}

func (s *Store) check(c *Connection) error {
	for _, check := range s.checks {
		if err := check(c); err != nil {
			return fmt.Errorf("the settings of the connection %s are wrong: %w", c.Name, err)
		}
	}
	return nil
}

// refuse notes that the present version is wrong, and logs it once.
func (s *Store) refuse(name string, e *entry, problem error) {
	e.problem = problem
	if e.warned == problem.Error() {
		return
	}
	e.warned = problem.Error()
	message := "a connection cannot be used: its settings are wrong"
	if e.good != nil {
		message = "a connection's changed settings are wrong: the last good ones stay at work"
	}
	s.logger.Warn(message, "connection", name, "problem", problem.Error())
}

// accept takes a version that is right.
func (s *Store) accept(name string, e *entry, c *Connection) {
	switch {
	case e.problem != nil:
		s.logger.Info("a connection's settings are right again", "connection", name)
	case e.good != nil && e.good.Fingerprint() != c.Fingerprint():
		s.logger.Info("a connection's settings have changed", "connection", name)
	}
	e.problem, e.warned = nil, ""
	if e.good == nil || e.good.Fingerprint() != c.Fingerprint() {
		e.good = c
	}
}

// stale says whether a connection's files must be read again.
func (s *Store) stale(e *entry) bool {
	if e.problem != nil && s.now().Sub(e.read) > recheckBad {
		return true
	}
	for _, before := range e.stamps {
		now, err := os.Stat(before.path)
		if err != nil {
			if before.info != nil || !errors.Is(err, fs.ErrNotExist) {
				return true
			}
			continue
		}
		if before.info == nil || !os.SameFile(before.info, now) || before.info.Size() != now.Size() ||
			!before.info.ModTime().Equal(now.ModTime()) || now.ModTime().After(e.read.Add(-settleTime)) {
			return true
		}
	}
	return false
}

func stampsOf(paths ...string) []stamp {
	stamps := make([]stamp, 0, len(paths))
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			info = nil
		}
		stamps = append(stamps, stamp{path: path, info: info})
	}
	return stamps
}
