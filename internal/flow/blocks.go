package flow

import "time"

// Block is a group of requests that KSeF has refused until a time (429 with
// Retry-After). Nobody asks anything of it before.
type Block struct {
	Group string    `json:"group"` // by the name of GET /rate-limits
	Until time.Time `json:"until"`
}

// The groups that the workflows pace, by KSeF's names.
const (
	GroupQueries   = "invoiceMetadata"
	GroupExports   = "invoiceExport"
	GroupDownloads = "invoiceDownload"
	GroupOpens     = "onlineSession"
	GroupSends     = "invoiceSend"
	GroupBatches   = "batchSession"
)

// BlockedUntil is until when a group is blocked; zero if it is not.
func BlockedUntil(blocks []Block, group string) time.Time {
	for _, b := range blocks {
		if b.Group == group {
			return b.Until
		}
	}
	return time.Time{}
}
