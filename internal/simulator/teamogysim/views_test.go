package teamogysim

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestView_pagesThroughAllRows(t *testing.T) {
	s := start(t, func(c *Config) { c.PageLimit = 100 })
	var documents []fields
	for i := range 23 {
		documents = append(documents, fields{"number": fmt.Sprintf("N%02d", i)})
	}
	want := s.seedSales(documents...)
	var got []string
	offset := json.Number("0")
	for pages := 0; ; pages++ {
		page := s.ok("GET", "/views/invoices.sales?columns=id,number&limit=10&offset="+offset.String(), nil)
		meta := page["metadata"].(fields)
		assert.Equal(t, json.Number("23"), meta["count"])
		assert.Equal(t, json.Number("10"), meta["limit"])
		for _, row := range page["data"].([]any) {
			assert.Len(t, row, 2)
			got = append(got, row.(fields)["id"].(json.Number).String())
		}
		if meta["nextOffset"] == nil {
			assert.Equal(t, 2, pages)
			break
		}
		offset = meta["nextOffset"].(json.Number)
	}
	assert.Equal(t, want, got)

	assert.Empty(t, s.ok("GET", "/views/invoices.sales?offset=99", nil)["data"])
	assert.Equal(t, json.Number("100"), s.ok("GET", "/views/invoices.sales?limit=5000", nil)["metadata"].(fields)["limit"])
	for _, bad := range []string{"limit=0", "limit=-1", "limit=x", "offset=-1", "offset=x"} {
		assert.Equal(t, 400, s.do("GET", "/views/invoices.sales?"+bad, nil).status, bad)
	}
}

func TestView_givesPropertiesOnlyWhenAskedFor(t *testing.T) {
	s := start(t, nil)
	s.seedSales(fields{"number": "A", "xml": []byte("<Faktura/>"), "properties": fields{"ksefNumber": "K-1", "other": 5}})
	row := func(query string) fields {
		return s.ok("GET", "/views/documents?"+query, nil)["data"].([]any)[0].(fields)
	}
	assert.NotContains(t, row(""), "properties")
	assert.Contains(t, row(""), "companyId")
	assert.Equal(t, fields{"number": "A"}, row("columns=number,nonsense"))
	assert.Equal(t, fields{"number": "A", "properties": fields{"ksefNumber": "K-1"}}, row("columns=number&properties=ksefNumber,missing"))
	assert.Equal(t, fields{"number": "A", "properties": fields{"ksefXml": "<Faktura/>", "other": json.Number("5")}}, row("columns=number&properties=other,ksefXml"))

	s.ok("POST", "/_sim/settings", fields{"flatProperties": true})
	assert.Equal(t, fields{"number": "A", "ksefNumber": "K-1"}, row("columns=number&properties=ksefNumber"))
}

func TestView_refusesAnAnswerOver10MB(t *testing.T) {
	s := start(t, nil)
	xml := []byte("<Faktura>" + strings.Repeat("x", 3<<20) + "</Faktura>")
	s.seedSales(fields{"xml": xml}, fields{"xml": xml}, fields{"xml": xml}, fields{"xml": xml})
	assert.Equal(t, 413, s.do("GET", "/views/documents?properties=ksefXml", nil).status)
	assert.Equal(t, 200, s.do("GET", "/views/documents?properties=ksefXml&limit=3", nil).status)
	assert.Equal(t, 200, s.do("GET", "/views/documents", nil).status)
	huge := fields{"properties": fields{"ksefXml": strings.Repeat("x", 11<<20)}}
	r := s.do("PATCH", "/documents?id=1001", huge)
	assert.True(t, r.err != nil || r.status == 413, "a request over 10 MB is refused: %d", r.status)
}

