package integration

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"teamogy-ksef/internal/archive"
	"teamogy-ksef/internal/flow"
	"teamogy-ksef/internal/ksef"
	"teamogy-ksef/internal/simulator/ksefsim"
	"teamogy-ksef/internal/simulator/samples"
)

// fast makes a day twelve seconds: the daily look back comes within a test.
func fast(o *bedOptions) {
	const scale = 7200
	o.ksef.TimeScale, o.teamogy.TimeScale = scale, scale
	o.settings["TIME_SCALE"] = fmt.Sprint(scale)
}

func (b *bed) cursor() time.Time {
	b.Helper()
	return b.receiveStatus().Cursors["Subject2"].At
}

// Edge case (c): the high-water mark goes back by two hours, and a record
// appears behind it.
func TestEdgeC_cursorStaysWhenTheMarkGoesBackAndARecordBehindItArrivesOnce(t *testing.T) {
	b := newBed(t, fast)
	generated := samples.GenerateReceived(b.sampleOptions(), 6)
	seeded := b.seedKSeF(b.nip, xmlOf(generated[0].XML), xmlOf(generated[1].XML))
	b.start(flow.ReceiveInvoices, flow.ReceiveID(b.connection), flow.ReceiveInput{Connection: b.connection})
	imported := func(n int) func() bool {
		return func() bool {
			for _, i := range seeded[:n] {
				if len(b.received(i.KSeFNumber)) == 0 {
					return false
				}
			}
			return true
		}
	}
	b.eventually("both are imported", imported(2))

	// The mark goes back: the cursor stays, through many queries.
	before := b.cursor()
	b.fault(b.ksefURL, map[string]any{"name": "hwm-went-back", "times": -1})
	seeded = append(seeded, b.seedKSeF(b.nip, xmlOf(generated[2].XML))...)
	cycles := b.receiveStatus().Totals.Cycles
	b.eventually("it has asked again and again", func() bool { return b.receiveStatus().Totals.Cycles >= cycles+3 })
	require.False(t, b.cursor().Before(before), "the cursor went back with the mark")
	require.Empty(t, b.received(seeded[2].KSeFNumber), "it lies beyond the mark")
	b.clearFaults(b.ksefURL)
	b.eventually("the mark is right again", imported(3))

	// A record is shown only when the mark, and the cursor, are long past it.
	b.fault(b.ksefURL, map[string]any{"name": "record-behind-hwm", "seconds": 8 * 3600})
	seeded = append(seeded, b.seedKSeF(b.nip, xmlOf(generated[3].XML))...)
	late := seeded[3].KSeFNumber
	b.eventually("the look back has found it", imported(4))
	found := b.foundFact(late)
	require.True(t, b.cursor().After(found.metadata.PermanentStorageDate))
	require.True(t, found.at.After(found.metadata.PermanentStorageDate.Add(3*time.Second)), "it was found at once: the fault did not strike")
	b.eventually("another look back is over", func() bool { return b.receiveStatus().LastRecheck.After(found.at.Add(5 * time.Second)) })
	for _, i := range seeded {
		require.Len(t, b.received(i.KSeFNumber), 1, i.KSeFNumber)
	}
	require.Equal(t, len(seeded), b.receiveStatus().Totals.Started)
}

type foundFact struct {
	at       time.Time
	metadata ksef.Metadata
}

func (b *bed) foundFact(ksefNumber string) foundFact {
	b.Helper()
	facts, err := b.archive.Facts(b.within(), archive.RecordKey{Connection: b.connection, Direction: archive.Received, ID: ksefNumber})
	require.NoError(b, err)
	for _, f := range facts {
		if f.Kind == "found" {
			found := foundFact{at: f.At}
			require.NoError(b, json.Unmarshal(f.Data, &found.metadata))
			return found
		}
	}
	require.Fail(b, "it was not found", ksefNumber)
	return foundFact{}
}

// Edge case (d): more records of one moment than a page of a query holds. (More
// than all pages hold: workflows, TestEdgeD_theCursorStays...)
func TestEdgeD_noneOfManyInvoicesOfOneMomentIsSkipped(t *testing.T) {
	b := newBed(t, func(o *bedOptions) { o.ksef.Limits = ksefsim.LimitsOff })
	const many = 260
	b.control(http.MethodPost, b.ksefURL+"/_sim/seed", map[string]any{"buyerNip": b.nip, "generate": many, "sameInstant": true}, nil)
	var at struct{ Invoices []ksefInvoice }
	b.control(http.MethodGet, b.ksefURL+"/_sim/invoices", nil, &at)
	require.Len(t, at.Invoices, many)
	// All but a few are known already: importing them would only take time.
	var unknown []string
	for i, invoice := range at.Invoices {
		if i == 0 || i == many/2 || i >= many-6 {
			unknown = append(unknown, invoice.KSeFNumber)
			continue
		}
		_, err := b.archive.AddFact(t.Context(), archive.RecordKey{Connection: b.connection, Direction: archive.Received, ID: invoice.KSeFNumber},
			archive.Fact{Kind: "created", Name: "document", At: time.Now(), Data: json.RawMessage(`{"documentId":1}`)})
		require.NoError(t, err)
	}
	later := b.seedKSeF(b.nip, xmlOf(samples.GenerateReceived(b.sampleOptions(), 2)[0].XML))[0]
	unknown = append(unknown, later.KSeFNumber)
	b.start(flow.ReceiveInvoices, flow.ReceiveID(b.connection), flow.ReceiveInput{Connection: b.connection})
	for _, number := range unknown {
		b.eventually("imported: "+number, func() bool { return len(b.received(number)) == 1 })
	}
	b.eventually("the cursor is behind them", func() bool { return b.cursor().After(b.foundFact(unknown[0]).metadata.PermanentStorageDate) })
	require.Equal(t, b.foundFact(unknown[0]).metadata.PermanentStorageDate, b.foundFact(unknown[len(unknown)-2]).metadata.PermanentStorageDate, "they share one moment")
	status := b.receiveStatus()
	require.Equal(t, len(unknown), status.Totals.Started)
	require.Empty(t, status.Stuck)
	for _, number := range unknown {
		require.Len(t, b.received(number), 1)
	}
}
