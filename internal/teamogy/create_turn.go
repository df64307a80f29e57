package teamogy

import (
	"sync"
	"time"
)

// createTurn lets one create at a time through while Teamogy does not answer them: each whose answer is lost must be
// looked for long and may end with a person. So an outage of POST, or a tenant that answers a wrong setting with 500,
// costs one create per interval, and not one per waiting invoice.
type createTurn struct {
	mu     sync.Mutex
	lost   int       // tries without an answer since the last create that was answered
	nextAt time.Time // when the next one may be tried, while lost > 0
	trying bool      // one was let through and has not ended
}

// longestTurn bounds the interval between creates that are tried while none is answered.
const longestTurn = 5 * time.Minute

func turnInterval(lost int) time.Duration {
	if lost > 8 {
		return longestTurn
	}
	return min(time.Second<<lost, longestTurn)
}

// MayCreate is nil if a create may be made now, and must be asked right before one is recorded and made. While the
// answers to creates are lost, of this client's or of others, it is an error of Kind Unsettled for all callers but one
// per interval; nothing was sent then.
func (c *Client) MayCreate() error {
	t := &c.creates
	t.mu.Lock()
	defer t.mu.Unlock()
	now := c.now()
	if t.lost == 0 {
		return nil
	}
	if now.Before(t.nextAt) {
		return &Error{
			Operation: "create a received invoice", Kind: Unsettled,
			Detail:     "Teamogy did not answer the last create; until one is answered, they are tried one at a time",
			RetryAfter: max(time.Millisecond, t.nextAt.Sub(now)),
		}
	}
	t.trying = true
	t.nextAt = now.Add(scaled(turnInterval(t.lost), c.scale))
	return nil
}

// ended notes how a create went. One that was not sent says nothing, nor do those that were under way together with
// the first one whose answer was lost.
func (t *createTurn) ended(err *Error, now time.Time, scale float64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case err == nil || err.Status != 0 && !err.mayHaveHappened():
		t.lost, t.trying = 0, false
	case err.mayHaveHappened() && (t.lost == 0 || t.trying):
		t.lost++
		t.trying = false
		t.nextAt = now.Add(scaled(turnInterval(t.lost), scale))
	}
}
