package connection

import (
	"bytes"
	"strings"
	"unicode/utf8"
)

// line is one KEY=VALUE of a settings file.
type line struct {
	number int // from 1
	key    string
	value  string
	broken bool // the value cannot be used, and a problem says so
}

// readLines splits a settings file into its KEY=VALUE lines. They are literal: the value is everything after
// the first '=', quotes, '#', '$', '\' and blanks included; only a carriage return at the end is cut off, and
// blanks around the key. Lines that begin with '#' and empty ones are passed over, a byte order mark at the
// beginning is tolerated.
func readLines(file []byte) (lines []line, problems []Problem) {
	if bytes.HasPrefix(file, []byte("\xff\xfe")) || bytes.HasPrefix(file, []byte("\xfe\xff")) || bytes.IndexByte(file, 0) >= 0 {
		return nil, []Problem{{Wrong: "is not plain text (it looks like UTF-16)", Remedy: "save it as UTF-8"}}
	}
	number := 0
	for text := range strings.SplitSeq(string(bytes.TrimPrefix(file, []byte("\xef\xbb\xbf"))), "\n") {
		number++
		text = strings.TrimSuffix(text, "\r")
		trimmed := strings.TrimSpace(text)
		if trimmed == "" || trimmed[0] == '#' {
			continue
		}
		// What does not read as a setting is never quoted: it may be a secret in the wrong place.
		key, value, ok := strings.Cut(text, "=")
		key = strings.TrimSpace(key)
		switch {
		case !ok:
			problems = append(problems, Problem{Line: number, Wrong: "has no '='", Remedy: "write KEY=VALUE, one setting in a line; a comment begins with # at the start of its line"})
		case key == "":
			problems = append(problems, Problem{Line: number, Wrong: "has no name before the '='", Remedy: "write KEY=VALUE"})
		case !utf8.ValidString(value):
			problems = append(problems, Problem{Line: number, Variable: shownKey(key), Wrong: "is not UTF-8", Remedy: "save the file as UTF-8"})
			lines = append(lines, line{number: number, key: key, broken: true})
		default:
			lines = append(lines, line{number: number, key: key, value: value})
		}
	}
	return lines, problems
}

// shownKey is a key as it may be shown: only what looks like the name of a setting. Anything else may be a
// piece of a secret, such as the last line of a private key.
func shownKey(key string) string {
	if len(key) > 40 || key[0] < 'A' || key[0] > 'Z' {
		return ""
	}
	for i := range len(key) {
		if c := key[i]; c != '_' && (c < 'A' || c > 'Z') && (c < '0' || c > '9') {
			return ""
		}
	}
	return key
}
