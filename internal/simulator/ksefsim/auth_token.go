package ksefsim

import (
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// States of a KSeF token.
const (
	tokenPending  = "Pending"
	tokenActive   = "Active"
	tokenRevoking = "Revoking"
	tokenRevoked  = "Revoked"
	tokenFailed   = "Failed"
)

var tokenStates = []string{tokenPending, tokenActive, tokenRevoking, tokenRevoked, tokenFailed}

// maxTokenLength is the length of the longest KSeF token.
const maxTokenLength = 160

// ksefToken is a KSeF token: it logs in to one context, with permissions of its
// own.
type ksefToken struct {
	ref         string
	secret      string
	context     contextIdentifier
	author      subject
	permissions []string
	state       string
	created     time.Time
	lastUse     time.Time
}

// authenticateToken answers POST /auth/ksef-token. Only the form of the request
// and the challenge are judged at once; what is wrong with the token shows in
// the status.
func (s *Simulator) authenticateToken(c *call) (*reply, error) {
	var body struct {
		Challenge           string      `json:"challenge"`
		ContextIdentifier   *typedValue `json:"contextIdentifier"`
		EncryptedToken      string      `json:"encryptedToken"`
		PublicKeyID         *string     `json:"publicKeyId"`
		AuthorizationPolicy *allowedIPs `json:"authorizationPolicy"`
	}
	if err := c.decode(&body); err != nil {
		return nil, err
	}
	if !challengePattern.MatchString(body.Challenge) {
		return nil, invalid("challenge: oczekiwano wyzwania z POST /auth/challenge.")
	}
	if body.ContextIdentifier == nil {
		return nil, invalid("Pole contextIdentifier jest wymagane.")
	}
	context, problem := readContext(body.ContextIdentifier.Type, body.ContextIdentifier.Value)
	if problem == "" && s.checksNIPs(c) && context.nip != "" && !validNIPChecksum(context.nip) {
		problem = "cyfra kontrolna NIP się nie zgadza"
	}
	if problem != "" {
		return nil, invalid("contextIdentifier: " + problem + ".")
	}
	encrypted, err := base64.StdEncoding.DecodeString(body.EncryptedToken)
	if err != nil || len(encrypted) == 0 {
		return nil, invalid("encryptedToken: oczekiwano Base64.")
	}
	policy, err := body.AuthorizationPolicy.policy()
	if err != nil {
		return nil, err
	}
	id := ""
	if body.PublicKeyID != nil {
		if id = *body.PublicKeyID; !isHash(id) {
			return nil, invalid("publicKeyId: oczekiwano 44 znaków Base64.")
		}
	}
	s.strikeKeys(c)
	keys := s.keys.forTokens(id)
	if len(keys) == 0 {
		return nil, refuse(21470, s.keys.whyNot(id))
	}
	plain, err := decryptWithOneOf(keys, encrypted)

	s.lock(c.now)
	defer s.mu.Unlock()
	given, refused := s.takeChallenge(body.Challenge, c.now)
	if refused != nil {
		return nil, refused
	}
	a := &authentication{context: context, policy: policy}
	if err != nil {
		a.ksefToken, a.denied = &ksefToken{}, &denial{authBadToken, "Tokenu nie da się odszyfrować."}
	} else {
		a.ksefToken, a.denied = s.matchToken(plain, context, given)
	}
	a.subject = a.ksefToken.author
	if a.denied == nil {
		a.ksefToken.lastUse = c.now
	}
	return s.begin(c, a)
}

// decryptWithOneOf undoes RSA-OAEP with SHA-256 by whichever key does it.
func decryptWithOneOf(keys []*publicKey, text []byte) (plain []byte, err error) {
	for _, key := range keys {
		if plain, err = rsa.DecryptOAEP(sha256.New(), nil, key.private, text, nil); err == nil {
			return plain, nil
		}
	}
	return nil, err
}

// matchToken finds the token in "token|milliseconds of the challenge", or says
// why it does not log in. It always gives a token, so that the log-in counts as
// one by token. The lock must be held.
func (s *Simulator) matchToken(plain []byte, context contextIdentifier, challenged time.Time) (*ksefToken, *denial) {
	deny := func(detail string) (*ksefToken, *denial) { return &ksefToken{}, &denial{authBadToken, detail} }
	if !utf8.Valid(plain) {
		return deny("Token jest źle zakodowany: to nie UTF-8.")
	}
	secret, moment, found := cutLast(string(plain), "|")
	if !found {
		return deny("Token jest niepoprawny: brak znaku | i czasu.")
	}
	ms, err := strconv.ParseInt(moment, 10, 64)
	if err != nil || ms != challenged.UnixMilli() {
		return deny("Czas przy tokenie nie jest czasem wyzwania (timestampMs).")
	}
	t := s.ksefTokens[secret]
	switch {
	case t == nil:
		return deny("Token jest niepoprawny: nikt go nie zna.")
	case t.state == tokenRevoked || t.state == tokenRevoking:
		return t, &denial{authBadToken, "Token jest unieważniony."}
	case t.state != tokenActive:
		return t, &denial{authBadToken, "Token jest nieaktywny."}
	case t.context != context:
		return t, &denial{authBadToken, "Tokenu nie można użyć w tym kontekście."}
	}
	return t, nil
}

// cutLast is strings.Cut at the last separator.
func cutLast(text, separator string) (before, after string, found bool) {
	i := strings.LastIndex(text, separator)
	if i < 0 {
		return text, "", false
	}
	return text[:i], text[i+len(separator):], true
}

var (
	vatUEPattern  = regexp.MustCompile(`^[1-9]((\d[1-9])|([1-9]\d))\d{7}-[A-Z]{2}[A-Z0-9+*]{2,12}$`)
	peppolPattern = regexp.MustCompile(`^P[A-Z]{2}[0-9]{6}$`)
)

// readContext reads a context in JSON, or says what is wrong with it. Those of
// NipVatUe and PeppolId exist, but nobody has rights in them here.
func readContext(kind, value string) (out contextIdentifier, problem string) {
	patterns := map[string]*regexp.Regexp{
		"Nip": nipPattern, "InternalId": internalIDPattern, "NipVatUe": vatUEPattern, "PeppolId": peppolPattern,
	}
	pattern, known := patterns[kind]
	switch {
	case !known:
		return out, "type musi być jednym z " + strings.Join(slices.Sorted(maps.Keys(patterns)), ", ")
	case !pattern.MatchString(value):
		return out, kind + " nie pasuje do wzorca"
	}
	out = contextIdentifier{kind: kind, value: value}
	if kind != "PeppolId" {
		out.nip = value[:10]
	}
	return out, ""
}
