package teamogy

import (
	"context"
	"sync"
	"time"
)

// heldTurn is a turn within the quota that was taken before its request is made.
type heldTurn struct {
	mu    sync.Mutex
	grant *grant // nil once it was used or given back
}

type heldTurnKey struct{}

// AwaitTurn waits for a turn within the request quota. The first request that is made with the returned context takes
// this turn and waits no more; give must be called in the end, and gives back a turn that was not used. So what has to
// be recorded right before a request is recorded only once that can be sent: of a request whose turn does not come in
// time (Kind QuotaLocal) nothing is recorded.
//
// Between the call and the request lies what is quick, such as writing to the archive: others wait meanwhile.
func (c *Client) AwaitTurn(ctx context.Context) (held context.Context, give func(), err error) {
	g, err := c.takeTurn(ctx, "wait for a turn")
	if err != nil {
		return nil, nil, err
	}
	h := &heldTurn{grant: g}
	return context.WithValue(ctx, heldTurnKey{}, h), h.give, nil
}

func (h *heldTurn) take() *grant {
	h.mu.Lock()
	defer h.mu.Unlock()
	g := h.grant
	h.grant = nil
	return g
}

func (h *heldTurn) give() {
	if g := h.take(); g != nil {
		g.unused()
	}
}

// Queue is how long a call of the priority that is made now would wait for its turn within the request quota, as far as
// can be foreseen.
func (c *Client) Queue(p Priority) time.Duration { return c.bucket.foreseen(p, c) }

// takeTurn is the turn that the context holds, or the next that comes.
func (c *Client) takeTurn(ctx context.Context, operation string) (*grant, error) {
	if h, ok := ctx.Value(heldTurnKey{}).(*heldTurn); ok {
		if g := h.take(); g != nil {
			return g, nil
		}
	}
	g, err := c.bucket.acquire(ctx, priorityOf(ctx), c)
	if e, ok := AsError(err); ok {
		e.Operation = operation
	}
	return g, err
}
