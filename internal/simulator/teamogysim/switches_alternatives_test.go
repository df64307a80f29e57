package teamogysim

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestFilter_takesAlternativesBetweenPropertiesAsSwitched(t *testing.T) {
	s := start(t, nil)
	s.seedSales(fields{"properties": fields{"ksefNumber": "a"}}, fields{"properties": fields{"ksefNumber": "b"}}, fields{"properties": fields{"ksefNumber": "c"}})
	const filter = "(properties.ksefNumber='a' OR properties.ksefNumber='b')"
	for position, want := range map[string][]string{
		AlternativesHonoured: {"1001", "1002"},
		AlternativesFirst:    {"1001"},
		AlternativesLast:     {"1002"},
		AlternativesIgnored:  {"1001", "1002", "1003"},
	} {
		s.switched(fields{"filterAlternatives": position})
		assert.Equal(t, want, s.ids("invoices.sales", filter), position)
		assert.Equal(t, []string{"1001", "1003"}, s.ids("invoices.sales", "id=1001 OR id=1003"), "base columns: %s", position)
		assert.Equal(t, []string{"1003"}, s.ids("invoices.sales", "properties.ksefNumber='c'"), "one alone: %s", position)
	}
	s.switched(fields{"filterAlternatives": AlternativesRefused})
	assert.Equal(t, 400, s.do("GET", "/views/invoices.sales?externalFilter="+strings.ReplaceAll(filter, " ", "%20"), nil).status)
}

func TestView_showsLongTextsAsSwitched(t *testing.T) {
	s := start(t, nil)
	long := "<a>  \r\n" + strings.Repeat("ą", 100) + "</a>"
	s.seedSales(fields{"properties": fields{"ksefXml": long, "ksefNumber": "short"}})
	shown := func() fields {
		row := s.view("invoices.sales", "columns=id&properties=ksefXml,ksefNumber")["data"].([]any)[0].(fields)
		return row["properties"].(fields)
	}
	for position, want := range map[string]any{
		TextsWhole: long, TextsCut: string([]rune(long)[:64]), TextsStripped: "<a> " + strings.Repeat("ą", 100) + "</a>", TextsLeftOut: nil,
	} {
		s.switched(fields{"longTexts": position})
		assert.Equal(t, want, shown()["ksefXml"], position)
		assert.Equal(t, "short", shown()["ksefNumber"], position)
		assert.Equal(t, long, s.ok("GET", "/documents?id=1001", nil)["properties"].(fields)["ksefXml"], "entities show all")
	}
}
