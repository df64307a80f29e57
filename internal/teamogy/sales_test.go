package teamogy

import (
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// listReady lists all ready invoices.
func listReady(c *Client, types []string, status string) (all []ReadyInvoice, err error) {
	all = []ReadyInvoice{}
	_, err = c.ListReadySalesInvoices(background(), types, status, func(some []ReadyInvoice) bool {
		all = append(all, some...)
		return true
	})
	return all, err
}

func TestListReady_readsNoFurtherThanIsWanted(t *testing.T) {
	f := newTenant(t)
	f.pageLimit = 10
	for range 26 {
		f.add(nil, map[string]any{"type": "INVOICE.SALES", "status": "READY"})
	}
	for _, test := range []struct {
		pages int
		got   []int // two rows of a page are read again with the next one, and given once
		all   bool
	}{{2, []int{10, 8}, false}, {3, []int{10, 8, 8}, true}, {4, []int{10, 8, 8}, true}} {
		before := f.seen("GET views/invoices.sales")
		var got []int
		all, err := f.client().ListReadySalesInvoices(background(), []string{"INVOICE.SALES"}, "READY", func(some []ReadyInvoice) bool {
			got = append(got, len(some))
			return len(got) < test.pages
		})
		require.NoError(t, err)
		assert.Equal(t, test.got, got)
		assert.Equal(t, test.all, all)
		assert.Equal(t, len(test.got), f.seen("GET views/invoices.sales")-before)
	}
}

func TestListReady_takesOnlyWhatIsReadyWhateverTheServerSends(t *testing.T) {
	types := []string{"INVOICE.SALES", "INVOICE.SALES.CORRECTION"}
	for _, filter := range []string{"honoured", "ignored"} {
		for _, pageLimit := range []int{2, 1000} {
			f := newTenant(t)
			f.filter, f.pageLimit = filter, pageLimit
			sales := func(kind, status string, properties map[string]any) int64 {
				return f.add(properties, map[string]any{"type": kind, "status": status})
			}
			a := sales("INVOICE.SALES", "READY.FOR.KSEF", nil)
			sales("INVOICE.SALES", "OPEN", nil)
			sales("INVOICE.SALES.PROFORMA", "READY.FOR.KSEF", nil)
			sales("INVOICE.SALES", "READY.FOR.KSEF", map[string]any{"ksefNumber": wantedNumber})
			b := sales("INVOICE.SALES.CORRECTION", "READY.FOR.KSEF", map[string]any{"ksefNumber": nil})
			f.add(nil)
			got, err := listReady(f.client(), types, "READY.FOR.KSEF")
			require.NoError(t, err)
			assert.Equal(t, []ReadyInvoice{
				{ID: a, Type: "INVOICE.SALES", Status: "READY.FOR.KSEF", Number: "D-101"},
				{ID: b, Type: "INVOICE.SALES.CORRECTION", Status: "READY.FOR.KSEF", Number: "D-105"},
			}, got)
		}
	}
}

func TestListReady_refusesToGuess(t *testing.T) {
	f := newTenant(t)
	c := f.client()
	for _, test := range []struct {
		types  []string
		status string
	}{{nil, "READY"}, {[]string{"INVOICE.SALES"}, ""}, {[]string{"INVOICE.SALES"}, "O'K"}, {[]string{"'"}, "READY"}} {
		_, err := listReady(c, test.types, test.status)
		assert.Equal(t, Invalid, kindOfError(t, err))
	}
	assert.Empty(t, f.requests)
	_, err := listReady(fixed(t, 200, nil, `{"data":[{"id":1,"type":"INVOICE.SALES","status":"READY"},{"id":2,"status":"READY"}]}`),
		[]string{"INVOICE.SALES"}, "READY")
	assert.Equal(t, BadAnswer, kindOfError(t, err), "a row that cannot be checked is not sent")
}

// A view that shows a column under another name answers a filter on it with nothing: not the truth, but a field map
// that must be corrected.
func TestListReady_tellsAMissingColumnFromAnEmptyList(t *testing.T) {
	list := func(filtered, all string) ([]ReadyInvoice, error) {
		c := served(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Query().Get("externalFilter") != "" {
				_, _ = w.Write([]byte(filtered))
				return
			}
			_, _ = w.Write([]byte(all))
		})
		return listReady(c, []string{"INVOICE.SALES"}, "READY")
	}
	const none = `{"data":[]}`
	for name, test := range map[string]struct{ filtered, all, column string }{
		"status is called otherwise":     {none, `{"data":[{"id":1,"type":"INVOICE.SALES","state":"OPEN"}]}`, "columns.status"},
		"status is null everywhere":      {none, `{"data":[{"id":1,"type":"INVOICE.SALES","status":null}]}`, "columns.status"},
		"type is called otherwise":       {none, `{"data":[{"id":1,"kind":"INVOICE.SALES","status":"OPEN"}]}`, "columns.type"},
		"the filter lets rows through":   {`{"data":[{"id":1,"type":"INVOICE.SALES"}]}`, none, "columns.status"},
		"there is nothing":               {none, none, ""},
		"there is something else":        {none, `{"data":[{"id":1,"type":"INVOICE.SALES","status":"OPEN"}]}`, ""},
		"there is something else, hasty": {none, `{"data":[{"id":1,"type":"X"},{"id":2,"status":"OPEN"}]}`, ""},
	} {
		ready, err := list(test.filtered, test.all)
		if test.column == "" {
			require.NoError(t, err, name)
			assert.Empty(t, ready, name)
			continue
		}
		assert.Equal(t, NotSearchable, kindOfError(t, err), name)
		require.ErrorContains(t, err, test.column, name)
		assert.ErrorContains(t, err, "view invoices.sales", name)
	}
}

