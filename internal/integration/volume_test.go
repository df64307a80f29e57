package integration

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"teamogy-ksef/internal/flow"
)

// Month's end: VOLUME invoices each way at once under production's limits, on a
// clock that runs 60 times faster. Every one arrives exactly once, and no
// request is refused for a quota. `make volume` runs it with 1,000.
func TestVolume_everyInvoiceArrivesOnceInBothDirections(t *testing.T) {
	n := number(t, "VOLUME", 0)
	if n == 0 {
		t.Skip("VOLUME is not set: `make volume` runs this")
	}
	l := newLoad(t, loadOptions{scale: timeScale, fields: mergingFields()})
	l.fillKSeF(n, nil)
	l.fillTeamogy(n)
	l.begin(both)
	elapsed := l.finished(n, flow.ImportInvoice, flow.SendInvoice)
	l.requireReceivedOnce(n)
	l.requireSentOnce(n)

	counts := l.ksefCounts()
	require.Zero(t, counts.TooManyRequests)
	require.Zero(t, l.tooMany(l.teamogyURL))
	t.Logf("%d invoices each way: %.1f hours of production", n, l.hours(elapsed))
	for _, group := range l.scarce() {
		t.Logf("requests to KSeF, %s: %d", group, counts.Groups[group].Requests)
	}
	t.Logf("requests to Teamogy: %.2f an invoice", float64(l.allRequests(l.teamogyURL))/float64(2*n))
}

// requireReceivedOnce demands one document, and the very bytes in the archive,
// for each of the n invoices that KSeF holds for this company.
func (l *load) requireReceivedOnce(n int) {
	l.Helper()
	created := map[string]int{}
	for _, d := range l.documents() {
		if d.CreatedVia == "post" {
			created[d.property("ksefNumber")]++
		}
	}
	var atKSeF struct{ Invoices []ksefInvoice }
	l.control(http.MethodGet, l.ksefURL+"/_sim/invoices", nil, &atKSeF)
	seen := 0
	for _, i := range atKSeF.Invoices {
		if i.Origin != "seed" {
			continue
		}
		seen++
		require.Equal(l, 1, created[i.KSeFNumber], "documents of %s", i.KSeFNumber)
		xml, err := l.archive.Document(l.Context(), i.SHA256)
		require.NoError(l, err, i.KSeFNumber)
		sum := sha256.Sum256(xml)
		require.Equal(l, i.SHA256, hex.EncodeToString(sum[:]), i.KSeFNumber)
	}
	require.Equal(l, n, seen)
	require.Len(l, created, n)
	require.Zero(l, l.count(flow.ImportInvoice, "Failed"))
}

// requireSentOnce demands that each of the n issued invoices was sent once,
// was accepted with the bytes that Teamogy holds, and has its number there.
func (l *load) requireSentOnce(n int) {
	l.Helper()
	atKSeF := map[string]ksefInvoice{}
	for _, i := range l.atKSeF() {
		require.Equal(l, 1, i.Submissions, "submissions of %s", i.InvoiceNumber)
		atKSeF[i.SHA256] = i
	}
	require.Len(l, atKSeF, n)
	issued := 0
	for _, d := range l.documents() {
		if d.CreatedVia == "post" {
			continue
		}
		issued++
		invoice, there := atKSeF[d.property("ksefXmlSha256")]
		require.True(l, there, "%s is not at KSeF", d.Number)
		require.Equal(l, invoice.KSeFNumber, d.property("ksefNumber"), d.Number)
		require.Equal(l, "SENT.TO.KSEF", d.Status, d.Number)
	}
	require.Equal(l, n, issued)
	require.Zero(l, l.count(flow.SendInvoice, "Failed"))
}
