package archive

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

var record = RecordKey{Connection: "acme", Direction: Sent, ID: "4711"}

func TestPutDocument_givesTheSameBytesBackByTheirHash(t *testing.T) {
	onEveryBackEnd(t, func(t *testing.T, a *Archive) {
		for _, data := range [][]byte{nil, []byte("<Faktura/>\r\n\xff\x00"), make([]byte, 3_000_000)} {
			ref, err := a.PutDocument(t.Context(), data)
			require.NoError(t, err)
			sum := sha256.Sum256(data)
			require.Equal(t, Ref{SHA256: hex.EncodeToString(sum[:]), Size: int64(len(data))}, ref)
			again, err := a.PutDocument(t.Context(), data)
			require.NoError(t, err)
			require.Equal(t, ref, again)
			read, err := a.Document(t.Context(), ref.SHA256)
			require.NoError(t, err)
			require.Equal(t, string(data), string(read))
		}
		_, err := a.Document(t.Context(), strings.Repeat("0", 64))
		require.ErrorIs(t, err, ErrNotFound)
		_, err = a.Document(t.Context(), "../../etc/passwd")
		require.ErrorContains(t, err, "no SHA-256")
	})
}

func TestDocument_namesTheKeyOfADamagedObject(t *testing.T) {
	onEveryBackEnd(t, func(t *testing.T, a *Archive) {
		ref, err := a.PutDocument(t.Context(), []byte("<Faktura>whole</Faktura>"))
		require.NoError(t, err)
		key := "documents/" + ref.SHA256[:2] + "/" + ref.SHA256[2:]
		damage(t, a, key, "<Faktura>who")
		var corrupt *CorruptError
		_, err = a.Document(t.Context(), ref.SHA256)
		require.ErrorAs(t, err, &corrupt)
		require.Equal(t, key, corrupt.Key)
		require.NotContains(t, err.Error(), "Faktura")
		_, err = a.PutDocument(t.Context(), []byte("<Faktura>whole</Faktura>"))
		require.ErrorAs(t, err, &corrupt)
	})
}

// damage puts other bytes in an object's place.
func damage(t *testing.T, a *Archive, key, data string) {
	t.Helper()
	require.NoError(t, a.store.Delete(t.Context(), key))
	require.NoError(t, a.store.Create(t.Context(), key, []byte(data)))
}

func TestPutList_givesTheItemsBack(t *testing.T) {
	type item struct{ Number string }
	onEveryBackEnd(t, func(t *testing.T, a *Archive) {
		items := []item{{"FV/1"}, {"FV/2"}}
		ref, err := a.PutList(t.Context(), items, 2)
		require.NoError(t, err)
		require.Equal(t, 2, ref.Count)
		again, err := a.PutList(t.Context(), items, 2)
		require.NoError(t, err)
		require.Equal(t, ref, again)
		var read []item
		require.NoError(t, a.List(t.Context(), ref, &read))
		require.Equal(t, items, read)

		none, err := a.PutList(t.Context(), []item(nil), 0)
		require.NoError(t, err)
		require.NoError(t, a.List(t.Context(), none, &read))
		require.Empty(t, read)

		wrong := ref
		wrong.Count = 3
		require.ErrorContains(t, a.List(t.Context(), wrong, &read), "2 items")
		wrong = ref
		wrong.Key = "documents/ab/cd"
		require.ErrorContains(t, a.List(t.Context(), wrong, &read), "another key")
		damage(t, a, ref.Key, "[]")
		var corrupt *CorruptError
		require.ErrorAs(t, a.List(t.Context(), ref, &read), &corrupt)
	})
}

