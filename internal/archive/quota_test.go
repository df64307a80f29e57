package archive

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestQuota_keepsEntriesByTimeAndForgetsThem(t *testing.T) {
	onEveryBackEnd(t, func(t *testing.T, a *Archive) {
		const holder, counter = "test-5265877635", "other GET /rate-limits"
		none, err := a.Quota(t.Context(), holder, counter)
		require.NoError(t, err)
		require.Empty(t, none)

		later, err := a.NoteQuota(t.Context(), holder, counter, QuotaEntry{At: gateTime.Add(time.Hour), Kind: "blocked"})
		require.NoError(t, err)
		first, err := a.NoteQuota(t.Context(), holder, counter, QuotaEntry{At: gateTime.Add(1234567 * time.Nanosecond), Kind: "call"})
		require.NoError(t, err)
		second, err := a.NoteQuota(t.Context(), holder, counter, QuotaEntry{At: gateTime.Add(1234567 * time.Nanosecond), Kind: "call"})
		require.NoError(t, err)
		require.NotEqual(t, first, second, "two calls of one moment are two")
		require.Equal(t, gateTime.Add(1234567*time.Nanosecond).Truncate(time.Microsecond), first.At)
		_, err = a.NoteQuota(t.Context(), holder, "invoiceExport", QuotaEntry{At: gateTime, Kind: "call"})
		require.NoError(t, err)

		entries, err := a.Quota(t.Context(), holder, counter)
		require.NoError(t, err)
		require.Len(t, entries, 3)
		require.ElementsMatch(t, []QuotaEntry{first, second}, entries[:2])
		require.Equal(t, later, entries[2])

		for _, e := range []QuotaEntry{first, first, later} {
			require.NoError(t, a.ForgetQuota(t.Context(), holder, counter, e))
		}
		entries, err = a.Quota(t.Context(), holder, counter)
		require.NoError(t, err)
		require.Equal(t, []QuotaEntry{second}, entries)
	})
}

func TestQuota_refusesWhatCouldNotBeReadBack(t *testing.T) {
	a := New(newMemoryStore())
	for _, e := range []struct{ holder, counter, kind string }{{"", "c", "call"}, {"h", "", "call"}, {"h", "c", "a-b"}, {"h", "c", ""}} {
		_, err := a.NoteQuota(t.Context(), e.holder, e.counter, QuotaEntry{At: gateTime, Kind: e.kind})
		require.Error(t, err)
	}
}
