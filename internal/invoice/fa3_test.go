package invoice_test

import (
	"bytes"
	"errors"
	"math/big"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"teamogy-ksef/internal/invoice"
)

func date(y, m, d int) time.Time { return time.Date(y, time.Month(m), d, 0, 0, 0, 0, time.UTC) }

func TestRead_takesEveryFieldOfAnInvoice(t *testing.T) {
	d, err := invoice.Read([]byte(sample))
	require.NoError(t, err)
	assert.Equal(t, invoice.FA3, d.Form)
	assert.Equal(t, invoice.Namespace, d.Namespace)
	assert.Equal(t, invoice.Party{NIP: seller, Name: "Agencja Fala Sp. z o.o.", CountryCode: "PL", Address: "ul. Długa 1, 00-001 Warszawa"}, d.Seller)
	assert.Equal(t, invoice.Party{Name: "Müller & Söhne GmbH", CountryCode: "DE", VatID: "DE123456789", Address: "Hauptstraße 5"}, d.Buyer)
	assert.Equal(t, "FV/2026/11/7", d.Number)
	assert.Equal(t, "VAT", d.Kind)
	assert.Equal(t, "EUR", d.Currency)
	assert.Equal(t, date(2026, 11, 22), d.IssueDate)
	assert.Equal(t, date(2026, 11, 21), d.SupplyDate)
	assert.Equal(t, date(2026, 12, 6), d.DueDate, "the earliest")
	assert.Equal(t, "1388.50", d.Gross.StringFixed(2))
	assert.Equal(t, "1150.50", d.Net.StringFixed(2))
	assert.Equal(t, "238.00", d.VAT.StringFixed(2), "without the tax repeated in PLN")
	assert.True(t, d.HasTotals)
	assert.Equal(t, "61109010140000071219812874", d.BankAccount)
	assert.Equal(t, "Przelew", d.PaymentForm)
	assert.False(t, d.HasAttachment)
	assert.Empty(t, d.Corrected)
	assert.Empty(t, d.Unread)
}

func TestRead_prefersTheFactorsAccount(t *testing.T) {
	d, err := invoice.Read(with(t, "</RachunekBankowy>", "</RachunekBankowy><RachunekBankowyFaktora><NrRB>99222222222222222222222222</NrRB></RachunekBankowyFaktora>"))
	require.NoError(t, err)
	assert.Equal(t, "99222222222222222222222222", d.BankAccount)
}

func TestRead_takesTheWordsOfAnotherFormOfPayment(t *testing.T) {
	d, err := invoice.Read(with(t, "<FormaPlatnosci>6</FormaPlatnosci>", "<PlatnoscInna>1</PlatnoscInna><OpisPlatnosci>kompensata</OpisPlatnosci>"))
	require.NoError(t, err)
	assert.Equal(t, "kompensata", d.PaymentForm)
}

func TestRead_takesForeignTaxNumbersOutsideTheUnion(t *testing.T) {
	d, err := invoice.Read(with(t, "<KodUE>DE</KodUE><NrVatUE>123456789</NrVatUE>", "<KodKraju>US</KodKraju><NrID>99-1</NrID>"))
	require.NoError(t, err)
	assert.Equal(t, "99-1", d.Buyer.VatID)
}

func TestRead_namesWhatItCannotUnderstandAndGoesOn(t *testing.T) {
	xml := with(t, "<P_15>1388.50</P_15>", "<P_15>1e3</P_15>")
	xml = bytes.Replace(xml, []byte("<P_1>2026-11-22</P_1>"), []byte("<P_1>22.11.2026</P_1>"), 1)
	d, err := invoice.Read(xml)
	require.NoError(t, err)
	assert.Equal(t, []string{"Fa/P_1 (line 19)", "Fa/P_15 (line 28)"}, d.Unread)
	assert.True(t, d.IssueDate.IsZero())
	assert.True(t, d.Gross.IsZero())
	assert.Equal(t, "FV/2026/11/7", d.Number)
}