func TestPutNamed_keepsTheFirstBytes(t *testing.T) {
	onEveryBackEnd(t, func(t *testing.T, a *Archive) {
		key := "upo/5265877635-20261122-0100A0B1C2D3-E4.xml"
		_, err := a.Named(t.Context(), key)
		require.ErrorIs(t, err, ErrNotFound)
		require.NoError(t, a.PutNamed(t.Context(), key, []byte("upo")))
		require.NoError(t, a.PutNamed(t.Context(), key, []byte("upo")))
		require.ErrorIs(t, a.PutNamed(t.Context(), key, []byte("other")), ErrExists)
		read, err := a.Named(t.Context(), key)
		require.NoError(t, err)
		require.Equal(t, "upo", string(read))
		for _, foreign := range []string{"upo", "documents/ab/cd", "records/acme/sent/1/accepted.json", "bindings/acme.json", "upo/../documents/ab", "upo/a b"} {
			require.Error(t, a.PutNamed(t.Context(), foreign, nil), foreign)
			_, err := a.Named(t.Context(), foreign)
			require.Error(t, err, foreign)
		}
	})
}

func TestFacts_areCreateOnlyAndInTheOrderOfTheirTimes(t *testing.T) {
	onEveryBackEnd(t, func(t *testing.T, a *Archive) {
		facts, err := a.Facts(t.Context(), record)
		require.NoError(t, err)
		require.Empty(t, facts)

		at := time.Date(2026, 11, 22, 14, 38, 6, 123456789, time.FixedZone("", 3600))
		accepted := Fact{Kind: "accepted", At: at.Add(1), Data: json.RawMessage(`{"ksefNumber":"<1>","amount":12345678901234567890.10}`)}
		submitted := Fact{Kind: "submitted", At: at, Name: "20261122-SO-1/ä", Data: json.RawMessage(`[1]`)}
		noted := Fact{Kind: "written-back", At: at}
		for _, fact := range []Fact{accepted, noted, submitted} {
			added, err := a.AddFact(t.Context(), record, fact)
			require.NoError(t, err)
			require.True(t, added)
		}
		changed := submitted
		changed.At, changed.Data = at.Add(time.Hour), nil
		added, err := a.AddFact(t.Context(), record, changed)
		require.NoError(t, err)
		require.False(t, added)

		other := record
		other.ID = "47"
		facts, err = a.Facts(t.Context(), other)
		require.NoError(t, err)
		require.Empty(t, facts, "the ID is not a prefix")

		facts, err = a.Facts(t.Context(), record)
		require.NoError(t, err)
		require.Equal(t, []string{"submitted", "written-back", "accepted"}, []string{facts[0].Kind, facts[1].Kind, facts[2].Kind})
		require.True(t, facts[0].At.Equal(at))
		require.Equal(t, submitted.Name, facts[0].Name)
		require.Equal(t, `[1]`, string(facts[0].Data))
		require.Nil(t, facts[1].Data)
		require.Equal(t, string(accepted.Data), string(facts[2].Data))

		keys, err := a.store.List(t.Context(), "")
		require.NoError(t, err)
		require.Equal(t, []string{
			"records/acme/sent/4711/accepted.json",
			"records/acme/sent/4711/submitted--20261122-SO-1%2F%C3%A4.json",
			"records/acme/sent/4711/written-back.json",
		}, keys)
	})
}

func TestAddFact_letsExactlyOneOfConcurrentCallersAdd(t *testing.T) {
	onEveryBackEnd(t, func(t *testing.T, a *Archive) {
		var added atomic.Int64
		var wait sync.WaitGroup
		for n := range 8 {
			wait.Go(func() {
				ok, err := a.AddFact(t.Context(), record, Fact{Kind: "submitted", Name: "s", At: time.Unix(int64(n), 0)})
				if err != nil {
					t.Error(err)
				}
				if ok {
					added.Add(1)
				}
			})
		}
		wait.Wait()
		require.EqualValues(t, 1, added.Load())
	})
}

