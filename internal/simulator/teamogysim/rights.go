package teamogysim

import (
	"fmt"
	"slices"
	"strings"
)

// right is one permission of the API key's user. The first three are what
// Teamogy's set-up page asks for.
type right string

const (
	rightViewCompanies  right = "view-companies"
	rightCreateReceived right = "create-received" // and edit received invoices
	rightPatchIssued    right = "patch-issued"
	rightEditCompanies  right = "edit-companies" // not part of the set-up page's rights
)

type rightSet map[right]bool

func allRights() rightSet {
	return rightSet{rightViewCompanies: true, rightCreateReceived: true, rightPatchIssued: true}
}

func rightNames() []string {
	return []string{string(rightViewCompanies), string(rightCreateReceived), string(rightPatchIssued), string(rightEditCompanies)}
}

func (set rightSet) names() []string {
	out := []string{}
	for _, name := range rightNames() {
		if set[right(name)] {
			out = append(out, name)
		}
	}
	return out
}

func parseRights(names []string) (rightSet, error) {
	set := rightSet{}
	for _, name := range names {
		r := strings.NewReplacer(" ", "-", "_", "-").Replace(strings.ToLower(name))
		if !slices.Contains(rightNames(), r) {
			return nil, fmt.Errorf("unknown right %q: want view-companies, create-received, patch-issued or edit-companies", name)
		}
		set[right(r)] = true
	}
	return set, nil
}

// allow answers 403, or as switched, unless the user holds one of the rights.
func (s *Simulator) allow(a *answer, what string, oneOf ...right) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range oneOf {
		if s.token.rights[r] {
			return true
		}
	}
	a.fail(s.settings.RightsRefusalStatus, "the API key's user has no right to %s", what)
	return false
}

// rightForType is the right that changing a document of a type asks for.
func rightForType(documentType string) right {
	switch {
	case isReceived(documentType):
		return rightCreateReceived
	case isIssued(documentType):
		return rightPatchIssued
	}
	return ""
}

func isReceived(documentType string) bool { return underType(documentType, "INVOICE.PURCHASE") }
func isIssued(documentType string) bool   { return underType(documentType, "INVOICE.SALES") }

func underType(documentType, root string) bool {
	return documentType == root || strings.HasPrefix(documentType, root+".")
}
