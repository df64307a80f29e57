package invoice

import (
	"fmt"
	"strings"
)

// The rules that an invoice can break. They are stable: records and documents carry them.
const (
	RuleEmpty                 = "empty"                      // there is no content at all
	RuleTooLarge              = "too-large"                  // more bytes than KSeF takes
	RuleByteOrderMark         = "xml-bom"                    // starts with a byte order mark
	RuleEncoding              = "xml-encoding"               // declares, or is in, another encoding than UTF-8
	RuleForbiddenCharacter    = "xml-forbidden-character"    // a character that XML forbids or discourages
	RuleNotWellFormed         = "xml-not-well-formed"        // no XML
	RuleDoctype               = "xml-doctype"                // has a DOCTYPE
	RuleProcessingInstruction = "xml-processing-instruction" // has one besides the XML declaration
	RuleFormUnknown           = "form-unknown"               // not FA(3) 1-0E
	RuleSellerMissing         = "seller-missing"             // Podmiot1 has no NIP
	RuleSellerMismatch        = "seller-mismatch"            // Podmiot1 is not the connection's taxpayer
	RuleNumberMissing         = "number-missing"             // no P_2
	RuleIssueDateMissing      = "issue-date-missing"         // no P_1, or it is no date
	RuleIssueDateFuture       = "issue-date-future"          // P_1 is after today in Warsaw
	RuleKindUnknown           = "kind-unknown"               // RodzajFaktury is none of the seven
	RuleAttachmentNeedsBatch  = "attachment-needs-batch"     // a structured attachment where only an online session can be used
)

// Problem is one reason why an invoice cannot be read or sent: the rule and a text that says what is wrong, where (line or element) and what to do.
// The text quotes at most a short identifying value (a NIP, a date, a form code), never more of the invoice.
type Problem struct {
	Rule string
	Text string
}

// Error returns the text with the rule in front.
func (p *Problem) Error() string { return p.Rule + ": " + p.Text }

// Problems are all reasons why an invoice cannot be sent, in the order in which they should be mended. There is at least one.
type Problems struct {
	List []Problem
}

// Error returns all texts, one after the other.
func (p *Problems) Error() string {
	texts := make([]string, len(p.List))
	for i := range p.List {
		texts[i] = p.List[i].Error()
	}
	return strings.Join(texts, " | ")
}

// Unwrap lets errors.As find the first *Problem.
func (p *Problems) Unwrap() []error {
	errs := make([]error, len(p.List))
	for i := range p.List {
		errs[i] = &p.List[i]
	}
	return errs
}

// Has reports whether the rule is among the broken ones.
func (p *Problems) Has(rule string) bool {
	for i := range p.List {
		if p.List[i].Rule == rule {
			return true
		}
	}
	return false
}

func (p *Problems) add(problem *Problem) { p.List = append(p.List, *problem) }

func newProblem(rule, format string, values ...any) *Problem {
	return &Problem{Rule: rule, Text: fmt.Sprintf(format, values...)}
}

func emptyProblem() *Problem {
	return newProblem(RuleEmpty, "There is no XML: it is empty. Have the FA(3) XML produced for this document, then set it to ready again.")
}

func encodingProblem(encoding string) *Problem {
	return newProblem(RuleEncoding, "The XML declaration on line 1 says encoding %s; KSeF takes only UTF-8. Have the XML produced in UTF-8.", quoted(encoding))
}

func invalidUTF8Problem(line int) *Problem {
	return newProblem(RuleEncoding, "Line %d contains bytes that are not UTF-8; KSeF takes only UTF-8. Have the XML produced in UTF-8 (a file saved as Windows-1250 or ISO-8859-2 looks like this).", line)
}

func forbiddenProblem(line int, code string) *Problem {
	return newProblem(RuleForbiddenCharacter, "Line %d contains the character %s, which KSeF does not take in an invoice. Remove it from the document's text (it often comes from copied text) and have the XML produced again.", line, code)
}

func doctypeProblem(line int) *Problem {
	return newProblem(RuleDoctype, "Line %d has a DOCTYPE or another <! declaration; an invoice must not have one. Have the FA(3) XML produced without it.", line)
}
