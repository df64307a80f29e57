package invoice

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

const (
	maxDepth  = 64   // FA(3) needs 9; deeper nesting is an attack on memory
	maxText   = 2048 // bytes kept of one element's text; the longest that is read here, a name, has at most 512 characters
	maxUnread = 20
)

var byteOrderMark = []byte("\xef\xbb\xbf")

// reading is what one pass over the XML found.
type reading struct {
	document Document
	root     string            // local name of the root element
	lines    map[string]int    // line of the first start tag of each element that is read, by path
	values   map[string]string // text of its first occurrence; of those that may repeat, the last

	doctype     int // line, 0 = none. Reading stops there
	instruction int // line of the first processing instruction that is not the XML declaration at the start, 0 = none
	reference   at  // first character that XML discourages and that was written as a character reference

	decoder    *xml.Decoder
	namespace  string          // of the root; elements of another one are foreign
	namespaces map[string]bool // every namespace name declared so far
	path       []byte          // "/Fa/P_2": local names from below the root
	names      []int           // lengths of path before each open element
	text       []byte          // of the innermost element that is read
	reads      bool            // whether path is of interest, so that its text is kept
	started    bool            // an element of the root's kind was seen
	ended      bool            // the root's end tag was seen
}

// read passes over the XML once. The problem is of xml-not-well-formed, xml-encoding or xml-forbidden-character; a DOCTYPE stops it without one.
func read(data []byte) (*reading, *Problem) {
	data = bytes.TrimPrefix(data, byteOrderMark)
	r := &reading{
		decoder:    xml.NewDecoder(bytes.NewReader(data)),
		lines:      map[string]int{},
		values:     map[string]string{},
		namespaces: map[string]bool{"": true, "xmlns": true, "http://www.w3.org/XML/1998/namespace": true},
	}
	for {
		offset := r.decoder.InputOffset()
		token, err := r.decoder.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return r, r.syntaxProblem(err)
		}
		switch token := token.(type) {
		case xml.StartElement:
			if problem := r.start(token); problem != nil {
				return r, problem
			}
		case xml.EndElement:
			r.end()
		case xml.CharData:
			if problem := r.characters(token); problem != nil {
				return r, problem
			}
		case xml.ProcInst:
			if (token.Target != "xml" || offset != 0) && r.instruction == 0 {
				r.instruction = r.line()
			}
		case xml.Directive:
			r.doctype = r.line()
			return r, nil
		}
	}
	if !r.started {
		return r, malformed(r.line(), "there is no element in it")
	}
	return r, nil
}

func (r *reading) line() int {
	line, _ := r.decoder.InputPos()
	return line
}

func (r *reading) start(element xml.StartElement) *Problem {
	if r.ended {
		return malformed(r.line(), "there is a second root element")
	}
	if len(r.names) >= maxDepth {
		return malformed(r.line(), fmt.Sprintf("elements are nested deeper than %d", maxDepth))
	}
	if problem := r.attributes(element); problem != nil {
		return problem
	}
	r.names = append(r.names, len(r.path))
	r.reads, r.text = false, r.text[:0]
	if !r.started {
		r.started, r.root = true, element.Name.Local
		r.namespace = element.Name.Space
		r.document.Namespace = cut(r.namespace, 256)
		return nil
	}
	if element.Name.Space != r.namespace {
		r.path = append(r.path, "/?"...) // foreign: neither it nor anything inside it is read
		return nil
	}
	r.path = append(append(r.path, '/'), element.Name.Local...)
	if r.reads = isRead(r.path); r.reads {
		path := string(r.path)
		if _, seen := r.lines[path]; !seen {
			r.lines[path] = r.line()
		}
		r.document.open(path, element.Attr)
	}
	return nil
}

// attributes checks what encoding/xml leaves unchecked: repeated attributes, prefixes that were never declared, discouraged characters behind references.
func (r *reading) attributes(element xml.StartElement) *Problem {
	for _, a := range element.Attr {
		if a.Name.Space == "xmlns" || (a.Name.Space == "" && a.Name.Local == "xmlns") {
			r.namespaces[a.Value] = true
		}
		r.discouraged(a.Value)
	}
	if !r.namespaces[element.Name.Space] {
		return malformed(r.line(), "the prefix of element "+quoted(element.Name.Local)+" is not declared")
	}
	var names map[xml.Name]bool
	if len(element.Attr) > 1 {
		names = make(map[xml.Name]bool, len(element.Attr))
	}
	for _, a := range element.Attr {
		if !r.namespaces[a.Name.Space] {
			return malformed(r.line(), "the prefix of attribute "+quoted(a.Name.Local)+" is not declared")
		}
		if names[a.Name] {
			return malformed(r.line(), "attribute "+quoted(a.Name.Local)+" is given twice")
		}
		if names != nil {
			names[a.Name] = true
		}
	}
	return nil
}

func (r *reading) end() {
	if r.reads {
		path := string(r.path)
		value := collapse(string(r.text))
		if _, seen := r.values[path]; !seen || mayRepeat(path) {
			r.values[path] = value
			if !r.document.take(path, value) && len(r.document.Unread) < maxUnread {
				r.document.Unread = append(r.document.Unread, fmt.Sprintf("%s (line %d)", strings.TrimPrefix(path, "/"), r.line()))
			}
		}
	}
	r.reads, r.text = false, r.text[:0]
	last := len(r.names) - 1
	r.path, r.names = r.path[:r.names[last]], r.names[:last]
	r.ended = last == 0
}

func (r *reading) characters(text xml.CharData) *Problem {
	if len(r.names) == 0 {
		if !isBlank(text) {
			return malformed(r.line(), "there is text outside the root element")
		}
		return nil
	}
	r.discouraged(string(text))
	if r.reads && len(r.text) < maxText {
		r.text = append(r.text, text[:min(len(text), maxText-len(r.text))]...)
		for !utf8.Valid(r.text) { // cut inside a character
			r.text = r.text[:len(r.text)-1]
		}
	}
	return nil
}

// discouraged notes the first discouraged character in decoded text. Those written directly are found in the bytes already (see scanCharacters).
func (r *reading) discouraged(text string) {
	if r.reference.line > 0 {
		return
	}
	for _, c := range text {
		if c >= 0x7f && isForbidden(c) {
			r.reference = at{line: r.line(), character: c}
			return
		}
	}
}

// syntaxProblem turns the decoder's error into the rule it breaks. Its message is cut: it may quote the document.
func (r *reading) syntaxProblem(err error) *Problem {
	line, message := r.line(), err.Error()
	var syntax *xml.SyntaxError
	if errors.As(err, &syntax) {
		line, message = syntax.Line, syntax.Msg
	}
	switch {
	case strings.HasPrefix(message, "invalid UTF-8"):
		return invalidUTF8Problem(line)
	case strings.HasPrefix(message, "illegal character code "):
		return forbiddenProblem(line, strings.TrimPrefix(message, "illegal character code "))
	}
	return malformed(line, cut(strings.TrimPrefix(message, "xml: "), 120))
}

func malformed(line int, what string) *Problem {
	return newProblem(RuleNotWellFormed, "The XML is not well formed: line %d, %s. KSeF cannot read it. Have the FA(3) XML produced again and attach the new file unchanged.", line, what)
}
