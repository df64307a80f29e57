package invoice

import (
	"bytes"
	"fmt"
	"time"
)

const (
	// DefaultMaxBytes is KSeF's limit for an invoice without attachment: 1 MB, which KSeF counts as 1,000,000 bytes.
	DefaultMaxBytes = 1_000_000
	// DefaultMaxBytesWithAttachment is KSeF's limit for an invoice with a structured attachment.
	DefaultMaxBytesWithAttachment = 3_000_000
)

// kinds are the values of RodzajFaktury in FA(3).
var kinds = map[string]bool{"VAT": true, "KOR": true, "ZAL": true, "ROZ": true, "UPR": true, "KOR_ZAL": true, "KOR_ROZ": true}

// Check says what an invoice that is about to be sent has to agree with.
type Check struct {
	SellerNIP string // the connection's taxpayer, which Podmiot1 must be

	// Today is the present calendar day in Warsaw; its year, month and day count, as they stand. A zero Today refuses every invoice as dated in the future.
	Today time.Time

	MaxBytes               int // zero = DefaultMaxBytes
	MaxBytesWithAttachment int // zero = DefaultMaxBytesWithAttachment

	// AllowAttachment says that a batch session can be used: KSeF takes structured attachments only there.
	AllowAttachment bool
}

// CheckForSending checks an issued invoice before it is sent, by the rules that KSeF applies to every invoice and that can be judged without the schema
// (facts: KSeF's "weryfikacja faktury"). It calls nobody and changes nothing. What only the schema says, KSeF's own answer (450) will say.
//
// The error is a *Problems with every rule that is broken; errors.As finds the first one as a *Problem too. Rules about the content are judged only if the
// XML could be read to its end. The Document is what could be read, also when there are problems.
func CheckForSending(xml []byte, c Check) (Document, error) {
	problems := &Problems{}
	document := checkAll(xml, c, problems)
	if len(problems.List) > 0 {
		return document, problems
	}
	return document, nil
}

func checkAll(xml []byte, c Check, problems *Problems) Document {
	if isBlank(xml) {
		problems.add(emptyProblem())
		return Document{}
	}
	limit, limitWithAttachment := c.limits()
	if len(xml) > max(limit, limitWithAttachment) { // not even read
		problems.add(tooLarge(len(xml), max(limit, limitWithAttachment)))
		return Document{}
	}
	if bytes.HasPrefix(xml, byteOrderMark) {
		problems.add(newProblem(RuleByteOrderMark, "The XML starts with a byte order mark (bytes EF BB BF before line 1); KSeF refuses it (430). Have the XML produced as UTF-8 without BOM."))
	}
	if encoding, ok := declaredEncoding(xml); ok && !isUTF8(encoding) {
		problems.add(encodingProblem(encoding))
		return Document{} // read as UTF-8 it would be full of mistakes that are none
	}
	invalid, forbidden := scanCharacters(xml)
	if invalid.line > 0 {
		problems.add(invalidUTF8Problem(invalid.line))
	}
	if forbidden.line > 0 {
		problems.add(forbiddenProblem(forbidden.line, fmt.Sprintf("%U", forbidden.character)))
	}
	r, problem := read(xml)
	if r.doctype > 0 {
		problems.add(doctypeProblem(r.doctype))
	}
	if r.instruction > 0 {
		problems.add(newProblem(RuleProcessingInstruction, "Line %d has a processing instruction (<? ... ?>, perhaps a style sheet or an XML declaration that is not at the very start); KSeF refuses it. Have the XML produced without it.", r.instruction))
	}
	if r.reference.line > 0 && forbidden.line == 0 {
		problems.add(forbiddenProblem(r.reference.line, fmt.Sprintf("%U", r.reference.character)))
	}
	if problem == nil && badDeclaration(xml) {
		problem = malformed(1, "the XML declaration is not as XML 1.0 wants it")
	}
	if problem != nil && !problems.Has(problem.Rule) {
		problems.add(problem)
	}
	if problem != nil || r.doctype > 0 {
		return r.document
	}
	checkForm(r, problems)
	checkSeller(r, c, problems)
	checkFields(r, c, problems)
	switch {
	case r.document.HasAttachment && !c.AllowAttachment:
		problems.add(newProblem(RuleAttachmentNeedsBatch, "The invoice has a structured attachment (Zalacznik, line %d), which KSeF takes only in a batch session. Leave the attachment out and have the XML produced again, or send this invoice another way.", r.lines[pathAttachment]))
	case !r.document.HasAttachment && len(xml) > limit:
		problems.add(tooLarge(len(xml), limit))
	}
	return r.document
}

