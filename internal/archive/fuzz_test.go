package archive

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
)

// FuzzDecodeFact proves that an object that is taken for a fact gives the same
// object back when it is written, and that any other names its key as damaged;
// and the same of a binding and of an index entry.
func FuzzDecodeFact(f *testing.F) {
	const key = "records/acme/sent/7/submitted--a.json"
	fact := func(connection, id, kind, name, at, data string) []byte {
		return []byte(`{"connection":"` + connection + `","direction":"sent","id":"` + id + `","kind":"` + kind + `","name":"` + name + `","at":"` + at + `","data":` + data + `}`)
	}
	const at = "2026-11-22T12:00:00.123456789Z"
	f.Add(key, fact("acme", "7", "submitted", "a", at, `{ "a": [1, 2.50, "\u003c"] }`))
	f.Add(key, fact("acme", "8", "submitted", "a", at, "null"))
	f.Add("records/acme/sent/%2E%2E%2F7/submitted.json", fact("acme", "../7", "submitted", "", at, "1e400"))
	f.Add("records/acme/sent/7/x--"+strings.Repeat("b", 200)+".json", fact("acme", "7", "x", strings.Repeat("b", 200), at, `""`))
	f.Add(key, fact("acme", "7", "submitted", "a", "9999-12-31T23:59:59-12:00", `{}`))
	f.Add(key, fact("acme", "7", "submitted", "a", "0001-01-01T00:00:00+14:00", `{}`))
	f.Add("bindings/acme.json", []byte(`{"environment":"test","nip":"5265877635","teamogyHost":"x.example","unit":1}`))
	f.Add("index/acme/sent/2026/11/%2e", []byte{})
	f.Fuzz(func(t *testing.T, key string, data []byte) {
		got, err := decodeFact(key, data)
		var damaged *CorruptError
		switch {
		case err != nil:
			if !errors.As(err, &damaged) || damaged.Key != key || len(err.Error()) > len(key)+200 {
				t.Fatalf("no good error: %v", err)
			}
		case checkKey(key) != nil || got.At.IsZero() || got.Kind == "" || got.Data != nil && !json.Valid(got.Data):
			t.Fatalf("%q is a fact's key: %+v", key, got)
		default:
			parts := strings.Split(key, "/")
			id, _ := unescape(parts[3])
			record := RecordKey{Connection: parts[1], Direction: Direction(parts[2]), ID: id}
			a := New(newMemoryStore())
			if added, err := a.AddFact(t.Context(), record, got); !added || err != nil {
				t.Fatalf("%+v cannot be written: %v", got, err)
			}
			facts, err := a.Facts(t.Context(), record)
			if err != nil || len(facts) != 1 || !facts[0].At.Equal(got.At) || facts[0].Kind != got.Kind || facts[0].Name != got.Name || !bytes.Equal(facts[0].Data, got.Data) {
				t.Fatalf("%+v was written and is now %+v: %v", got, facts, err)
			}
			if there, err := a.store.Exists(t.Context(), key); err != nil || !there {
				t.Fatalf("it does not lie at %q", key)
			}
		}

		if text, ok := unescape(key); ok && escape(text) != key {
			t.Fatalf("%q is %q, and that is %q", key, text, escape(text))
		}

		a := New(newMemoryStore())
		binding := Binding{Environment: "test", NIP: "5265877635", TeamogyHost: "x.example", Unit: 1}
		if err := a.store.Create(t.Context(), "bindings/acme.json", data); err != nil {
			t.Fatal(err)
		}
		var changed *BindingChangedError
		var frozen Binding
		if err := a.FreezeBinding(t.Context(), "acme", binding); err == nil {
			if json.Unmarshal(data, &frozen) != nil || frozen != binding {
				t.Fatalf("bound by %q", data)
			}
		} else if !errors.As(err, &changed) && !errors.As(err, &damaged) {
			t.Fatalf("no good error: %v", err)
		}
	})
}

// FuzzList proves that a list of any content gives items only if it is the one
// that its reference names, in hash and count, and that an archive's URL of any
// content is opened or refused without a word of what may be a password.
func FuzzList(f *testing.F) {
	for _, list := range []string{`[]`, `null`, `[1,2]`, `["a"]`, `[{"KSeFNumber":"1"},{"KSeFNumber":"1"}]`, `{}`, `[`, `[1]x`, "", strings.Repeat("[", 5000)} {
		f.Add([]byte(list), 2, "s3://zCANARYz:zCANARYz@bucket?"+list)
	}
	f.Add([]byte(`[]`), 0, "mem://?a=b#c")
	f.Add([]byte(`[]`), -1, "file:///%00/a?b")
	f.Fuzz(func(t *testing.T, data []byte, count int, address string) {
		a := New(newMemoryStore())
		key, hash, err := a.putByHash(t.Context(), "lists", data)
		if err != nil {
			t.Fatal(err)
		}
		var items []struct{ KSeFNumber string }
		err = a.List(t.Context(), ListRef{Key: key, SHA256: hash, Count: count}, &items)
		if err == nil && (len(items) != count || !json.Valid(data)) || err != nil && len(err.Error()) > 400 {
			t.Fatalf("%d items of %d: %v", len(items), count, err)
		}
		other := append(bytes.Clone(data), ' ')
		if err := errors.Join(a.store.Delete(t.Context(), key), a.store.Create(t.Context(), key, other)); err != nil {
			t.Fatal(err)
		}
		var damaged *CorruptError
		if err := a.List(t.Context(), ListRef{Key: key, SHA256: hash, Count: count}, &items); !errors.As(err, &damaged) {
			t.Fatalf("other bytes were taken for the list: %v", err)
		}

		const canary = "zCANARYz"
		if scheme, _, _ := strings.Cut(strings.ToLower(strings.TrimSpace(address)), ":"); scheme == "s3" || scheme == "file" {
			// Not opened: that would reach for the network, or make folders anywhere.
			parsed, err := url.Parse(address)
			if err != nil || scheme == "s3" && parsed.User == nil {
				return
			}
			if scheme == "file" {
				if path, err := fileURLPath(parsed); err == nil && !filepath.IsAbs(path) {
					t.Fatalf("%q is in %q", address, path)
				}
				return
			}
		}
		opened, err := Open(t.Context(), address)
		if (opened == nil) == (err == nil) || err != nil && strings.Contains(err.Error(), canary) && strings.Contains(address, "@") {
			t.Fatalf("%q: %v, %v", address, opened, err)
		}
	})
}
