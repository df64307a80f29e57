package archive

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func addFacts(t *testing.T, a *Archive, key RecordKey, names ...FactName) {
	t.Helper()
	for _, name := range names {
		_, err := a.AddFact(t.Context(), key, Fact{Kind: name.Kind, Name: name.Name, At: time.Now(), Data: json.RawMessage(`{}`)})
		require.NoError(t, err)
	}
}

func TestRecords_listsRecordsByTheirKeysAlone(t *testing.T) {
	onEveryBackEnd(t, func(t *testing.T, a *Archive) {
		// IDs of which one begins with the other, in every order of '-', '.', '/' and '%'.
		ids := []string{"1", "10", "1-2", "1.5", "1/2", "5265877635-20250826-0100001AF629-AF", "ó"}
		for _, id := range ids {
			addFacts(t, a, RecordKey{"acme", Sent, id}, FactName{Kind: "submitted", Name: "s-1"}, FactName{Kind: "not-processed"}, FactName{Kind: "submitted", Name: "a/b"})
		}
		addFacts(t, a, RecordKey{"acme", Received, "other"}, FactName{Kind: "found"})
		addFacts(t, a, RecordKey{"acme-2", Sent, "other"}, FactName{Kind: "fetched"})
		for _, key := range []string{"records/acme/sent/1/submitted--s-1.json"} { // no body is read
			require.NoError(t, a.store.Delete(t.Context(), key))
			require.NoError(t, a.store.Create(t.Context(), key, []byte("broken")))
		}

		var found []string
		for record, err := range a.Records(t.Context(), "acme", Sent) {
			require.NoError(t, err)
			found = append(found, record.Key.ID)
			require.Equal(t, RecordSummary{
				Key:   RecordKey{"acme", Sent, record.Key.ID},
				Facts: []FactName{{Kind: "not-processed"}, {Kind: "submitted", Name: "a/b"}, {Kind: "submitted", Name: "s-1"}},
			}, record)
			require.True(t, record.Has("submitted"))
			require.Equal(t, 2, record.Count("submitted"))
			require.False(t, record.Has("accepted"))
		}
		require.ElementsMatch(t, ids, found)
		for _, err := range a.Records(t.Context(), "acme", Sent) {
			require.NoError(t, err)
			break // a caller may leave
		}
		for record, err := range a.Records(t.Context(), "none", Sent) {
			require.Fail(t, "an unknown connection has no records", "%v %v", record, err)
		}
		for _, err := range a.Records(t.Context(), "acme", "sideways") {
			require.Error(t, err)
		}
	})
}

func TestConnections_areThoseWithABindingOrARecord(t *testing.T) {
	onEveryBackEnd(t, func(t *testing.T, a *Archive) {
		names, err := a.Connections(t.Context())
		require.NoError(t, err)
		require.Empty(t, names)
		require.NoError(t, a.FreezeBinding(t.Context(), "bound", Binding{Environment: "test", NIP: "5265877635"}))
		require.NoError(t, a.FreezeBinding(t.Context(), "both", Binding{Environment: "test", NIP: "5265877635"}))
		for _, name := range []string{"both", "acme", "b", "c", "d"} {
			addFacts(t, a, RecordKey{name, Sent, "1"}, FactName{Kind: "fetched"}, FactName{Kind: "accepted"})
		}
		require.NoError(t, a.store.Create(t.Context(), "records/Not.One/sent/1/x.json", nil))
		names, err = a.Connections(t.Context())
		require.NoError(t, err)
		require.Equal(t, []string{"acme", "b", "both", "bound", "c", "d"}, names)
	})
}

func TestRecords_reportWhatIsNoRecordAndGoOn(t *testing.T) {
	onEveryBackEnd(t, func(t *testing.T, a *Archive) {
		addFacts(t, a, RecordKey{"acme", Sent, "1"}, FactName{Kind: "fetched"})
		addFacts(t, a, RecordKey{"acme", Sent, "3"}, FactName{Kind: "fetched"})
		for _, key := range []string{"2/fetched.txt", "2/fetched.json", "lost.json", "4%41/fetched.json", "5/deeper/fetched.json", "6/a--.json"} {
			require.NoError(t, a.store.Create(t.Context(), "records/acme/sent/"+key, nil))
		}
		var good, broken []string
		for record, err := range a.Records(t.Context(), "acme", Sent) {
			var corrupt *CorruptError
			switch {
			case err == nil:
				good = append(good, record.Key.ID)
			case errors.As(err, &corrupt):
				broken = append(broken, record.Key.ID+" "+strings.TrimPrefix(corrupt.Key, "records/acme/sent/"))
			default:
				require.NoError(t, err)
			}
		}
		slices.Sort(good)
		slices.Sort(broken)
		require.Equal(t, []string{"1", "3"}, good)
		require.Equal(t, []string{" lost.json", "2 2/fetched.txt", "4%41 4%41/fetched.json", "5 5/deeper/fetched.json", "6 6/a--.json"}, broken)
	})
}

func TestParseFactFile_isTheInverseOfFactFile(t *testing.T) {
	long := strings.Repeat("ó", 100)
	for i, fact := range []FactName{{Kind: "found", Name: "metadata"}, {Kind: "not-processed"}, {Kind: "a-b", Name: "--x--"}, {Kind: "a", Name: ".json"}, {Kind: "a", Name: "~"}, {Kind: "a", Name: long}} {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			file, err := factFile(fact.Kind, fact.Name)
			require.NoError(t, err)
			parsed, ok := parseFactFile(file)
			require.True(t, ok)
			if fact.Name == long {
				require.True(t, parsed.Cut)
				return
			}
			require.Equal(t, fact, parsed)
		})
	}
}
