package ksefsim

import (
	"net/http"
	"strconv"
	"time"
)

// challengeLife is how long a challenge can be used.
const challengeLife = 10 * time.Minute

// Codes of an authentication.
const (
	authRunning      = 100
	statusDone       = 200
	authNoPermission = 415
	authRevoked      = 425
	authCertificate  = 460
)

// authentication is one log-in, from the signed request to its refresh token.
type authentication struct {
	ref          string
	started      time.Time
	readyAt      time.Time // when the result becomes visible
	context      contextIdentifier
	subject      subject
	documentHash string // SHA-256 of the signed request, Base64; UPOs show it
	failedCode   int    // 0 when it succeeds
	failedText   string
	failedDetail string
	redeemed     bool
	revoked      bool
	refreshedAt  time.Time
	refreshUntil time.Time
}

// contextIdentifier is the taxpayer in whose name calls are made.
type contextIdentifier struct {
	kind  string // Nip or InternalId
	value string
	nip   string
}

func (a *authentication) method() string {
	if a.subject.seal {
		return "QualifiedSeal"
	}
	return "QualifiedSignature"
}

func (a *authentication) status(now time.Time) (code int, description string, details []string) {
	switch {
	case now.Before(a.readyAt):
		return authRunning, "Logowanie trwa", nil
	case a.failedCode != 0:
		return a.failedCode, a.failedText, []string{a.failedDetail}
	case a.revoked:
		return authRevoked, "Logowanie cofnięte", []string{"Użytkownik wylogował się, jego tokeny już nie działają"}
	}
	return statusDone, "Zalogowano", nil
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

// authenticateXAdES answers POST /auth/xades-signature: the signature is
// verified at once, the certificate and the permissions are judged in the
// status.
func (s *Simulator) authenticateXAdES(c *call) (*reply, error) {
	signed, err := verifyXAdES(c.body)
	if err != nil {
		return nil, err
	}
	request, err := readAuthRequest(signed.request)
	if err != nil {
		return nil, err
	}
	who, err := subjectOf(signed.certificate, request.byFingerprint)
	if err != nil {
		return nil, err
	}
	a := &authentication{
		ref: newReference(kindAuth, c.now), started: c.now, readyAt: c.now.Add(s.cfg.AuthDelay),
		context: request.context, subject: who, documentHash: hashBase64(c.body),
	}
	if c.now.Before(signed.certificate.NotBefore) || c.now.After(signed.certificate.NotAfter) {
		a.failedCode = authCertificate
		a.failedText = "Nie zalogowano: zły certyfikat"
		a.failedDetail = "Certyfikat jest po terminie albo przed nim."
	}

	s.lock(c.now)
	defer s.mu.Unlock()
	until, known := s.challenges[request.challenge]
	if !known || !c.now.Before(until) {
		return nil, refuse(21111, "Wyzwanie jest nieznane, zużyte albo wygasło.")
	}
	delete(s.challenges, request.challenge)
	if a.failedCode == 0 && len(s.permissionsOf(a)) == 0 {
		a.failedCode = authNoPermission
		a.failedText = "Nie zalogowano"
		a.failedDetail = "Podmiot nie ma w tym kontekście żadnych praw."
	}
	s.auths[a.ref] = a
	return jsonReply(http.StatusAccepted, map[string]any{
		"referenceNumber":     a.ref,
		"authenticationToken": s.issue(authenticationToken, a, authenticationLife, nil, c.now),
	})
}

// authStatus answers GET /auth/{ref}.
func (s *Simulator) authStatus(c *call) (*reply, error) {
	ref := c.r.PathValue("ref")
	s.lock(c.now)
	defer s.mu.Unlock()
	a := s.auths[ref]
	if a == nil || a != c.token.auth {
		return nil, refuse(21304, "Logowania "+ref+" nie ma.")
	}
	code, description, details := a.status(c.now)
	info := map[string]any{
		"category": "XadesSignature", "code": "xades.qualified-signature", "displayName": "Kwalifikowany podpis osoby",
	}
	if a.subject.seal {
		info["code"], info["displayName"] = "xades.qualified-seal", "Kwalifikowana pieczęć firmy"
	}
	doc := map[string]any{
		"startDate": stamp(a.started), "authenticationMethod": a.method(), "authenticationMethodInfo": info,
		"status": statusInfo{Code: code, Description: description, Details: details},
	}
	if code == statusDone {
		doc["isTokenRedeemed"] = a.redeemed
	}
	if !a.refreshUntil.IsZero() {
		doc["refreshTokenValidUntil"] = stamp(a.refreshUntil)
	}
	if !a.refreshedAt.IsZero() {
		doc["lastTokenRefreshDate"] = stamp(a.refreshedAt)
	}
	return jsonReply(http.StatusOK, doc)
}

// statusInfo is a code with words, as every status of the API has.
type statusInfo struct {
	Code        int               `json:"code"`
	Description string            `json:"description"`
	Details     []string          `json:"details,omitempty"`
	Extensions  map[string]string `json:"extensions,omitempty"`
}

func itoa(n int) string { return strconv.Itoa(n) }
