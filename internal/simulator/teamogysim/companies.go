package teamogysim

import (
	"net/http"
	"slices"
	"strconv"
)

// companyBody is the body of POST and PATCH of a company, as far as this
// tenant cares.
type companyBody struct {
	ID            *int64            `json:"id"`
	Type          *string           `json:"type"`
	Name          *string           `json:"name"`
	Disabled      *bool             `json:"isDisabled"`
	Supplier      *bool             `json:"isSupplier"`
	Client        *bool             `json:"isClient"`
	Registrations map[string]string `json:"registrations"`
}

func (s *Simulator) serveCompanies(a *answer, r *http.Request, query map[string]string, set *settings) {
	switch r.Method {
	case http.MethodGet:
		if !s.allow(a, "view companies", rightViewCompanies) {
			return
		}
		_, byID := query["id"]
		if _, asked := query["registration"]; asked && !byID && !set.Registration {
			s.answerAbsentLookup(a, set)
			return
		}
		s.mu.Lock()
		found, problem := s.pickCompanies(query)
		s.mu.Unlock()
		if problem != "" {
			a.fail(http.StatusBadRequest, "%s", problem)
			return
		}
		a.entity(set, "company", companyRows(found))
	case http.MethodPost, http.MethodPatch:
		s.saveCompany(a, r, query, set)
	default:
		a.fail(http.StatusMethodNotAllowed, "%s is not possible on companies", r.Method)
	}
}

// pickCompanies finds what ?id= or, where the tenant has that look-up,
// ?registration= names: the companies one of whose registration numbers is
// that. The caller holds the lock.
func (s *Simulator) pickCompanies(query map[string]string) (found []*company, problem string) {
	if text, ok := query["id"]; ok {
		id, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return nil, "id is not a number"
		}
		if c := s.tenant.company(id); c != nil {
			found = append(found, c)
		}
		return found, ""
	}
	number, ok := query["registration"]
	if !ok || !s.settings.Registration {
		return nil, "which company? id is missing"
	}
	for _, c := range s.tenant.companies {
		if c.registered(number, s.settings.RegistrationPrefix) {
			found = append(found, c)
		}
	}
	return found, ""
}

func (s *Simulator) saveCompany(a *answer, r *http.Request, query map[string]string, rules *settings) {
	if !s.allow(a, "edit companies", rightEditCompanies) {
		return
	}
	var body companyBody
	if !decodeFields(a, r, &body, rules) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var c company
	index := -1
	if r.Method == http.MethodPatch {
		found, problem := s.pickCompanies(query)
		if problem != "" {
			a.fail(http.StatusBadRequest, "%s", problem)
			return
		}
		if len(found) != 1 {
			a.fail(http.StatusNotFound, "no such company")
			return
		}
		c = *found[0]
		index = slices.Index(s.tenant.companies, found[0])
	}
	set(&c.Name, body.Name)
	set(&c.Disabled, body.Disabled)
	set(&c.Supplier, body.Supplier)
	set(&c.Client, body.Client)
	if body.Registrations != nil {
		c.given, c.seededNIP = body.Registrations, ""
	}
	if c.Name == "" {
		a.fail(http.StatusBadRequest, "name is missing")
		return
	}
	if index >= 0 {
		s.tenant.companies = slices.Clone(s.tenant.companies)
		s.tenant.companies[index] = s.tenant.styled(c)
		a.savedCompany(http.StatusOK, s.tenant.companies[index], rules)
		return
	}
	a.savedCompany(rules.CreateStatus, s.tenant.addCompany(c), rules)
}

// serveNamed serves the read-only entities of which this tenant has a few.
func (s *Simulator) serveNamed(a *answer, r *http.Request, query map[string]string, set *settings, rows func(*tenant) []row) {
	if r.Method != http.MethodGet {
		a.fail(http.StatusForbidden, "the API key's user has no right to change this")
		return
	}
	if !s.allow(a, "read this", rightViewCompanies, rightCreateReceived, rightPatchIssued) {
		return
	}
	s.mu.Lock()
	all := rows(s.tenant)
	s.mu.Unlock()
	found := []any{}
	for _, row := range all {
		id, _ := row.column("id")
		if text, ok := query["id"]; !ok || text == strconv.FormatInt(id.(int64), 10) {
			found = append(found, rowOf(row.column, row.columns))
		}
	}
	a.entity(set, "object", found)
}
