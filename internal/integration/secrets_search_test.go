package integration

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/anypb"
)

// secret is something that must not stand anywhere that outlives a call.
type secret struct {
	kind  string // the word for it
	name  string
	value []byte
}

// form is one way in which bytes may be written down.
type form struct {
	name string
	text []byte
}

// formsOf writes a value down in all the ways that are searched for.
func formsOf(value []byte) []form {
	forms := []form{{"raw", value}, {"hex", []byte(hex.EncodeToString(value))}, {"HEX", []byte(strings.ToUpper(hex.EncodeToString(value)))}}
	for at := range 3 {
		forms = append(forms,
			form{fmt.Sprintf("Base64 at %d", at), alignedBase64(base64.RawStdEncoding, value, at)},
			form{fmt.Sprintf("Base64URL at %d", at), alignedBase64(base64.RawURLEncoding, value, at)})
	}
	quoted := strconv.Quote(string(value))
	forms = append(forms, form{"Go string", []byte(quoted[1 : len(quoted)-1])}) // as slog's text does
	if utf8.Valid(value) {
		encoded, _ := json.Marshal(string(value))
		forms = append(forms,
			form{"JSON string", encoded[1 : len(encoded)-1]},
			form{"URL query", []byte(url.QueryEscape(string(value)))},
			form{"URL path", []byte(url.PathEscape(string(value)))})
	}
	var numbers []string // as fmt and JSON show []byte and [32]byte
	for _, b := range value {
		numbers = append(numbers, strconv.Itoa(int(b)))
	}
	return append(forms, form{"numbers, Go", []byte(strings.Join(numbers, " "))}, form{"numbers, JSON", []byte(strings.Join(numbers, ","))})
}

// alignedBase64 is the part of a Base64 text that depends on the value alone
// when it begins at byte `at` of a group of three, whatever stands before and
// behind it, padded or not.
func alignedBase64(encoding *base64.Encoding, value []byte, at int) []byte {
	text := encoding.EncodeToString(append(make([]byte, at), value...))
	return []byte(text[(at*8+5)/6 : (at+len(value))*8/6])
}

const (
	prefix         = 8
	shortestSecret = 12
)

// search finds secrets in every form, in one pass over a text.
type search struct {
	byPrefix map[[prefix]byte][]needle
}

type needle struct {
	secret *secret
	form   string
	text   []byte
}

func newSearch(t testing.TB, secrets ...secret) *search {
	t.Helper()
	s := &search{byPrefix: map[[prefix]byte][]needle{}}
	for i := range secrets {
		require.GreaterOrEqual(t, len(secrets[i].value), shortestSecret, "%s %s: too short to be told from chance", secrets[i].kind, secrets[i].name)
		seen := map[string]bool{}
		for _, f := range formsOf(secrets[i].value) {
			if !seen[string(f.text)] {
				seen[string(f.text)] = true
				key := [prefix]byte(f.text)
				s.byPrefix[key] = append(s.byPrefix[key], needle{&secrets[i], f.name, f.text})
			}
		}
	}
	return s
}

// hit is a secret that was found. It does not show the secret.
type hit struct{ kind, name, form, place string }

// in looks through a text, as it is and without the line breaks and blanks
// that may cut an encoding into lines.
func (s *search) in(place string, text []byte) []hit {
	hits := s.scan(place, text)
	if folded := withoutBlanks(text); len(folded) != len(text) {
		hits = append(hits, s.scan(place, folded)...)
	}
	return hits
}

func (s *search) scan(place string, text []byte) []hit {
	var hits []hit
	for i := 0; i+prefix <= len(text); i++ {
		for _, n := range s.byPrefix[[prefix]byte(text[i:])] {
			if bytes.HasPrefix(text[i:], n.text) {
				hits = append(hits, hit{n.secret.kind, n.secret.name, n.form, place})
			}
		}
	}
	return hits
}

func withoutBlanks(text []byte) []byte {
	folded := make([]byte, 0, len(text))
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == ' ', c == '\n', c == '\r', c == '\t':
		case c == '\\' && i+1 < len(text) && (text[i+1] == 'n' || text[i+1] == 'r' || text[i+1] == 't'):
			i++
		default:
			folded = append(folded, c)
		}
	}
	return folded
}

// found is one text that was collected, and where.
type found struct {
	place string
	text  []byte
}

// textsOf takes a message of Temporal apart: every string and every byte field
// at any depth, which are all payloads (inputs, results, details, headers,
// memos, user metadata, search attributes, heartbeats, updates) and all
// failures with their causes and stack traces; and the message as JSON.
func textsOf(t testing.TB, place string, message proto.Message) []found {
	t.Helper()
	raw, err := protojson.Marshal(message)
	require.NoError(t, err)
	texts := []found{{place + " (JSON)", raw}}
	walk(place, message.ProtoReflect(), func(path string, text []byte) {
		if len(text) > 0 {
			texts = append(texts, found{path, bytes.Clone(text)})
		}
	})
	return texts
}

func walk(path string, m protoreflect.Message, visit func(string, []byte)) {
	if holder, is := m.Interface().(*anypb.Any); is {
		if inner, err := holder.UnmarshalNew(); err == nil {
			walk(path+".any", inner.ProtoReflect(), visit)
			return
		}
	}
	m.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		at := path + "." + string(field.Name())
		switch {
		case field.IsList():
			for i := range value.List().Len() {
				walkValue(fmt.Sprintf("%s[%d]", at, i), field, value.List().Get(i), visit)
			}
		case field.IsMap():
			value.Map().Range(func(key protoreflect.MapKey, v protoreflect.Value) bool {
				visit(at+" (key)", []byte(key.String()))
				walkValue(at+"["+key.String()+"]", field.MapValue(), v, visit)
				return true
			})
		default:
			walkValue(at, field, value, visit)
		}
		return true
	})
}

func walkValue(path string, field protoreflect.FieldDescriptor, value protoreflect.Value, visit func(string, []byte)) {
	switch field.Kind() {
	case protoreflect.MessageKind, protoreflect.GroupKind:
		walk(path, value.Message(), visit)
	case protoreflect.StringKind:
		visit(path, []byte(value.String()))
	case protoreflect.BytesKind:
		visit(path, value.Bytes())
	}
}

// filesOf reads every file below a folder; the names count, too.
func filesOf(t *testing.T, dir string) []found {
	t.Helper()
	var texts []found
	require.NoError(t, filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		name = filepath.ToSlash(name)
		texts = append(texts, found{"name of " + name, []byte(name)})
		if entry.IsDir() {
			return nil
		}
		content, err := os.ReadFile(path)
		texts = append(texts, found{name, content})
		return err
	}))
	return texts
}
