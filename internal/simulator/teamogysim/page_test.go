package teamogysim

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func (s *site) pageRows(epoch string, since int64) pageJSON {
	s.t.Helper()
	var p pageJSON
	r := s.do("GET", fmt.Sprintf("/page.json?epoch=%s&since=%d", epoch, since), nil)
	require.Equal(s.t, 200, r.status)
	require.NoError(s.t, json.Unmarshal(r.body, &p))
	return p
}

func TestPage_isOneFileWithoutOutsideAssets(t *testing.T) {
	r := start(t, nil).do("GET", "/", nil)
	require.Equal(t, 200, r.status)
	assert.Contains(t, r.header.Get("Content-Type"), "text/html")
	html := string(r.body)
	for _, outside := range []string{`https?:`, `//[a-z]+\.`, `\bsrc=`, `@import`, `url\(`, `innerHTML`, `insertAdjacentHTML`, `document\.write`, `href="[^d]`, `<link[^>]*stylesheet`} {
		assert.Empty(t, regexp.MustCompile(outside).FindString(html), outside)
	}
	for _, wanted := range []string{"simulator with sample data", `aria-live="polite"`, "prefers-color-scheme: dark", "Teamogy simulator", `name="viewport"`} {
		assert.Contains(t, html, wanted)
	}
	policy := r.header.Get("Content-Security-Policy")
	assert.Contains(t, policy, "default-src 'none'")
	assert.Contains(t, policy, "script-src 'sha256-")
	assert.NotContains(t, policy, "unsafe")
}

func TestPageRows_carryOnlyWhatChanged(t *testing.T) {
	s := start(t, nil)
	ids := s.seedSales(fields{"status": "READY.FOR.KSEF", "number": "FV/1"}, fields{"status": "READY.FOR.KSEF"}, fields{"type": "DOCUMENT.CONTRACT"})
	p := s.pageRows("", 0)
	assert.True(t, p.Reset)
	assert.Len(t, p.Rows, 2, "documents that are no invoices are left out")
	assert.Equal(t, 2, p.Counts["issued"][stateWaiting])

	again := s.pageRows(p.Epoch, p.Revision)
	assert.False(t, again.Reset)
	assert.Empty(t, again.Rows)

	s.ok("PATCH", "/documents?id="+ids[0], fields{"status": "SENT.TO.KSEF", "properties": fields{"ksefNumber": "K-1"}})
	changed := s.pageRows(p.Epoch, p.Revision)
	require.Len(t, changed.Rows, 1)
	assert.Equal(t, stateAccepted, changed.Rows[0].State)
	assert.Equal(t, "K-1", changed.Rows[0].KSeFNumber)

	s.ok("POST", "/_sim/reset", nil)
	fresh := s.pageRows(p.Epoch, changed.Revision)
	assert.True(t, fresh.Reset)
	assert.NotEqual(t, p.Epoch, fresh.Epoch)
	assert.Empty(t, fresh.Rows)
}

func TestPageRows_comeInPortionsWhenThereAreMany(t *testing.T) {
	s := start(t, nil)
	var documents []fields
	for i := range 2*pageRows + 17 {
		documents = append(documents, fields{"number": fmt.Sprintf("FV/%d", i)})
	}
	s.seedSales(documents...)
	seen := map[int64]bool{}
	portions, p := 0, pageJSON{}
	for {
		p = s.pageRows(p.Epoch, p.Revision)
		portions++
		for _, row := range p.Rows {
			require.False(t, seen[row.ID], "a row comes once")
			seen[row.ID] = true
		}
		if !p.More {
			break
		}
	}
	assert.Equal(t, 3, portions)
	assert.Len(t, seen, len(documents))
	assert.Empty(t, s.pageRows(p.Epoch, p.Revision).Rows)
}

func TestPageRows_tellTheStateOfEveryInvoice(t *testing.T) {
	s := start(t, nil)
	for _, c := range []struct {
		document fields
		state    string
		note     string
	}{
		{fields{"type": "INVOICE.PURCHASE", "status": "IMPORTED", "properties": fields{"ksefNumber": "K"}}, stateImported, ""},
		{fields{"type": "INVOICE.PURCHASE", "status": "IMPORTED", "properties": fields{"ksefNumber": "K", "ksefNote": "unknown supplier"}}, stateNeedsCheck, "unknown supplier"},
		{fields{"type": "INVOICE.PURCHASE.CORRECTION", "tags": []string{"check"}, "properties": fields{"ksefNumber": "K"}}, stateNeedsCheck, ""},
		{fields{"type": "INVOICE.PURCHASE", "status": "OPEN"}, stateManual, ""},
		{fields{"type": "INVOICE.SALES", "status": "OPEN"}, stateDraft, ""},
		{fields{"type": "INVOICE.SALES", "status": "READY.FOR.KSEF"}, stateWaiting, ""},
		{fields{"type": "INVOICE.SALES", "status": "SENT.TO.KSEF"}, stateSent, ""},
		{fields{"type": "INVOICE.SALES", "status": "SENT.TO.KSEF", "properties": fields{"ksefNumber": "K"}}, stateAccepted, ""},
		{fields{"type": "INVOICE.SALES", "status": "REJECTED.BY.KSEF", "properties": fields{"ksefMessage": "450: wrong"}}, stateRejected, "450: wrong"},
		{fields{"type": "INVOICE.SALES", "status": "OPEN", "properties": fields{"ksefStatus": "rejected"}}, stateRejected, ""},
	} {
		before := s.pageRows("", 0)
		s.seedSales(c.document)
		rows := s.pageRows(before.Epoch, before.Revision).Rows
		require.Len(t, rows, 1)
		assert.Equal(t, c.state, rows[0].State, "%v", c.document)
		assert.Equal(t, c.note, rows[0].Note, "%v", c.document)
	}
}

