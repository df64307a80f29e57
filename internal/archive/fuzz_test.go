package archive

import (
	"bytes"
	"encoding/json"
	"errors"
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
