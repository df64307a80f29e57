package ksef

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"time"
)

// KSeF's check of a certificate is awaited this long at a time (real time). A
// login that needs longer is taken up again by the next call.
const longestLoginWait = 90 * time.Second

// pendingLogin is a signed request that KSeF has not decided yet.
type pendingLogin struct {
	reference string
	token     token
}

// Statuses of an authentication.
const (
	authRunning   = 100
	authDone      = 200
	authRevoked   = 425
	authUnknown   = 500
	authCancelled = 550
)

const (
	codeBadChallenge = 21111
	codeNotPossible  = 21301 // redeem: already redeemed, or another status
	codeNoSuchLogin  = 21304
)

// logIn goes the whole way from challenge to tokens. What KSeF cancelled by
// itself or what has expired on the way is begun once more.
func (c *Client) logIn(ctx context.Context, credentials Credentials, generation int) (tokens, error) {
	for attempt := 1; ; attempt++ {
		got, again, err := c.logInOnce(ctx, credentials, generation)
		if err == nil {
			return got, nil
		}
		if !again || attempt == 2 {
			return tokens{}, err
		}
		c.logger.Info("KSeF login begins anew", "reason", err.Error())
	}
}

func (c *Client) logInOnce(ctx context.Context, credentials Credentials, generation int) (got tokens, again bool, err error) {
	p := c.takePending()
	resumed := p != nil
	if !resumed {
		if p, again, err = c.submitSignedRequest(ctx, credentials); err != nil {
			return tokens{}, again, err
		}
	}
	again, err = c.awaitLogin(ctx, p)
	if err != nil {
		if e, ok := AsError(err); ok && e.Kind != KindLoginRefused && !again {
			if resumed && (e.Kind == KindRejected || e.Kind == KindUnauthorized || e.Kind == KindGone) {
				return tokens{}, true, err // the old attempt is worth nothing any more
			}
			c.keepPending(p, generation)
		}
		return tokens{}, again, err
	}
	got, err = c.redeem(ctx, p)
	e, _ := AsError(err)
	return got, e != nil && (e.Has(codeNotPossible) || e.Has(codeNoSuchLogin)), err
}

func (c *Client) takePending() *pendingLogin {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.pending
	c.pending = nil
	if p != nil && !p.token.usable(c.now().Add(c.clockOffset)) {
		return nil
	}
	return p
}

func (c *Client) keepPending(p *pendingLogin, generation int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if generation == c.generation {
		c.pending = p
	}
}

// submitSignedRequest asks for a challenge, signs it and sends it.
func (c *Client) submitSignedRequest(ctx context.Context, credentials Credentials) (p *pendingLogin, again bool, err error) {
	var challenge struct {
		Challenge string `json:"challenge"`
	}
	r := request{operation: "log in: get a challenge", method: http.MethodPost, path: "/auth/challenge", group: GroupAnonymous}
	if err := c.callJSON(ctx, r, nil, &challenge); err != nil {
		return nil, false, err
	}
	signed, err := signAuthTokenRequest(credentials, challenge.Challenge, c.nip, c.ServerTime())
	if err != nil {
		return nil, false, &Error{Operation: "log in: sign the challenge", Kind: KindLoginRefused, cause: err}
	}
	var out struct {
		ReferenceNumber     string    `json:"referenceNumber"`
		AuthenticationToken wireToken `json:"authenticationToken"`
	}
	r = request{
		operation: "log in: send the signed request", method: http.MethodPost, path: "/auth/xades-signature",
		body: signed, contentType: "application/xml", group: GroupAnonymous,
	}
	if err := c.callJSON(ctx, r, nil, &out); err != nil {
		e, ok := AsError(err)
		if ok && e.Has(codeBadChallenge) {
			return nil, true, err
		}
		if ok && e.Kind == KindRejected && len(e.Codes) > 0 {
			e.Kind = KindLoginRefused
		}
		return nil, false, err
	}
	if out.ReferenceNumber == "" || out.AuthenticationToken.Token == "" {
		return nil, false, &Error{Operation: r.operation, Kind: KindGateway, Status: http.StatusAccepted, Detail: "the answer has no reference or no token"}
	}
	return &pendingLogin{reference: out.ReferenceNumber, token: out.AuthenticationToken.at(c.ServerTime(), usualLoginLife)}, false, nil
}

// awaitLogin polls until KSeF has decided: at once, after a second, and then at
// growing distances up to five seconds.
func (c *Client) awaitLogin(ctx context.Context, p *pendingLogin) (again bool, err error) {
	r := request{
		operation: "log in: await KSeF's decision", method: http.MethodGet, path: "/auth/" + url.PathEscape(p.reference),
		group: GroupAnonymous, bearer: p.token.value,
	}
	wait, waited := time.Second, time.Duration(0)
	for {
		var out struct {
			Status wireStatus `json:"status"`
		}
		if err := c.callJSON(ctx, r, nil, &out); err != nil {
			return false, err
		}
		status := out.Status
		switch e := (&Error{Operation: r.operation, Status: http.StatusOK, Codes: []Code{status.code()}}); {
		case status.Code == authDone:
			return false, nil
		case status.Code == 0:
			e.Kind, e.Codes, e.Detail = KindGateway, nil, "the answer has no status"
			return false, e
		case status.Code > authRunning && status.Code < 400, status.Code == authRunning:
			if waited >= longestLoginWait {
				e.Kind = KindNotYet
				return false, e
			}
		case status.Code == authCancelled, status.Code == authUnknown:
			e.Kind = KindServer
			return true, e
		default:
			e.Kind = KindLoginRefused
			return status.Code == authRevoked, e
		}
		if err := c.pause(ctx, wait); err != nil {
			return false, &Error{Operation: r.operation, Kind: KindNetwork, cause: err}
		}
		waited += wait
		wait = min(wait*3/2, 5*time.Second)
	}
}

// redeem fetches the tokens of a login that succeeded; possible only once.
func (c *Client) redeem(ctx context.Context, p *pendingLogin) (tokens, error) {
	var out struct {
		AccessToken  wireToken `json:"accessToken"`
		RefreshToken wireToken `json:"refreshToken"`
	}
	r := request{
		operation: "log in: fetch the tokens", method: http.MethodPost, path: "/auth/token/redeem",
		group: GroupAnonymous, bearer: p.token.value,
	}
	if err := c.callJSON(ctx, r, nil, &out); err != nil {
		return tokens{}, err
	}
	if out.AccessToken.Token == "" {
		return tokens{}, &Error{Operation: r.operation, Kind: KindGateway, Status: http.StatusOK, Detail: "the answer has no access token"}
	}
	now := c.ServerTime()
	return tokens{
		access:  out.AccessToken.at(now, usualAccessLife),
		refresh: out.RefreshToken.at(now, usualRefreshLife),
	}, nil
}

// wireStatus is KSeF's form of a status.
type wireStatus struct {
	Code        int            `json:"code"`
	Description string         `json:"description"`
	Details     texts          `json:"details"`
	Extensions  map[string]any `json:"extensions"`
}

func (s wireStatus) code() Code {
	e := &Error{}
	e.addCode(s.Code, s.Description, s.Details)
	return e.Codes[0]
}

// extension returns a text among the status's extensions, or nothing.
func (s wireStatus) extension(name string) string {
	text, _ := s.Extensions[name].(string)
	return text
}

// cleanDetails returns the status's details fit to be shown.
func (s wireStatus) cleanDetails() []string { return slices.Clone(s.code().Details) }