func TestRead_toleratesWhatDoesNotMatter(t *testing.T) {
	plain, err := invoice.Read([]byte(sample))
	require.NoError(t, err)
	prefixed := strings.NewReplacer("</", "</f:", "<?", "<?", "<", "<f:").Replace(sample)
	prefixed = strings.Replace(prefixed, "xmlns=", "xmlns:f=", 1)
	for name, xml := range map[string][]byte{
		"prefix":                 []byte(prefixed),
		"byte order mark":        append([]byte("\xef\xbb\xbf"), sample...),
		"processing instruction": with(t, "<Faktura ", `<?xml-stylesheet href="a.xsl"?><Faktura `),
		"unknown elements":       with(t, "<KodWaluty>", "<Nowe><P_2>x</P_2></Nowe><KodWaluty>"),
		"foreign elements":       with(t, "<KodWaluty>", `<P_2 xmlns="urn:x">x</P_2><KodWaluty>`),
		"comments inside":        with(t, "<P_2>FV/2026", "<P_2>FV<!-- -->/2026"),
		"CDATA":                  with(t, "FV/2026/11/7", "<![CDATA[FV/2026/11/7]]>"),
		"blanks":                 with(t, "<RodzajFaktury>VAT<", "<RodzajFaktury>\n VAT\t<"),
		"CRLF":                   []byte(strings.ReplaceAll(sample, "\n", "\r\n")),
		"no declaration":         with(t, `<?xml version="1.0" encoding="UTF-8"?>`, ""),
		"repeated element":       with(t, "</RodzajFaktury>", "</RodzajFaktury><P_2>second</P_2><P_15>1</P_15><P_13_1>1</P_13_1>"),
	} {
		t.Run(name, func(t *testing.T) {
			d, err := invoice.Read(xml)
			require.NoError(t, err)
			assert.Equal(t, plain, d)
		})
	}
}

func TestRead_refusesWhatIsNoInvoice(t *testing.T) {
	for _, c := range []struct {
		name, rule string
		xml        []byte
	}{
		{"nothing", invoice.RuleEmpty, nil},
		{"blanks", invoice.RuleEmpty, []byte(" \r\n\t")},
		{"byte order mark alone", invoice.RuleEmpty, []byte("\xef\xbb\xbf")},
		{"text", invoice.RuleNotWellFormed, []byte("hello")},
		{"PDF", invoice.RuleNotWellFormed, []byte("%PDF-1.7\n")},
		{"cut off", invoice.RuleNotWellFormed, []byte(sample[:len(sample)/2])},
		{"other root", invoice.RuleFormUnknown, []byte(`<Invoice xmlns="urn:oasis:names:specification:ubl:schema:xsd:Invoice-2"/>`)},
		{"DOCTYPE", invoice.RuleDoctype, with(t, "<Faktura ", "<!DOCTYPE Faktura [<!ENTITY a \"b\">]><Faktura ")},
		{"other encoding", invoice.RuleEncoding, with(t, "UTF-8", "ISO-8859-2")},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := invoice.Read(c.xml)
			var problem *invoice.Problem
			require.ErrorAs(t, err, &problem)
			assert.Equal(t, c.rule, problem.Rule, problem.Text)
		})
	}
}

func TestRead_boundsDepth(t *testing.T) {
	_, err := invoice.Read([]byte(strings.Repeat("<a>", 1_000_000)))
	var problem *invoice.Problem
	require.ErrorAs(t, err, &problem)
	assert.Equal(t, invoice.RuleNotWellFormed, problem.Rule)
	assert.Contains(t, problem.Text, "nested deeper")
}

func TestRead_keepsMemoryBoundedForAThreeMegabyteInvoice(t *testing.T) {
	lines := strings.Repeat("<FaWiersz><NrWierszaFa>1</NrWierszaFa><P_7>"+strings.Repeat("kampania ", 40)+"</P_7></FaWiersz>\n", 7_000)
	xml := with(t, "<Platnosc>", lines+"<Platnosc>")
	require.Greater(t, len(xml), 2_900_000)
	d, err := invoice.Read(xml)
	require.NoError(t, err)
	assert.Equal(t, "Przelew", d.PaymentForm)

	huge := with(t, "FV/2026/11/7", strings.Repeat("ż", 1_500_000))
	d, err = invoice.Read(huge)
	require.NoError(t, err)
	assert.LessOrEqual(t, len(d.Number), 2048)
	assert.Equal(t, "ż", strings.Trim(d.Number, "ż")+"ż", "cut between characters")
}

