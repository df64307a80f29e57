package connection

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// maxFile is the greatest size in bytes of a file that a setting points to.
const maxFile = 1 << 20

// reader takes the settings out of the lines of a file one by one and collects every problem on the way.
type reader struct {
	dir      string
	readable bool            // the file is text at all
	settings map[string]line // by name, the first of duplicates
	known    []string        // names that were asked for
	files    []pointedFile
	problems []Problem
}

// pointedFile is a file that a setting points to; content is nil if it could not be read.
type pointedFile struct {
	path    string
	content []byte
}

func newReader(file []byte, dir string) *reader {
	lines, problems := readLines(file)
	r := &reader{dir: dir, settings: map[string]line{}, problems: problems}
	r.readable = len(lines) > 0 || len(problems) == 0 || problems[0].Line > 0
	for _, l := range lines {
		if first, twice := r.settings[l.key]; twice {
			r.problem(l.number, shownKey(l.key), fmt.Sprintf("is set twice, in line %d already", first.number), "remove one of the two")
			continue
		}
		r.settings[l.key] = l
	}
	return r
}

func (r *reader) problem(line int, variable, wrong, remedy string) {
	r.problems = append(r.problems, Problem{Line: line, Variable: variable, Wrong: wrong, Remedy: remedy})
}

// wrong notes a problem with the value of a setting, or with its absence.
func (r *reader) wrong(variable, wrong, remedy string) {
	r.problem(r.settings[variable].number, variable, wrong, remedy)
}

// value returns a setting's value; ok is false when it is absent or empty, which is the same. A value of ""
// with ok is one that a problem is noted about already.
func (r *reader) value(variable string) (value string, ok bool) {
	r.known = append(r.known, variable)
	l := r.settings[variable]
	return l.value, l.value != "" || l.broken
}

// text returns a setting that is no secret. Values are literal, so quotes and blanks around one are almost
// certainly a mistake, and said to be one.
func (r *reader) text(variable string) (value string, ok bool) {
	value, ok = r.value(variable)
	switch {
	case !ok:
		return "", false
	case value != strings.TrimSpace(value):
		r.wrong(variable, "has a blank at its beginning or end", "remove it: values are taken literally")
	case len(value) > 1 && (value[0] == '"' || value[0] == '\'') && value[len(value)-1] == value[0]:
		r.wrong(variable, "is in quotes", "remove them: values are taken literally")
	case strings.ContainsFunc(value, unicode.IsControl):
		r.wrong(variable, "has a control character in it", "remove it")
	default:
		return value, true
	}
	return "", true
}

// shown quotes a value that is no secret, shortened.
func shown(value string) string {
	const most = 60
	if utf8.RuneCountInString(value) > most {
		value = string([]rune(value)[:most]) + "..."
	}
	return strconv.Quote(value)
}

// choice returns a setting that is one of a few words.
func (r *reader) choice(variable, otherwise string, words ...string) string {
	value, ok := r.text(variable)
	if !ok {
		return otherwise
	}
	for _, word := range words {
		if value == word {
			return value
		}
	}
	if value != "" {
		r.wrong(variable, shown(value)+" is none of "+strings.Join(words, ", "), "write one of them")
	}
	return otherwise
}

// duration returns a length of time within bounds.
func (r *reader) duration(variable string, otherwise, least, most time.Duration, why string) time.Duration {
	value, ok := r.text(variable)
	if !ok || value == "" {
		return otherwise
	}
	d, err := time.ParseDuration(value)
	switch {
	case err != nil:
		r.wrong(variable, shown(value)+" is no length of time", "write a number with its unit (s, m or h), such as 90s, 15m or 1h30m")
	case d < least:
		r.wrong(variable, shown(value)+" is too short", fmt.Sprintf("write at least %s: %s", plain(least), why))
	case d > most:
		r.wrong(variable, shown(value)+" is too long", "write at most "+plain(most))
	default:
		return d
	}
	return otherwise
}

// plain writes 15m0s as 15m.
func plain(d time.Duration) string {
	text := d.String()
	text = strings.TrimSuffix(text, "0s")
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	if text == "" || !strings.ContainsAny(text[len(text)-1:], "smh") {
		return d.String()
	}
	return text
}

// whole returns a whole number within bounds.
func (r *reader) whole(variable string, otherwise, least, most int64) int64 {
	value, ok := r.text(variable)
	if !ok || value == "" {
		return otherwise
	}
	n, err := strconv.ParseInt(value, 10, 64)
	switch {
	case err != nil && !errors.Is(err, strconv.ErrRange):
		r.wrong(variable, shown(value)+" is no whole number", "write digits only")
	case err != nil || n < least || n > most:
		limits := fmt.Sprintf("from %d to %d", least, most)
		if most == math.MaxInt64 {
			limits = fmt.Sprintf("of at least %d", least)
		}
		r.wrong(variable, shown(value)+" is out of bounds", "write a number "+limits)
	default:
		return n
	}
	return otherwise
}

