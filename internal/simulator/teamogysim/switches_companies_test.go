package teamogysim

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func (s *site) seedAlfa() {
	s.t.Helper()
	s.ok("POST", "/_sim/seed", fields{"companies": []fields{{"name": "Alfa", "nip": "5265877635", "supplier": true, "registrations": fields{"regon": "123"}}}})
}

func (s *site) lookUp(number string) int {
	s.t.Helper()
	return s.do("GET", "/companies?registration="+number, nil).status
}

func TestRegistrationLookup_thatIsNotThere(t *testing.T) {
	s := start(t, func(c *Config) { c.Registration = false })
	s.seedAlfa()
	s.ok("POST", "/_sim/seed", fields{"companies": []fields{{"name": "Beta"}}})
	for position, want := range map[string]struct {
		status int
		body   string
	}{
		AbsentRefused: {400, `{"message":"which company? id is missing"}`}, AbsentNotFound: {404, `{"message":"no such company"}`}, AbsentEmpty: {200, `[]`},
	} {
		s.switched(fields{"registrationAbsent": position})
		r := s.do("GET", "/companies?registration=5265877635", nil)
		assert.Equal(t, want.status, r.status, position)
		assert.Equal(t, want.body, body(r), position)
	}
	s.switched(fields{"registrationAbsent": AbsentIgnored})
	r := s.do("GET", "/companies?registration=5265877635", nil)
	assert.Contains(t, body(r), `"name":"Alfa"`)
	assert.Contains(t, body(r), `"name":"Beta"`, "the parameter is ignored: these are all companies")
	assert.Equal(t, "Alfa", s.ok("GET", "/companies?id=101", nil)["name"])

	s.switched(fields{"registration": true})
	assert.Equal(t, "Alfa", s.ok("GET", "/companies?registration=5265877635", nil)["name"])
}

func TestRegistrationLookup_wantsThePrefixAsSwitched(t *testing.T) {
	s := start(t, nil)
	s.seedAlfa()
	for _, c := range []struct {
		stored, rule   string
		bare, prefixed int
	}{
		{StoredPlain, PrefixExact, 200, 404},
		{StoredPlain, PrefixRequired, 404, 200},
		{StoredPlain, PrefixRefused, 200, 404},
		{StoredPlain, PrefixEither, 200, 200},
		{StoredPrefix, PrefixExact, 404, 200},
		{StoredPrefix, PrefixRequired, 404, 200},
		{StoredPrefix, PrefixRefused, 200, 404},
		{StoredPrefix, PrefixEither, 200, 200},
		{StoredDashes, PrefixExact, 404, 404},
		{StoredDashes, PrefixEither, 200, 200},
	} {
		s.switched(fields{"registrationStored": c.stored, "registrationPrefix": c.rule})
		assert.Equal(t, []int{c.bare, c.prefixed}, []int{s.lookUp("5265877635"), s.lookUp("PL5265877635")}, "%s, %s", c.stored, c.rule)
		assert.Equal(t, 404, s.lookUp("PL1111111111"))
	}
}

func TestRegistrations_haveTheKeyAndShapeThatAreSwitchedOn(t *testing.T) {
	s := start(t, nil)
	s.seedAlfa() // before the switches: they hold for companies that are there already
	registrations := func() string { return asJSON(t, s.ok("GET", "/companies?id=101", nil)["registrations"]) }
	assert.JSONEq(t, `{"vatId":"5265877635","regon":"123"}`, registrations())
	for _, key := range []string{"VATID", "NIP", "taxId"} {
		s.switched(fields{"registrationKey": key})
		assert.JSONEq(t, `{"`+key+`":"5265877635","regon":"123"}`, registrations())
		assert.Equal(t, []string{"101"}, s.ids("companies.supplier", "registrations."+key+"='5265877635'"))
	}
	s.switched(fields{"registrationStored": StoredPrefix})
	assert.JSONEq(t, `{"taxId":"PL5265877635","regon":"123"}`, registrations())
	s.switched(fields{"registrationStored": StoredDashes, "registrationValues": ValuesObject})
	assert.JSONEq(t, `{"taxId":{"number":"526-587-76-35"},"regon":{"number":"123"}}`, registrations())
	s.switched(fields{"registrationStored": StoredPlain, "registrationValues": ValuesList})
	assert.JSONEq(t, `[{"type":"regon","number":"123"},{"type":"taxId","number":"5265877635"}]`, registrations())
	assert.Equal(t, 200, s.lookUp("5265877635"))

	s = start(t, func(c *Config) { c.RegistrationKey = "NIP" })
	s.seedAlfa()
	assert.JSONEq(t, `{"NIP":"5265877635","regon":"123"}`, registrations())
}

func TestViews_showDisabledCompaniesAsSwitched(t *testing.T) {
	s := start(t, nil)
	s.ok("POST", "/_sim/seed", fields{"companies": []fields{{"name": "Alfa", "disabled": true}, {"name": "Beta"}}})
	assert.Equal(t, []string{"101", "102"}, s.ids("companies", ""))
	s.switched(fields{"disabledCompanies": DisabledHidden})
	assert.Equal(t, []string{"102"}, s.ids("companies", ""))
	assert.Equal(t, 200, s.do("GET", "/companies?id=101", nil).status)
}
