package ksef

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
)

// Group names the requests that share one quota. Quotas count per context (NIP)
// and IP address. The names are those of GET /rate-limits; a name that this
// version does not know is kept as it is.
type Group string

const (
	// GroupOnlineSession is POST /sessions/online.
	GroupOnlineSession Group = "onlineSession"
	// GroupOnlineSessionClose is POST /sessions/online/{ref}/close.
	GroupOnlineSessionClose Group = "onlineSessionClose"
	// GroupInvoiceSend is POST /sessions/online/{ref}/invoices.
	GroupInvoiceSend Group = "invoiceSend"
	// GroupBatchSession is POST /sessions/batch.
	GroupBatchSession Group = "batchSession"
	// GroupBatchSessionClose is POST /sessions/batch/{ref}/close.
	GroupBatchSessionClose Group = "batchSessionClose"
	// GroupInvoiceStatus is GET /sessions/{ref}/invoices/{invoiceRef}.
	GroupInvoiceStatus Group = "invoiceStatus"
	// GroupSessionList is GET /sessions.
	GroupSessionList Group = "sessionList"
	// GroupSessionInvoiceList is GET /sessions/{ref}/invoices and its failed ones.
	GroupSessionInvoiceList Group = "sessionInvoiceList"
	// GroupSessionMisc is every other GET under /sessions: status and UPO.
	GroupSessionMisc Group = "sessionMisc"
	// GroupInvoiceMetadata is POST /invoices/query/metadata.
	GroupInvoiceMetadata Group = "invoiceMetadata"
	// GroupInvoiceExport is POST /invoices/exports.
	GroupInvoiceExport Group = "invoiceExport"
	// GroupInvoiceExportStatus is GET /invoices/exports/{ref}.
	GroupInvoiceExportStatus Group = "invoiceExportStatus"
	// GroupInvoiceDownload is GET /invoices/ksef/{ksefNumber}.
	GroupInvoiceDownload Group = "invoiceDownload"
	// GroupOther is each further endpoint, every one with a counter of its own.
	GroupOther Group = "other"
	// GroupAnonymous is what needs no access token: login and public keys.
	GroupAnonymous Group = "anonymous"
	// GroupGlobal bounds all requests together, where KSeF says so.
	GroupGlobal Group = "global"
)

// Limit is how many requests a group may have in any second, minute and hour
// (sliding windows, all three at once). A value of zero or less means that this
// window has no limit.
type Limit struct {
	PerSecond int `json:"perSecond"`
	PerMinute int `json:"perMinute"`
	PerHour   int `json:"perHour"`
}

// RateLimits are the limits of every group.
type RateLimits map[Group]Limit

// Of returns the limit that counts for a group. Before version 2.8.0 closing a
// session shared the numbers of opening one; an unknown group is like "other".
func (r RateLimits) Of(g Group) Limit {
	if l, ok := r[g]; ok {
		return l
	}
	switch g {
	case GroupOnlineSessionClose:
		return r.Of(GroupOnlineSession)
	case GroupBatchSessionClose:
		return r.Of(GroupBatchSession)
	case GroupOther, GroupAnonymous, GroupGlobal:
		return Limit{}
	}
	return r.Of(GroupOther)
}

// ProductionRateLimits returns the limits that KSeF published for production;
// they hold until [Client.RateLimits] has read the effective ones.
func ProductionRateLimits() RateLimits {
	return RateLimits{
		GroupOnlineSession:       {10, 30, 120},
		GroupOnlineSessionClose:  {20, 60, 240},
		GroupInvoiceSend:         {10, 30, 180},
		GroupBatchSession:        {10, 20, 60},
		GroupBatchSessionClose:   {20, 40, 120},
		GroupInvoiceStatus:       {30, 120, 1200},
		GroupSessionList:         {5, 10, 60},
		GroupSessionInvoiceList:  {10, 20, 200},
		GroupSessionMisc:         {10, 120, 1200},
		GroupInvoiceMetadata:     {8, 16, 20},
		GroupInvoiceExport:       {8, 16, 20},
		GroupInvoiceExportStatus: {10, 60, 600},
		GroupInvoiceDownload:     {8, 16, 64},
		"collectiveIdentifier":   {10, 60, 120},
		GroupOther:               {10, 30, 120},
		GroupAnonymous:           {PerSecond: 60},
	}
}

// RateLimits reads the effective limits of the present context (GET
// /rate-limits). From then on the client paces itself by them.
func (c *Client) RateLimits(ctx context.Context) (RateLimits, error) {
	var answer map[string]json.RawMessage
	r := request{
		operation: "read the rate limits", method: http.MethodGet, path: "/rate-limits",
		group: GroupOther, endpoint: "GET /rate-limits", auth: authAccess,
	}
	if err := c.callJSON(ctx, r, nil, &answer); err != nil {
		return nil, err
	}
	limits := RateLimits{}
	for name, raw := range answer {
		var l *Limit
		if json.Unmarshal(raw, &l) == nil && l != nil {
			limits[Group(name)] = *l
		}
	}
	if len(limits) == 0 {
		return nil, &Error{Operation: r.operation, Kind: KindGateway, Status: http.StatusOK, Detail: "the answer names no limits"}
	}
	c.pacer.learn(limits)
	if public, told := limits[GroupAnonymous]; told && c.public != nil {
		c.public.learn(RateLimits{GroupAnonymous: public})
	}
	return maps.Clone(limits), nil
}