// list returns the words of a list with commas between them, each once.
func (r *reader) list(variable string) (words []string, ok bool) {
	value, ok := r.text(variable)
	if !ok || value == "" {
		return nil, false
	}
	seen := map[string]bool{}
	for word := range strings.SplitSeq(value, ",") {
		word = strings.TrimSpace(word)
		switch {
		case word == "":
			r.wrong(variable, "has an empty item", "write the items with one comma between them")
			return nil, false
		case seen[word]:
			r.wrong(variable, "names "+shown(word)+" twice", "remove one of the two")
			return nil, false
		}
		seen[word] = true
		words = append(words, word)
	}
	return words, true
}

// secret returns a secret that stands either in the file itself (variable) or in a file of its own
// (variable_FILE). Neither is ever quoted, not even the path: people write the secret itself there.
func (r *reader) secret(variable string) (secret Secret, ok bool) {
	inline, isInline := r.value(variable)
	_, isFile := r.value(variable + "_FILE")
	switch {
	case isInline && isFile:
		r.wrong(variable+"_FILE", "is set, and so is "+variable, "keep one of the two")
		return "", true
	case isInline:
		return Secret(inline), true
	case !isFile:
		return "", false
	}
	content, ok := r.file(variable+"_FILE", false)
	if !ok {
		return "", true
	}
	text := strings.TrimRight(string(content), "\r\n")
	text = strings.TrimPrefix(text, "\ufeff")
	switch {
	case text == "":
		r.wrong(variable+"_FILE", "the file that it names is empty", "put the secret in it")
	case !utf8.ValidString(text) || strings.ContainsRune(text, 0):
		r.wrong(variable+"_FILE", "the file that it names is not plain text", "save it as UTF-8")
	case strings.ContainsAny(text, "\r\n"):
		r.wrong(variable+"_FILE", "the file that it names has more than one line", "leave the secret alone in it")
	default:
		return Secret(text), true
	}
	return "", true
}

// file returns the content of the file that a setting points to; ok is false if the setting is absent or
// the file cannot be read, which is noted. The path is quoted only if quotePath says that it may be.
func (r *reader) file(variable string, quotePath bool) (content []byte, ok bool) {
	value, ok := r.text(variable)
	if !ok || value == "" {
		return nil, false
	}
	path := value
	if !filepath.IsAbs(path) {
		path = filepath.Join(r.dir, path)
	}
	content, err := readFile(path)
	r.files = append(r.files, pointedFile{path, content})
	if err == nil {
		return content, true
	}
	which := "the file that it names"
	if quotePath {
		which = "the file " + shown(path)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		r.wrong(variable, which+" is not there", "write its name; without a folder it is looked for beside this file")
	case errors.Is(err, fs.ErrPermission):
		r.wrong(variable, which+" may not be read by this process", "let its user read it")
	default:
		r.wrong(variable, which+" cannot be read: "+reason(err), "")
	}
	return nil, false
}

// path is where the file of a setting is that r.file was called for.
func (r *reader) path(variable string) string {
	path := r.settings[variable].value
	if path != "" && !filepath.IsAbs(path) {
		path = filepath.Join(r.dir, path)
	}
	return path
}

var errTooLarge = errors.New("it is larger than 1 MB")

func readFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() { // opening a pipe would wait for ever
		return nil, errors.New("it is not a file")
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close() //nolint:errcheck // only read
	content, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err == nil && len(content) > maxFile {
		return nil, errTooLarge
	}
	return content, err
}

// reason is an error of the file system without the path that it names.
func reason(err error) string {
	var pathError *fs.PathError
	if errors.As(err, &pathError) {
		return pathError.Err.Error()
	}
	return err.Error()
}

// leftovers notes every setting that nobody asked for.
func (r *reader) leftovers() {
	known := map[string]bool{}
	for _, variable := range r.known {
		known[variable] = true
	}
	for key, l := range r.settings {
		if known[key] {
			continue
		}
		wrong, remedy := "is no setting", "see docs/settings.md for the settings, or remove it"
		if shownKey(key) == "" {
			wrong = "what is before the '=' is no setting's name"
		}
		if strings.HasPrefix(key, "export ") {
			wrong, remedy = "begins with export", "remove that word: this is no shell script"
		} else if near := nearest(strings.ToUpper(key), r.known); near != "" {
			remedy = "did you mean " + near + "?"
		}
		r.problem(l.number, shownKey(key), wrong, remedy)
	}
}

// isPKCS12 says whether a certificate file is PKCS#12, which has the private key in it: DER whose first
// element is a version number, while an X.509 certificate begins with a sequence.
func isPKCS12(content []byte) bool {
	if len(content) < 2 || content[0] != 0x30 {
		return false
	}
	inner := content[2:]
	if length := content[1]; length > 0x80 {
		if int(length&0x7f) >= len(inner) {
			return false
		}
		inner = inner[length&0x7f:]
	}
	return bytes.HasPrefix(inner, []byte{0x02, 0x01, 0x03})
}