// officialInvoices is what the 26 samples of the Ministry of Finance say, by their number.
var officialInvoices = []struct {
	number, kind, currency, gross, date string
	corrected                           int
	attachment                          bool
}{
	{"FV2026/02/150", "VAT", "PLN", "2051", "2026-02-15", 0, false},
	{"FK2026/03/200", "KOR", "PLN", "-200", "2026-03-15", 1, false},
	{"FK2026/03/200", "KOR", "PLN", "-200", "2026-03-15", 1, false},
	{"FV2026/02/150", "VAT", "PLN", "64279.92", "2026-02-15", 0, false},
	{"FK2026/04/23", "KOR", "PLN", "0", "2026-04-01", 1, false},
	{"FK2026/07/243", "KOR", "PLN", "-50000", "2026-07-15", 6, false},
	{"FK2026/07/243", "KOR", "PLN", "-50000", "2026-07-15", 6, false},
	{"FM2026/02/150", "VAT", "PLN", "15000", "2026-02-27", 0, false},
	{"FV2026/02/150", "VAT", "PLN", "2760", "2026-02-15", 0, false},
	{"FZ2026/02/150", "ZAL", "PLN", "20000", "2026-02-15", 0, false},
	{"FK2026/03/5", "KOR_ZAL", "PLN", "0", "2026-03-15", 1, false},
	{"FK2026/03/7", "KOR_ZAL", "PLN", "10000", "2026-03-17", 1, false},
	{"FK2026/03/7", "KOR_ZAL", "PLN", "0", "2026-03-17", 1, false},
	{"FV2026/08/12", "ROZ", "PLN", "307635", "2026-08-17", 0, false},
	{"FV2026/02/150", "UPR", "PLN", "450", "2026-02-15", 0, false},
	{"FV2026/02/150", "UPR", "PLN", "450", "2026-02-15", 0, false},
	{"FV2026/08/12", "ROZ", "PLN", "300000", "2026-08-17", 0, false},
	{"FK2026/09/1", "KOR_ROZ", "PLN", "7635", "2026-08-17", 1, false},
	{"FM2026/02/150", "VAT", "PLN", "3000", "2026-02-15", 0, false},
	{"FV2026/02/150", "VAT", "EUR", "16678.80", "2026-02-15", 0, false},
	{"FV2026/02/150", "VAT", "EUR", "16678.80", "2026-02-15", 0, false},
	{"FV2026/02/150", "VAT", "EUR", "4000", "2026-02-15", 0, false},
	{"FV2026/02/150", "VAT", "USD", "8000", "2026-06-15", 0, false},
	{"FV2026/02/150", "VAT", "PLN", "53.63", "2026-02-28", 0, true},
	{"FV2026/02/150", "VAT", "PLN", "53.63", "2026-02-28", 0, true},
	{"FA/2026/02/999", "VAT", "PLN", "31.5", "2026-02-01", 0, false},
}

func TestOfficialInvoices_areReadAndPassTheChecksExceptAttachments(t *testing.T) {
	for i, want := range officialInvoices {
		path := official(t, i+1)
		t.Run(strconv.Itoa(i+1), func(t *testing.T) {
			xml := readFile(t, path)
			d, err := invoice.Read(xml)
			require.NoError(t, err)
			assert.Equal(t, want.number, d.Number)
			assert.Equal(t, want.kind, d.Kind)
			assert.Equal(t, want.currency, d.Currency)
			assert.Equal(t, want.date, d.IssueDate.Format(time.DateOnly))
			gross, ok := new(big.Rat).SetString(want.gross)
			require.True(t, ok)
			assert.Zero(t, d.Gross.Rat().Cmp(gross), "gross %s, want %s", d.Gross, want.gross)
			assert.Equal(t, "9999999999", d.Seller.NIP)
			assert.NotEmpty(t, d.Seller.Name)
			assert.NotEmpty(t, d.Buyer.NIP+d.Buyer.VatID)
			assert.Equal(t, want.attachment, d.HasAttachment)
			assert.Len(t, d.Corrected, want.corrected)
			for _, c := range d.Corrected {
				assert.NotEmpty(t, c.Number)
				assert.Len(t, c.IssueDate, 10)
				assert.Len(t, c.KSeFNumber, 35)
			}
			assert.Empty(t, d.Unread)

			checked, err := invoice.CheckForSending(xml, invoice.Check{SellerNIP: "9999999999", Today: today})
			assert.Equal(t, d, checked)
			if !want.attachment {
				require.NoError(t, err)
				return
			}
			var problems *invoice.Problems
			require.ErrorAs(t, err, &problems)
			require.Len(t, problems.List, 1)
			assert.Equal(t, invoice.RuleAttachmentNeedsBatch, problems.List[0].Rule)
			_, err = invoice.CheckForSending(xml, invoice.Check{SellerNIP: "9999999999", Today: today, AllowAttachment: true})
			require.NoError(t, err)
		})
	}
}

// Totals of every official invoice that has them add up, margin invoices (no tax shown), final and advance ones included.
func TestOfficialInvoices_totalsAddUp(t *testing.T) {
	for i := range officialInvoices {
		d, err := invoice.Read(readFile(t, official(t, i+1)))
		require.NoError(t, err)
		if !d.HasTotals {
			continue
		}
		difference := d.Net.Add(d.VAT).Sub(d.Gross).Abs()
		assert.LessOrEqual(t, difference.InexactFloat64(), 0.02, "no. %d: net %s, VAT %s, gross %s", i+1, d.Net, d.VAT, d.Gross)
	}
}

