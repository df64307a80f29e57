package activities

import (
	"context"
	"time"

	"teamogy-ksef/internal/connection"
	"teamogy-ksef/internal/flow"
	"teamogy-ksef/internal/ksef"
)

// limitsOf picks the limits that the workflows own. Those of sending are divided
// by the connections that send for the same taxpayer, because KSeF counts them
// together; of those that receive there is only one.
func limitsOf(l ksef.RateLimits, senders int) flow.Limits {
	queries, downloads := l.Of(ksef.GroupInvoiceMetadata), l.Of(ksef.GroupInvoiceDownload)
	exports := l.Of(ksef.GroupInvoiceExport)
	opens, sends := shareOf(l.Of(ksef.GroupOnlineSession), senders), shareOf(l.Of(ksef.GroupInvoiceSend), senders)
	batches := shareOf(l.Of(ksef.GroupBatchSession), senders)
	return flow.Limits{
		QueriesPerMinute: queries.PerMinute, QueriesPerHour: queries.PerHour,
		DownloadsPerMinute: downloads.PerMinute, DownloadsPerHour: downloads.PerHour,
		OpensPerMinute: opens.PerMinute, OpensPerHour: opens.PerHour,
		SendsPerMinute: sends.PerMinute, SendsPerHour: sends.PerHour,
		ExportsPerMinute: exports.PerMinute, ExportsPerHour: exports.PerHour,
		BatchesPerMinute: batches.PerMinute, BatchesPerHour: batches.PerHour,
	}
}

// shareOf is one of so many equal parts of a limit, at least one request. No
// limit stays none. Where the parts are more than the whole, the quota that all
// count in (ksef.Quota) keeps the limit.
func shareOf(l ksef.Limit, parts int) ksef.Limit {
	for _, n := range []*int{&l.PerSecond, &l.PerMinute, &l.PerHour} {
		if *n > 0 {
			*n = max(1, *n/max(1, parts))
		}
	}
	return l
}

// ownedGroups are the groups of requests that the workflows pace.
var ownedGroups = []ksef.Group{
	flow.GroupQueries, flow.GroupExports, flow.GroupDownloads, flow.GroupOpens, flow.GroupSends, flow.GroupBatches,
}

// blockTeller tells what KSeF has blocked; *ksef.Client has it.
type blockTeller interface {
	Blocked(ctx context.Context, groups ...ksef.Group) map[ksef.Group]time.Duration
}

// Blocked implements blockTeller.
func (k *gatedKSeF) Blocked(ctx context.Context, groups ...ksef.Group) map[ksef.Group]time.Duration {
	if teller, is := k.KSeFClient.(blockTeller); is {
		return teller.Blocked(ctx, groups...)
	}
	return nil
}

// blocksOf lists what KSeF has blocked of what the workflows pace, so that they
// wait, or take another way, instead of asking.
func (b *base) blocksOf(ctx context.Context, client KSeFClient) (blocks []flow.Block) {
	teller, is := client.(blockTeller)
	if !is {
		return nil
	}
	found := teller.Blocked(ctx, ownedGroups...)
	for _, group := range ownedGroups {
		if d := found[group]; d > 0 {
			blocks = append(blocks, flow.Block{Group: string(group), Until: b.Now().Add(d).UTC()})
		}
	}
	return blocks
}

// sharer tells how many connections send for a connection's taxpayer; *Clients
// has it.
type sharer interface {
	Senders(*connection.Connection) int
}

// senders is sharer's answer, or 1 where nobody knows.
func (b *base) senders(c *connection.Connection) int { return sendersOf(b.Connections, c) }

func sendersOf(connections Connections, c *connection.Connection) int {
	if s, is := connections.(sharer); is {
		return s.Senders(c)
	}
	return 1
}

// Senders implements sharer.
func (c *Clients) Senders(s *connection.Connection) int { return c.store.Senders(s) }

// Senders implements sharer.
func (g *gatedConnections) Senders(s *connection.Connection) int { return sendersOf(g.Connections, s) }
