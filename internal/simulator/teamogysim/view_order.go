package teamogysim

import (
	"cmp"
	"math/rand/v2"
	"slices"
)

// sortRows puts rows, which come ascending by id, into the order that is
// switched on; a shuffled one depends on the seed and on how many were shuffled
// before.
func sortRows(rows []row, set *settings, shuffles uint64) {
	switch set.SortOrder {
	case SortIDDescending:
		slices.Reverse(rows)
	case SortChanged:
		slices.SortStableFunc(rows, func(a, b row) int { return cmp.Compare(b.revision, a.revision) })
	case SortShuffled:
		random := rand.New(rand.NewPCG(uint64(set.SortSeed), shuffles))
		random.Shuffle(len(rows), func(i, j int) { rows[i], rows[j] = rows[j], rows[i] })
	}
}
