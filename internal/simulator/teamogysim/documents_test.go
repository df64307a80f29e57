package teamogysim

import (
	"encoding/base64"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func purchase(change fields) fields {
	body := fields{"type": "INVOICE.PURCHASE", "agencyId": 1, "ownerId": 2, "status": "IMPORTED", "properties": fields{"ksefNumber": "K-1"}}
	for name, v := range change {
		if v == nil {
			delete(body, name)
		} else {
			body[name] = v
		}
	}
	return body
}

func TestCreateDocument_checksTheBodyAgainstTheTenant(t *testing.T) {
	s := start(t, nil)
	s.ok("POST", "/_sim/seed", fields{"companies": []fields{{"name": "Alfa", "nip": "5265877635", "supplier": true}}})
	for _, c := range []struct {
		name   string
		body   any
		status int
	}{
		{"complete", purchase(nil), 201},
		{"with a company", purchase(fields{"companyId": 101}), 201},
		{"correction", purchase(fields{"type": "INVOICE.PURCHASE.CORRECTION"}), 201},
		{"with process, tags and participants", purchase(fields{"process": fields{"id": 7}, "tags": []string{"check"}, "participantIds": []int{3}}), 201},
		{"without a status", purchase(fields{"status": nil}), 201},
		{"no type", purchase(fields{"type": nil}), 400},
		{"unknown type", purchase(fields{"type": "INVOICE.OTHER"}), 400},
		{"no agency", purchase(fields{"agencyId": nil}), 400},
		{"other agency", purchase(fields{"agencyId": 9}), 400},
		{"no owner", purchase(fields{"ownerId": nil}), 400},
		{"unknown owner", purchase(fields{"ownerId": 99}), 400},
		{"unknown participant", purchase(fields{"participantIds": []int{99}}), 400},
		{"unknown company", purchase(fields{"companyId": 999}), 400},
		{"unknown status", purchase(fields{"status": "PARKED"}), 400},
		{"date of another form", purchase(fields{"statusDate": "22.11.2026"}), 400},
		{"process is no object", purchase(fields{"process": "approve"}), 400},
		{"own id", purchase(fields{"id": 5}), 400},
		{"unknown field", purchase(fields{"ksefNumber": "K"}), 400},
		{"issued invoice", purchase(fields{"type": "INVOICE.SALES"}), 403},
		{"no JSON", "<xml/>", 400},
		{"two objects", `{"type":"INVOICE.PURCHASE","agencyId":1,"ownerId":2} {}`, 400},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := &site{t: t, url: s.url, client: s.client, clock: s.clock}
			r := s.do("POST", "/documents", c.body)
			assert.Equal(t, c.status, r.status, "%s", r.body)
			if r.status == 201 {
				saved := r.object(t)
				assert.NotEmpty(t, saved["id"])
				assert.True(t, strings.HasPrefix(saved["number"].(string), "FP-2026-"), saved["number"])
			}
		})
	}
}

func TestDocuments_arePickedByIDOrNumber(t *testing.T) {
	s := start(t, nil)
	id := s.seedSales(fields{"number": "FV/1 a", "status": "OPEN"})[0]
	assert.Equal(t, "FV/1 a", s.ok("GET", "/documents?id="+id, nil)["number"])
	assert.Equal(t, "FV/1 a", s.ok("GET", "/documents?number=FV%2F1%20a", nil)["number"])
	assert.Equal(t, 404, s.do("GET", "/documents?number=FV%2F1+a", nil).status, "a plus sign is no space")
	assert.Equal(t, 404, s.do("GET", "/documents?id=1", nil).status)
	assert.Equal(t, 400, s.do("GET", "/documents", nil).status)
	assert.Equal(t, 400, s.do("GET", "/documents?id=x", nil).status)
	assert.Equal(t, 404, s.do("PATCH", "/documents?id=1", fields{}).status)
	assert.Equal(t, 405, s.do("DELETE", "/documents?id="+id, nil).status)
	saved := s.ok("PATCH", "/documents?number=FV%2F1%20a", fields{"status": "APPROVED"})
	assert.Equal(t, "FV/1 a", saved["number"])
	assert.Equal(t, "APPROVED", s.ok("GET", "/documents?id="+id, nil)["status"])
}

