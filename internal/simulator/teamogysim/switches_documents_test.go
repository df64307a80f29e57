package teamogysim

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func body(r reply) string { return strings.TrimSpace(string(r.body)) }

func TestEntities_thatAreNotThere(t *testing.T) {
	s := start(t, nil)
	for _, c := range []struct {
		answer, missing string
		status          int
		body            string
	}{
		{AnswerObject, MissingNotFound, 404, `{"message":"no such document"}`},
		{AnswerObject, MissingNull, 200, "null"},
		{AnswerData, MissingEmpty, 200, ""},
		{AnswerArray, MissingNotFound, 200, "[]"},
		{AnswerDataArray, MissingNotFound, 200, `{"data":[]}`},
	} {
		s.switched(fields{"entityAnswer": c.answer, "missingEntity": c.missing})
		r := s.do("GET", "/documents?id=5", nil)
		assert.Equal(t, c.status, r.status)
		assert.Equal(t, c.body, body(r), "%s %s", c.answer, c.missing)
	}
	s.seedSales(fields{})
	assert.True(t, strings.HasPrefix(body(s.do("GET", "/documents?id=1001", nil)), `{"data":[{`))
}

func TestSaving_answersAsSwitched(t *testing.T) {
	s := start(t, nil)
	id := s.seedSales(fields{"number": "FV/1"})[0]
	for shape, want := range map[string]string{
		SaveObject:       `{"id":1001,"number":"FV/1"}`,
		SaveRegistration: `{"id":1001,"registrationNumber":"FV/1"}`,
		SaveData:         `{"data":{"id":1001,"number":"FV/1"}}`,
		SaveID:           `1001`,
		SaveEmpty:        ``,
	} {
		s.switched(fields{"saveAnswer": shape})
		r := s.do("PATCH", "/documents?id="+id, fields{"status": "APPROVED"})
		assert.Equal(t, 200, r.status)
		assert.Equal(t, want, body(r), shape)
		before := s.purchases()
		assert.Equal(t, 201, s.do("POST", "/documents", purchase(nil)).status)
		assert.Equal(t, before+1, s.purchases())
	}
	s.switched(fields{"saveAnswer": SaveEntity})
	assert.Equal(t, s.ok("GET", "/documents?id="+id, nil), s.ok("PATCH", "/documents?id="+id, fields{}))
}

func TestSaving_answersForCompaniesToo(t *testing.T) {
	s := start(t, func(c *Config) { c.KeyRights = []string{"edit-companies", "view-companies"} })
	for shape, want := range map[string]string{
		SaveObject: `{"id":101}`, SaveRegistration: `{"id":101}`, SaveData: `{"data":{"id":101}}`, SaveID: `101`, SaveEmpty: ``,
		SaveEntity: `{"id":101,"isClient":false,"isDisabled":false,"isSupplier":false,"name":"Alfa","registrations":{},"type":"COMPANY"}`,
	} {
		s.ok("POST", "/_sim/reset", nil)
		s.switched(fields{"saveAnswer": shape})
		assert.Equal(t, want, body(s.do("POST", "/companies", fields{"name": "Alfa"})), shape)
	}
}

func TestCreate_answersWithTheStatusThatIsSwitchedOn(t *testing.T) {
	s := start(t, nil)
	for _, status := range []int{201, 200, 202} {
		s.switched(fields{"createStatus": status})
		assert.Equal(t, status, s.do("POST", "/documents", purchase(nil)).status)
	}
}

func TestDocuments_arePickedByTheParameterThatIsSwitchedOn(t *testing.T) {
	s := start(t, nil)
	s.seedSales(fields{"number": "A1"})
	for lookup, want := range map[string][]int{
		LookupNumber: {200, 400}, LookupRegistration: {400, 200}, LookupBoth: {200, 200}, LookupNone: {400, 400},
	} {
		s.switched(fields{"documentLookup": lookup})
		got := []int{s.do("GET", "/documents?number=A1", nil).status, s.do("GET", "/documents?registration=A1", nil).status}
		assert.Equal(t, want, got, lookup)
		got = []int{s.do("PATCH", "/documents?number=A1", fields{}).status, s.do("PATCH", "/documents?registration=A1", fields{}).status}
		assert.Equal(t, want, got, lookup)
		assert.Equal(t, 200, s.do("GET", "/documents?id=1001", nil).status)
	}
}

