package invoice_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"teamogy-ksef/internal/invoice"
)

type checkCase struct {
	name string
	xml  []byte
	says []string // parts of the text; nil = this is accepted
}

// run asserts that each case breaks exactly the one rule, or none.
func run(t *testing.T, rule string, cases []checkCase) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) { assertOnly(t, rule, c, check()) })
	}
}

func assertOnly(t *testing.T, rule string, c checkCase, with invoice.Check) {
	t.Helper()
	_, err := invoice.CheckForSending(c.xml, with)
	if c.says == nil {
		require.NoError(t, err)
		return
	}
	var problems *invoice.Problems
	require.ErrorAs(t, err, &problems)
	require.Len(t, problems.List, 1, "%v", err)
	assert.Equal(t, rule, problems.List[0].Rule)
	for _, part := range c.says {
		assert.Contains(t, problems.List[0].Text, part)
	}
	assert.LessOrEqual(t, len(problems.List[0].Text), 600)
	var first *invoice.Problem
	require.ErrorAs(t, err, &first)
	assert.Equal(t, rule, first.Rule)
}

func TestCheckForSending_acceptsAGoodInvoice(t *testing.T) {
	d, err := invoice.CheckForSending([]byte(sample), check())
	require.NoError(t, err)
	assert.Equal(t, "FV/2026/11/7", d.Number)
}

func TestCheckForSending_empty(t *testing.T) {
	run(t, invoice.RuleEmpty, []checkCase{
		{"nothing", nil, []string{"empty"}},
		{"blanks", []byte("\n \t\r\n"), []string{"empty"}},
	})
}

func TestCheckForSending_tooLarge(t *testing.T) {
	grow := func(size int, attachment bool) []byte {
		xml := sample
		if attachment {
			xml = strings.Replace(xml, "</Faktura>", "<Zalacznik><BlokDanych/></Zalacznik></Faktura>", 1)
		}
		return []byte(strings.Replace(xml, "<Platnosc>", strings.Repeat(" ", size-len(xml))+"<Platnosc>", 1))
	}
	allowed := check()
	allowed.AllowAttachment = true
	small := check()
	small.MaxBytes, small.MaxBytesWithAttachment = 10_000, 20_000
	for _, c := range []struct {
		checkCase
		check invoice.Check
	}{
		{checkCase{"1 000 000 bytes", grow(1_000_000, false), nil}, check()},
		{checkCase{"1 000 001 bytes", grow(1_000_001, false), []string{"1000001 bytes", "at most 1000000"}}, check()},
		{checkCase{"3 000 000 bytes with attachment", grow(3_000_000, true), nil}, allowed},
		{checkCase{"3 000 001 bytes with attachment", grow(3_000_001, true), []string{"3000001 bytes", "at most 3000000"}}, allowed},
		{checkCase{"own limit", grow(10_001, false), []string{"at most 10000"}}, small},
	} {
		t.Run(c.name, func(t *testing.T) { assertOnly(t, invoice.RuleTooLarge, c.checkCase, c.check) })
	}
}

func TestCheckForSending_byteOrderMark(t *testing.T) {
	run(t, invoice.RuleByteOrderMark, []checkCase{
		{"at the start", append([]byte("\xef\xbb\xbf"), sample...), []string{"EF BB BF", "without BOM"}},
		{"inside it is a character like others", with(t, "FV/2026/11/7", "FV/2026/11/7\ufeff"), nil},
	})
}

func TestCheckForSending_encoding(t *testing.T) {
	run(t, invoice.RuleEncoding, []checkCase{
		{"lower case", with(t, "UTF-8", "utf-8"), nil},
		{"single quotes", with(t, `"UTF-8"`, `'UTF-8'`), nil},
		{"none declared", with(t, ` encoding="UTF-8"`, ""), nil},
		{"no declaration", with(t, `<?xml version="1.0" encoding="UTF-8"?>`+"\n", ""), nil},
		{"Windows-1250 declared", with(t, "UTF-8", "windows-1250"), []string{"line 1", `"windows-1250"`, "UTF-8"}},
		{"UTF-16 declared", with(t, "UTF-8", "UTF-16"), []string{`"UTF-16"`}},
		{"invalid bytes", with(t, "ul. Długa 1", "ul. D\xb3uga 1"), []string{"Line 10", "UTF-8"}},
		{"overlong form", with(t, "ul. Długa 1", "ul.\xc0\xafDluga"), []string{"Line 10"}},
		{"surrogate", with(t, "ul. Długa 1", "ul.\xed\xa0\x80"), []string{"Line 10"}},
		{"invalid bytes in a comment", with(t, "<Podmiot1>", "<!-- \xff --><Podmiot1>"), []string{"Line 8"}},
	})
}