func TestPatch_mergesOrReplacesProperties(t *testing.T) {
	for _, c := range []struct {
		name     string
		replaces bool
		want     fields
	}{
		{"merge", false, fields{"keep": "me", "ksefNumber": "K-1"}},
		{"replace", true, fields{"ksefNumber": "K-1"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := start(t, func(c2 *Config) { c2.PatchReplaces = c.replaces })
			id := s.seedSales(fields{"status": "OPEN", "properties": fields{"keep": "me", "drop": "x"}})[0]
			s.ok("PATCH", "/documents?id="+id, fields{"properties": fields{"ksefNumber": "K-1", "drop": nil}})
			assert.Equal(t, c.want, s.ok("GET", "/documents?id="+id, nil)["properties"])
			s.ok("PATCH", "/documents?id="+id, fields{"status": "APPROVED"})
			assert.Equal(t, c.want, s.ok("GET", "/documents?id="+id, nil)["properties"], "a PATCH without properties leaves them")
		})
	}
}

func TestPatch_takesWhatGetGave(t *testing.T) {
	s := start(t, func(c *Config) { c.PatchReplaces = true })
	xml := "<Faktura>\r\n\tżółw &amp; <b/>\u2028</Faktura>"
	id := s.seedSales(fields{"status": "OPEN", "xml": []byte(xml), "properties": fields{"amount": 1230.50}, "tags": []string{"a"}})[0]
	before := s.ok("GET", "/documents?id="+id, nil)
	s.ok("PATCH", "/documents?id="+id, before)
	assert.Equal(t, before, s.ok("GET", "/documents?id="+id, nil))
	assert.Equal(t, xml, string(s.do("GET", "/_sim/documents/"+id+"/xml", nil).body))
}

func TestPatch_refusesWhatCannotBe(t *testing.T) {
	s := start(t, nil)
	ids := s.seedSales(fields{"number": "A"}, fields{"number": "B"})
	for name, body := range map[string]fields{
		"other type": {"type": "INVOICE.PURCHASE"}, "other id": {"id": 5}, "number taken": {"number": "B"},
		"unknown status": {"status": "GONE"}, "unknown field": {"ksefNumber": "K"},
	} {
		assert.Equal(t, 400, s.do("PATCH", "/documents?id="+ids[0], body).status, name)
	}
	s.ok("PATCH", "/documents?id="+ids[0], fields{"number": "C"})
	s.ok("PATCH", "/documents?id="+ids[1], fields{"number": "A"})
}

func TestGateway_asksForTokenUnitAndJSON(t *testing.T) {
	s := start(t, nil)
	for _, c := range []struct {
		name, method, path, token, contentType string
		status                                 int
	}{
		{"right", "GET", "/rest/v1/1/views/units", "Bearer " + testKey, "", 200},
		{"no token", "GET", "/rest/v1/1/views/units", "", "", 401},
		{"wrong token", "GET", "/rest/v1/1/views/units", "Bearer other", "", 401},
		{"not bearer", "GET", "/rest/v1/1/views/units", testKey, "", 401},
		{"other unit", "GET", "/rest/v1/2/views/units", "Bearer " + testKey, "", 404},
		{"no such entity", "GET", "/rest/v1/1/persons", "Bearer " + testKey, "", 404},
		{"no such view", "GET", "/rest/v1/1/views/jobs", "Bearer " + testKey, "", 404},
		{"a view is read only", "POST", "/rest/v1/1/views/units", "Bearer " + testKey, "application/json", 405},
		{"body not declared as JSON", "POST", "/rest/v1/1/documents", "Bearer " + testKey, "text/plain", 415},
		{"badly encoded query", "GET", "/rest/v1/1/views/units?limit=%zz", "Bearer " + testKey, "", 400},
	} {
		t.Run(c.name, func(t *testing.T) {
			request, err := http.NewRequestWithContext(t.Context(), c.method, s.url+c.path, strings.NewReader("{}"))
			require.NoError(t, err)
			request.Header.Set("Authorization", c.token)
			request.Header.Set("Content-Type", c.contentType)
			r := (&site{t: t, client: s.client}).send(request)
			assert.Equal(t, c.status, r.status, "%s", r.body)
		})
	}
}

