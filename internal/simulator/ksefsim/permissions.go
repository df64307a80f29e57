package ksefsim

import (
	"net/http"
	"slices"
	"time"
)

// ownerPermissions is what the owner of a context may do: everything apart
// from VatUeManage.
var ownerPermissions = []string{
	"InvoiceRead", "InvoiceWrite", "Introspection", "CredentialsRead", "CredentialsManage",
	"SubunitManage", "EnforcementOperations", "PefInvoiceWrite", "CollectiveIdentifierManage",
}

// grant is one permission that somebody has in the context of a NIP.
type grant struct {
	id          string
	nip         string
	to          authorized
	scope       string
	description string
	since       time.Time
}

// authorized names somebody who was granted something.
type authorized struct{ kind, value string } // Nip, Pesel or Fingerprint

// permissionsOf is what a log-in may do in its context now. A KSeF token may do
// what it was made for. Where POST /_sim/permissions said what a context may
// do, that bounds everybody in it. The lock must be held.
func (s *Simulator) permissionsOf(a *authentication) []string {
	if t := a.ksefToken; t != nil {
		permissions := slices.Clone(t.permissions)
		if set, ok := s.permissions[a.context.nip]; ok {
			permissions = slices.DeleteFunc(permissions, func(p string) bool { return !slices.Contains(set, p) })
		}
		return permissions
	}
	return s.rightsOf(a.context.nip, a.subject)
}

// rightsOf is what a subject may do in the context of a NIP: the owner
// everything, others what they were granted. TEST is generous as long as nobody
// granted anything in a context by /testdata: every personal certificate may do
// everything there. A seal of another NIP may do nothing then, as everywhere
// else. The lock must be held.
func (s *Simulator) rightsOf(nip string, who subject) []string {
	if set, ok := s.permissions[nip]; ok {
		return slices.Clone(set)
	}
	if s.owns(nip, who) {
		return slices.Clone(ownerPermissions)
	}
	var granted []string
	for _, g := range s.grants {
		if g.nip == nip && g.to == (authorized{who.kind, who.value}) && !slices.Contains(granted, g.scope) {
			granted = append(granted, g.scope)
		}
	}
	if len(granted) == 0 && s.test() && !s.managed[nip] && !who.seal {
		return slices.Clone(ownerPermissions)
	}
	return granted
}

// owns says whether a context is somebody's own: its NIP is in the certificate,
// or /testdata/person joined it to the PESEL. The lock must be held.
func (s *Simulator) owns(nip string, who subject) bool {
	switch who.kind {
	case "Nip":
		return who.value == nip
	case "Pesel":
		person, known := s.persons[nip]
		return known && person.pesel == who.value
	}
	return false
}

// deceased says whether somebody has died according to /testdata/person. The
// lock must be held.
func (s *Simulator) deceased(who subject) bool {
	if who.seal {
		return false
	}
	for nip, person := range s.persons {
		if person.deceased && ((who.kind == "Nip" && who.value == nip) || (who.kind == "Pesel" && who.value == person.pesel)) {
			return true
		}
	}
	return false
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
