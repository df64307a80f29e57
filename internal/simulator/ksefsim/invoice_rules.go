package ksefsim

import (
	"bytes"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// namespaces of the structures whose content the simulator checks.
var namespaces = map[string]string{
	"FA (2)": "http://crd.gov.pl/wzor/2023/06/29/12648/",
	"FA (3)": "http://crd.gov.pl/wzor/2025/06/25/13775/",
}

// invoiceTypes are the values of RodzajFaktury and what metadata call them.
var invoiceTypes = map[string]string{
	"VAT": "Vat", "KOR": "Kor", "ZAL": "Zal", "ROZ": "Roz", "UPR": "Upr", "KOR_ZAL": "KorZal", "KOR_ROZ": "KorRoz",
}

// bounds of P_1 in the FA schema.
const (
	earliestIssue = "2006-01-01"
	latestIssue   = "2050-01-01"
)

var (
	currencyPattern = regexp.MustCompile(`^[A-Z]{3}$`)
	amountPattern   = regexp.MustCompile(`^-?([1-9]\d{0,15}|0)(\.\d{1,2})?$`) // TKwotowy of the FA schema
	byteOrderMark   = []byte("\xef\xbb\xbf")
)

// examine decrypts and reads an invoice when it arrives and notes what is
// wrong with the file. Nothing of it shows before the invoice is decided.
func (i *sentInvoice) examine(cipherText []byte, declaredSize int64) {
	if i.session.keyBroken {
		i.early = &outcome{code: invoiceCancelled}
		return
	}
	plain, err := decrypt(i.session.key, i.session.iv, cipherText)
	if err != nil {
		i.early = &outcome{code: invoiceDecryption}
		return
	}
	if i.read(plain); i.early != nil {
		return
	}
	switch {
	case int64(len(plain)) != declaredSize:
		i.early = &outcome{code: invoiceFile, details: []string{"Rozmiar faktury nie zgadza się z zadeklarowanym."}}
	case hashBase64(plain) != i.declaredHash:
		i.early = &outcome{code: invoiceFile, details: []string{"Skrót faktury nie zgadza się z zadeklarowanym."}}
	}
}

// read reads an invoice's bytes and checks them as a file.
func (i *sentInvoice) read(plain []byte) {
	i.plain, i.hash = plain, hexSHA256(plain)
	var problem error
	i.invoice, problem = readInvoice(plain)
	i.invoice.discouraged = hasDiscouraged(plain)
	i.early = checkFile(plain, problem)
}

// checkFile checks an invoice as a file: coding (430), well-formedness (430),
// and what may not be in it (450). It gives nil when nothing is wrong.
func checkFile(data []byte, readError error) *outcome {
	file := func(detail string) *outcome { return &outcome{code: invoiceFile, details: []string{detail}} }
	content := func(detail string) *outcome { return &outcome{code: invoiceSemantics, details: []string{detail}} }
	if bytes.HasPrefix(data, byteOrderMark) || bytes.HasPrefix(data, []byte("\xff\xfe")) || bytes.HasPrefix(data, []byte("\xfe\xff")) {
		return file("Plik zawiera znacznik kolejności bajtów (BOM).")
	}
	if m := declaredEncoding.FindSubmatch(data); m != nil && !strings.EqualFold(string(m[1]), "utf-8") {
		return file("Prolog deklaruje kodowanie inne niż UTF-8.")
	}
	if len(bytes.TrimSpace(data)) == 0 {
		return file("Plik jest pusty.")
	}
	if !utf8.Valid(data) {
		return content("Plik zawiera bajty niedozwolone w UTF-8.")
	}
	if bytes.Contains(data, []byte("<!DOCTYPE")) {
		return content("Deklaracja DOCTYPE jest niedozwolona.")
	}
	if readError != nil {
		return file("Plik nie jest poprawnym dokumentem XML.")
	}
	return nil
}

// hasDiscouraged says whether a document holds a character that W3C advises
// against. TEST and DEMO refuse it; production has put that off and warns.
func hasDiscouraged(data []byte) bool { return strings.ContainsFunc(string(data), discouraged) }

// discouraged says whether W3C advises against a character.
func discouraged(r rune) bool {
	return (r >= 0x7f && r <= 0x84) || (r >= 0x86 && r <= 0x9f) || (r >= 0xfdd0 && r <= 0xfdef) ||
		(r >= 0xfffe && r&0xfffe == 0xfffe)
}

// judge applies the rules to an invoice that falls due. The lock must be held.
func (s *Simulator) judge(i *sentInvoice) outcome {
	if i.forced != nil && i.forced.Code != 0 && (i.forced.Code != invoiceAccepted || i.document.deflated != nil) {
		return outcome{code: i.forced.Code, details: i.forced.Details, extensions: i.forced.Extensions}
	}
	if i.early != nil {
		return *i.early
	}
	if !i.structured {
		if problems := s.checkStructure(i); len(problems) > 0 {
			return outcome{code: invoiceSemantics, details: problems}
		}
	}
	if out := s.checkBulk(i); out != nil {
		return *out
	}
	switch {
	case i.invoice.sellerNIP != i.session.auth.context.nip:
		return outcome{code: invoiceScope, details: []string{"Brak uprawnień do wystawienia faktury w imieniu podmiotu z Podmiot1."}}
	}
	if original := s.store.held[duplicateKey(i.invoice)]; original != nil {
		return duplicateOf(original)
	}
	return outcome{code: invoiceAccepted}
}

// checkStructure checks an invoice against the session's form and the rules
// that a schema cannot be without. It gives what is wrong.
func (s *Simulator) checkStructure(i *sentInvoice) []string {
	v, form := i.invoice, i.session.form
	namespace, simulated := namespaces[form.SystemCode]
	switch {
	case !simulated:
		return []string{"Symulator nie sprawdza struktury " + form.SystemCode + "."}
	case v.processing && s.cfg.Environment != EnvironmentProduction:
		return []string{"Instrukcja przetwarzania jest niedozwolona."}
	case v.discouraged && s.cfg.Environment != EnvironmentProduction:
		return []string{"Plik zawiera niedozwolony znak."}
	case v.doctype:
		return []string{"Deklaracja DOCTYPE jest niedozwolona."}
	case v.root.Local != "Faktura" || v.root.Space != namespace:
		return []string{"Dokument nie jest fakturą o strukturze " + form.SystemCode + " wskazanej przy otwarciu sesji."}
	case v.foreign != "":
		return []string{"Element " + v.foreign + " nie należy do przestrzeni nazw faktury."}
	case v.form != form:
		return []string{"KodFormularza nie zgadza się ze strukturą " + form.SystemCode + " wskazaną przy otwarciu sesji."}
	}
	problems := checkSections(v.sections)
	if i.strictNIP || i.session.strictNIP || s.cfg.Environment == EnvironmentProduction {
		problems = append(problems, checkNIPs(v)...)
	}
	need := func(path string, good func(string) bool) {
		text, present := v.values[path]
		switch {
		case !present:
			problems = append(problems, "Brak elementu "+path+".")
		case !good(text):
			problems = append(problems, "Niepoprawna wartość elementu "+path+".")
		}
	}
	filled := func(text string) bool { return text != "" }
	any := func(string) bool { return true }
	oneOrTwo := func(text string) bool { return text == "1" || text == "2" }
	need("Naglowek/WariantFormularza", func(text string) bool { return strings.Contains(form.SystemCode, "("+text+")") })
	need("Naglowek/DataWytworzeniaFa", func(text string) bool { return isDateTime(text) })
	need("Podmiot1/DaneIdentyfikacyjne/NIP", nipPattern.MatchString)
	need("Podmiot1/DaneIdentyfikacyjne/Nazwa", filled)
	need("Podmiot1/Adres/KodKraju", filled)
	need("Podmiot1/Adres/AdresL1", filled)
	need("Podmiot2/DaneIdentyfikacyjne", any)
	if form.SystemCode == "FA (3)" {
		need("Podmiot2/JST", oneOrTwo)
		need("Podmiot2/GV", oneOrTwo)
	}
	need("Fa/KodWaluty", currencyPattern.MatchString)
	need("Fa/P_1", func(text string) bool {
		_, err := time.Parse(time.DateOnly, text)
		return err == nil && text >= earliestIssue && text <= latestIssue
	})
	need("Fa/P_2", func(text string) bool { return text != "" && utf8.RuneCountInString(text) <= 256 })
	need("Fa/P_15", amountPattern.MatchString)
	need("Fa/Adnotacje", any)
	need("Fa/RodzajFaktury", func(text string) bool { return invoiceTypes[text] != "" })
	if len(problems) == 0 && v.issueDate > s.warsawDay(i.sentAt) {
		problems = append(problems, "Data wystawienia (P_1) jest późniejsza niż data przyjęcia faktury.")
	}
	return problems
}

// checkNIPs checks the check digits of every NIP among the parties, as
// production does, and TEST on request.
func checkNIPs(v invoice) []string {
	var problems []string
	check := func(element, nip string) {
		if nipPattern.MatchString(nip) && !validNIPChecksum(nip) {
			problems = append(problems, element+": niepoprawna suma kontrolna NIP "+nip+".")
		}
	}
	check("Podmiot1", v.sellerNIP)
	parties := append([]party{v.buyer}, v.third...)
	if v.authorized != nil {
		parties = append(parties, *v.authorized)
	}
	for n, p := range parties {
		element := "Podmiot3"
		switch {
		case n == 0:
			element = "Podmiot2"
		case n > len(v.third):
			element = "PodmiotUpowazniony"
		}
		switch p.idType {
		case "Nip":
			check(element, p.id)
		case "InternalId":
			check(element, p.id[:min(10, len(p.id))])
		}
	}
	return problems
}

// checkSections checks the order of the root's children.
func checkSections(sections []string) []string {
	order := []string{"Naglowek", "Podmiot1", "Podmiot2", "Podmiot3", "PodmiotUpowazniony", "Fa", "Stopka", "Zalacznik"}
	repeatable := "Podmiot3"
	at := -1
	for _, name := range sections {
		n := slices.Index(order, name)
		if n < 0 {
			return []string{"Nieoczekiwany element " + name + "."}
		}
		if n < at || (n == at && name != repeatable) {
			return []string{"Element " + name + " w niewłaściwym miejscu."}
		}
		at = n
	}
	return nil
}
