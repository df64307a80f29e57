package archive

import (
	"bytes"
	"encoding/json"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The benchmarks keep the archive in a folder, where everything that is created
// is on the disk before the call returns.
func openFolder(b *testing.B) *Archive {
	address, err := FileURL(b.TempDir())
	require.NoError(b, err)
	a, err := Open(b.Context(), address)
	require.NoError(b, err)
	b.Cleanup(func() { _ = a.Close() })
	return a
}

func BenchmarkArchiveDocument10KB(b *testing.B) {
	a := openFolder(b)
	data := bytes.Repeat([]byte("<P_7>0123"), 1100)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		_, err := a.PutDocument(b.Context(), strconv.AppendInt(data, int64(i), 10)) // each one new
		require.NoError(b, err)
	}
}

func BenchmarkArchiveFact(b *testing.B) {
	a := openFolder(b)
	fact := Fact{Kind: "submitted", At: time.Unix(1_764_000_000, 0), Data: json.RawMessage(`{"session":"20261122-SO-0123456789-ABCDEF0123-AB","sha256":"0123456789abcdef"}`)}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		added, err := a.AddFact(b.Context(), RecordKey{Connection: "acme", Direction: Sent, ID: strconv.Itoa(i)}, fact)
		require.NoError(b, err)
		require.True(b, added)
	}
}

// A record of five facts, as a sent invoice has them, is read to decide on the
// invoice's state.
func BenchmarkArchiveReadRecord(b *testing.B) {
	a := openFolder(b)
	for i, kind := range []string{"submitted", "taken", "accepted", "written-back", "upo"} {
		_, err := a.AddFact(b.Context(), record, Fact{Kind: kind, At: time.Unix(int64(i), 0), Data: json.RawMessage(`{"session":"20261122-SO-0123456789-ABCDEF0123-AB"}`)})
		require.NoError(b, err)
	}
	b.ReportAllocs()
	for b.Loop() {
		facts, err := a.Facts(b.Context(), record)
		require.NoError(b, err)
		require.Len(b, facts, 5)
	}
}
