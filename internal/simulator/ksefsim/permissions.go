package ksefsim

import (
	"net/http"
	"slices"
)

// ownerPermissions is what the owner of a context may do: everything apart
// from VatUeManage.
var ownerPermissions = []string{
	"InvoiceRead", "InvoiceWrite", "Introspection", "CredentialsRead", "CredentialsManage",
	"SubunitManage", "EnforcementOperations", "PefInvoiceWrite", "CollectiveIdentifierManage",
}

// permissionsOf is what an authenticated subject may do in its context now:
// what POST /_sim/permissions said for the context, else everything. A seal of
// another NIP may do nothing then: nobody granted it anything. The lock must
// be held.
func (s *Simulator) permissionsOf(a *authentication) []string {
	if set, ok := s.permissions[a.context.nip]; ok {
		return slices.Clone(set)
	}
	if a.subject.seal && a.subject.value != a.context.nip {
		return nil
	}
	return slices.Clone(ownerPermissions)
}

// owner says whether the subject owns its context and nobody restricted it.
// The lock must be held.
func (s *Simulator) owner(a *authentication) bool {
	_, restricted := s.permissions[a.context.nip]
	return !restricted && a.subject.value == a.context.nip
}

func missingPermission(required, present []string) *failure {
	if present == nil {
		present = []string{}
	}
	return &failure{
		status: http.StatusForbidden, reasonCode: "missing-permissions",
		detail:   "Zalogowany nie ma żadnego z potrzebnych tu praw.",
		security: map[string]any{"requiredAnyOfPermissions": required, "presentPermissions": present},
	}
}

// personalGrants answers POST /permissions/query/personal/grants. An owner's
// rights are not grants, so an owner sees an empty list, as in KSeF.
func (s *Simulator) personalGrants(c *call) (*reply, error) {
	var body struct {
		PermissionTypes []string `json:"permissionTypes"`
		PermissionState *string  `json:"permissionState"`
	}
	if len(c.body) > 0 {
		if err := c.decode(&body); err != nil {
			return nil, err
		}
	}
	size, err := c.queryInt("pageSize", 10, 10, 100)
	if err != nil {
		return nil, err
	}
	offset, err := c.queryInt("pageOffset", 0, 0, 1<<20)
	if err != nil {
		return nil, err
	}
	s.lock(c.now)
	a := c.token.auth
	var scopes []string
	if !s.owner(a) {
		scopes = s.permissionsOf(a)
	}
	s.mu.Unlock()

	list := []map[string]any{}
	for _, scope := range scopes {
		if scope == "PefInvoiceWrite" || (len(body.PermissionTypes) > 0 && !slices.Contains(body.PermissionTypes, scope)) ||
			(body.PermissionState != nil && *body.PermissionState != "Active") {
			continue
		}
		list = append(list, map[string]any{
			"id":                   grantID(a.context.value, scope),
			"contextIdentifier":    map[string]any{"type": a.context.kind, "value": a.context.value},
			"authorizedIdentifier": map[string]any{"type": a.subject.kind, "value": a.subject.value},
			"permissionScope":      scope, "description": "Uprawnienie nadane w symulatorze",
			"permissionState": "Active", "startDate": stamp(a.started), "canDelegate": false,
		})
	}
	from := min(offset*size, len(list))
	to := min(from+size, len(list))
	return jsonReply(http.StatusOK, map[string]any{"permissions": list[from:to], "hasMore": to < len(list)})
}

// grantID is a stable identifier of 36 characters for a grant.
func grantID(context, scope string) string {
	h := hexSHA256([]byte(context + " " + scope))
	return h[:8] + "-" + h[8:12] + "-4" + h[13:16] + "-8" + h[17:20] + "-" + h[20:32]
}
