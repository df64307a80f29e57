package ksef

import (
	"errors"
	"hash"
	"io"
)

// errTooLong says that more came than was announced.
var errTooLong = errors.New("more data came than was announced")

// counted counts and hashes what is read through it, up to a bound, and
// remembers what the reading failed with.
type counted struct {
	from   io.Reader
	most   int64 // 0: no bound
	n      int64
	hash   hash.Hash
	failed error
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.from.Read(p)
	c.n += int64(n)
	_, _ = c.hash.Write(p[:n]) // a hash does not fail
	if c.most > 0 && c.n > c.most {
		err = errTooLong
	}
	if err != nil && !errors.Is(err, io.EOF) {
		c.failed = err
	}
	return n, err
}

// sink remembers what the writing failed with.
type sink struct {
	to     io.Writer
	failed error
}

func (s *sink) Write(p []byte) (int, error) {
	n, err := s.to.Write(p)
	if err != nil {
		s.failed = err
	}
	return n, err
}