func TestCreate_refusesWithTheStatusThatIsSwitchedOn(t *testing.T) {
	s := start(t, nil)
	for _, status := range []int{400, 409, 422, 500} {
		s.switched(fields{"refusalStatus": status})
		for name, wrong := range map[string]fields{
			"status": {"status": "PARKED"}, "owner": {"ownerId": 99}, "type": {"type": "INVOICE.OTHER"}, "company": {"companyId": 9}, "no owner": {"ownerId": nil},
		} {
			assert.Equal(t, status, s.do("POST", "/documents", purchase(wrong)).status, name)
		}
	}
	assert.Equal(t, 400, s.do("POST", "/documents", "{").status, "what is no JSON is a bad request whatever is switched")
}

func TestBodies_withUnknownFields(t *testing.T) {
	s := start(t, nil)
	assert.Equal(t, 400, s.do("POST", "/documents", purchase(fields{"ksefNumber": "K"})).status)
	s.switched(fields{"unknownFields": FieldsIgnored})
	assert.Equal(t, 201, s.do("POST", "/documents", purchase(fields{"ksefNumber": "K"})).status)
	assert.NotContains(t, s.ok("GET", "/documents?id=1001", nil), "ksefNumber")
}

func TestCreate_asksForCompanyAndAgencyAsSwitched(t *testing.T) {
	s := start(t, nil)
	s.ok("POST", "/_sim/seed", fields{"companies": []fields{{"name": "Alfa"}}})
	assert.Equal(t, 201, s.do("POST", "/documents", purchase(nil)).status)
	s.switched(fields{"companyRequired": true})
	r := s.do("POST", "/documents", purchase(nil))
	assert.Equal(t, 400, r.status)
	assert.Contains(t, body(r), "companyId is missing")
	assert.Equal(t, 201, s.do("POST", "/documents", purchase(fields{"companyId": 101})).status)

	without := purchase(fields{"companyId": 101, "agencyId": nil})
	assert.Equal(t, 400, s.do("POST", "/documents", without).status)
	s.switched(fields{"agencyOptional": true})
	id := s.ok("POST", "/documents", without)["id"].(json.Number).String()
	assert.Equal(t, json.Number("1"), s.ok("GET", "/documents?id="+id, nil)["agencyId"], "the unit of the URL")
}

func TestCreate_knowsTheTypesThatAreConfigured(t *testing.T) {
	s := start(t, nil)
	correction := purchase(fields{"type": "INVOICE.PURCHASE.CORRECTION"})
	assert.Equal(t, 201, s.do("POST", "/documents", correction).status)
	s.switched(fields{"absentTypes": []string{"INVOICE.PURCHASE.CORRECTION"}})
	r := s.do("POST", "/documents", correction)
	assert.Equal(t, 400, r.status)
	assert.Contains(t, body(r), "is not configured")
	assert.Equal(t, 201, s.do("POST", "/documents", purchase(nil)).status)
}

func TestCreate_numbersDocumentsAsSwitched(t *testing.T) {
	s := start(t, nil)
	assert.Equal(t, "FP-2026-00001", s.ok("POST", "/documents", purchase(nil))["number"])
	assert.Equal(t, "MY/1", s.ok("POST", "/documents", purchase(fields{"number": "MY/1"}))["number"])
	s.switched(fields{"numberGiven": NumberIgnored})
	assert.Equal(t, "FP-2026-00002", s.ok("POST", "/documents", purchase(fields{"number": "MY/2"}))["number"])
	s.switched(fields{"numbering": NumberNever})
	for range 2 {
		saved := s.ok("POST", "/documents", purchase(nil))
		assert.Nil(t, saved["number"])
		assert.Nil(t, s.ok("GET", "/documents?id="+saved["id"].(json.Number).String(), nil)["number"])
	}
}

func TestCreate_ofADuplicateIsAcceptedOrRefused(t *testing.T) {
	s := start(t, nil)
	s.ok("POST", "/documents", purchase(nil))
	s.ok("POST", "/documents", purchase(nil))
	s.switched(fields{"duplicateInvoices": DuplicatesRefused})
	assert.Equal(t, 409, s.do("POST", "/documents", purchase(nil)).status)
	assert.Equal(t, 201, s.do("POST", "/documents", purchase(fields{"properties": fields{"ksefNumber": "K-2"}})).status)
	assert.Equal(t, 201, s.do("POST", "/documents", purchase(fields{"properties": fields{}})).status)
	assert.Equal(t, 4, s.purchases())
}

