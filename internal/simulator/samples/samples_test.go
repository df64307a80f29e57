package samples

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

var (
	day  = time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)
	demo = Options{Seed: 7, OurNIP: "5265877635", OurName: "Nowa Fala & Spółka", Today: day}
)

// content is what the tests read back of an invoice, by a reader of its own.
type content struct {
	Seller   string   `xml:"Podmiot1>DaneIdentyfikacyjne>NIP"`
	Buyer    string   `xml:"Podmiot2>DaneIdentyfikacyjne>NIP"`
	BuyerVat string   `xml:"Podmiot2>DaneIdentyfikacyjne>NrVatUE"`
	Name     string   `xml:"Podmiot2>DaneIdentyfikacyjne>Nazwa"`
	Currency string   `xml:"Fa>KodWaluty"`
	Issued   string   `xml:"Fa>P_1"`
	Supplied string   `xml:"Fa>P_6"`
	Number   string   `xml:"Fa>P_2"`
	Gross    string   `xml:"Fa>P_15"`
	Kind     string   `xml:"Fa>RodzajFaktury"`
	Rates    []string `xml:"Fa>FaWiersz>P_12"`
	Lines    []string `xml:"Fa>FaWiersz>P_7"`
}

func parse(t testing.TB, invoice []byte) content {
	t.Helper()
	var c content
	require.NoError(t, xml.Unmarshal(invoice, &c))
	return c
}

func TestGenerateReceived_showsEveryKindRateAndCurrency(t *testing.T) {
	kinds, currencies, rates := map[string]int{}, map[string]int{}, map[string]int{}
	sellers := map[string]bool{}
	made := GenerateReceived(demo, 12)
	require.Len(t, made, 12)
	for i, r := range made {
		c := parse(t, r.XML)
		assert.Equal(t, content{
			Seller: r.SellerNIP, Buyer: demo.OurNIP, Name: demo.OurName, Currency: r.Currency, Number: r.Number, Gross: r.Gross, Kind: r.Kind,
			Issued: c.Issued, Supplied: c.Supplied, Rates: c.Rates, Lines: c.Lines,
		}, c)
		kinds[r.Kind]++
		currencies[r.Currency]++
		sellers[r.SellerNIP] = true
		for _, rate := range c.Rates {
			rates[rate]++
		}
		assert.Equal(t, i < 11, r.SupplierKnown)
		assert.Equal(t, r.SupplierKnown, slices.Contains(Suppliers(demo), Company{NIP: r.SellerNIP, Name: r.SellerName}))
	}
	for _, kind := range []string{"VAT", "KOR", "ZAL", "ROZ", "UPR", "KOR_ZAL", "KOR_ROZ"} {
		assert.Positive(t, kinds[kind], kind)
	}
	for _, rate := range []string{"23", "8", "0 KR", "zw"} {
		assert.Positive(t, rates[rate], rate)
	}
	assert.Positive(t, currencies["PLN"])
	assert.Positive(t, currencies["EUR"])
	assert.Len(t, sellers, 9, "eight suppliers and the unknown one")
}

func TestGenerateIssued_showsEveryKindAndOneDuplicate(t *testing.T) {
	kinds, currencies := map[string]int{}, map[string]int{}
	made := GenerateIssued(demo, 8)
	require.Len(t, made, 8)
	for i, r := range made {
		c := parse(t, r.XML)
		assert.Equal(t, content{
			Seller: demo.OurNIP, Buyer: r.BuyerNIP, BuyerVat: c.BuyerVat, Name: r.BuyerName, Currency: r.Currency, Number: r.Number, Gross: r.Gross, Kind: r.Kind, Issued: r.IssueDate,
			Supplied: c.Supplied, Rates: c.Rates, Lines: c.Lines,
		}, c)
		kinds[r.Kind]++
		currencies[r.Currency]++
		if i < 7 {
			assert.Equal(t, Accepted, r.Expect)
			assert.Nil(t, r.Blocker)
			continue
		}
		assert.Equal(t, Duplicate, r.Expect)
		blocker := parse(t, r.Blocker)
		assert.Equal(t, []string{c.Seller, c.Kind, c.Number}, []string{blocker.Seller, blocker.Kind, blocker.Number})
		assert.NotEqual(t, r.XML, r.Blocker)
	}
	assert.Len(t, kinds, 7)
	assert.Len(t, currencies, 2)
}