// It costs one more request until a row was seen, and none afterwards.
func TestListReady_looksForTheColumnsOnce(t *testing.T) {
	f := newTenant(t)
	f.add(nil, map[string]any{"type": "INVOICE.SALES", "status": "OPEN"})
	c := f.client()
	for range 5 {
		_, err := listReady(c, []string{"INVOICE.SALES"}, "READY")
		require.NoError(t, err)
	}
	assert.Equal(t, 6, f.seen("GET views/invoices.sales"))
}

func TestReadInvoiceXML_readsThePropertyByteForByte(t *testing.T) {
	xml := "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n<Faktura>ąę&#13;\t</Faktura>\n"
	binary := "\xff\xfe<\x00F\x00"
	for _, test := range []struct{ name, property, want string }{
		{"raw", xml, xml},
		{"raw with BOM", "\ufeff" + xml, "\ufeff" + xml},
		{"raw after white space", "\n " + xml, "\n " + xml},
		{"Base64", base64.StdEncoding.EncodeToString([]byte(xml)), xml},
		{"Base64 without padding", base64.RawStdEncoding.EncodeToString([]byte(xml)), xml},
		{"Base64URL", base64.URLEncoding.EncodeToString([]byte(xml)), xml},
		{"Base64 in lines", base64.StdEncoding.EncodeToString([]byte(xml))[:40] + "\r\n" + base64.StdEncoding.EncodeToString([]byte(xml))[40:], xml},
		{"data URI", "data:application/xml;base64," + base64.StdEncoding.EncodeToString([]byte(xml)), xml},
		{"Base64 of UTF-16", base64.StdEncoding.EncodeToString([]byte(binary)), binary},
		{"not XML at all", "see attachment", "see attachment"},
		{"looks like Base64", "test", "test"},
		{"broken XML", "<Faktura", "<Faktura"},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := newTenant(t)
			id := f.add(map[string]any{"ksefXml": test.property, "ksefNumber": "K"}, map[string]any{"type": "INVOICE.SALES", "companyName": "Beta"})
			got, d, err := f.client().ReadInvoiceXML(background(), id)
			require.NoError(t, err)
			assert.Equal(t, test.want, string(got))
			assert.Equal(t, id, d.ID)
			assert.Equal(t, "Beta", d.CompanyName)
			assert.Equal(t, "K", d.KSeFNumber)
		})
	}
}

func TestReadInvoiceXML_saysWhenThereIsNone(t *testing.T) {
	f := newTenant(t)
	c := f.client()
	for _, properties := range []map[string]any{nil, {}, {"ksefXml": nil}, {"ksefXml": "  "}, {"ksefXml": map[string]any{"a": 1}}} {
		_, d, err := c.ReadInvoiceXML(background(), f.add(properties))
		assert.Equal(t, XMLMissing, kindOfError(t, err))
		assert.NotZero(t, d.ID)
	}
	_, _, err := c.ReadInvoiceXML(background(), 99999)
	assert.Equal(t, NotFound, kindOfError(t, err))
}

func TestReadInvoiceXML_fetchesAnAttachmentFromTheTenantOnly(t *testing.T) {
	stolen := false
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { stolen = true }))
	defer elsewhere.Close()
	var attach string
	c := served(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/files/FV 1.xml":
			assert.Equal(t, "Bearer "+testKey, r.Header.Get("Authorization"))
			assert.Equal(t, "t=1", r.URL.RawQuery)
			w.Header().Set("Content-Type", "application/xml")
			_, _ = w.Write([]byte("<Faktura/>"))
		case "/files/signed.xml":
			if r.Header.Get("Authorization") != "" {
				w.WriteHeader(http.StatusBadRequest)
				return
			}
			_, _ = w.Write([]byte("<Faktura/>"))
		case "/files/empty.xml":
		default:
			_, _ = w.Write([]byte(`{"id":5,"attach":` + attach + `}`))
		}
	}, func(o *Options) {
		o.Fields = DefaultFieldMap()
		o.Fields.XMLSource = XMLFromAttachment
		o.Fields.Properties.KSeFXML.Key = ""
	})
	for _, good := range []string{
		`["/files/FV%201.xml?t=1","/files/FV.pdf"]`,
		`["/files/signed.xml"]`,
		`["` + c.base.String() + `/files/FV%201.xml?t=1"]`,
		`[{"name":"FV.pdf","link":"/files/FV.pdf"},{"name":"a.XML","url":"/files/FV%201.xml?t=1"}]`,
	} {
		attach = good
		xml, d, err := c.ReadInvoiceXML(background(), 5)
		require.NoError(t, err, good)
		assert.Equal(t, "<Faktura/>", string(xml))
		assert.Equal(t, int64(5), d.ID)
	}
	for _, bad := range []string{
		`[]`, `null`, `"x"`, `["/files/FV.pdf"]`, `["/a.xml","/b.xml"]`, `["/files/empty.xml"]`,
		`["` + elsewhere.URL + `/steal.xml"]`, `["//example.com/steal.xml"]`, `["http://user@` + c.Host() + `/x.xml"]`, `["file:///etc/x.xml"]`,
	} {
		attach = bad
		_, _, err := c.ReadInvoiceXML(background(), 5)
		assert.Equal(t, XMLMissing, kindOfError(t, err), bad)
	}
	assert.False(t, stolen)
}