func TestFacts_nameTheKeyOfADamagedFact(t *testing.T) {
	onEveryBackEnd(t, func(t *testing.T, a *Archive) {
		_, err := a.AddFact(t.Context(), record, Fact{Kind: "accepted", At: time.Unix(1, 2), Data: json.RawMessage(`{"secret":"s3cr3t"}`)})
		require.NoError(t, err)
		key := "records/acme/sent/4711/accepted.json"
		whole, err := a.store.Read(t.Context(), key)
		require.NoError(t, err)
		for _, bytes := range []string{
			"", "null", "{}", "[]", string(whole[:len(whole)/2]), string(whole[:len(whole)-2]),
			strings.Replace(string(whole), "4711", "4712", 1), strings.Replace(string(whole), `"accepted"`, `"rejected"`, 1),
			strings.Replace(string(whole), "1970-", "0001-", 1)[:20],
		} {
			damage(t, a, key, bytes)
			var corrupt *CorruptError
			_, err := a.Facts(t.Context(), record)
			require.ErrorAs(t, err, &corrupt, bytes)
			require.Equal(t, key, corrupt.Key)
			require.NotContains(t, err.Error(), "s3cr3t")
		}
	})
}

func TestAddFact_refusesWhatIsNoFact(t *testing.T) {
	a, err := Open(t.Context(), "mem://")
	require.NoError(t, err)
	now := time.Unix(1, 0)
	for name, bad := range map[string]struct {
		record RecordKey
		fact   Fact
	}{
		"no kind":       {record, Fact{At: now}},
		"kind with /":   {record, Fact{Kind: "a/b", At: now}},
		"kind with --":  {record, Fact{Kind: "a--b", At: now}},
		"kind ends -":   {record, Fact{Kind: "a-", At: now}},
		"no time":       {record, Fact{Kind: "a"}},
		"year 10000":    {record, Fact{Kind: "a", At: time.Date(9999, 12, 31, 23, 0, 0, 0, time.FixedZone("", -3*3600))}},
		"year -1":       {record, Fact{Kind: "a", At: time.Date(0, 1, 1, 0, 0, 0, 0, time.FixedZone("", 3*3600))}},
		"no JSON":       {record, Fact{Kind: "a", At: now, Data: json.RawMessage("{")}},
		"no connection": {RecordKey{"", Sent, "1"}, Fact{Kind: "a", At: now}},
		"path":          {RecordKey{"../x", Sent, "1"}, Fact{Kind: "a", At: now}},
		"no direction":  {RecordKey{"acme", "up", "1"}, Fact{Kind: "a", At: now}},
		"no ID":         {RecordKey{"acme", Sent, ""}, Fact{Kind: "a", At: now}},
		"long ID":       {RecordKey{"acme", Sent, strings.Repeat("x", 201)}, Fact{Kind: "a", At: now}},
	} {
		added, err := a.AddFact(t.Context(), bad.record, bad.fact)
		require.Error(t, err, name)
		require.False(t, added, name)
	}
}

func TestIndex_listsTheIDsOfOneMonth(t *testing.T) {
	onEveryBackEnd(t, func(t *testing.T, a *Archive) {
		for _, id := range []string{"2", "../1", "2"} {
			require.NoError(t, a.AddToIndex(t.Context(), RecordKey{"acme", Received, id}, 2026, 11))
		}
		require.NoError(t, a.AddToIndex(t.Context(), RecordKey{"acme", Received, "3"}, 2026, 12))
		require.NoError(t, a.AddToIndex(t.Context(), RecordKey{"acme", Sent, "4"}, 2026, 11))
		ids, err := a.Index(t.Context(), "acme", Received, 2026, 11)
		require.NoError(t, err)
		require.Equal(t, []string{"../1", "2"}, ids)
		ids, err = a.Index(t.Context(), "acme", Received, 2025, 1)
		require.NoError(t, err)
		require.Empty(t, ids)
		for _, month := range []int{0, 13} {
			require.Error(t, a.AddToIndex(t.Context(), record, 2026, month))
			_, err = a.Index(t.Context(), "acme", Received, 2026, month)
			require.Error(t, err)
		}
	})
}

