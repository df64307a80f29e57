package invoice

import (
	"bytes"
	"regexp"
	"strings"
	"unicode/utf8"
)

// at is a place in the XML.
type at struct {
	line      int // 1 is the first; 0 = nowhere
	character rune
}

// scanCharacters looks at the bytes, before any XML parsing, for the first place that is not UTF-8 and the first character that must not be sent.
func scanCharacters(data []byte) (invalid, forbidden at) {
	line := 1
	for i := 0; i < len(data); {
		b := data[i]
		if b < utf8.RuneSelf {
			switch {
			case b == '\n':
				line++
			case (b < ' ' && b != '\t' && b != '\r' || b == 0x7f) && forbidden.line == 0:
				forbidden = at{line: line, character: rune(b)}
			}
			i++
			continue
		}
		c, size := utf8.DecodeRune(data[i:])
		switch {
		case c == utf8.RuneError && size == 1:
			if invalid.line == 0 {
				invalid = at{line: line}
			}
		case forbidden.line == 0 && isForbidden(c):
			forbidden = at{line: line, character: c}
		}
		i += size
	}
	return invalid, forbidden
}

// isForbidden reports the characters that XML 1.0 forbids and those it discourages: KSeF refuses the latter on TEST and DEMO since 2.4.0 and warns, or will
// refuse, on production. Code points U+xFFFE and U+xFFFF are meant on every plane; U+0085 is allowed.
func isForbidden(c rune) bool {
	switch {
	case c < ' ':
		return c != '\t' && c != '\n' && c != '\r'
	case c >= 0x7f && c <= 0x84, c >= 0x86 && c <= 0x9f:
		return true
	case c >= 0xfdd0 && c <= 0xfdef:
		return true
	}
	return c&0xfffe == 0xfffe
}

var (
	declaration = regexp.MustCompile(`^<\?xml[ \t\r\n]+([^?]*)\?>`)
	// strictDeclaration is XMLDecl of XML 1.0, ~ standing for one blank.
	strictDeclaration = regexp.MustCompile(strings.ReplaceAll(`^<\?xml~+version~*=~*(?:"1\.0"|'1\.0')`+
		`(?:~+encoding~*=~*(?:"[A-Za-z][A-Za-z0-9._-]*"|'[A-Za-z][A-Za-z0-9._-]*'))?`+
		`(?:~+standalone~*=~*(?:"(?:yes|no)"|'(?:yes|no)'))?~*\?>`, "~", `[ \t\r\n]`))
	encodingDeclaration = regexp.MustCompile(`(?:^|[ \t\r\n])encoding[ \t\r\n]*=[ \t\r\n]*(?:"([^"]*)"|'([^']*)')`)
)

// declaredEncoding returns the encoding that the XML declaration names, if it names one.
func declaredEncoding(data []byte) (string, bool) {
	data = bytes.TrimPrefix(data, byteOrderMark)
	found := declaration.FindSubmatch(data[:min(len(data), 1024)])
	if found == nil {
		return "", false
	}
	encoding := encodingDeclaration.FindSubmatch(found[1])
	if encoding == nil {
		return "", false
	}
	return string(encoding[1]) + string(encoding[2]), true
}

// badDeclaration reports whether there is an XML declaration that the grammar of XML 1.0 does not know (encoding/xml takes it all the same).
func badDeclaration(data []byte) bool {
	data = bytes.TrimPrefix(data, byteOrderMark)
	start := data[:min(len(data), 1024)]
	return len(start) > 5 && string(start[:5]) == "<?xml" && isXMLBlank(rune(start[5])) && !strictDeclaration.Match(start)
}

func isUTF8(encoding string) bool { return strings.EqualFold(encoding, "UTF-8") }
