package ksef

import (
	"context"
	"net/http"
	"time"
)

// Lives of tokens as observed; used only when KSeF names no end.
const (
	usualLoginLife   = 45 * time.Minute
	usualAccessLife  = 15 * time.Minute
	usualRefreshLife = 7 * 24 * time.Hour
)

// A renewal is made for all callers at once, so it has a time limit of its own.
const renewalTimeout = 3 * time.Minute

// token is a JWT and its end by KSeF's clock. It never leaves this package.
type token struct {
	value      string
	validUntil time.Time
	renewAt    time.Time
}

type tokens struct{ access, refresh token }

// wireToken is KSeF's form of a token.
type wireToken struct {
	Token      string    `json:"token"`
	ValidUntil timestamp `json:"validUntil"`
}

// at completes a token that was received at the given time of KSeF's clock. It
// is renewed a minute before its end, or after four fifths of a shorter life.
func (w wireToken) at(received time.Time, usual time.Duration) token {
	t := token{value: w.Token, validUntil: w.ValidUntil.Time}
	if t.validUntil.IsZero() {
		t.validUntil = received.Add(usual)
	}
	margin := min(time.Minute, t.validUntil.Sub(received)/5)
	t.renewAt = t.validUntil.Add(-max(margin, 0))
	return t
}

func (t token) usable(now time.Time) bool { return t.value != "" && now.Before(t.renewAt) }

// LoginState says how long the present login lives, by KSeF's clock. It holds
// no token.
type LoginState struct {
	// AccessValidUntil is the end of the access token.
	AccessValidUntil time.Time
	// RefreshValidUntil is when a complete new login becomes necessary.
	RefreshValidUntil time.Time
	// Fresh is true when this call got a new access token, so that permissions
	// granted meanwhile count.
	Fresh bool
}

// Login makes sure that there is a valid access token: it keeps the present one
// while it lives, refreshes it before its end, and logs in anew when refreshing
// is not possible. Any other method does the same by itself.
//
// A refusal for good is an *Error of KindLoginRefused. When KSeF needs long to
// check a qualified certificate the error is KindNotYet; the next call goes on
// with the same login.
func (c *Client) Login(ctx context.Context) (LoginState, error) {
	_, state, err := c.accessToken(ctx)
	return state, err
}

// accessToken returns a usable access token. Concurrent callers share one login.
func (c *Client) accessToken(ctx context.Context) (string, LoginState, error) {
	for {
		c.mu.Lock()
		have := c.tokens
		now := c.now().Add(c.clockOffset)
		c.mu.Unlock()
		if have.access.usable(now) {
			return have.access.value, have.state(false), nil
		}
		// The work goes on when the caller that began it gives up: others wait for it.
		result := c.flight.DoChan("login", func() (any, error) {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), renewalTimeout)
			defer cancel()
			return c.renew(ctx)
		})
		select {
		case <-ctx.Done():
			return "", LoginState{}, &Error{Operation: "log in", Kind: KindNetwork, cause: ctx.Err()}
		case r := <-result:
			got := r.Val.(renewal)
			c.mu.Lock()
			changed := got.generation != c.generation
			c.mu.Unlock()
			if changed {
				continue // other credentials were set meanwhile
			}
			if r.Err != nil {
				return "", LoginState{}, r.Err
			}
			return got.access.value, got.state(got.fresh), nil
		}
	}
}

func (t tokens) state(fresh bool) LoginState {
	return LoginState{AccessValidUntil: t.access.validUntil, RefreshValidUntil: t.refresh.validUntil, Fresh: fresh}
}

// dropToken forgets a login whose access token KSeF refused, unless another one
// has taken its place already.
func (c *Client) dropToken(value string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.tokens.access.value == value {
		c.tokens = tokens{}
	}
}

// renewal is the outcome of one renewal.
type renewal struct {
	tokens
	generation int // of the credentials that it was made with
	fresh      bool
}

// renew gets a new access token and keeps it.
func (c *Client) renew(ctx context.Context) (renewal, error) {
	c.mu.Lock()
	have, credentials, generation := c.tokens, c.credentials, c.generation
	now := c.now().Add(c.clockOffset)
	c.mu.Unlock()
	kept := renewal{tokens: have, generation: generation}
	if have.access.usable(now) {
		return kept, nil // another caller was quicker
	}
	if have.refresh.usable(now) {
		got, err := c.refresh(ctx, have.refresh)
		if err == nil {
			return c.keep(got, generation), nil
		}
		if e, ok := AsError(err); ok && e.transient() {
			if now.Before(have.access.validUntil) {
				return kept, nil // not renewed in time, but still good
			}
			return kept, err
		}
	}
	got, err := c.logIn(ctx, credentials, generation)
	if err != nil {
		return kept, err
	}
	return c.keep(got, generation), nil
}

func (c *Client) keep(got tokens, generation int) renewal {
	c.mu.Lock()
	defer c.mu.Unlock()
	if generation == c.generation {
		c.tokens = got
	}
	return renewal{tokens: got, generation: generation, fresh: true}
}

// transient tells whether the same call may succeed a little later.
func (e *Error) transient() bool {
	switch e.Kind {
	case KindNetwork, KindGateway, KindServer, KindRateLimited:
		return true
	}
	return false
}

// refresh exchanges the refresh token for a new access token. The refresh token
// itself stays the same.
func (c *Client) refresh(ctx context.Context, refresh token) (tokens, error) {
	var out struct {
		AccessToken wireToken `json:"accessToken"`
	}
	r := request{
		operation: "refresh the access token", method: http.MethodPost, path: "/auth/token/refresh",
		group: GroupAnonymous, bearer: refresh.value,
	}
	if err := c.callJSON(ctx, r, nil, &out); err != nil {
		return tokens{}, err
	}
	if out.AccessToken.Token == "" {
		return tokens{}, &Error{Operation: r.operation, Kind: KindGateway, Status: http.StatusOK, Detail: "the answer has no access token"}
	}
	return tokens{access: out.AccessToken.at(c.ServerTime(), usualAccessLife), refresh: refresh}, nil
}
