package teamogysim

import (
	"errors"
	"fmt"
	"strings"
)

// tokenize splits an externalFilter into names, connectives, operators,
// parentheses, commas, numbers and strings (in quotes, those inside unescaped).
func tokenize(text, quotes string) ([]string, error) {
	var tokens []string
	for i := 0; i < len(text); {
		c := text[i]
		end := i + 1
		switch {
		case c == ' ' || c == '\t' || c == '\n' || c == '\r':
			i++
			continue
		case strings.IndexByte("()=,", c) >= 0:
		case strings.IndexByte("><!", c) >= 0:
			if rest := text[end:]; rest != "" && (rest[0] == '=' || c == '<' && rest[0] == '>') {
				end++
			} else if c == '!' {
				return nil, fmt.Errorf("unexpected character at position %d", i+1)
			}
		case c == '\'':
			content, length, ok := quotedText(text[end:], quotes)
			if !ok {
				return nil, errors.New("a text in quotes does not end")
			}
			tokens = append(tokens, "'"+content+"'")
			i = end + length
			continue
		case c == '-' || isDigit(c):
			for end < len(text) && (isDigit(text[end]) || text[end] == '.') {
				end++
			}
		case isNameStart(c):
			for end < len(text) && (isNameStart(text[end]) || isDigit(text[end]) || text[end] == '.') {
				end++
			}
		default:
			return nil, fmt.Errorf("unexpected character at position %d", i+1)
		}
		tokens = append(tokens, text[i:end])
		i = end
	}
	return tokens, nil
}

// quotedText reads the content of a string after its first quote, and tells how
// long it was written with its last one.
func quotedText(text, quotes string) (content string, length int, ok bool) {
	var out strings.Builder
	for i := 0; i < len(text); i++ {
		next := byte(0)
		if i+1 < len(text) {
			next = text[i+1]
		}
		switch c := text[i]; {
		case c == '\'' && next == '\'' && quotes == QuotesDoubled, c == '\\' && next != 0 && quotes == QuotesBackslash:
			out.WriteByte(next)
			i++
		case c == '\'':
			return out.String(), i + 1, true
		default:
			out.WriteByte(c)
		}
	}
	return "", 0, false
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func isNameStart(c byte) bool {
	return c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

// isName tells a column or property from a connective or literal.
func isName(token string) bool {
	switch token {
	case "", "AND", "OR", "NOT", "ANY", "true", "false":
		return false
	}
	return isNameStart(token[0])
}
