package workflows

import (
	"testing"

	"github.com/shopspring/decimal"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// Dividing a range of amounts leaves no amount out, takes none twice, and ends.
func TestSplit_leavesNoAmountOutAndTakesNoneTwice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		amount := rapid.Custom(func(t *rapid.T) decimal.Decimal {
			return decimal.New(int64(rapid.IntRange(-30, 30).Draw(t, "groszy")), -2)
		})
		open, whole := []amounts{{}}, []amounts(nil)
		for steps := 0; len(open) > 0; steps++ {
			require.Less(t, steps, 1000)
			part := open[0]
			open = open[1:]
			at := amount.Draw(t, "at")
			if part.from != nil {
				at = decimal.Max(at, *part.from)
			}
			if part.to != nil {
				at = decimal.Min(at, *part.to)
			}
			halves, can := part.split(at)
			if part.from != nil && part.to != nil && part.from.Equal(*part.to) {
				require.False(t, can, "of one amount")
			}
			if !can || rapid.IntRange(0, 3).Draw(t, "whole") == 0 {
				whole = append(whole, part)
				continue
			}
			open = append(open, halves...)
		}
		for groszy := int64(-40); groszy <= 40; groszy++ {
			of, n := decimal.New(groszy, -2), 0
			for _, p := range whole {
				if (p.from == nil || !of.LessThan(*p.from)) && (p.to == nil || !of.GreaterThan(*p.to)) {
					n++
				}
			}
			require.Equal(t, 1, n, "the amount %s", of)
		}
	})
}
