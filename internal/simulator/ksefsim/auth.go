package ksefsim

import (
	"net/http"
	"strconv"
	"time"
)

const (
	// challengeLife is how long a challenge can be used.
	challengeLife = 10 * time.Minute
	// statusLife is how long the status of an authentication can be read.
	statusLife = 7 * 24 * time.Hour
)

// Codes of an authentication.
const (
	authRunning      = 100
	statusDone       = 200
	authNoPermission = 415
	authRevoked      = 425
	authBadToken     = 450
	authCertificate  = 460
	authDeceased     = 470
	authBlocked      = 480
)

// authDescriptions say what the codes mean, in own words.
var authDescriptions = map[int]string{
	authRunning:      "Logowanie trwa",
	statusDone:       "Zalogowano",
	authNoPermission: "Nie zalogowano: brak praw",
	authRevoked:      "Logowanie cofnięte",
	authBadToken:     "Nie zalogowano: zły token KSeF",
	authCertificate:  "Nie zalogowano: zły certyfikat",
	authDeceased:     "Nie zalogowano: osoba nie żyje",
	authBlocked:      "Nie zalogowano: podejrzenie nadużycia, kontekst jest zablokowany",
	500:              "Coś się zepsuło (500)",
	550:              "System przerwał logowanie",
}

// authentication is one log-in, from the request to its refresh token.
type authentication struct {
	ref          string
	number       int // counts up, so that lists have an order
	started      time.Time
	readyAt      time.Time // when the result becomes visible
	context      contextIdentifier
	subject      subject
	documentHash string     // SHA-256 of the signed request, Base64; UPOs show it
	ksefToken    *ksefToken // nil when a signature was used
	policy       ipPolicy
	denied       *denial // nil when it succeeds
	redeemed     bool
	revoked      bool
	refreshedAt  time.Time
	refreshUntil time.Time
}

// denial is why an authentication fails; it shows in its status.
type denial struct {
	code   int
	detail string
}

// contextIdentifier is the taxpayer in whose name calls are made.
type contextIdentifier struct {
	kind  string // Nip or InternalId
	value string
	nip   string
}

// identity is somebody in a context.
type identity struct {
	context contextIdentifier
	subject subject
}

func (a *authentication) identity() identity { return identity{a.context, a.subject} }

func (a *authentication) method() string {
	switch {
	case a.ksefToken != nil:
		return "Token"
	case a.subject.seal:
		return "QualifiedSeal"
	}
	return "QualifiedSignature"
}

func (a *authentication) methodInfo() map[string]any {
	switch {
	case a.ksefToken != nil:
		return map[string]any{"category": "Token", "code": "token.ksef", "displayName": "Token KSeF"}
	case a.subject.seal:
		return map[string]any{"category": "XadesSignature", "code": "xades.qualified-seal", "displayName": "Kwalifikowana pieczęć firmy"}
	}
	return map[string]any{"category": "XadesSignature", "code": "xades.qualified-signature", "displayName": "Kwalifikowany podpis osoby"}
}

func (a *authentication) status(now time.Time) statusInfo {
	code, details := statusDone, []string(nil)
	switch {
	case now.Before(a.readyAt):
		code = authRunning
	case a.denied != nil:
		code, details = a.denied.code, []string{a.denied.detail}
	case a.revoked:
		code, details = authRevoked, []string{"Użytkownik wylogował się, jego tokeny już nie działają"}
	}
	words := authDescriptions[code]
	if words == "" {
		words = "Status " + itoa(code)
	}
	return statusInfo{Code: code, Description: words, Details: details}
}

// document is what the API shows of an authentication.
func (a *authentication) document(now time.Time) map[string]any {
	status := a.status(now)
	doc := map[string]any{
		"startDate": stamp(a.started), "authenticationMethod": a.method(), "authenticationMethodInfo": a.methodInfo(),
		"status": status,
	}
	if status.Code == statusDone {
		doc["isTokenRedeemed"] = a.redeemed
	}
	if !a.refreshUntil.IsZero() {
		doc["refreshTokenValidUntil"] = stamp(a.refreshUntil)
	}
	if !a.refreshedAt.IsZero() {
		doc["lastTokenRefreshDate"] = stamp(a.refreshedAt)
	}
	return doc
}