func TestAmount_followsXSDDecimalAndNothingElse(t *testing.T) {
	for text, want := range map[string]string{
		"1": "1", " 1.50\n": "1.5", "-0": "0", "+7.10": "7.1", ".5": "0.5", "1.": "1", "007": "7", "123456789012345678.99": "123456789012345678.99",
		"": "", "1e3": "", "1E3": "", "1,50": "", "1 000": "", "NaN": "", "Inf": "", "0x10": "", "1_000": "", "--1": "", ".": "", "１": "",
		strings.Repeat("9", 100): "", "\u00a01": "",
	} {
		d, err := invoice.Read(with(t, "<P_15>1388.50</P_15>", "<P_15>"+text+"</P_15>"))
		require.NoError(t, err)
		if want == "" {
			assert.Len(t, d.Unread, 1, "%q", text)
			assert.True(t, d.Gross.IsZero(), "%q", text)
			continue
		}
		assert.Empty(t, d.Unread, "%q", text)
		assert.Equal(t, want, d.Gross.String(), "%q", text)
	}
}

func TestTotals_areExactSums(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		names := []string{"P_13_1", "P_13_2", "P_13_3", "P_13_4", "P_13_5", "P_13_6_1", "P_13_6_2", "P_13_6_3", "P_13_7", "P_13_8", "P_13_9", "P_13_10", "P_13_11", "P_14_1", "P_14_2", "P_14_5"}
		net, tax := new(big.Rat), new(big.Rat)
		var b strings.Builder
		b.WriteString(`<Faktura><Fa>`)
		for _, name := range rapid.SliceOfNDistinct(rapid.SampledFrom(names), 0, len(names), rapid.ID[string]).Draw(t, "names") {
			cents := rapid.Int64Range(-1e15, 1e15).Draw(t, name)
			amount := big.NewRat(cents, 100)
			b.WriteString("<" + name + ">" + amount.FloatString(2) + "</" + name + ">")
			if strings.HasPrefix(name, "P_13") {
				net.Add(net, amount)
			} else {
				tax.Add(tax, amount)
			}
		}
		b.WriteString(`<P_14_1W>5</P_14_1W></Fa></Faktura>`)
		d, err := invoice.Read([]byte(b.String()))
		if err != nil {
			t.Fatal(err)
		}
		if d.Net.Rat().Cmp(net) != 0 || d.VAT.Rat().Cmp(tax) != 0 {
			t.Fatalf("net %s want %s, VAT %s want %s", d.Net, net, d.VAT, tax)
		}
	})
}

func TestSHA256_isOfTheExactBytes(t *testing.T) {
	assert.Equal(t, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", invoice.SHA256(nil))
	assert.NotEqual(t, invoice.SHA256([]byte("a\n")), invoice.SHA256([]byte("a\r\n")))
}

// FuzzRead proves that whatever is taken for an invoice is read or refused with
// problems that say which, is never changed, and may be sent only if it can be
// read and is what KSeF takes.
func FuzzRead(f *testing.F) {
	addOfficial(f)
	f.Add([]byte(sample))
	f.Add([]byte(strings.ReplaceAll(sample, "\n", "\r\n")))
	f.Add([]byte("\xef\xbb\xbf<Faktura/>"))
	f.Add([]byte(`<?xml version="1.0" encoding="utf-16"?><Faktura/>`))
	f.Add([]byte(`<!DOCTYPE a [<!ENTITY b "c">]><Faktura>&b;</Faktura>`))
	f.Add([]byte(`<a:Faktura xmlns:a="x"><a:Fa><a:P_13_1>1</a:P_13_1><a:P_2>&#x80;&#65;</a:P_2></a:Fa></a:Faktura>`))
	f.Add([]byte(`<Faktura><Fa><DaneFaKorygowanej/><DaneFaKorygowanej><NrFaKorygowanej>1</NrFaKorygowanej></DaneFaKorygowanej></Fa></Faktura><?x?>`))
	f.Add([]byte("<Faktura><Fa><P_2>\x00\xff</P_2></Fa></Faktura>"))
	f.Fuzz(func(t *testing.T, xml []byte) {
		before := bytes.Clone(xml)
		_, readErr := invoice.Read(xml)
		d, err := invoice.CheckForSending(xml, check())
		if !bytes.Equal(before, xml) {
			t.Fatal("the bytes were changed")
		}
		var problem *invoice.Problem
		if readErr != nil && (!errors.As(readErr, &problem) || problem.Rule == "" || len(problem.Text) > 1000) {
			t.Fatalf("no good problem: %v", readErr)
		}
		if err == nil {
			if readErr != nil {
				t.Fatalf("may be sent but not read: %v", readErr)
			}
			if d.Number == "" || d.Seller.NIP != seller || d.IssueDate.IsZero() || d.IssueDate.After(today) || d.Form != invoice.FA3 {
				t.Fatalf("passed with %+v", d)
			}
			return
		}
		var problems *invoice.Problems
		if !errors.As(err, &problems) || len(problems.List) == 0 || len(err.Error()) > 10_000 {
			t.Fatalf("no good problems: %v", err)
		}
	})
}
