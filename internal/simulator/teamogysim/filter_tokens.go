package teamogysim

import (
	"errors"
	"fmt"
	"strings"
)

// tokenize splits an externalFilter into names, connectives, operators,
// parentheses, commas, numbers and strings (with their quotes).
func tokenize(text string) ([]string, error) {
	var tokens []string
	for i := 0; i < len(text); {
		c := text[i]
		end := i + 1
		switch {
		case c == ' ' || c == '\t' || c == '\n' || c == '\r':
			i++
			continue
		case strings.IndexByte("()=>,", c) >= 0:
		case c == '\'':
			n := strings.IndexByte(text[end:], '\'')
			if n < 0 {
				return nil, errors.New("a text in quotes does not end")
			}
			end += n + 1
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
