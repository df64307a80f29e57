package teamogy

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestDefaultFieldMap_isValidAndAFreshCopyEachTime(t *testing.T) {
	m := DefaultFieldMap()
	require.NoError(t, m.Validate())
	m.Types["VAT"] = "X"
	m.Companies.Lookup[0] = "x"
	assert.Equal(t, "INVOICE.PURCHASE", DefaultFieldMap().DocumentType("VAT"))
	require.NoError(t, DefaultFieldMap().Validate())
	assert.Equal(t, "INVOICE.PURCHASE.CORRECTION", DefaultFieldMap().DocumentType("KOR_ROZ"))
	assert.Equal(t, "INVOICE.PURCHASE", DefaultFieldMap().DocumentType("NEW"))
	assert.Equal(t, "INVOICE.PURCHASE", DefaultFieldMap().DocumentType(""))
}

func TestLoadFieldMap_laysAFileOverTheDefaults(t *testing.T) {
	m, err := LoadFieldMap(strings.NewReader(`{
		"properties": {"ksefNumber":"extKsef","ksefNote":null,"ksefMode":"","totalGross":{"type":"decimal-string"},"dueDate":{"key":"due","type":"date-time"}},
		"types": {"ZAL":"MY.PREPAYMENT"}, "views": {"suppliers":""}, "companies": {"lookup":["scan"]},
		"xmlSource":"attachment", "patchMode":"merge", "headers":{"X-Tenant":"acme"}, "pageSize": 200
	}`))
	require.NoError(t, err)
	assert.Equal(t, Property{"extKsef", Text}, m.Properties.KSeFNumber)
	assert.Empty(t, m.Properties.KSeFNote.Key)
	assert.Empty(t, m.Properties.KSeFMode.Key)
	assert.Equal(t, Property{"totalGross", DecimalString}, m.Properties.TotalGross)
	assert.Equal(t, Property{"due", DateTime}, m.Properties.DueDate)
	assert.Equal(t, "MY.PREPAYMENT", m.DocumentType("ZAL"))
	assert.Equal(t, "INVOICE.PURCHASE", m.DocumentType("VAT"))
	assert.Equal(t, []string{"scan"}, m.Companies.Lookup)
	assert.Equal(t, "companies", m.Views.Companies)
	m, err = LoadFieldMap(strings.NewReader("{}\n"))
	require.NoError(t, err)
	assert.Equal(t, DefaultFieldMap(), m)
}

func TestLoadFieldMap_namesWhatIsWrong(t *testing.T) {
	for _, test := range []struct{ file, want string }{
		{``, "EOF"},
		{`[]`, "cannot unmarshal"},
		{`{} {}`, "more text"},
		{`{"property":{}}`, `unknown field "property"`},
		{`{"properties":{"ksefNumer":"x"}}`, `unknown field "ksefNumer"`},
		{`{"properties":{"dueDate":{"keys":"x"}}}`, `unknown field "keys"`},
		{`{"properties":{"dueDate":{"type":"number"}}}`, "properties.dueDate"},
		{`{"properties":{"dueDate":5}}`, "cannot unmarshal"},
		{`{"properties":{"ksefNumber":""}}`, "properties.ksefNumber"},
		{`{"properties":{"ksefXml":null}}`, "properties.ksefXml"},
		{`{"properties":{"ksefNote":"ksefNumber"}}`, "already that of ksefNumber"},
		{`{"properties":{"ksefNote":"a,b"}}`, "properties.ksefNote"},
		{`{"views":{"companies":""}}`, "views.companies"},
		{`{"views":{"companies":"../users"}}`, "views.companies"},
		{`{"columns":{"id":"a b"}}`, "columns.id"},
		{`{"query":{"filter":""}}`, "query.filter"},
		{`{"types":{"VAT":""}}`, "types.VAT"},
		{`{"companies":{"lookup":[]}}`, "companies.lookup"},
		{`{"companies":{"lookup":["guess"]}}`, "guess"},
		{`{"companies":{"lookup":["filter"]}}`, "{nip}"},
		{`{"companies":{"registrationPaths":[]}}`, "registrationPaths"},
		{`{"companies":{"registrationPrefixes":[]}}`, "registrationPrefixes"},
		{`{"companies":{"cacheMinutes":0}}`, "cacheMinutes"},
		{`{"propertyFilter":"x"}`, "propertyFilter"},
		{`{"pageSize":0}`, "pageSize"},
		{`{"pageSize":5000}`, "pageSize"},
		{`{"scanLimit":0}`, "scanLimit"},
		{`{"viewLagSeconds":-1}`, "viewLagSeconds"},
		{`{"xmlSource":"push"}`, "xmlSource"},
		{`{"attachmentPattern":"("}`, "attachmentPattern"},
		{`{"patchMode":"put"}`, "patchMode"},
		{`{"headers":{"authorization":"x"}}`, "authorization"},
		{`{"headers":{"Idempotency-Key":"x"}}`, "Idempotency-Key"},
		{`{"headers":{"a b":"x"}}`, "a b"},
		{`{"headers":{"a":"x\ny"}}`, "headers"},
	} {
		_, err := LoadFieldMap(strings.NewReader(test.file))
		assert.ErrorContains(t, err, test.want, test.file)
	}
	_, err := LoadFieldMap(strings.NewReader(`{"pageSize":0,"scanLimit":0,"patchMode":"x"}`))
	for _, each := range []string{"pageSize", "scanLimit", "patchMode"} {
		assert.ErrorContains(t, err, each, "all at once")
	}
	_, err = LoadFieldMap(strings.NewReader(`{"headers":{"X":"` + strings.Repeat("x", maxFieldMap) + `"}}`))
	require.Error(t, err)
}
