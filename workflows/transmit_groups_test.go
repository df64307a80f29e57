package workflows

import (
	"testing"

	"github.com/stretchr/testify/require"

	"teamogy-ksef/internal/flow"
)

// However many invoices a package may have: together they stay below KSeF's
// 5 GB, and what does not fit goes in the next one.
func TestTakeGroup_staysBelowTheBytesOfAPackage(t *testing.T) {
	const gigabyte = 1_000_000_000
	for name, c := range map[string]struct {
		sizes       []int64
		taken, left []int64 // documents, from 1
	}{
		"all fit":                             {[]int64{gigabyte, gigabyte, 2*gigabyte + 900_000_000}, []int64{1, 2, 3}, nil},
		"one byte more than fits":             {[]int64{gigabyte, gigabyte, 2*gigabyte + 900_000_001}, []int64{1, 2}, []int64{3}},
		"a small one fits in beside":          {[]int64{3 * gigabyte, 3 * gigabyte, gigabyte}, []int64{1, 3}, []int64{2}},
		"one that fits nowhere holds nobody":  {[]int64{6 * gigabyte, 1}, []int64{1}, []int64{2}},
		"sizes that are not known do not add": {[]int64{0, 0, 0}, []int64{1, 2, 3}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			q := &queue{}
			for i, size := range c.sizes {
				item := handedOver(int64(i+1), "a")
				item.Size = size
				q.register(item)
			}
			documents := func(waiting []flow.Waiting) (ids []int64) {
				for _, w := range waiting {
					ids = append(ids, w.DocumentID)
				}
				return ids
			}
			taken := q.takeGroup(start, groupOf(q.Pending[0]), mostInBatch)
			require.Equal(t, c.taken, documents(taken))
			require.Equal(t, c.left, documents(q.Pending))
		})
	}
}
