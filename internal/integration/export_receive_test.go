package integration

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"teamogy-ksef/internal/flow"
	"teamogy-ksef/internal/simulator/ksefsim"
)

// many seeds made-up invoices of suppliers and gives what KSeF holds of them.
func (b *bed) many(n int, more map[string]any) []ksefInvoice {
	b.Helper()
	body := map[string]any{"buyerNip": b.nip, "generate": n}
	for k, v := range more {
		body[k] = v
	}
	b.control(http.MethodPost, b.ksefURL+"/_sim/seed", body, nil)
	var at struct{ Invoices []ksefInvoice }
	b.control(http.MethodGet, b.ksefURL+"/_sim/invoices", nil, &at)
	return at.Invoices
}

// receiveAll runs ReceiveInvoices until each invoice has its document.
func (b *bed) receiveAll(invoices []ksefInvoice) {
	b.Helper()
	b.start(flow.ReceiveInvoices, flow.ReceiveID(b.connection), flow.ReceiveInput{Connection: b.connection})
	b.allReceived(invoices)
}

// allReceived waits until each invoice has its document, and no second one.
func (b *bed) allReceived(invoices []ksefInvoice) {
	b.Helper()
	created := map[string]int{}
	b.eventually("all are imported", func() bool {
		clear(created)
		for _, d := range b.documents() {
			if d.CreatedVia == "post" {
				created[d.property("ksefNumber")]++
			}
		}
		return len(created) >= len(invoices)
	})
	for _, i := range invoices {
		require.Equal(b, 1, created[i.KSeFNumber], i.KSeFNumber)
	}
}

// Many received invoices come by one query and one export package; no import
// asks KSeF for anything.
func TestReceiveInvoices_bringsManyInvoicesByOneExportPackage(t *testing.T) {
	b := newBed(t)
	invoices := b.many(60, nil)
	b.receiveAll(invoices)
	require.Equal(t, 1, b.requests(b.ksefURL, "POST /invoices/exports"))
	require.Zero(t, b.requests(b.ksefURL, "GET /invoices/ksef/{ksefNumber}"), "invoices were downloaded one by one")
	for _, i := range invoices {
		kept, err := b.archive.Document(t.Context(), i.SHA256)
		require.NoError(t, err)
		require.NotEmpty(t, kept)
	}
	var status flow.ReceiveStatus
	b.eventually("the package is dealt with", func() bool {
		b.query(flow.ReceiveID(b.connection), &status)
		return status.Manifest == nil && status.Totals.Started == 60
	})
	require.Contains(t, status.Choice, "60 new invoices: an export package; 17 of 18 exports left this hour")
	require.Equal(t, 1, status.Totals.Packages)
	b.eventually("the cursor has moved", func() bool { return !b.cursor().IsZero() })
}

// KSeF puts so many invoices into a package, in time's order, and more than that
// were stored at one moment: the next package would begin with the same ones.
// They are divided by their amounts.
func TestReceiveInvoices_getsEachInvoiceOfAMomentThatFillsMoreThanAPackage(t *testing.T) {
	const full = 40
	b := newBed(t, fast, func(o *bedOptions) { o.ksef.QueryRecords, o.ksef.Limits = full, ksefsim.LimitsOff })
	b.many(full/2, map[string]any{"spread": "3h"}) // so that the package is cut off within the moment
	b.many(3*full, map[string]any{"sameInstant": true})
	all := b.many(full/2, nil)
	require.Len(t, all, 4*full)
	b.receiveAll(all)
	b.eventually("the cursor is behind them", func() bool {
		status := b.receiveStatus()
		return status.Manifest == nil && len(status.Stuck) == 0 && b.cursor().After(b.foundFact(all[len(all)-1].KSeFNumber).metadata.PermanentStorageDate)
	})
	require.Greater(t, b.requests(b.ksefURL, "POST /invoices/exports"), 4)
	require.Zero(t, b.requests(b.ksefURL, "GET /invoices/ksef/{ksefNumber}"))
	b.allReceived(all)
}