func TestGenerate_oneInvoiceIsAnOrdinaryOne(t *testing.T) {
	for _, n := range []int{0, 1} {
		received := GenerateReceived(demo, n)
		require.Len(t, received, 1)
		assert.True(t, received[0].SupplierKnown)
		issued := GenerateIssued(demo, n)
		require.Len(t, issued, 1)
		assert.Equal(t, Accepted, issued[0].Expect)
		assert.Equal(t, "FV/2026/11/1", issued[0].Number)
	}
}

func TestGenerate_isDeterministicPerSeed(t *testing.T) {
	assert.Equal(t, GenerateReceived(demo, 30), GenerateReceived(demo, 30))
	assert.Equal(t, GenerateIssued(demo, 30), GenerateIssued(demo, 30))
	other := demo
	other.Seed++
	assert.NotEqual(t, GenerateReceived(demo, 1)[0].XML, GenerateReceived(other, 1)[0].XML)
	assert.Equal(t, Suppliers(demo), Suppliers(other))
}

func TestGenerate_holdsForAnySeedAndDay(t *testing.T) {
	numberForm := regexp.MustCompile(`^[A-Z]{2,4}/\d{4}/\d{2}/\d+$`)
	rapid.Check(t, func(t *rapid.T) {
		o := Options{Seed: rapid.Int64().Draw(t, "seed"), OurNIP: NIP(rapid.IntRange(0, 400).Draw(t, "nip")), Today: day.AddDate(0, 0, rapid.IntRange(-300, 3_000).Draw(t, "day"))}
		n := rapid.IntRange(1, 60).Draw(t, "n")
		numbers, hashes := map[string]bool{}, map[string]bool{}
		examine := func(number, partner string, invoice []byte) {
			if numbers[number] || hashes[string(invoice)] || !numberForm.MatchString(number) {
				t.Fatalf("number %s or content is not unique or not of the form", number)
			}
			numbers[number], hashes[string(invoice)] = true, true
			if partner == o.OurNIP {
				t.Fatal("we trade with ourselves")
			}
			var c content
			if err := xml.Unmarshal(invoice, &c); err != nil {
				t.Fatal(err)
			}
			issued, err := time.Parse(time.DateOnly, c.Issued)
			if err != nil || issued.After(o.Today) || o.Today.Sub(issued) > 20*24*time.Hour || c.Supplied > c.Issued {
				t.Fatalf("issued %s, supplied %s, today %s", c.Issued, c.Supplied, o.Today)
			}
		}
		unknown, duplicates := 0, 0
		for _, r := range GenerateReceived(o, n) {
			examine(r.Number, r.SellerNIP, r.XML)
			if !r.SupplierKnown {
				unknown++
			}
		}
		numbers = map[string]bool{}
		for _, r := range GenerateIssued(o, n) {
			examine(r.Number, r.BuyerNIP, r.XML)
			if r.Expect == Duplicate {
				duplicates++
			}
		}
		if want := min(n-1, 1); unknown != want || duplicates != want {
			t.Fatalf("%d unknown suppliers, %d duplicates, want %d", unknown, duplicates, want)
		}
	})
}

func TestGenerate_totalsAgreeWithLines(t *testing.T) {
	for i, r := range GenerateReceived(demo, 44) {
		if r.Kind != "VAT" && r.Kind != "KOR" {
			continue
		}
		var totals struct {
			Fa struct {
				Amounts []struct {
					XMLName xml.Name
					Text    string `xml:",chardata"`
				} `xml:",any"`
			}
		}
		require.NoError(t, xml.Unmarshal(r.XML, &totals))
		var sum, gross int64
		for _, a := range totals.Fa.Amounts {
			cents := func() int64 {
				var n int64
				_, err := fmt.Sscanf(strings.Replace(a.Text, ".", "", 1), "%d", &n)
				require.NoError(t, err)
				return n
			}
			switch name := a.XMLName.Local; {
			case name == "P_15":
				gross = cents()
			case strings.HasPrefix(name, "P_13_"), strings.HasPrefix(name, "P_14_") && !strings.HasSuffix(name, "W"):
				sum += cents()
			}
		}
		assert.Equal(t, gross, sum, "invoice %d", i)
		assert.Equal(t, money(gross), r.Gross)
	}
}

