package teamogysim

import (
	"maps"
	"net/http"
	"slices"
	"strings"
)

// register writes the companies' registration numbers as the settings say, and
// from now on those of new companies, too.
func (t *tenant) register(set *settings) {
	t.style = set.CompanySwitches
	companies := make([]*company, 0, len(t.companies))
	for _, c := range t.companies {
		companies = append(companies, t.styled(*c))
	}
	t.companies = companies
}

func (t *tenant) styled(c company) *company {
	c.Registrations, c.values = map[string]string{}, t.style.RegistrationValues
	if nip := c.seededNIP; nip != "" {
		switch t.style.RegistrationStored {
		case StoredPrefix:
			nip = "PL" + bareNumber(nip)
		case StoredDashes:
			nip = dashed(nip)
		}
		c.Registrations[t.style.RegistrationKey] = nip
	}
	maps.Copy(c.Registrations, c.given)
	return &c
}

func dashed(nip string) string {
	if len(nip) != 10 {
		return nip
	}
	return nip[:3] + "-" + nip[3:6] + "-" + nip[6:8] + "-" + nip[8:]
}

// bareNumber is a registration number without PL, dashes and spaces.
func bareNumber(number string) string {
	return strings.TrimPrefix(strings.NewReplacer("-", "", " ", "").Replace(number), "PL")
}

// registrations is the object, or list, that the API shows.
func (c *company) registrations() any {
	switch c.values {
	case ValuesObject:
		out := map[string]any{}
		for key, number := range c.Registrations {
			out[key] = map[string]any{"number": number}
		}
		return out
	case ValuesList:
		out := []any{}
		for _, key := range slices.Sorted(maps.Keys(c.Registrations)) {
			out = append(out, map[string]any{"type": key, "number": c.Registrations[key]})
		}
		return out
	}
	return c.Registrations
}

// registered reports whether a number that is asked for is one of the company's,
// by the tenant's rule for the prefix.
func (c *company) registered(asked, rule string) bool {
	hasPrefix := strings.HasPrefix(asked, "PL")
	if rule == PrefixRequired && !hasPrefix || rule == PrefixRefused && hasPrefix {
		return false
	}
	for _, number := range c.Registrations {
		if number == asked || rule != PrefixExact && bareNumber(number) == bareNumber(asked) {
			return true
		}
	}
	return false
}

// answerAbsentLookup answers a look-up by registration of a tenant that has none.
func (s *Simulator) answerAbsentLookup(a *answer, set *settings) {
	switch set.RegistrationAbsent {
	case AbsentNotFound:
		a.fail(http.StatusNotFound, "no such company")
	case AbsentEmpty:
		a.json(http.StatusOK, []any{})
	case AbsentIgnored:
		s.mu.Lock()
		companies := s.tenant.companies
		s.mu.Unlock()
		a.json(http.StatusOK, companyRows(companies))
	default:
		a.fail(http.StatusBadRequest, "which company? id is missing")
	}
}

func companyRows(companies []*company) []any {
	rows := make([]any, 0, len(companies))
	for _, c := range companies {
		rows = append(rows, rowOf(c.column, companyColumns))
	}
	return rows
}