// challenge answers POST /auth/challenge.
func (s *Simulator) challenge(c *call) (*reply, error) {
	text := newReference(kindChallenge, c.now)
	s.lock(c.now)
	s.forgetExpired(c.now)
	s.challenges[text] = c.now.Add(challengeLife)
	s.mu.Unlock()
	return jsonReply(http.StatusOK, map[string]any{
		"challenge": text, "timestamp": stamp(c.now), "timestampMs": c.now.UnixMilli(), "clientIp": c.ip,
	})
}

// takeChallenge uses a challenge up and says when it was given. The lock must
// be held.
func (s *Simulator) takeChallenge(text string, now time.Time) (given time.Time, err error) {
	until, known := s.challenges[text]
	if !known || !now.Before(until) {
		return given, refuse(21111, "Wyzwanie jest nieznane, zużyte albo wygasło.")
	}
	delete(s.challenges, text)
	return until.Add(-challengeLife), nil
}

// begin starts an authentication whose request was in order. What is wrong
// beyond that shows in its status. The lock must be held.
func (s *Simulator) begin(c *call, a *authentication) (*reply, error) {
	a.ref, a.started, a.readyAt = newReference(kindAuth, c.now), c.now, c.now.Add(s.cfg.AuthDelay)
	s.logins++
	a.number = s.logins
	if a.denied == nil {
		a.denied = s.barred(a)
	}
	if f := c.strike(faultLoginStuck); f != nil {
		a.readyAt = c.now.Add(s.delay(f))
		if f.Seconds < 0 {
			a.readyAt = c.now.AddDate(100, 0, 0)
		}
	}
	if f := c.strike(faultLoginFails); f != nil {
		a.denied = &denial{f.Status, "Na życzenie testu."}
	}
	s.auths[a.ref] = a
	return jsonReply(http.StatusAccepted, map[string]any{
		"referenceNumber":     a.ref,
		"authenticationToken": s.issue(authenticationToken, a, authenticationLife, nil, c.now),
	})
}

// barred says why somebody who proved who he is may not enter the context, or
// nil. The lock must be held.
func (s *Simulator) barred(a *authentication) *denial {
	switch {
	case s.blocked[contextKey(a.context.kind, a.context.value)]:
		return &denial{authBlocked, "Logowanie w tym kontekście jest zablokowane."}
	case s.deceased(a.subject):
		return &denial{authDeceased, "Według rejestru osoba nie żyje."}
	case len(s.permissionsOf(a)) == 0:
		return &denial{authNoPermission, "Podmiot " + a.subject.kind + " " + a.subject.value + " nie ma praw w kontekście " +
			a.context.kind + " " + a.context.value + "."}
	}
	return nil
}

// authStatus answers GET /auth/{ref} for seven days, then with 410. Only the
// authentication token of the log-in itself reads its status, and that one
// lives 45 minutes. So whoever meets the 410 comes with the token of a later
// log-in: the simulator tells the same subject in the same context that there
// was one, and nobody else.
func (s *Simulator) authStatus(c *call) (*reply, error) {
	ref := c.r.PathValue("ref")
	s.lock(c.now)
	defer s.mu.Unlock()
	a := s.auths[ref]
	if a != nil && a == c.token.auth {
		return jsonReply(http.StatusOK, a.document(c.now))
	}
	owner, past := s.forgotten[ref]
	if a != nil && c.now.Sub(a.started) >= statusLife {
		owner, past = a.identity(), true
	}
	if past && owner == c.token.auth.identity() {
		return nil, gone("Status logowania można czytać przez 7 dni.")
	}
	return nil, refuse(21304, "Logowania "+ref+" nie ma.")
}

// statusInfo is a code with words, as every status of the API has.
type statusInfo struct {
	Code        int               `json:"code"`
	Description string            `json:"description"`
	Details     []string          `json:"details,omitempty"`
	Extensions  map[string]string `json:"extensions,omitempty"`
}

func itoa(n int) string { return strconv.Itoa(n) }
