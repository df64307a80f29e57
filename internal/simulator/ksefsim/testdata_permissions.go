package ksefsim

import (
	"regexp"
	"slices"
)

// typedValue is an identifier in JSON.
type typedValue struct {
	Type  string `json:"type"`
	Value string `json:"value"`
}

// grantable are the permissions that /testdata/permissions gives.
var grantable = []string{
	"InvoiceRead", "InvoiceWrite", "Introspection", "CredentialsRead", "CredentialsManage", "EnforcementOperations",
	"SubunitManage", "CollectiveIdentifierManage",
}

var fingerprintPattern = regexp.MustCompile(`^[0-9A-F]{64}$`)

// readGrant reads who is meant in whose context.
func readGrant(context, to *typedValue) (nip string, who authorized, err error) {
	if context == nil || context.Type != "Nip" || !nipPattern.MatchString(context.Value) {
		return "", who, invalid("contextIdentifier: oczekiwano type Nip i numeru NIP.")
	}
	if to == nil {
		return "", who, invalid("Pole authorizedIdentifier jest wymagane.")
	}
	patterns := map[string]*regexp.Regexp{"Nip": nipPattern, "Pesel": pesel, "Fingerprint": fingerprintPattern}
	pattern := patterns[to.Type]
	if pattern == nil || !pattern.MatchString(to.Value) {
		return "", who, invalid("authorizedIdentifier: oczekiwano type Nip, Pesel albo Fingerprint i pasującej wartości.")
	}
	return context.Value, authorized{to.Type, to.Value}, nil
}

// grantPermissions answers POST /testdata/permissions. From then on only what
// was granted counts in that context. Granting the same again changes its
// description.
func (s *Simulator) grantPermissions(c *call) error {
	var body struct {
		Context     *typedValue `json:"contextIdentifier"`
		Authorized  *typedValue `json:"authorizedIdentifier"`
		Permissions []struct {
			Type        string `json:"permissionType"`
			Description string `json:"description"`
		} `json:"permissions"`
	}
	if err := c.decode(&body); err != nil {
		return err
	}
	nip, who, err := readGrant(body.Context, body.Authorized)
	if err != nil {
		return err
	}
	if len(body.Permissions) == 0 {
		return invalid("permissions: oczekiwano co najmniej jednego uprawnienia.")
	}
	for _, p := range body.Permissions {
		if !slices.Contains(grantable, p.Type) {
			return invalid("permissionType: nieznana wartość " + p.Type + ".")
		}
		if err := checkDescription("description", p.Description); err != nil {
			return err
		}
	}
	s.lock(c.now)
	defer s.mu.Unlock()
	s.managed[nip] = true
	for _, p := range body.Permissions {
		i := slices.IndexFunc(s.grants, func(g *grant) bool { return g.nip == nip && g.to == who && g.scope == p.Type })
		if i >= 0 {
			s.grants[i].description = p.Description
			continue
		}
		s.grants = append(s.grants, &grant{
			id: grantID(randomHex(16), p.Type), nip: nip, to: who, scope: p.Type, description: p.Description, since: c.now,
		})
	}
	return nil
}

// revokePermissions answers POST /testdata/permissions/revoke: everything that
// somebody was granted in a context ends. Issued access tokens keep it.
func (s *Simulator) revokePermissions(c *call) error {
	var body struct {
		Context    *typedValue `json:"contextIdentifier"`
		Authorized *typedValue `json:"authorizedIdentifier"`
	}
	if err := c.decode(&body); err != nil {
		return err
	}
	nip, who, err := readGrant(body.Context, body.Authorized)
	if err != nil {
		return err
	}
	s.lock(c.now)
	defer s.mu.Unlock()
	s.managed[nip] = true
	s.grants = slices.DeleteFunc(s.grants, func(g *grant) bool { return g.nip == nip && g.to == who })
	return nil
}