func TestView_filtersOnPropertiesAsSwitched(t *testing.T) {
	const byProperty = "type='INVOICE.SALES' AND properties.ksefNumber='K-2'"
	for _, c := range []struct {
		rule   string
		filter string
		want   []string // nil: refused
	}{
		{FilterHonoured, byProperty, []string{"1002"}},
		{FilterHonoured, "ksefNumber='K-2'", []string{"1002"}},
		{FilterHonoured, "NOT ksefNumber='K-2'", []string{"1001", "1003"}},
		{FilterIgnored, byProperty, []string{"1001", "1002"}},
		{FilterIgnored, "ksefNumber='K-2'", []string{"1001", "1002", "1003"}},
		{FilterIgnored, "NOT (ksefNumber='K-2')", []string{"1001", "1002", "1003"}},
		{FilterIgnored, "ksefNumber='K-2' OR id=1003", []string{"1003"}},
		{FilterRefused, byProperty, nil},
		{FilterRefused, "id>1002", []string{"1003"}},
	} {
		t.Run(c.rule+" "+c.filter, func(t *testing.T) {
			s := start(t, func(c2 *Config) { c2.FilterProperties = c.rule })
			s.seedSales(
				fields{"properties": fields{"ksefNumber": "K-1"}},
				fields{"properties": fields{"ksefNumber": "K-2"}},
				fields{"type": "INVOICE.SALES.CORRECTION"},
			)
			if c.want == nil {
				filter := strings.ReplaceAll(c.filter, " ", "%20")
				assert.Equal(t, 400, s.do("GET", "/views/invoices.sales?externalFilter="+filter, nil).status)
				assert.Equal(t, 400, s.do("GET", "/views/invoices.purchase?externalFilter="+filter, nil).status, "also where there are no rows")
				return
			}
			assert.Equal(t, c.want, s.ids("invoices.sales", c.filter))
		})
	}
}

func TestView_filtersAsTheVendorsExamplesDo(t *testing.T) {
	s := start(t, nil)
	s.seedSales(fields{"status": "APPROVED"}, fields{"status": "OPEN"}, fields{"type": "INVOICE.PURCHASE", "status": "APPROVED"})
	assert.Equal(t, []string{"1001"}, s.ids("documents", "(type='INVOICE.SALES' AND status='APPROVED')"))
	assert.Equal(t, []string{"1002", "1003"}, s.ids("documents", "id>1001"))
	assert.Equal(t, []string{"1", "2", "3", "4", "5"}, s.ids("users", "isDisabled=false"))
	assert.Equal(t, []string{"1001", "1002"}, s.ids("invoices.sales", ""))
	assert.Equal(t, []string{"1003"}, s.ids("invoices.purchase", ""))
	assert.Equal(t, []string{"1"}, s.ids("units", ""))
	assert.Equal(t, 400, s.do("GET", "/views/documents?externalFilter=id%3D1001+AND+id%3D1001", nil).status, "a plus sign is no space")
}

func TestView_showsDocumentsAsTheyWereBeforeTheDelay(t *testing.T) {
	s := start(t, func(c *Config) { c.ViewDelay, c.TimeScale = 10*time.Minute, 60 })
	id := s.seedSales(fields{"status": "READY.FOR.KSEF"})[0]
	assert.Empty(t, s.ids("documents", ""))
	assert.Equal(t, "READY.FOR.KSEF", s.ok("GET", "/documents?id="+id, nil)["status"], "entities are fresh")
	s.clock.advance(10 * time.Second)
	assert.Equal(t, []string{id}, s.ids("documents", "status='READY.FOR.KSEF'"))
	s.ok("PATCH", "/documents?id="+id, fields{"status": "SENT.TO.KSEF"})
	assert.Equal(t, []string{id}, s.ids("documents", "status='READY.FOR.KSEF'"))
	s.clock.advance(10 * time.Second)
	assert.Empty(t, s.ids("documents", "status='READY.FOR.KSEF'"))
	for range 2 * maxVersions {
		s.ok("PATCH", "/documents?id="+id, fields{"status": "APPROVED"})
	}
	assert.Equal(t, []string{id}, s.ids("documents", ""), "a document does not vanish when its old versions are forgotten")
}