func TestCheckForSending_forbiddenCharacter(t *testing.T) {
	cases := []checkCase{
		{"U+0085", with(t, "ul. Długa 1", "ul.\u0085"), nil},
		{"U+00A0", with(t, "ul. Długa 1", "ul.\u00a0"), nil},
		{"emoji", with(t, "ul. Długa 1", "ul. \U0001f600"), nil},
		{"tab", with(t, "ul. Długa 1", "ul.\tDługa"), nil},
		{"reference", with(t, "ul. Długa 1", "ul.&#x80;"), []string{"Line 10", "U+0080"}},
		{"reference to a control character", with(t, "ul. Długa 1", "ul.&#x1;"), []string{"ine 10", "U+0001"}},
		{"reference in an attribute", with(t, "<Podmiot1>", `<Podmiot1 a="&#xFDD0;">`), []string{"Line 8", "U+FDD0"}},
		{"in a comment", with(t, "<Podmiot1>", "<!-- \u0090 --><Podmiot1>"), []string{"Line 8", "U+0090"}},
	}
	for _, c := range []struct {
		r    rune
		code string
	}{
		{0x00, "U+0000"},
		{0x08, "U+0008"},
		{0x0b, "U+000B"},
		{0x1f, "U+001F"},
		{0x7f, "U+007F"},
		{0x84, "U+0084"},
		{0x86, "U+0086"},
		{0x9f, "U+009F"},
		{0xfdd0, "U+FDD0"},
		{0xfdef, "U+FDEF"},
		{0xfffe, "U+FFFE"},
		{0xffff, "U+FFFF"},
		{0x1fffe, "U+1FFFE"},
		{0x10ffff, "U+10FFFF"},
	} {
		cases = append(cases, checkCase{c.code, with(t, "ul. Długa 1", "ul."+string(c.r)), []string{"Line 10", c.code}})
	}
	run(t, invoice.RuleForbiddenCharacter, cases)
}

func TestCheckForSending_notWellFormed(t *testing.T) {
	run(t, invoice.RuleNotWellFormed, []checkCase{
		{"cut off", []byte(sample[:600]), []string{"line"}},
		{"wrong end tag", with(t, "</P_2>", "</P_3>"), []string{"line 20"}},
		{"unknown entity", with(t, "ul. Długa 1", "ul.&nbsp;1"), []string{"line 10"}},
		{"bare ampersand", with(t, "&amp;", "&"), []string{"line"}},
		{"text after the end", []byte(sample + "x"), []string{"outside the root"}},
		{"text before the start", []byte("x" + sample), []string{"line 1"}},
		{"second root", []byte(sample + "<Faktura/>"), []string{"second root"}},
		{"attribute twice", with(t, "<Podmiot1>", `<Podmiot1 a="1" a="2">`), []string{"line 8", "twice"}},
		{"undeclared prefix", with(t, "<JST>2</JST>", "<x:JST>2</x:JST>"), []string{"prefix"}},
		{"undeclared attribute prefix", with(t, "<JST>2", `<JST x:nil="1">2`), []string{"prefix"}},
		{"no root", []byte(`<?xml version="1.0"?><!-- nothing -->`), []string{"no element"}},
		{"XML 1.1", with(t, `version="1.0"`, `version="1.1"`), []string{"line 1"}},
		{"declaration without version", with(t, `version="1.0" `, ``), []string{"declaration"}},
		{"markup in an attribute", with(t, "<Podmiot1>", `<Podmiot1 a="<">`), []string{"line 8"}},
		{"JSON", []byte(`{"a":1}`), []string{"line 1"}},
		{"long names are not quoted whole", []byte("<Faktura>&" + strings.Repeat("x", 100_000) + ";</Faktura>"), []string{"line 1"}},
	})
}