func TestRights_areAskedForEachOperation(t *testing.T) {
	type call struct {
		method, path string
		body         any
	}
	s := start(t, nil)
	s.ok("POST", "/_sim/seed", fields{"companies": []fields{{"name": "Alfa", "nip": "5265877635", "supplier": true}}})
	sales := s.seedSales(fields{"status": "OPEN"})[0]
	calls := map[string]call{
		"companies":  {"GET", "/companies?id=101", nil},
		"suppliers":  {"GET", "/views/companies.supplier", nil},
		"documents":  {"GET", "/views/invoices.sales", nil},
		"document":   {"GET", "/documents?id=" + sales, nil},
		"create":     {"POST", "/documents", purchase(nil)},
		"patch":      {"PATCH", "/documents?id=" + sales, fields{"status": "APPROVED"}},
		"units":      {"GET", "/agencies", nil},
		"users":      {"GET", "/users?id=1", nil},
		"newcompany": {"POST", "/companies", fields{"name": "Beta"}},
	}
	for _, c := range []struct {
		rights any
		may    string
	}{
		{"none", ""},
		{"all", "companies suppliers documents document create patch units users"},
		{[]string{"view companies"}, "companies suppliers units users"},
		{[]string{"create-received"}, "documents document create units users"},
		{[]string{"patch-issued"}, "documents document patch units users"},
		{[]string{"edit-companies"}, "newcompany"},
	} {
		s.ok("POST", "/_sim/token", fields{"rights": c.rights})
		for name, call := range calls {
			allowed := s.do(call.method, call.path, call.body).status != http.StatusForbidden
			assert.Equal(t, strings.Contains(" "+c.may+" ", " "+name+" "), allowed, "%v: %s", c.rights, name)
		}
	}
	assert.Equal(t, 400, s.do("POST", "/_sim/token", fields{"rights": []string{"everything"}}).status)
}

func TestCompanies_areFoundByRegistrationWhereTheTenantHasThat(t *testing.T) {
	companies := fields{"companies": []fields{
		{"name": "Alfa", "nip": "5265877635", "supplier": true},
		{"name": "Beta", "registrations": fields{"VATID": "PL1111111111"}, "client": true},
		{"name": "Gamma", "nip": "2222222222"},
		{"name": "Gamma twin", "nip": "2222222222", "disabled": true},
	}}
	s := start(t, nil)
	s.ok("POST", "/_sim/seed", companies)
	alfa := s.ok("GET", "/companies?registration=5265877635", nil)
	assert.Equal(t, "Alfa", alfa["name"])
	assert.Equal(t, fields{"vatId": "5265877635"}, alfa["registrations"])
	assert.Equal(t, "Beta", s.ok("GET", "/companies?registration=PL1111111111", nil)["name"])
	assert.Equal(t, 404, s.do("GET", "/companies?registration=1111111111", nil).status, "the look-up is exact")
	assert.True(t, strings.HasPrefix(string(s.do("GET", "/companies?registration=2222222222", nil).body), "["), "two matches are an array")
	assert.Equal(t, []string{"101"}, s.ids("companies.supplier", ""))
	assert.Equal(t, []string{"102"}, s.ids("companies.client", ""))
	assert.Equal(t, []string{"101", "102", "103"}, s.ids("companies", "isDisabled=false"))
	assert.Equal(t, []string{"102"}, s.ids("companies", "registrations.VATID='PL1111111111'"))

	s = start(t, func(c *Config) { c.Registration = false })
	s.ok("POST", "/_sim/seed", companies)
	assert.Equal(t, 400, s.do("GET", "/companies?registration=5265877635", nil).status)
	assert.Equal(t, "Alfa", s.ok("GET", "/companies?id=101", nil)["name"])
}

