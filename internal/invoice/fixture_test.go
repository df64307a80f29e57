package invoice_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"teamogy-ksef/internal/invoice"
)

const seller = "5265877635"

var today = time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)

func check() invoice.Check { return invoice.Check{SellerNIP: seller, Today: today} }

// sample is a small FA(3) invoice that every check accepts. The tests change one thing in it.
const sample = `<?xml version="1.0" encoding="UTF-8"?>
<Faktura xmlns="http://crd.gov.pl/wzor/2025/06/25/13775/">
  <Naglowek>
    <KodFormularza kodSystemowy="FA (3)" wersjaSchemy="1-0E">FA</KodFormularza>
    <WariantFormularza>3</WariantFormularza>
    <DataWytworzeniaFa>2026-11-22T08:00:00Z</DataWytworzeniaFa>
  </Naglowek>
  <Podmiot1>
    <DaneIdentyfikacyjne><NIP>5265877635</NIP><Nazwa>Agencja Fala Sp. z o.o.</Nazwa></DaneIdentyfikacyjne>
    <Adres><KodKraju>PL</KodKraju><AdresL1>ul. Długa 1</AdresL1><AdresL2>00-001 Warszawa</AdresL2></Adres>
  </Podmiot1>
  <Podmiot2>
    <DaneIdentyfikacyjne><KodUE>DE</KodUE><NrVatUE>123456789</NrVatUE><Nazwa>Müller &amp; Söhne GmbH</Nazwa></DaneIdentyfikacyjne>
    <Adres><KodKraju>DE</KodKraju><AdresL1>Hauptstraße 5</AdresL1></Adres>
    <JST>2</JST><GV>2</GV>
  </Podmiot2>
  <Fa>
    <KodWaluty>EUR</KodWaluty>
    <P_1>2026-11-22</P_1>
    <P_2>FV/2026/11/7</P_2>
    <OkresFa><P_6_Od>2026-11-01</P_6_Od><P_6_Do>2026-11-21</P_6_Do></OkresFa>
    <P_13_1> 1000.00 </P_13_1>
    <P_14_1>230.00</P_14_1>
    <P_14_1W>989.00</P_14_1W>
    <P_13_2>100</P_13_2>
    <P_14_2>8.00</P_14_2>
    <P_13_7>50.5</P_13_7>
    <P_15>1388.50</P_15>
    <RodzajFaktury>VAT</RodzajFaktury>
    <Platnosc>
      <TerminPlatnosci><Termin>2026-12-22</Termin></TerminPlatnosci>
      <TerminPlatnosci><Termin>2026-12-06</Termin></TerminPlatnosci>
      <FormaPlatnosci>6</FormaPlatnosci>
      <RachunekBankowy><NrRB>61109010140000071219812874</NrRB></RachunekBankowy>
    </Platnosc>
  </Fa>
</Faktura>
`

// with returns sample with one piece of text replaced; it fails when the piece is not there exactly once.
func with(t testing.TB, old, replacement string) []byte {
	t.Helper()
	if n := strings.Count(sample, old); n != 1 {
		t.Fatalf("%q is %d times in the sample", old, n)
	}
	return []byte(strings.Replace(sample, old, replacement, 1))
}

const officialAbsent = "the official sample invoices are not there: set KSEF_REFERENCE to the folder of KSeF's reference files"

// officialPath is where an official sample invoice of the Ministry of Finance lies, 1 to 26.
func officialPath(number int) (string, error) {
	reference := os.Getenv("KSEF_REFERENCE")
	if reference == "" {
		reference = filepath.Join("..", "..", "..", "shared", "ksef")
	} else if !filepath.IsAbs(reference) {
		reference = filepath.Join("..", "..", reference)
	}
	path := filepath.Join(reference, "invoices", "official", fmt.Sprintf("FA_3_Przyklad_%d.xml", number))
	_, err := os.Stat(path)
	return path, err
}

// official is officialPath for a test that can do nothing without: it fails in CI and is skipped elsewhere.
func official(t testing.TB, number int) string {
	t.Helper()
	path, err := officialPath(number)
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(officialAbsent, err)
		}
		t.Skip(officialAbsent)
	}
	return path
}

// addOfficial gives a fuzz target the official sample invoices as seeds. They are read where they lie; a
// finding that grew out of one is cut down to what matters before it is kept in testdata.
func addOfficial(f *testing.F) {
	f.Helper()
	for number := 1; number <= 26; number++ {
		path, err := officialPath(number)
		switch {
		case err == nil:
			f.Add(readFile(f, path))
		case os.Getenv("CI") != "":
			f.Fatal(officialAbsent, err)
		default:
			f.Log("without the official seeds:", officialAbsent)
			return
		}
	}
}

func readFile(t testing.TB, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