func TestPatch_ofAnAcceptedInvoiceIsAllowedOrRefused(t *testing.T) {
	s := start(t, nil)
	id := s.seedSales(fields{"properties": fields{"ksefNumber": "K-1"}})[0]
	other := s.seedSales(fields{})[0]
	s.ok("PATCH", "/documents?id="+id, fields{"properties": fields{"ksefUpo": "here"}})
	s.switched(fields{"acceptedLocked": true})
	assert.Equal(t, 409, s.do("PATCH", "/documents?id="+id, fields{"properties": fields{"ksefUpo": "there"}}).status)
	s.ok("PATCH", "/documents?id="+other, fields{"properties": fields{"ksefNumber": "K-2"}})
	s.ok("PATCH", "/_sim/documents/"+id, fields{"properties": fields{"ksefUpo": "a person may"}})
}

func TestPatch_treatsNullAsSwitched(t *testing.T) {
	for position, want := range map[string]fields{
		NullRemoves: {"keep": "me"}, NullKept: {"keep": "me", "drop": nil}, NullIgnored: {"keep": "me", "drop": "x"},
	} {
		s := start(t, nil)
		s.switched(fields{"nullProperties": position})
		id := s.seedSales(fields{"properties": fields{"keep": "me", "drop": "x"}})[0]
		s.ok("PATCH", "/documents?id="+id, fields{"properties": fields{"drop": nil}})
		assert.Equal(t, want, s.ok("GET", "/documents?id="+id, nil)["properties"], position)
		s.ok("PATCH", "/_sim/documents/"+id, fields{"properties": fields{"drop": nil}})
		assert.NotContains(t, s.ok("GET", "/documents?id="+id, nil)["properties"], "drop", "a person removes it whatever is switched")
	}
}

func TestPatch_mergesAsDeepAsSwitched(t *testing.T) {
	for depth, want := range map[string]fields{
		DepthKeys: {"ext": fields{"b": "2"}}, DepthAll: {"ext": fields{"a": "1", "b": "2"}},
	} {
		s := start(t, func(c *Config) { c.PatchDepth = depth })
		id := s.seedSales(fields{"properties": fields{"ext": fields{"a": "1", "c": "3"}}})[0]
		s.ok("PATCH", "/documents?id="+id, fields{"properties": fields{"ext": fields{"b": "2", "c": nil}}})
		got := s.ok("GET", "/documents?id="+id, nil)["properties"].(fields)
		delete(got["ext"].(fields), "c")
		assert.Equal(t, want, got, depth)
	}
}

func TestPatch_replacesListsOrAddsToThem(t *testing.T) {
	s := start(t, nil)
	id := s.seedSales(fields{"tags": []string{"a", "b"}})[0]
	tags := func() any { return s.ok("GET", "/documents?id="+id, nil)["tags"] }
	s.switched(fields{"patchLists": ListsAdded})
	s.ok("PATCH", "/documents?id="+id, fields{"tags": []string{"b", "c"}, "participantIds": []int{2}})
	assert.Equal(t, []any{"a", "b", "c"}, tags())
	s.switched(fields{"patchLists": ListsReplaced})
	s.ok("PATCH", "/documents?id="+id, fields{"tags": []string{"d"}})
	assert.Equal(t, []any{"d"}, tags())
}

func TestProperties_thatAreNotConfigured(t *testing.T) {
	for position, want := range map[string]struct {
		status int
		given  fields
	}{
		PropertiesAccepted: {201, fields{"ksefNumber": "K-1", "odd": "x"}},
		PropertiesDropped:  {201, fields{"ksefNumber": "K-1"}},
		PropertiesRefused:  {400, nil},
	} {
		s := start(t, nil)
		s.switched(fields{"unknownProperties": position})
		r := s.do("POST", "/documents", purchase(fields{"properties": fields{"ksefNumber": "K-1", "odd": "x"}}))
		assert.Equal(t, want.status, r.status, position)
		if want.given == nil {
			assert.Contains(t, body(r), `property \"odd\" is not configured`)
			assert.Equal(t, 201, s.do("POST", "/documents", purchase(nil)).status)
			continue
		}
		assert.Equal(t, want.given, s.ok("GET", "/documents?id=1001", nil)["properties"], position)
	}
}

func TestProperties_haveTheTypesThatAreConfigured(t *testing.T) {
	s := start(t, nil)
	gross := func(v any) int {
		return s.do("POST", "/documents", purchase(fields{"properties": fields{"totalGross": v}})).status
	}
	for _, v := range []any{1.5, "1.50", true, []string{"x"}, fields{}} {
		assert.Equal(t, 201, gross(v), "any type is taken")
	}
	samples := map[string]any{"number": 1.5, "text": "1.50", "boolean": true, "list": []string{"x"}, "object": fields{"x": 1}, "date": "2026-11-22"}
	for kind := range samples {
		s.switched(fields{"knownProperties": fields{"totalGross": kind}})
		for other, v := range samples {
			want := 400
			if other == kind || kind == "text" && other == "date" {
				want = 201
			}
			assert.Equal(t, want, gross(v), "%s for %s", other, kind)
		}
	}
}

