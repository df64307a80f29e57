package teamogysim

import (
	"encoding/json"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// view is the whole answer of a view.
func (s *site) view(name, query string) fields {
	s.t.Helper()
	return s.ok("GET", "/views/"+name+"?"+query, nil)
}

func (s *site) metadata(query string) fields {
	s.t.Helper()
	return s.view("documents", query)["metadata"].(fields)
}

func TestView_sortsAsSwitched(t *testing.T) {
	s := start(t, nil)
	s.seedSales(fields{}, fields{}, fields{}, fields{}, fields{})
	s.ok("PATCH", "/documents?id=1002", fields{"status": "APPROVED"})
	assert.Equal(t, []string{"1001", "1002", "1003", "1004", "1005"}, s.ids("documents", ""))
	s.switched(fields{"sortOrder": SortIDDescending})
	assert.Equal(t, []string{"1005", "1004", "1003", "1002", "1001"}, s.ids("documents", ""))
	s.switched(fields{"sortOrder": SortChanged})
	assert.Equal(t, []string{"1002", "1005", "1004", "1003", "1001"}, s.ids("documents", ""))
	assert.Equal(t, []string{"1", "2", "3", "4", "5"}, s.ids("users", ""), "what has no changes stays in order")
}

func TestView_shufflesAnewAtEachRequestAndAlikeForASeed(t *testing.T) {
	orders := func(seed int64) [][]string {
		s := start(t, func(c *Config) { c.SortOrder, c.SortSeed = SortShuffled, seed })
		s.seedSales(fields{}, fields{}, fields{}, fields{}, fields{}, fields{}, fields{}, fields{})
		out := [][]string{s.ids("documents", ""), s.ids("documents", "")}
		assert.ElementsMatch(t, out[0], out[1])
		return out
	}
	one := orders(7)
	assert.NotEqual(t, one[0], one[1])
	assert.Equal(t, one, orders(7))
	assert.NotEqual(t, one, orders(8))
}

func TestView_losesAndRepeatsRowsBetweenPagesWhenTheOrderMoves(t *testing.T) {
	s := start(t, func(c *Config) { c.SortOrder = SortChanged })
	s.seedSales(fields{}, fields{}, fields{}, fields{})
	page := func(offset string) (ids []string) {
		for _, r := range s.view("documents", "columns=id&limit=2&offset="+offset)["data"].([]any) {
			ids = append(ids, r.(fields)["id"].(json.Number).String())
		}
		return ids
	}
	assert.Equal(t, []string{"1004", "1003"}, page("0"))
	s.ok("PATCH", "/documents?id=1001", fields{"status": "APPROVED"})
	assert.Equal(t, []string{"1003", "1002"}, page("2"), "1003 comes twice and 1001 never")
}

func TestView_tellsCountLimitAndEndAsSwitched(t *testing.T) {
	s := start(t, func(c *Config) { c.PageLimit = 3 })
	s.seedSales(fields{}, fields{}, fields{}, fields{}, fields{})
	for position, want := range map[string]any{CountMatches: json.Number("5"), CountPage: json.Number("2"), CountAbsent: nil} {
		s.switched(fields{"metadataCount": position})
		meta := s.metadata("limit=3&offset=3")
		assert.Equal(t, want, meta["count"], position)
		_, there := meta["count"]
		assert.Equal(t, want != nil, there)
	}

	assert.Equal(t, json.Number("3"), s.metadata("limit=50")["limit"])
	s.switched(fields{"metadataLimit": LimitAsked})
	assert.Equal(t, json.Number("50"), s.metadata("limit=50")["limit"])
	assert.Len(t, s.view("documents", "limit=50")["data"], 3, "the page is smaller all the same")
	s.switched(fields{"overLimit": OverRefused})
	assert.Equal(t, 400, s.do("GET", "/views/documents?limit=50", nil).status)
	assert.Equal(t, 200, s.do("GET", "/views/documents?limit=3", nil).status)

	for position, want := range map[string][]string{
		EndNull: {"3", "null"}, EndAbsent: {"3", "absent"}, EndEmptyPage: {"3", "5", "null"},
	} {
		s.switched(fields{"nextOffsetEnd": position})
		var got []string
		for offset := "0"; offset != "null" && offset != "absent"; got = append(got, offset) {
			next, there := s.metadata("limit=3&offset=" + offset)["nextOffset"]
			switch next := next.(type) {
			case json.Number:
				offset = next.String()
			case nil:
				offset = "null"
				if !there {
					offset = "absent"
				}
			}
		}
		assert.Equal(t, want, got, position)
	}
}

func TestView_withoutRowsIsAListOrNull(t *testing.T) {
	s := start(t, nil)
	assert.Equal(t, []any{}, s.view("documents", "")["data"])
	s.switched(fields{"emptyData": EmptyNull})
	view := s.view("documents", "")
	assert.Contains(t, view, "data")
	assert.Nil(t, view["data"])
}

func TestView_showsWhatIsMissingAsSwitched(t *testing.T) {
	s := start(t, nil)
	s.seedSales(fields{"number": "A", "properties": fields{"ksefNumber": "K"}})
	row := func(query string) fields { return s.view("documents", query)["data"].([]any)[0].(fields) }
	const query = "columns=number,nonsense&properties=ksefNumber,other"
	assert.Equal(t, fields{"number": "A", "properties": fields{"ksefNumber": "K"}}, row(query))
	s.switched(fields{"unknownColumns": ColumnsNull, "missingProperties": PropertiesNull})
	assert.Equal(t, fields{"number": "A", "nonsense": nil, "properties": fields{"ksefNumber": "K", "other": nil}}, row(query))
	s.switched(fields{"flatProperties": true, "unknownColumns": ColumnsLeftOut})
	assert.Equal(t, fields{"number": "A", "ksefNumber": "K", "other": nil}, row(query))
	s.switched(fields{"propertyKeys": KeysDotted, "missingProperties": PropertiesLeftOut})
	assert.Equal(t, fields{"number": "A", "properties.ksefNumber": "K"}, row(query))
	s.switched(fields{"unknownColumns": ColumnsRefused})
	r := s.do("GET", "/views/documents?"+query, nil)
	assert.Equal(t, 400, r.status)
	assert.Contains(t, body(r), "nonsense")
	assert.Equal(t, 200, s.do("GET", "/views/documents?columns=number", nil).status)
}

func TestView_hasOtherColumnNamesAsSwitched(t *testing.T) {
	s := start(t, nil)
	s.seedSales(fields{"number": "A"}, fields{"number": "B"})
	s.seedAlfa()
	s.switched(fields{"columnNames": fields{"number": "docNumber", "isDisabled": "disabled"}})
	rows := s.view("documents", "columns=id,number,docNumber,disabled")["data"].([]any)
	assert.Equal(t, fields{"id": json.Number("1001"), "docNumber": "A", "disabled": false}, rows[0])
	assert.Equal(t, []string{"1002"}, s.ids("documents", "docNumber='B' AND disabled=false"))
	assert.Empty(t, s.ids("documents", "number='B'"))
	assert.Contains(t, s.view("documents", "")["data"].([]any)[0], "docNumber", "also without columns")
	assert.Equal(t, []string{"101"}, s.ids("companies", "registrations.vatId='5265877635'"))
	s.switched(fields{"columnNames": fields{}})
	assert.Equal(t, []string{"1002"}, s.ids("documents", "number='B'"))
}

func TestView_thatTheTenantHasNot(t *testing.T) {
	s := start(t, nil)
	assert.Equal(t, 200, s.do("GET", "/views/companies.supplier", nil).status)
	s.switched(fields{"absentViews": []string{"companies.supplier"}})
	assert.Equal(t, 404, s.do("GET", "/views/companies.supplier", nil).status)
	assert.Equal(t, 200, s.do("GET", "/views/companies", nil).status)
}

func TestView_showsNewDocumentsLate(t *testing.T) {
	s := start(t, nil)
	s.seedSales(fields{})
	assert.Equal(t, []string{"1001"}, s.ids("documents", ""))
	s.switched(fields{"newDelaySeconds": 30})
	assert.Empty(t, s.ids("documents", ""))
	s.clock.advance(30 * time.Second)
	assert.Equal(t, []string{"1001"}, s.ids("documents", ""))
	s.ok("PATCH", "/documents?id=1001", fields{"status": "APPROVED"})
	assert.Equal(t, []string{"1001"}, s.ids("documents", "status='APPROVED'"), "changes are seen at once")
}

func TestView_showsChangesLate(t *testing.T) {
	s := start(t, func(c *Config) { c.ChangeDelaySeconds = 30 })
	s.seedSales(fields{"status": "OPEN"})
	assert.Equal(t, []string{"1001"}, s.ids("documents", "status='OPEN'"), "a new document is seen at once")
	s.ok("PATCH", "/documents?id=1001", fields{"status": "APPROVED"})
	assert.Equal(t, []string{"1001"}, s.ids("documents", "status='OPEN'"))
	assert.Equal(t, "APPROVED", s.ok("GET", "/documents?id=1001", nil)["status"], "entities are fresh")
	s.clock.advance(30 * time.Second)
	assert.Equal(t, []string{"1001"}, s.ids("documents", "status='APPROVED'"))
}

func TestView_findsNewDocumentsLateWithAFilter(t *testing.T) {
	s := start(t, nil)
	s.switched(fields{"searchDelaySeconds": 30})
	s.ok("POST", "/documents", purchase(nil))
	assert.Equal(t, []string{"1001"}, s.ids("invoices.purchase", ""), "it is there")
	assert.Empty(t, s.ids("invoices.purchase", "ksefNumber='K-1'"), "but not found")
	s.clock.advance(30 * time.Second)
	assert.Equal(t, []string{"1001"}, s.ids("invoices.purchase", "ksefNumber='K-1'"))
}

func TestFilter_onPropertiesCanMatchNothing(t *testing.T) {
	s := start(t, nil)
	s.seedSales(fields{"properties": fields{"ksefNumber": "K-1"}}, fields{})
	assert.Equal(t, []string{"1001"}, s.ids("documents", "ksefNumber='K-1'"))
	s.switched(fields{"filterProperties": FilterMatchesNothing})
	assert.Empty(t, s.ids("documents", "ksefNumber='K-1'"))
	assert.Equal(t, []string{"1002"}, s.ids("documents", "properties.ksefNumber='K-1' OR id=1002"))
	assert.Equal(t, []string{"1001", "1002"}, s.ids("documents", "NOT ksefNumber='K-1'"))
	assert.Equal(t, []string{"1001"}, s.ids("documents", "id=1001"))
}

func TestFilter_namesPropertiesAsSwitched(t *testing.T) {
	s := start(t, nil)
	s.seedSales(fields{"properties": fields{"ksefNumber": "K-1"}})
	for position, want := range map[string][]int{NamesEither: {200, 200}, NamesDotted: {200, 400}, NamesPlain: {400, 200}} {
		s.switched(fields{"filterNames": position})
		var got []int
		for _, name := range []string{"properties.ksefNumber", "ksefNumber"} {
			got = append(got, s.do("GET", "/views/documents?externalFilter="+name+"='K-1'", nil).status)
		}
		assert.Equal(t, want, got, position)
		assert.Equal(t, []string{"1001"}, s.ids("documents", "id=1001"))
	}
}

func TestFilter_knowsFurtherComparisonsAsSwitched(t *testing.T) {
	s := start(t, nil)
	s.seedSales(fields{"status": "OPEN", "properties": fields{"issueDate": "2026-11-20"}}, fields{"status": "APPROVED"}, fields{"status": "OPEN"})
	for filter, want := range map[string][]string{
		"id<1002": {"1001"}, "id<=1002": {"1001", "1002"}, "id>=1002": {"1002", "1003"}, "id!=1002": {"1001", "1003"}, "id<>1002": {"1001", "1003"},
		"status!='OPEN'": {"1002"}, "isDisabled!=false": {}, "issueDate<'2026-11-21'": {"1001"}, "issueDate!='2026-11-20'": {"1002", "1003"},
		"id!='1001'": {"1001", "1002", "1003"}, "isDisabled<>true": {"1001", "1002", "1003"}, "status<'B'": {"1002"},
	} {
		s.switched(fields{"filterComparators": ComparatorsDocumented})
		assert.Equal(t, 400, s.do("GET", "/views/documents?externalFilter="+url.PathEscape(filter), nil).status, filter)
		s.switched(fields{"filterComparators": ComparatorsAll})
		assert.Equal(t, want, s.ids("documents", filter), filter)
	}
	for _, wrong := range []string{"id!1", "id=<1", "id><1", "id<>ANY(1)"} {
		assert.Equal(t, 400, s.do("GET", "/views/documents?externalFilter="+url.PathEscape(wrong), nil).status, wrong)
	}
}

func TestFilter_writesQuotesAsSwitched(t *testing.T) {
	s := start(t, nil)
	s.seedSales(fields{"number": "O'Hara"}, fields{"number": `back\slash`})
	for _, c := range []struct {
		quotes, filter string
		want           []string // nil: refused
	}{
		{QuotesNone, "number='O''Hara'", nil},
		{QuotesNone, `number='O\'Hara'`, nil},
		{QuotesNone, `number='back\slash'`, []string{"1002"}},
		{QuotesDoubled, "number='O''Hara'", []string{"1001"}},
		{QuotesDoubled, `number='O\'Hara'`, nil},
		{QuotesDoubled, "number=''", []string{}},
		{QuotesBackslash, `number='O\'Hara'`, []string{"1001"}},
		{QuotesBackslash, `number='back\\slash'`, []string{"1002"}},
		{QuotesBackslash, "number='O''Hara'", nil},
		{QuotesBackslash, `number='x\'`, nil},
	} {
		s.switched(fields{"filterQuotes": c.quotes})
		if c.want == nil {
			assert.Equal(t, 400, s.do("GET", "/views/documents?externalFilter="+url.PathEscape(c.filter), nil).status, "%s: %s", c.quotes, c.filter)
			continue
		}
		assert.Equal(t, c.want, s.ids("documents", c.filter), "%s: %s", c.quotes, c.filter)
	}
}