func TestLargeXML_hasTheSizeAskedFor(t *testing.T) {
	for _, size := range []int{5_000, 10_000, 999_999, 1_000_001, 3_000_000} {
		invoice := LargeXML(demo, size)
		assert.Len(t, invoice, size)
		c := parse(t, invoice)
		assert.Equal(t, fmt.Sprintf("FV/2026/11/L%d", size), c.Number)
		assert.LessOrEqual(t, len(c.Lines), maxLines)
		assert.Less(t, len(invoice)-len(bytes.TrimRight(invoice, "\n")), 2_000, "blank lines at the end")
		assert.Equal(t, invoice, LargeXML(demo, size))
	}
	assert.Len(t, parse(t, LargeXML(demo, 0)).Lines, 1)
	assert.Len(t, parse(t, LargeXML(demo, 20_000_000)).Lines, maxLines)
}

func TestNIP_hasAValidChecksumAndFormAndIsUnique(t *testing.T) {
	form := regexp.MustCompile(`^[1-9]((\d[1-9])|([1-9]\d))\d{7}$`)
	valid := func(nip string) bool {
		sum := 0
		for i, weight := range []int{6, 5, 7, 2, 3, 4, 5, 6, 7} {
			sum += weight * int(nip[i]-'0')
		}
		return form.MatchString(nip) && sum%11 == int(nip[9]-'0')
	}
	require.True(t, valid("5265877635"), "the test's own rule, on a real number")
	rapid.Check(t, func(t *rapid.T) {
		seed := rapid.Int().Draw(t, "seed")
		if nip := NIP(seed); !valid(nip) || nip != NIP(seed) {
			t.Fatal(nip)
		}
	})
	seen := map[string]bool{}
	for seed := range 20_000 {
		nip := NIP(seed)
		require.True(t, valid(nip))
		require.False(t, seen[nip], "seed %d", seed)
		seen[nip] = true
	}
}

func TestAccount_hasAnIBANChecksum(t *testing.T) {
	for seed := range 100 {
		number := account(NIP(seed))
		require.Len(t, number, 26)
		remainder := 0
		for _, digit := range number[2:] + "2521" + number[:2] {
			remainder = (remainder*10 + int(digit-'0')) % 97
		}
		assert.Equal(t, 1, remainder)
	}
}

func TestKSeFNumber_hasTheChecksumOfRealOnes(t *testing.T) {
	assert.Equal(t, "5265877635-20250826-0100001AF629-AF", ksefNumber("5265877635", time.Date(2025, 8, 26, 0, 0, 0, 0, time.UTC), 0x0100001AF629))
	assert.Equal(t, "5265877635-20250626-010080DD2B5E-26", ksefNumber("5265877635", time.Date(2025, 6, 26, 0, 0, 0, 0, time.UTC), 0x010080DD2B5E))
	assert.Equal(t, "5265877635-20250916-0200A0D6723E-C2", ksefNumber("5265877635", time.Date(2025, 9, 16, 0, 0, 0, 0, time.UTC), 0x0200A0D6723E))
}

// referenceFile returns a path in the folder of KSeF's official files, or skips (with CI set: fails).
func referenceFile(t testing.TB, path ...string) string {
	t.Helper()
	root := os.Getenv("KSEF_REFERENCE")
	switch {
	case root == "":
		root = filepath.Join("..", "..", "..", "..", "shared", "ksef")
	case !filepath.IsAbs(root):
		root = filepath.Join("..", "..", "..", root)
	}
	found := filepath.Join(append([]string{root}, path...)...)
	if _, err := os.Stat(found); err != nil {
		missing(t, "the reference files of KSeF are not there: set KSEF_REFERENCE to their folder")
	}
	return found
}