func TestProperties_showNumbersAsSwitched(t *testing.T) {
	sent := fields{"gross": 1230.5, "nip": "5265877635", "price": "12.50", "leading": "0123", "date": "2026-11-22", "lines": []fields{{"vat": 23, "net": "10.00"}}}
	for position, want := range map[string]string{
		NumbersAsSent: `{"gross":1230.5,"nip":"5265877635","price":"12.50","leading":"0123","date":"2026-11-22","lines":[{"vat":23,"net":"10.00"}]}`,
		NumbersAsText: `{"gross":"1230.5","nip":"5265877635","price":"12.50","leading":"0123","date":"2026-11-22","lines":[{"vat":"23","net":"10.00"}]}`,
		TextAsNumbers: `{"gross":1230.5,"nip":5265877635,"price":12.50,"leading":"0123","date":"2026-11-22","lines":[{"vat":23,"net":10.00}]}`,
	} {
		s := start(t, func(c *Config) { c.NumberProperties = position })
		s.seedSales(fields{"properties": sent})
		assert.JSONEq(t, want, asJSON(t, s.ok("GET", "/documents?id=1001", nil)["properties"]), position)
		rows := s.ok("GET", "/views/documents?columns=id&properties=gross,nip,price,leading,date,lines", nil)["data"].([]any)
		assert.JSONEq(t, want, asJSON(t, rows[0].(fields)["properties"]), position)
	}
}

func TestPatch_canLoseAChangeThatAPersonMadeMeanwhile(t *testing.T) {
	readAndWrite := func(s *site, change fields) (int, any) {
		id := s.seedSales(fields{"properties": fields{"note": "old"}})[0]
		r := s.do("PATCH", "/_sim/documents/"+id, fields{"properties": fields{"note": "by a person"}, "when": "after-next-read"})
		require.Equal(t, 202, r.status)
		read := s.ok("GET", "/documents?id="+id, nil)
		assert.Equal(t, fields{"note": "old"}, read["properties"], "the reader sees the old version")
		write := fields{"properties": read["properties"]}
		for name, v := range change {
			write[name] = v
		}
		if v, ok := read["version"]; ok {
			write["version"] = v
		}
		status := s.do("PATCH", "/documents?id="+id, write).status
		return status, s.ok("GET", "/documents?id="+id, nil)["properties"].(fields)["note"]
	}

	s := start(t, nil)
	status, note := readAndWrite(s, nil)
	assert.Equal(t, 200, status)
	assert.Equal(t, "old", note, "without a version the person's change is lost")

	s.switched(fields{"documentVersion": VersionShown})
	status, note = readAndWrite(s, nil)
	assert.Equal(t, 200, status)
	assert.Equal(t, "old", note, "a version that is only shown guards nothing")

	s.switched(fields{"documentVersion": VersionChecked})
	status, note = readAndWrite(s, nil)
	assert.Equal(t, 409, status)
	assert.Equal(t, "by a person", note)

	assert.Equal(t, 400, s.do("PATCH", "/_sim/documents/1001", fields{"status": "OPEN", "when": "tomorrow"}).status)
	assert.Equal(t, 400, s.do("PATCH", "/_sim/documents/1001", fields{"status": "NOWHERE", "when": "after-next-read"}).status)
}

func TestAttachments_areGivenAsSwitched(t *testing.T) {
	s := start(t, nil)
	for _, c := range []struct {
		access       string
		with, withut int
	}{{FileKey, 200, 401}, {FileOpen, 200, 200}, {FileKeyRefused, 400, 200}} {
		s.switched(fields{"fileAccess": c.access})
		for links, prefix := range map[string]string{LinksAbsolute: s.url + "/files/", LinksRelative: "/files/"} {
			s.switched(fields{"attachLinks": links})
			id := s.seedSales(fields{"xml": []byte("<a/>"), "xmlIn": "attachment"})[0]
			link := s.ok("GET", "/documents?id="+id, nil)["attach"].([]any)[0].(string)
			assert.True(t, strings.HasPrefix(link, prefix), link)
			path := strings.TrimPrefix(link, s.url)
			assert.Equal(t, c.with, s.do("GET", path, nil).status, c.access)
			request, err := http.NewRequestWithContext(t.Context(), "GET", s.url+path, nil)
			require.NoError(t, err)
			assert.Equal(t, c.withut, s.send(request).status, c.access)
		}
	}
}
