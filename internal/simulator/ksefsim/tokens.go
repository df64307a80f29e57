package ksefsim

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Lifetimes of tokens. They are real: TimeScale does not touch them.
const (
	authenticationLife = 45 * time.Minute
	accessLife         = 15 * time.Minute
	refreshLife        = 7 * 24 * time.Hour
)

// tokenKind tells the three kinds of Bearer apart.
type tokenKind string

const (
	authenticationToken tokenKind = "AuthenticationOperationToken"
	accessToken         tokenKind = "ContextToken"
	refreshToken        tokenKind = "RefreshToken"
)

// token is an issued Bearer.
type token struct {
	kind        tokenKind
	auth        *authentication
	until       time.Time
	permissions []string // frozen at issue
}

// may says whether the token carries one of the permissions.
func (t *token) may(anyOf ...string) bool {
	return slices.ContainsFunc(anyOf, func(p string) bool { return slices.Contains(t.permissions, p) })
}

// issue makes a token shaped as a JWT, because clients decode it. The lock
// must be held.
func (s *Simulator) issue(kind tokenKind, a *authentication, life time.Duration, permissions []string, now time.Time) map[string]any {
	until := now.Add(life)
	subject, err := json.Marshal(map[string]any{
		"SubjectIdentifier": map[string]any{"Type": a.subject.kind, "Value": a.subject.value},
	})
	if err != nil {
		subject = nil
	}
	claims, err := json.Marshal(map[string]any{
		"token-type": kind, "context-identifier-type": a.context.kind, "context-identifier-value": a.context.value,
		"authentication-method": a.method(), "authentication-token-reference-number": a.ref,
		"subject-details": string(subject), "permissions": permissions,
		"jti": strings.ToLower(randomHex(16)),
		"exp": until.Unix(), "iat": now.Unix(), "iss": "ksef-api-simulator", "aud": "ksef-api-simulator",
	})
	if err != nil {
		claims = nil
	}
	encode := base64.RawURLEncoding.EncodeToString
	signed := encode([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." + encode(claims)
	mac := hmac.New(sha256.New, s.secret[:])
	mac.Write([]byte(signed))
	text := signed + "." + encode(mac.Sum(nil))
	s.tokens[text] = &token{kind: kind, auth: a, until: until, permissions: permissions}
	return map[string]any{"token": text, "validUntil": stamp(until)}
}

// bearer finds the token of a request, of one of the kinds.
func (s *Simulator) bearer(c *call, kinds []tokenKind) (*token, error) {
	scheme, text, found := strings.Cut(c.r.Header.Get("Authorization"), " ")
	if !found || !strings.EqualFold(scheme, "Bearer") {
		return nil, unauthorized()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.tokens[strings.TrimSpace(text)]
	if t == nil || !c.now.Before(t.until) || !slices.Contains(kinds, t.kind) {
		return nil, unauthorized()
	}
	if t.kind != authenticationToken && !t.auth.policy.allows(c.ip) {
		return nil, ipNotAllowed(c.ip)
	}
	return t, nil
}

// redeem answers POST /auth/token/redeem, which works once.
func (s *Simulator) redeem(c *call) (*reply, error) {
	s.lock(c.now)
	defer s.mu.Unlock()
	a := c.token.auth
	if a.redeemed {
		return nil, refuse(21301, "Logowanie "+a.ref+" dało już swoje tokeny.")
	}
	if err := s.mayGoOn(a, c.now); err != nil {
		return nil, err
	}
	permissions := s.permissionsOf(a)
	a.redeemed, a.refreshUntil = true, c.now.Add(refreshLife)
	return jsonReply(http.StatusOK, map[string]any{
		"accessToken":  s.issue(accessToken, a, accessLife, permissions, c.now),
		"refreshToken": s.issue(refreshToken, a, refreshLife, nil, c.now),
	})
}

// refresh answers POST /auth/token/refresh. The refresh token stays as it is;
// the new access token has the permissions of this moment.
func (s *Simulator) refresh(c *call) (*reply, error) {
	s.lock(c.now)
	defer s.mu.Unlock()
	a := c.token.auth
	if err := s.mayGoOn(a, c.now); err != nil {
		return nil, err
	}
	permissions := s.permissionsOf(a)
	if len(permissions) == 0 {
		return nil, refuse(21301, "Logowanie ma status "+itoa(authNoPermission)+" i nie odnawia tokenu.")
	}
	a.refreshedAt = c.now
	return jsonReply(http.StatusOK, map[string]any{
		"accessToken": s.issue(accessToken, a, accessLife, permissions, c.now),
	})
}

// mayGoOn says whether a log-in can still give tokens: it succeeded, was not
// revoked since, and neither was the KSeF token that it was made with. The
// lock must be held.
func (s *Simulator) mayGoOn(a *authentication, now time.Time) error {
	if code := a.status(now).Code; code != statusDone {
		return refuse(21301, "Logowanie ma status "+itoa(code)+" i nie daje tokenów.")
	}
	if s.deceased(a.subject) {
		return refuse(21308)
	}
	if t := a.ksefToken; t != nil && t.state != tokenActive {
		return refuse(21301, "Tokenu KSeF "+t.ref+" już nie ma.")
	}
	return nil
}

// forgetExpired drops tokens, log-ins and challenges that have run out. Of
// log-ins it remembers whose they were. The lock must be held.
func (s *Simulator) forgetExpired(now time.Time) {
	for text, t := range s.tokens {
		if !now.Before(t.until) {
			delete(s.tokens, text)
		}
	}
	for ref, a := range s.auths {
		if now.Sub(a.started) >= statusLife && !now.Before(a.refreshUntil) {
			s.forgotten[ref] = a.identity()
			delete(s.auths, ref)
		}
	}
	for text, until := range s.challenges {
		if !now.Before(until) {
			delete(s.challenges, text)
		}
	}
}
