package teamogysim

import (
	"fmt"
	"net/http"
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

func parseRights(names []string) (rightSet, error) {
	set := rightSet{}
	for _, name := range names {
		switch r := right(strings.NewReplacer(" ", "-", "_", "-").Replace(strings.ToLower(name))); r {
		case rightViewCompanies, rightCreateReceived, rightPatchIssued, rightEditCompanies:
			set[r] = true
		default:
			return nil, fmt.Errorf("unknown right %q: want view-companies, create-received, patch-issued or edit-companies", name)
		}
	}
	return set, nil
}

// allow answers 403 unless the user holds one of the rights.
func (s *Simulator) allow(a *answer, what string, oneOf ...right) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range oneOf {
		if s.rights[r] {
			return true
		}
	}
	a.fail(http.StatusForbidden, "the API key's user has no right to %s", what)
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