func TestCompanies_canBeMadeAndChangedWithTheRight(t *testing.T) {
	s := start(t, nil)
	s.ok("POST", "/_sim/token", fields{"rights": []string{"edit-companies", "view-companies"}})
	id := s.ok("POST", "/companies", fields{"name": "Delta", "isSupplier": true, "registrations": fields{"vatId": "1234567890"}})["id"]
	s.ok("PATCH", "/companies?registration=1234567890", fields{"name": "Delta 2"})
	delta := s.ok("GET", "/companies?registration=1234567890", nil)
	assert.Equal(t, id, delta["id"])
	assert.Equal(t, "Delta 2", delta["name"])
	assert.Equal(t, true, delta["isSupplier"])
	assert.Equal(t, 400, s.do("POST", "/companies", fields{"isClient": true}).status)
	assert.Equal(t, 404, s.do("PATCH", "/companies?id=9", fields{"name": "X"}).status)
}

func TestEntities_answerInTheShapeThatIsSwitchedOn(t *testing.T) {
	for shape, want := range map[string]string{AnswerObject: `{"acl"`, AnswerArray: `[{"acl"`, AnswerData: `{"data":{"acl"`} {
		s := start(t, func(c *Config) { c.EntityAnswer = shape })
		id := s.seedSales(fields{})[0]
		assert.True(t, strings.HasPrefix(string(s.do("GET", "/documents?id="+id, nil).body), want), shape)
		r := s.do("GET", "/documents?id=1", nil)
		if shape == AnswerArray {
			assert.Equal(t, "[]\n", string(r.body))
		} else {
			assert.Equal(t, 404, r.status)
		}
	}
}

func TestXML_isHeldByteForByteInEveryPlace(t *testing.T) {
	s := start(t, nil)
	for name, xml := range map[string][]byte{
		"plain":        []byte("<?xml version=\"1.0\"?>\r\n<Faktura>ą</Faktura>\n"),
		"with a BOM":   []byte("\ufeff<Faktura/>"),
		"not UTF-8":    []byte("<Faktura>\xb1\xe6</Faktura>"),
		"no XML":       []byte("lorem ipsum"),
		"large":        []byte("<Faktura>" + strings.Repeat("x", 3<<20) + "</Faktura>"),
		"Base64-alike": []byte("TEFL"),
	} {
		for _, in := range []string{"property", "base64", "attachment"} {
			if name == "Base64-alike" && in == "property" {
				continue // text that is also Base64 cannot be told from Base64
			}
			id := s.seedSales(fields{"xml": xml, "xmlIn": in})[0]
			assert.Equal(t, xml, s.do("GET", "/_sim/documents/"+id+"/xml", nil).body, "%s in %s", name, in)
			document := s.ok("GET", "/documents?id="+id, nil)
			switch in {
			case "base64":
				data, err := base64.StdEncoding.DecodeString(document["properties"].(fields)[xmlProperty].(string))
				require.NoError(t, err)
				assert.Equal(t, xml, data, name)
			case "attachment":
				link := document["attach"].([]any)[0].(string)
				request, err := http.NewRequestWithContext(t.Context(), "GET", link, nil)
				require.NoError(t, err)
				assert.Equal(t, 401, s.send(request).status)
				request.Header.Set("Authorization", "Bearer "+testKey)
				assert.Equal(t, xml, s.send(request).body, name)
			}
		}
	}
}