func (c Check) limits() (plain, withAttachment int) {
	plain, withAttachment = c.MaxBytes, c.MaxBytesWithAttachment
	if plain <= 0 {
		plain = DefaultMaxBytes
	}
	if withAttachment <= 0 {
		withAttachment = DefaultMaxBytesWithAttachment
	}
	return plain, withAttachment
}

func tooLarge(size, limit int) *Problem {
	return newProblem(RuleTooLarge, "The XML has %d bytes; KSeF takes at most %d. Split the invoice or shorten its lines, and have the XML produced again.", size, limit)
}

func checkForm(r *reading, problems *Problems) {
	d := r.document
	switch {
	case r.root != "Faktura" || d.Namespace != Namespace:
		problems.add(newProblem(RuleFormUnknown, "The root element is %s in namespace %s; an FA(3) invoice has Faktura in %q. Have the XML produced as FA(3).", quoted(r.root), quotedLong(d.Namespace), Namespace))
	case d.Form != FA3:
		problems.add(newProblem(RuleFormUnknown, "Naglowek/KodFormularza %s says kodSystemowy %s, wersjaSchemy %s, text %s; only %q %q %q can be sent. Have the XML produced as FA(3).", r.where(pathForm), quoted(d.Form.SystemCode), quoted(d.Form.SchemaVersion), quoted(d.Form.Value), FA3.SystemCode, FA3.SchemaVersion, FA3.Value))
	}
}

func checkSeller(r *reading, c Check, problems *Problems) {
	switch nip := r.document.Seller.NIP; {
	case nip == "":
		problems.add(newProblem(RuleSellerMissing, "The seller's NIP (Podmiot1/DaneIdentyfikacyjne/NIP, %s) is missing. Fill in the company's NIP in Teamogy and have the XML produced again.", r.where(pathSellerNIP)))
	case nip != c.SellerNIP:
		problems.add(newProblem(RuleSellerMismatch, "The seller's NIP (Podmiot1/DaneIdentyfikacyjne/NIP, %s) is %s, but this connection sends for %s. Send the document through the connection of its seller, or correct the seller and have the XML produced again.", r.where(pathSellerNIP), quoted(nip), quoted(c.SellerNIP)))
	}
}

func checkFields(r *reading, c Check, problems *Problems) {
	d := r.document
	if d.Number == "" {
		problems.add(newProblem(RuleNumberMissing, "The invoice's number (Fa/P_2, %s) is missing. Number the document in Teamogy and have the XML produced again.", r.where(pathNumber)))
	}
	today := c.Today.Format(time.DateOnly)
	switch text := r.values[pathIssueDate]; {
	case d.IssueDate.IsZero() && text == "":
		problems.add(newProblem(RuleIssueDateMissing, "The date of issue (Fa/P_1, %s) is missing. Fill it in and have the XML produced again.", r.where(pathIssueDate)))
	case d.IssueDate.IsZero():
		problems.add(newProblem(RuleIssueDateMissing, "The date of issue (Fa/P_1, %s) is %s, which is no date of the form YYYY-MM-DD. Correct it and have the XML produced again.", r.where(pathIssueDate), quoted(text)))
	case d.IssueDate.Format(time.DateOnly) > today:
		problems.add(newProblem(RuleIssueDateFuture, "The date of issue (Fa/P_1, %s) is %s, which is after today (%s in Warsaw); KSeF refuses that. Send it on that day, or correct the date and have the XML produced again.", r.where(pathIssueDate), d.IssueDate.Format(time.DateOnly), today))
	}
	if !kinds[d.Kind] {
		problems.add(newProblem(RuleKindUnknown, "The kind of invoice (Fa/RodzajFaktury, %s) is %s; it must be one of VAT, KOR, ZAL, ROZ, UPR, KOR_ZAL, KOR_ROZ. Correct it and have the XML produced again.", r.where(pathKind), quoted(d.Kind)))
	}
}

// where says on which line an element is.
func (r *reading) where(path string) string {
	if line, ok := r.lines[path]; ok {
		return fmt.Sprintf("line %d", line)
	}
	return "not in the XML"
}

// quotedLong shows a namespace, which may be longer than other values and still must be readable whole.
func quotedLong(text string) string { return `"` + cut(text, 80) + `"` }
