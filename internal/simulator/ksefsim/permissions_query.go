package ksefsim

import (
	"cmp"
	"net/http"
	"slices"
	"strings"
)

// personalScopes are the permissions that can be granted to a person.
var personalScopes = []string{
	"CredentialsManage", "CredentialsRead", "InvoiceWrite", "InvoiceRead", "Introspection", "SubunitManage",
	"EnforcementOperations", "VatUeManage", "CollectiveIdentifierManage",
}

// personalGrants answers POST /permissions/query/personal/grants: what was
// granted to the subject in the present context, newest first. An owner's
// rights are not grants, so an owner sees an empty list, as in KSeF.
func (s *Simulator) personalGrants(c *call) (*reply, error) {
	var body struct {
		ContextIdentifier *typedValue `json:"contextIdentifier"`
		PermissionTypes   []string    `json:"permissionTypes"`
		PermissionState   *string     `json:"permissionState"`
	}
	if len(c.body) > 0 {
		if err := c.decode(&body); err != nil {
			return nil, err
		}
	}
	for _, scope := range body.PermissionTypes {
		if !slices.Contains(personalScopes, scope) {
			return nil, invalid("permissionTypes: nieznana wartość " + scope + ".")
		}
	}
	if state := body.PermissionState; state != nil && *state != "Active" && *state != "Inactive" {
		return nil, invalid("permissionState: nieznana wartość " + *state + ".")
	}
	if id := body.ContextIdentifier; id != nil && ((id.Type != "Nip" && id.Type != "InternalId") || id.Value == "") {
		return nil, invalid("contextIdentifier: oczekiwano type Nip albo InternalId i value.")
	}
	size, err := c.queryInt("pageSize", 10, 10, 100)
	if err != nil {
		return nil, err
	}
	offset, err := c.queryInt("pageOffset", 0, 0, 1<<20)
	if err != nil {
		return nil, err
	}
	a := c.token.auth
	s.lock(c.now)
	grants := s.grantsOf(a)
	s.mu.Unlock()

	list := []map[string]any{}
	for _, g := range grants {
		if !slices.Contains(personalScopes, g.scope) || (len(body.PermissionTypes) > 0 && !slices.Contains(body.PermissionTypes, g.scope)) ||
			(body.PermissionState != nil && *body.PermissionState != "Active") ||
			(body.ContextIdentifier != nil && *body.ContextIdentifier != (typedValue{a.context.kind, a.context.value})) {
			continue
		}
		list = append(list, map[string]any{
			"id":                   g.id,
			"contextIdentifier":    map[string]any{"type": a.context.kind, "value": a.context.value},
			"authorizedIdentifier": map[string]any{"type": g.to.kind, "value": g.to.value},
			"permissionScope":      g.scope, "description": g.description,
			"permissionState": "Active", "startDate": stamp(g.since), "canDelegate": false,
		})
	}
	from := min(offset*size, len(list))
	to := min(from+size, len(list))
	return jsonReply(http.StatusOK, map[string]any{"permissions": list[from:to], "hasMore": to < len(list)})
}

// grantsOf lists the grants that a log-in has its rights from. For rights that
// nobody granted by /testdata - by POST /_sim/permissions, or because TEST is
// generous - it makes them up. The lock must be held.
func (s *Simulator) grantsOf(a *authentication) []grant {
	_, set := s.permissions[a.context.nip]
	if !set && s.owns(a.context.nip, a.subject) {
		return nil
	}
	to := authorized{a.subject.kind, a.subject.value}
	var list []grant
	for _, scope := range s.rightsOf(a.context.nip, a.subject) {
		made := grant{
			id: grantID(a.context.value, scope), nip: a.context.nip, to: to, scope: scope,
			description: "Uprawnienie nadane w symulatorze", since: a.started,
		}
		if i := slices.IndexFunc(s.grants, func(g *grant) bool { return g.nip == made.nip && g.to == to && g.scope == scope }); i >= 0 && !set {
			made = *s.grants[i]
		}
		list = append(list, made)
	}
	slices.SortFunc(list, func(a, b grant) int {
		return cmp.Or(b.since.Compare(a.since), strings.Compare(a.id, b.id))
	})
	return list
}

// grantID is a stable identifier of 36 characters for a grant.
func grantID(context, scope string) string {
	h := hexSHA256([]byte(context + " " + scope))
	return h[:8] + "-" + h[8:12] + "-4" + h[13:16] + "-8" + h[17:20] + "-" + h[20:32]
}
