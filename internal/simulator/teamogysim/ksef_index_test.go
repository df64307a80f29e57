package teamogysim

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// However documents come by KSeF numbers, lose them and get others, and however
// late the view is: what the index leaves out does not match.
func TestKSeFIndex_leavesOutNothingThatAFilterKeeps(t *testing.T) {
	set := newSettings(DefaultConfig())
	v := views["documents"]
	numbers := rapid.SampledFrom([]string{"", "K-1", "K-2", "K-3"})
	comparison := rapid.Custom(func(t *rapid.T) *filter {
		name := rapid.SampledFrom([]string{"properties.ksefNumber", "ksefNumber", "status"}).Draw(t, "name")
		number := numbers.Draw(t, "literal")
		return &filter{op: rapid.SampledFrom([]string{"=", "=", ">"}).Draw(t, "comparison"), name: name, literal: []any{number}}
	})
	rapid.Check(t, func(t *rapid.T) {
		tenant, now := newTenant(1), time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
		for i := range rapid.IntRange(1, 20).Draw(t, "changes") {
			d := &document{Type: "INVOICE.PURCHASE", Number: fmt.Sprint(i), Properties: map[string]any{}}
			if known := len(tenant.documents); known > 0 && rapid.Bool().Draw(t, "known") {
				d = tenant.documents[rapid.IntRange(0, known-1).Draw(t, "which")].current().clone()
			}
			d.Properties[ksefNumberProperty] = numbers.Draw(t, "number")
			now = now.Add(time.Second)
			require.NoError(t, tenant.store(d, now))
		}
		op := rapid.SampledFrom([]string{"AND", "OR", "NOT", "one"}).Draw(t, "op")
		f := &filter{op: op, parts: rapid.SliceOfN(comparison, 2, 3).Draw(t, "parts")}
		switch op {
		case "NOT":
			f.parts = f.parts[:1]
		case "one":
			f = f.parts[0]
		}
		seen := sight{newest: now, changed: now.Add(-time.Duration(rapid.IntRange(0, 5).Draw(t, "late")) * time.Second), numbers: set.NumberProperties}
		seen.among = tenant.documents
		all, err := filterRows(v.rows(tenant, seen), f, v.isBase, set)
		require.NoError(t, err)
		seen.among = tenant.among(f, set)
		found, err := filterRows(v.rows(tenant, seen), f, v.isBase, set)
		require.NoError(t, err)
		require.Equal(t, idsOf(all), idsOf(found))
	})
}

func idsOf(rows []row) (ids []any) {
	for _, r := range rows {
		id, _ := r.column("id")
		ids = append(ids, id)
	}
	return ids
}

func TestKSeFIndex_looksAtNoOtherDocuments(t *testing.T) {
	set := newSettings(DefaultConfig())
	tenant := newTenant(1)
	for i := range 100 {
		d := &document{Type: "INVOICE.PURCHASE", Number: fmt.Sprint(i), Properties: map[string]any{ksefNumberProperty: fmt.Sprintf("K-%d", i)}}
		require.NoError(t, tenant.store(d, time.Now()))
	}
	f, err := parseFilter("(type='INVOICE.PURCHASE') AND (properties.ksefNumber='K-7' OR properties.ksefNumber='K-3')", dialect{})
	require.NoError(t, err)
	require.Len(t, tenant.among(f, set), 2)
	f, err = parseFilter("properties.ksefNumber='K-7' OR id=1005", dialect{})
	require.NoError(t, err)
	require.Len(t, tenant.among(f, set), 100)
}
