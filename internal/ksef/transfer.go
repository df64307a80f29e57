package ksef

import (
	"context"
	"errors"
	"io"
	"time"
)

// longestStall is how long nothing may move in a transfer, in real time. It is
// longer than an answer's header may take (newHTTPClient).
const longestStall = 2 * time.Minute

// errStalled says why a transfer was ended.
var errStalled = errors.New("nothing moved for too long")

// transfer is an upload or a download that may take hours, and is ended when
// nothing moves in it: a storage that does not hang up would else hold its caller
// for as long as that may last.
type transfer struct {
	ctx   context.Context // of the request
	abort context.CancelCauseFunc
	timer *time.Timer
	most  time.Duration
}

// transferring begins a transfer. The caller ends it with end.
func (c *Client) transferring(ctx context.Context) *transfer {
	t := &transfer{most: c.stallsAfter}
	t.ctx, t.abort = context.WithCancelCause(ctx)
	t.timer = time.AfterFunc(t.most, func() { t.abort(errStalled) })
	return t
}

func (t *transfer) end() {
	t.timer.Stop()
	t.abort(nil)
}

// moving is a reader of which each reading is a move.
func (t *transfer) moving(from io.Reader) io.Reader { return &moving{from, t} }

type moving struct {
	from io.Reader
	t    *transfer
}

func (m *moving) Read(p []byte) (int, error) {
	m.t.timer.Reset(m.t.most)
	n, err := m.from.Read(p)
	m.t.timer.Reset(m.t.most)
	return n, m.t.reason(err)
}

// reason is an error, or that nothing moved if that has led to it.
func (t *transfer) reason(err error) error {
	if err != nil && !errors.Is(err, io.EOF) && errors.Is(context.Cause(t.ctx), errStalled) {
		return errStalled
	}
	return err
}