func TestFreezeBinding_refusesAChangedConnection(t *testing.T) {
	onEveryBackEnd(t, func(t *testing.T, a *Archive) {
		first := Binding{Environment: "test", NIP: "5265877635", TeamogyHost: "acme.teamogy.com", Unit: 1}
		require.NoError(t, a.FreezeBinding(t.Context(), "acme", first))
		same := first
		same.TeamogyHost = "ACME.teamogy.com"
		require.NoError(t, a.FreezeBinding(t.Context(), "acme", same))
		changed := first
		changed.NIP, changed.Unit = "1111111111", 2
		err := a.FreezeBinding(t.Context(), "acme", changed)
		var problem *BindingChangedError
		require.ErrorAs(t, err, &problem)
		require.Equal(t, first, problem.Frozen)
		require.ErrorContains(t, err, "NIP was 5265877635 and is now 1111111111, TEAMOGY_UNIT was 1 and is now 2")
		require.NotContains(t, err.Error(), "KSEF_ENVIRONMENT")
		require.NoError(t, a.FreezeBinding(t.Context(), "other", changed))
		require.Error(t, a.FreezeBinding(t.Context(), "../other", changed))
		for _, bytes := range []string{"{", "{}"} {
			damage(t, a, "bindings/acme.json", bytes)
			var corrupt *CorruptError
			require.ErrorAs(t, a.FreezeBinding(t.Context(), "acme", first), &corrupt)
		}
	})
}

func TestClaimReceiver_letsOneConnectionReceiveForANIP(t *testing.T) {
	onEveryBackEnd(t, func(t *testing.T, a *Archive) {
		ctx := t.Context()
		require.NoError(t, a.ReleaseReceiver(ctx, "test", "5265877635", "acme"))
		require.NoError(t, a.ClaimReceiver(ctx, "test", "5265877635", "acme"))
		require.NoError(t, a.ClaimReceiver(ctx, "test", "5265877635", "acme"))
		err := a.ClaimReceiver(ctx, "test", "5265877635", "second")
		var taken *ReceiverTakenError
		require.ErrorAs(t, err, &taken)
		require.Equal(t, "acme", taken.Holder)
		require.NoError(t, a.ClaimReceiver(ctx, "production", "5265877635", "second"))
		require.NoError(t, a.ReleaseReceiver(ctx, "test", "5265877635", "second"))
		require.ErrorAs(t, a.ClaimReceiver(ctx, "test", "5265877635", "second"), &taken)
		require.NoError(t, a.ReleaseReceiver(ctx, "test", "5265877635", "acme"))
		require.NoError(t, a.ClaimReceiver(ctx, "test", "5265877635", "second"))
	})
}

func TestEscape_isSafeAndReversible(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.OneOf(rapid.StringMatching(`[./%~A-Za-z0-9 -]{1,20}`), rapid.StringN(1, 30, 60)).Draw(t, "text")
		part := escape(text)
		if err := checkKey(part); err != nil {
			t.Fatal(err)
		}
		back, ok := unescape(part)
		if !ok || back != text {
			t.Fatalf("%q became %q and then %q", text, part, back)
		}
	})
}

func TestFactFile_isDifferentForDifferentFacts(t *testing.T) {
	kinds := rapid.StringMatching(`[ab]{1,2}([-_][ab]{1,2}){0,2}`)
	names := rapid.OneOf(rapid.StringMatching(`[ab_-]{0,6}`), rapid.StringMatching(`[ab/-]{150,160}`))
	rapid.Check(t, func(t *rapid.T) {
		kind1, kind2, name1, name2 := kinds.Draw(t, "kind1"), kinds.Draw(t, "kind2"), names.Draw(t, "name1"), names.Draw(t, "name2")
		file1, err1 := factFile(kind1, name1)
		file2, err2 := factFile(kind2, name2)
		if err := errors.Join(err1, err2, checkKey(file1), checkKey(file2)); err != nil {
			t.Fatal(err)
		}
		if (file1 == file2) != (kind1 == kind2 && name1 == name2) {
			t.Fatalf("%q %q and %q %q are %q and %q", kind1, name1, kind2, name2, file1, file2)
		}
	})
}

func TestArchiveDocumentation_describesEveryFolder(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "archive.md"))
	require.NoError(t, err)
	for root := range ownRoots {
		require.Contains(t, string(page), root+"/")
	}
}
