package invoice

import (
	"bytes"
	"regexp"
	"strings"
	"time"

	"github.com/shopspring/decimal"
)

// xsdDecimal is the lexical form of xsd:decimal. It keeps out what the decimal library would accept on top: exponents, underscores, blanks inside.
var xsdDecimal = regexp.MustCompile(`^[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)$`)

// maxAmountLength bounds an amount's text. FA(3) allows 18 digits; received invoices of other forms may carry more, not thousands.
const maxAmountLength = 64

// parseAmount reads an xsd:decimal. XML blanks around it are allowed.
func parseAmount(text string) (decimal.Decimal, bool) {
	text = collapse(text)
	if len(text) > maxAmountLength || !xsdDecimal.MatchString(text) {
		return decimal.Decimal{}, false
	}
	amount, err := decimal.NewFromString(text)
	return amount, err == nil
}

// parseDate reads a calendar day, YYYY-MM-DD, as FA(3) writes all its dates. XML blanks around it are allowed.
func parseDate(text string) (time.Time, bool) {
	date, err := time.Parse(time.DateOnly, collapse(text))
	return date, err == nil
}

// collapse does what XSD's whiteSpace="collapse" does: XML blanks around the text go, those inside become one space each run.
func collapse(text string) string {
	return strings.Join(strings.FieldsFunc(text, isXMLBlank), " ")
}

func isXMLBlank(c rune) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

// isBlank reports whether there is nothing but XML blanks, a byte order mark in front not counted.
func isBlank(data []byte) bool {
	for _, b := range bytes.TrimPrefix(data, byteOrderMark) {
		if !isXMLBlank(rune(b)) {
			return false
		}
	}
	return true
}

// quoted shows a short value in a message, cut to 40 characters, control characters escaped.
func quoted(text string) string {
	return `"` + cut(text, 40) + `"`
}

// cut shortens text to at most n characters and replaces what does not print, so that a message stays one readable line.
func cut(text string, n int) string {
	var b strings.Builder
	count := 0
	for _, c := range text {
		if count == n {
			b.WriteRune('…')
			break
		}
		if isForbidden(c) || c == '\t' || c == '\n' || c == '\r' || c == '\u2028' || c == '\u2029' {
			c = '?'
		}
		b.WriteRune(c)
		count++
	}
	return b.String()
}
