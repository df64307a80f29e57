package archive

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// broken are an object, all that reads it, and all that would write it.
type broken struct {
	key   string
	read  func(t *testing.T, a *Archive) error
	write func(t *testing.T, a *Archive) error
	// content is what may lie in the object's place; the whole one is added, cut short.
	content map[string]string
}

// Whatever lies in an object's place that is not what was once written is named by whoever reads it, and
// by whoever writes it anew; what lies there stays as it is, as evidence and for a person to mend.
func TestArchive_reportsABrokenObjectAndNeverReplacesIt(t *testing.T) {
	fact := Fact{Kind: "accepted", At: time.Unix(1, 2), Data: json.RawMessage(`{"ksefNumber":"s3cr3t"}`)}
	other := record
	other.ID = "4712"
	var foreign string // another record's fact
	binding := Binding{Environment: "test", NIP: "5265877635", TeamogyHost: "h", Unit: 1}
	invoice := []byte("<Faktura>s3cr3t</Faktura>")
	numbers := []string{"s3cr3t", "2"}
	list := ListRef{}

	objects := map[string]broken{
		"a fact": {
			key:  "records/acme/sent/4711/accepted.json",
			read: func(t *testing.T, a *Archive) error { t.Helper(); _, err := a.Facts(t.Context(), record); return err },
			write: func(t *testing.T, a *Archive) error {
				t.Helper()
				added, err := a.AddFact(t.Context(), record, fact)
				require.False(t, added)
				return err
			},
			content: map[string]string{
				"foreign": "FOREIGN", "no JSON": "\x00 s3cr3t", "a JSON string": `"s3cr3t"`, "null": "null", "an empty object": "{}",
				"a list": "[]", "another type": `{"connection":7}`, "two": "{}{}",
			},
		},
		"a document": {
			read: func(t *testing.T, a *Archive) error {
				t.Helper()
				_, err := a.Document(t.Context(), hashOf(invoice))
				return err
			},
			write: func(t *testing.T, a *Archive) error {
				t.Helper()
				_, err := a.PutDocument(t.Context(), invoice)
				return err
			},
			content: map[string]string{"another one": "<Faktura>s3cr3t too</Faktura>", "with a byte changed": "<Faktura>s3cr3u</Faktura>"},
		},
		"a list": {
			read: func(t *testing.T, a *Archive) error {
				t.Helper()
				var items []string
				return a.List(t.Context(), list, &items)
			},
			write: func(t *testing.T, a *Archive) error {
				t.Helper()
				_, err := a.PutList(t.Context(), numbers, 2)
				return err
			},
			content: map[string]string{"a shorter one": `["s3cr3t"]`, "no list": "{}", "with a blank": `["s3cr3t", "2"]`},
		},
		"a binding": {
			key:     "bindings/acme.json",
			read:    func(t *testing.T, a *Archive) error { t.Helper(); return a.FreezeBinding(t.Context(), "acme", binding) },
			content: map[string]string{"null": "null", "an empty object": "{}", "another type": `{"nip":1}`, "no JSON": "s3cr3t"},
		},
		"a receiver": {
			key: "receivers/test-5265877635.json",
			read: func(t *testing.T, a *Archive) error {
				t.Helper()
				return a.ReleaseReceiver(t.Context(), "test", "5265877635", "acme")
			},
			write: func(t *testing.T, a *Archive) error {
				t.Helper()
				return a.ClaimReceiver(t.Context(), "test", "5265877635", "acme")
			},
			content: map[string]string{"null": "null", "an empty object": "{}", "another type": `{"connection":1}`, "no JSON": "s3cr3t"},
		},
	}
	onEveryBackEnd(t, func(t *testing.T, a *Archive) {
		ctx := t.Context()
		_, err := a.AddFact(ctx, other, fact)
		require.NoError(t, err)
		data, err := a.store.Read(ctx, "records/acme/sent/4712/accepted.json")
		require.NoError(t, err)
		foreign = string(data)
		_, err = a.AddFact(ctx, record, fact)
		require.NoError(t, err)
		_, err = a.PutDocument(ctx, invoice)
		require.NoError(t, err)
		list, err = a.PutList(ctx, numbers, 2)
		require.NoError(t, err)
		require.NoError(t, a.FreezeBinding(ctx, "acme", binding))
		require.NoError(t, a.ClaimReceiver(ctx, "test", "5265877635", "acme"))

		for name, object := range objects {
			switch name {
			case "a document":
				object.key = "documents/" + hashOf(invoice)[:2] + "/" + hashOf(invoice)[2:]
			case "a list":
				object.key = list.Key
			}
			whole, err := a.store.Read(ctx, object.key)
			require.NoError(t, err)
			content := map[string]string{"empty": "", "cut in half": string(whole[:len(whole)/2]), "cut by its last bytes": string(whole[:len(whole)-3])}
			for what, bytes := range object.content {
				content[what] = strings.ReplaceAll(bytes, "FOREIGN", foreign)
			}
			for what, bytes := range content {
				damage(t, a, object.key, bytes)
				for _, touch := range []func(*testing.T, *Archive) error{object.read, object.write, object.read} {
					if touch == nil {
						continue
					}
					err := touch(t, a)
					var corrupt *CorruptError
					require.ErrorAs(t, err, &corrupt, "%s, %s", name, what)
					require.Equal(t, object.key, corrupt.Key)
					require.ErrorContains(t, err, object.key)
					require.ErrorContains(t, err, "restore it from a backup")
					require.NotContains(t, err.Error(), "s3cr3t", "%s, %s: the content is nobody's business", name, what)
				}
				require.ErrorIs(t, a.store.Create(ctx, object.key, whole), ErrExists)
				there, err := a.store.Read(ctx, object.key)
				require.NoError(t, err)
				require.Equal(t, bytes, string(there), "%s, %s was changed", name, what)
			}
			damage(t, a, object.key, string(whole)) // a person restores it
			require.NoError(t, object.read(t, a), name)
			if name == "a receiver" {
				require.NoError(t, object.write(t, a), "it was released")
			}
		}
	})
}

func hashOf(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// An index entry has nothing in it, but a name.
func TestIndex_reportsAnEntryWhoseNameIsNoID(t *testing.T) {
	onEveryBackEnd(t, func(t *testing.T, a *Archive) {
		require.NoError(t, a.store.Create(t.Context(), "index/acme/sent/2026/11/%zz", nil))
		_, err := a.Index(t.Context(), "acme", Sent, 2026, 11)
		var corrupt *CorruptError
		require.ErrorAs(t, err, &corrupt)
		require.Equal(t, "index/acme/sent/2026/11/%zz", corrupt.Key)
	})
}
