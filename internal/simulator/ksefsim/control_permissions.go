package ksefsim

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
)

// simPermissions answers POST /_sim/permissions. Without "to" it sets what
// everybody may do in a context, and null gives back what was before; with "to"
// it sets what somebody was granted there, as /testdata/permissions does on TEST.
// As in KSeF, issued access tokens keep what they have; dropTokens makes them
// invalid instead.
func (s *Simulator) simPermissions(r *http.Request) (any, error) {
	var body struct {
		NIP         string      `json:"nip"`
		To          *typedValue `json:"to"`
		Permissions *[]string   `json:"permissions"`
		DropTokens  bool        `json:"dropTokens"`
	}
	if err := read(r, &body); err != nil {
		return nil, err
	}
	if !nipPattern.MatchString(body.NIP) {
		return nil, fmt.Errorf("nip %q is no NIP", body.NIP)
	}
	var permissions []string
	if body.Permissions != nil {
		permissions = *body.Permissions
	}
	for _, p := range permissions {
		if !slices.Contains(ownerPermissions, p) {
			return nil, fmt.Errorf("permission %q: must be one of %q", p, ownerPermissions)
		}
	}
	var who authorized
	if body.To != nil {
		var err error
		if _, who, err = readGrant(&typedValue{"Nip", body.NIP}, body.To); err != nil {
			return nil, errors.New("to: want {\"type\":\"Nip\", \"Pesel\" or \"Fingerprint\",\"value\":…} and a value that fits")
		}
	}
	now := s.now()
	s.lock(now)
	defer s.mu.Unlock()
	switch {
	case body.To != nil:
		s.managed[body.NIP] = true
		s.grants = slices.DeleteFunc(s.grants, func(g *grant) bool { return g.nip == body.NIP && g.to == who })
		for _, p := range permissions {
			s.grants = append(s.grants, &grant{
				id: grantID(randomHex(16), p), nip: body.NIP, to: who, scope: p, description: "Uprawnienie nadane w symulatorze", since: now,
			})
		}
	case body.Permissions == nil:
		delete(s.permissions, body.NIP)
	default:
		s.permissions[body.NIP] = permissions
	}
	for text, t := range s.tokens {
		if body.DropTokens && t.auth.context.nip == body.NIP {
			delete(s.tokens, text)
		}
	}
	return done, nil
}