func missing(t testing.TB, text string) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatal(text)
	}
	t.Skip(text)
}

func TestEverySample_isValidAgainstTheSchema(t *testing.T) {
	schema := localSchema(t)
	dir := t.TempDir()
	var files []string
	add := func(name string, invoice []byte) {
		path := filepath.Join(dir, name+".xml")
		require.NoError(t, os.WriteFile(path, invoice, 0o600))
		files = append(files, path)
	}
	for _, o := range []Options{demo, {Seed: 1, Today: day}, {Seed: -5, OurNIP: NIP(100), Today: time.Date(2025, 9, 1, 0, 0, 0, 0, time.UTC)}, {Seed: 99, Today: time.Date(2027, 1, 3, 0, 0, 0, 0, time.UTC)}} {
		for i, r := range GenerateReceived(o, 89) { // every scenario meets every supplier
			add(fmt.Sprintf("received%d-%03d", o.Seed, i), r.XML)
		}
		for i, r := range GenerateIssued(o, 85) { // every scenario meets every client
			add(fmt.Sprintf("issued%d-%03d", o.Seed, i), r.XML)
			if r.Blocker != nil {
				add(fmt.Sprintf("blocker%d-%03d", o.Seed, i), r.Blocker)
			}
		}
	}
	add("large", LargeXML(demo, 3_000_000))
	add("largest", LargeXML(demo, 20_000_000))
	for i, path := range officialInvoices(t) {
		adapted, err := Adapt(readFile(t, path), NIP(5), "FV/2026/11/7")
		require.NoError(t, err)
		add(fmt.Sprintf("adapted-%02d", i+1), adapted)
	}
	validate(t, schema, files)
}

// localSchema copies the FA(3) schema and its parts to a folder of the test, with the import pointing there instead of to the network.
func localSchema(t *testing.T) string {
	t.Helper()
	if _, err := exec.LookPath("xmllint"); err != nil {
		missing(t, "xmllint is not installed (Debian package libxml2-utils)")
	}
	dir := t.TempDir()
	parts, err := filepath.Glob(filepath.Join(referenceFile(t, "xsd", "fa", "bazowe"), "*.xsd"))
	require.NoError(t, err)
	require.NotEmpty(t, parts)
	for _, part := range parts {
		require.NoError(t, os.WriteFile(filepath.Join(dir, filepath.Base(part)), readFile(t, part), 0o600))
	}
	location := regexp.MustCompile(`schemaLocation="http://[^"]*/(StrukturyDanych_v10-0E\.xsd)"`)
	schema := readFile(t, referenceFile(t, "xsd", "fa", "schemat_FA3_v1-0E.xsd"))
	require.Len(t, location.FindAll(schema, -1), 1)
	path := filepath.Join(dir, "fa3.xsd")
	require.NoError(t, os.WriteFile(path, location.ReplaceAll(schema, []byte(`schemaLocation="$1"`)), 0o600))
	return path
}

func validate(t *testing.T, schema string, files []string) {
	t.Helper()
	output, err := exec.CommandContext(t.Context(), "xmllint", append([]string{"--nonet", "--noout", "--schema", schema}, files...)...).CombinedOutput()
	if err == nil {
		assert.Equal(t, len(files), bytes.Count(output, []byte(" validates\n")))
		return
	}
	var wrong []string
	for line := range strings.Lines(string(output)) {
		if !strings.HasSuffix(line, " validates\n") && len(wrong) < 20 {
			wrong = append(wrong, line)
		}
	}
	t.Fatalf("%v:\n%s", err, strings.Join(wrong, ""))
}

func TestSchemaCheck_findsAnInvalidInvoice(t *testing.T) {
	schema := localSchema(t)
	path := filepath.Join(t.TempDir(), "wrong.xml")
	wrong := bytes.Replace(GenerateReceived(demo, 1)[0].XML, []byte("<P_16>2</P_16>"), nil, 1)
	require.NoError(t, os.WriteFile(path, wrong, 0o600))
	require.Error(t, exec.CommandContext(t.Context(), "xmllint", "--nonet", "--noout", "--schema", schema, path).Run())
}

func readFile(t testing.TB, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	return data
}
