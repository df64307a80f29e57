package workflows

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/workflow"
	"pgregory.net/rapid"

	"teamogy-ksef/internal/flow"
)

const gigabyte = 1_000_000_000

func bytesOf(items []flow.HandOver) (sum int64) {
	for _, item := range items {
		sum += item.Size
	}
	return sum
}

// A package is not larger than KSeF takes: what has no room in one is the first of
// the next.
func TestTransmitInvoices_splitsWhatIsTooLargeForOnePackage(t *testing.T) {
	s := newTransmitting(t)
	large := withAttachment(some(1, 7))
	for i := range large {
		large[i].Size = 2 * gigabyte
	}
	large[1].Size = 6 * gigabyte // larger than any package: by itself, and KSeF decides
	large[6].Size = 1
	s.handOver(0, large...)
	s.e.after(time.Hour, s.e.CancelWorkflow)
	s.run()
	var packages [][]int64
	for i, items := range s.sessions {
		require.True(t, s.inputs[i].Batch)
		packages = append(packages, documents(items))
	}
	require.Equal(t, [][]int64{{1, 3, 7}, {2}, {4, 5}, {6}}, packages)
}

// Whatever the invoices' sizes: all are taken, each once, those of a group in
// packages within the bounds, and the one that waits longest is always with the
// next package.
func TestTakeGroup_takesEachInvoiceOnceAndNoneIntoAPackageThatIsFull(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		q := &queue{}
		sizes := rapid.SampledFrom([]int64{0, 1, gigabyte, 2 * gigabyte, mostBytes - 2*gigabyte, mostBytes - 1, mostBytes, mostBytes + 1, 6 * gigabyte})
		n := rapid.IntRange(1, 40).Draw(t, "invoices")
		for d := range int64(n) {
			w := waitingFor(d+1, "a")
			w.Size = sizes.Draw(t, "size")
			w.Attachment = rapid.Bool().Draw(t, "attachment")
			w.Offline = rapid.Bool().Draw(t, "offline")
			q.Pending = append(q.Pending, w)
		}
		most := rapid.IntRange(1, 10).Draw(t, "most")
		var taken []int64
		for len(q.Pending) > 0 {
			oldest := q.Pending[0]
			g := q.readyGroups(start)[0].group
			items := handOversOf(q.takeGroup(start, g, most))
			require.NotEmpty(t, items)
			require.Equal(t, oldest.HandOver, items[0])
			require.LessOrEqual(t, len(items), most)
			if len(items) > 1 {
				require.LessOrEqual(t, bytesOf(items), int64(mostBytes))
				require.Less(t, bytesOf(items), int64(5*gigabyte), "KSeF takes no more")
			}
			for _, item := range items {
				require.Equal(t, g, groupOf(flow.Waiting{HandOver: item}))
			}
			taken = append(taken, documents(items)...)
		}
		slices.Sort(taken)
		require.Equal(t, documents(some(1, int64(n))), taken)
	})
}

// Also what its packages keep failing for goes in packages if it has attachments,
// however few it is: KSeF takes attachments no other way.
func TestTransmitInvoices_separatesAttachmentsInPackagesOnly(t *testing.T) {
	for many, sizes := range map[int64][]int{
		1:   {1, 1, 1, 1},
		20:  {20, 20, 20, 20},
		300: {300, 300, 250, 50, 31, 31, 31, 31, 31, 31, 31, 31, 31, 21},
	} {
		s := newTransmitting(t)
		s.session = func(_ workflow.Context, id string, items []flow.HandOver) error {
			news := s.news(id, items)
			if len(s.inputs) <= 3 || len(items) > 31 {
				news = flow.SessionNews{ID: id, Again: documents(items), Over: true}
			}
			s.e.SignalWorkflow(flow.SignalSessionSent, flow.SessionSent{ID: id, Opens: 1})
			s.e.SignalWorkflow(flow.SignalSessionNews, news)
			return nil
		}
		s.handOver(0, withAttachment(some(1, many))...)
		s.e.after(5*time.Hour, s.e.CancelWorkflow)
		s.run()
		packages, single := s.inBatches()
		require.Empty(t, single)
		require.Equal(t, sizes, packages)
	}
}