func TestCheckForSending_doctype(t *testing.T) {
	run(t, invoice.RuleDoctype, []checkCase{
		{"plain", with(t, "<Faktura ", "<!DOCTYPE Faktura><Faktura "), []string{"Line 2", "DOCTYPE"}},
		{"with an internal subset", with(t, "<Faktura ", "<!DOCTYPE Faktura [\n<!ENTITY a SYSTEM \"file:///etc/passwd\">\n]>\n<Faktura "), []string{"DOCTYPE"}},
		{"its entity is not expanded", []byte(strings.NewReplacer("<Faktura ", "<!DOCTYPE Faktura [<!ENTITY a \"b\">]><Faktura ", "ul. Długa 1", "&a;").Replace(sample)), []string{"DOCTYPE"}},
	})
}

func TestCheckForSending_processingInstruction(t *testing.T) {
	run(t, invoice.RuleProcessingInstruction, []checkCase{
		{"style sheet", with(t, "<Faktura ", `<?xml-stylesheet type="text/xsl" href="a.xsl"?>`+"\n<Faktura "), []string{"Line 2"}},
		{"inside", with(t, "<JST>", "<?php ?><JST>"), []string{"Line 15"}},
		{"at the end", []byte(sample + "<?end?>"), []string{"Line 38"}},
		{"declaration not at the start", []byte("\n" + sample), []string{"Line 2", "at the very start"}},
		{"second declaration", with(t, "<Faktura ", `<?xml version="1.0"?><Faktura `), []string{"Line 2"}},
	})
}

func TestCheckForSending_formUnknown(t *testing.T) {
	run(t, invoice.RuleFormUnknown, []checkCase{
		{"FA(2)", with(t, invoice.Namespace, "http://crd.gov.pl/wzor/2023/06/29/12648/"), []string{"http://crd.gov.pl/wzor/2023/06/29/12648/"}},
		{"no namespace", with(t, ` xmlns="http://crd.gov.pl/wzor/2025/06/25/13775/"`, ""), []string{`namespace ""`}},
		{"system code", with(t, "FA (3)", "FA (4)"), []string{"line 4", `"FA (4)"`}},
		{"schema version", with(t, "1-0E", "1-1E"), []string{`"1-1E"`}},
		{"text", with(t, ">FA<", ">FA_RR<"), []string{`"FA_RR"`}},
		{"blanks around the text", with(t, ">FA<", "> FA\n<"), nil},
		{"missing", with(t, `<KodFormularza kodSystemowy="FA (3)" wersjaSchemy="1-0E">FA</KodFormularza>`, ""), []string{"not in the XML"}},
		{"long values are cut", with(t, "FA (3)", strings.Repeat("x", 100_000)), []string{"…"}},
	})
}

func TestCheckForSending_sellerMissing(t *testing.T) {
	run(t, invoice.RuleSellerMissing, []checkCase{
		{"no element", with(t, "<NIP>5265877635</NIP>", ""), []string{"Podmiot1/DaneIdentyfikacyjne/NIP", "not in the XML"}},
		{"no text", with(t, "<NIP>5265877635</NIP>", "<NIP> </NIP>"), []string{"line 9"}},
	})
}

func TestCheckForSending_sellerMismatch(t *testing.T) {
	run(t, invoice.RuleSellerMismatch, []checkCase{
		{"another NIP", with(t, "5265877635", "1111111111"), []string{"line 9", `"1111111111"`, `"5265877635"`}},
		{"with prefix", with(t, "5265877635", "PL5265877635"), []string{`"PL5265877635"`}},
		{"long", with(t, "5265877635", strings.Repeat("5", 100_000)), []string{"…"}},
	})
}

func TestCheckForSending_numberMissing(t *testing.T) {
	run(t, invoice.RuleNumberMissing, []checkCase{
		{"no element", with(t, "<P_2>FV/2026/11/7</P_2>", ""), []string{"Fa/P_2", "not in the XML"}},
		{"no text", with(t, "<P_2>FV/2026/11/7</P_2>", "<P_2/>"), []string{"line 20"}},
	})
}

