package integration

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"teamogy-ksef/internal/flow"
	"teamogy-ksef/internal/simulator/samples"
)

// spoilRecord puts something into an invoice's record that cannot be read, and
// gives what takes it away again.
func (b *bed) spoilRecord(direction, id string) (mend func()) {
	b.Helper()
	record := filepath.Join(b.dir, "archive", "records", b.connection, direction, id)
	require.NoError(b, os.MkdirAll(record, 0o700))
	garbage := filepath.Join(record, "damaged.json")
	require.NoError(b, os.WriteFile(garbage, []byte("\x00 garbage"), 0o600))
	return func() { require.NoError(b, os.Remove(garbage)) }
}

// Also when the damaged one is all that a poll finds, later polls find others.
func TestResilience_aCorruptRecordFoundAloneHindersNoLaterInvoice(t *testing.T) {
	b := newBed(t)
	received := samples.GenerateReceived(b.sampleOptions(), 3)
	bad := b.seedKSeF(b.nip, xmlOf(received[0].XML))[0]
	mend := b.spoilRecord("received", bad.KSeFNumber)
	id := flow.ReceiveID(b.connection)
	b.start(flow.ReceiveInvoices, id, flow.ReceiveInput{Connection: b.connection})
	b.eventually("the poll has met it", func() bool { return b.requests(b.ksefURL, "POST /invoices/query/metadata") > 0 })
	good := b.seedKSeF(b.nip, xmlOf(received[1].XML))[0]
	require.NoError(t, b.update(id, flow.UpdatePollNow))
	b.eventually("the good one is imported", func() bool { return len(b.received(good.KSeFNumber)) == 1 })
	require.Empty(t, b.receiveStatus().Cursors)
	mend()
	require.NoError(t, b.update(id, flow.UpdatePollNow))
	b.eventually("the bad one is imported", func() bool { return len(b.received(bad.KSeFNumber)) == 1 })
}

// Also when the damaged one is all that a session holds, the next session goes
// on.
func TestResilience_aCorruptRecordAloneInItsSessionHindersNoOtherSession(t *testing.T) {
	b := newBed(t)
	b.fault(b.ksefURL, map[string]any{"operation": "GET /rate-limits", "action": "502-before", "times": -1})
	bad := b.seedReady("Z/1", b.issued("Z/1"))
	b.startSend(bad.ID)
	b.eventually("it is registered", func() bool {
		return b.exists(flow.TransmitID(b.connection)) && b.transmitStatus().Pending == 1
	})
	mend := b.spoilRecord("sent", itoa(bad.ID))
	b.clearFaults(b.ksefURL)
	b.eventually("its session has begun", func() bool { return len(b.sessions()) > 0 })
	good := b.seedReady("Z/2", b.issued("Z/2"))
	b.startSend(good.ID)
	b.requireSent(good, 1)
	require.Zero(t, b.submissions(bad.SHA256))
	mend()
	b.requireSent(bad, 1)
}

// A record that is damaged while KSeF decides keeps its answer from nobody
// else of the session.
func TestResilience_aRecordDamagedInFlightHindersNoOtherOfItsSession(t *testing.T) {
	b := newBed(t)
	b.hold("W/1")
	b.hold("W/2")
	bad, good := b.seedReady("W/1", b.issued("W/1")), b.seedReady("W/2", b.issued("W/2"))
	b.inOneSession(bad, good)
	b.eventually("both wait", func() bool { return b.requests(b.ksefURL, "POST /sessions/online/{ref}/close") >= 1 })
	mend := b.spoilRecord("sent", itoa(bad.ID))
	b.release("W/1")
	session := b.sessions()[0]
	b.eventually("its answer cannot be delivered", func() bool {
		return len(b.atKSeF()) == 1 && strings.HasPrefix(b.pendingFailure(session), flow.ErrArchiveDamaged+": ")
	})
	b.release("W/2")
	b.requireSent(good, 1)
	require.True(t, b.running(flow.SendInvoiceID(b.connection, bad.ID)))
	mend()
	b.requireSent(bad, 1)
	require.Len(t, b.atKSeF(), 2)
}