const sampleXML = `<?xml version="1.0" encoding="UTF-8"?>
<x:Faktura xmlns:x="urn:sample"><x:Podmiot1><x:DaneIdentyfikacyjne><x:NIP>5265877635</x:NIP><x:Nazwa>Nasza &amp; Spółka</x:Nazwa></x:DaneIdentyfikacyjne></x:Podmiot1>
<x:Podmiot2><x:DaneIdentyfikacyjne><x:Nazwa>Klient <![CDATA[<b>S.A.</b>]]></x:Nazwa></x:DaneIdentyfikacyjne></x:Podmiot2>
<x:Fa><x:KodWaluty>EUR</x:KodWaluty><x:P_1>2026-11-20</x:P_1><x:P_2>FV/1</x:P_2><x:P_15>1230.00</x:P_15><x:FaWiersz><x:P_15>9</x:P_15></x:FaWiersz></x:Fa></x:Faktura>`

func TestPageRows_takeFromTheXMLWhatPropertiesLack(t *testing.T) {
	s := start(t, nil)
	id := s.seedSales(fields{"xml": []byte(sampleXML), "status": "READY.FOR.KSEF"})[0]
	check := func() {
		t.Helper()
		row := s.pageRows("", 0).Rows[0]
		assert.Equal(t, "Klient <b>S.A.</b>", row.Company)
		assert.Equal(t, "2026-11-20", row.Date)
		assert.Equal(t, "1230.00", row.Gross)
		assert.Equal(t, "EUR", row.Currency)
	}
	check()
	s.ok("PATCH", "/documents?id="+id, fields{"status": "SENT.TO.KSEF"})
	check()

	s.ok("POST", "/_sim/reset", nil)
	s.seedSales(fields{"type": "INVOICE.PURCHASE", "xml": []byte(sampleXML)})
	assert.Equal(t, "Nasza & Spółka", s.pageRows("", 0).Rows[0].Company)

	s.ok("POST", "/_sim/reset", nil)
	s.seedSales(fields{"companyName": "Inny", "xml": []byte(sampleXML), "properties": fields{"totalGross": 5.1, "currency": "PLN", "issueDate": "2026-01-01"}})
	row := s.pageRows("", 0).Rows[0]
	assert.Equal(t, []string{"Inny", "2026-01-01", "5.1", "PLN"}, []string{row.Company, row.Date, row.Gross, row.Currency})
}

func TestGlance_keepsWhatItHasOfBrokenXML(t *testing.T) {
	for _, broken := range []string{"", "lorem", "<", "<a></b>", "<Faktura><Fa><P_1>2026", "\xff\xfe<", sampleXML[:200]} {
		assert.NotPanics(t, func() { glanceXML([]byte(broken)) }, broken)
	}
	assert.Equal(t, "2026-11-20", glanceXML([]byte(`<Faktura><Fa><P_1>2026-11-20</P_1><P_15>`)).date)
}

func TestGlance_readsTheOfficialSamples(t *testing.T) {
	reference := os.Getenv("KSEF_REFERENCE")
	if reference == "" {
		reference = filepath.Join("..", "..", "..", "..", "shared", "ksef")
	}
	files, err := filepath.Glob(filepath.Join(reference, "invoices", "official", "*.xml"))
	require.NoError(t, err)
	if len(files) == 0 {
		if os.Getenv("CI") != "" {
			t.Fatalf("no official invoices at KSEF_REFERENCE=%s", reference)
		}
		t.Skipf("no official invoices at KSEF_REFERENCE=%s", reference)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		g := glanceXML(data)
		assert.NotEmpty(t, g.seller, file)
		assert.NotEmpty(t, g.buyer, file)
		assert.NotEmpty(t, g.gross, file)
		assert.Len(t, g.date, 10, file)
		assert.Len(t, g.currency, 3, file)
	}
}