func TestCheckForSending_issueDateMissing(t *testing.T) {
	run(t, invoice.RuleIssueDateMissing, []checkCase{
		{"no element", with(t, "<P_1>2026-11-22</P_1>", ""), []string{"Fa/P_1", "not in the XML"}},
		{"no text", with(t, "<P_1>2026-11-22</P_1>", "<P_1></P_1>"), []string{"line 19", "missing"}},
		{"no date", with(t, "<P_1>2026-11-22</P_1>", "<P_1>22.11.2026</P_1>"), []string{"line 19", `"22.11.2026"`}},
		{"no day of the calendar", with(t, "<P_1>2026-11-22</P_1>", "<P_1>2026-02-30</P_1>"), []string{`"2026-02-30"`}},
		{"with a time", with(t, "<P_1>2026-11-22</P_1>", "<P_1>2026-11-22T00:00:00Z</P_1>"), []string{"YYYY-MM-DD"}},
	})
}

func TestCheckForSending_issueDateFuture(t *testing.T) {
	run(t, invoice.RuleIssueDateFuture, []checkCase{
		{"today", []byte(sample), nil},
		{"tomorrow", with(t, "<P_1>2026-11-22</P_1>", "<P_1>2026-11-23</P_1>"), []string{"line 19", "2026-11-23", "2026-11-22 in Warsaw"}},
		{"years ago", with(t, "<P_1>2026-11-22</P_1>", "<P_1>2006-01-01</P_1>"), nil},
	})
	t.Run("without today nothing passes", func(t *testing.T) {
		assertOnly(t, invoice.RuleIssueDateFuture, checkCase{"", []byte(sample), []string{"2026-11-22"}}, invoice.Check{SellerNIP: seller})
	})
}

func TestCheckForSending_kindUnknown(t *testing.T) {
	cases := []checkCase{
		{"unknown", with(t, ">VAT<", ">VAT_RR<"), []string{"line 29", `"VAT_RR"`}},
		{"lower case", with(t, ">VAT<", ">vat<"), []string{`"vat"`}},
		{"missing", with(t, "<RodzajFaktury>VAT</RodzajFaktury>", ""), []string{"not in the XML"}},
		{"blanks around", with(t, ">VAT<", ">\n  VAT <"), nil},
	}
	for _, kind := range []string{"VAT", "KOR", "ZAL", "ROZ", "UPR", "KOR_ZAL", "KOR_ROZ"} {
		cases = append(cases, checkCase{kind, with(t, ">VAT<", ">"+kind+"<"), nil})
	}
	run(t, invoice.RuleKindUnknown, cases)
}

func TestCheckForSending_attachmentNeedsBatch(t *testing.T) {
	run(t, invoice.RuleAttachmentNeedsBatch, []checkCase{
		{"attachment", with(t, "</Faktura>", "<Zalacznik><BlokDanych/></Zalacznik></Faktura>"), []string{"Zalacznik, line 37", "batch"}},
		{"elsewhere it is no attachment", with(t, "<JST>", "<Zalacznik/><JST>"), nil},
	})
}

func TestCheckForSending_namesEveryBrokenRule(t *testing.T) {
	xml := strings.NewReplacer(
		"1-0E", "9", "5265877635", "1", "FV/2026/11/7", "", "<P_1>2026-11-22", "<P_1>2027-01-01", ">VAT<", ">X<", "</Faktura>", "<Zalacznik/><?x?></Faktura>",
	).Replace("\xef\xbb\xbf" + sample)
	_, err := invoice.CheckForSending([]byte(xml), check())
	var problems *invoice.Problems
	require.ErrorAs(t, err, &problems)
	var rules []string
	for _, p := range problems.List {
		rules = append(rules, p.Rule)
		assert.Contains(t, err.Error(), p.Text)
		assert.True(t, problems.Has(p.Rule))
	}
	assert.Equal(t, []string{
		invoice.RuleByteOrderMark, invoice.RuleProcessingInstruction, invoice.RuleFormUnknown, invoice.RuleSellerMismatch,
		invoice.RuleNumberMissing, invoice.RuleIssueDateFuture, invoice.RuleKindUnknown, invoice.RuleAttachmentNeedsBatch,
	}, rules)
	assert.False(t, problems.Has(invoice.RuleEmpty))
}
