package integration

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"teamogy-ksef/internal/flow"
	"teamogy-ksef/internal/simulator/samples"
)

func sha256Of(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}

// The Ministry's invoices pass both ways on one connection under production's
// limits, and no byte of them changes.
func TestOfficialInvoices_passBothWaysByteForByte(t *testing.T) {
	official := officialInvoices(t)
	names := slices.Sorted(maps.Keys(official))
	require.Len(t, names, 26)
	b := newBed(t)
	b.allowAttachments() // two of them have one

	var bodies []map[string]any
	for _, name := range names {
		bodies = append(bodies, xmlOf(official[name]))
	}
	seeded := b.seedKSeF(b.nip, bodies...)

	issued := map[string]issuedDocument{}
	sentXML := map[string][]byte{}
	for i, name := range names {
		number := fmt.Sprintf("OFFICIAL/%d/%d", i+1, len(names))
		xml, err := samples.Adapt(official[name], b.nip, number)
		require.NoError(t, err, name)
		sentXML[name], issued[name] = xml, b.seedReady(number, xml)
	}

	b.start(flow.ReceiveInvoices, flow.ReceiveID(b.connection), flow.ReceiveInput{Connection: b.connection})
	b.start(flow.SendInvoices, flow.SendID(b.connection), flow.SendInput{Connection: b.connection})

	t.Run("received", func(t *testing.T) {
		for i, name := range names {
			number := seeded[i].KSeFNumber
			require.Equal(t, sha256Of(official[name]), seeded[i].SHA256, "%s was seeded with other bytes", name)
			id := flow.ImportID(b.connection, number)
			b.eventually(name+" is found", func() bool { return b.exists(id) })
			require.NoError(t, b.client.GetWorkflow(b.within(), id, "").Get(b.within(), nil), name)
			require.Len(t, b.received(number), 1, name)
			kept, err := b.archive.Document(t.Context(), seeded[i].SHA256)
			require.NoError(t, err, name)
			require.Equal(t, sha256Of(official[name]), sha256Of(kept), "the archive holds other bytes of %s", name)
			require.Equal(t, seeded[i].SHA256, b.received(number)[0].property("ksefHash"), name)
		}
	})

	t.Run("sent", func(t *testing.T) {
		accepted := 0
		for _, name := range names {
			document := issued[name]
			require.Equal(t, sha256Of(sentXML[name]), document.SHA256, "Teamogy holds other bytes of %s", name)
			id := flow.SendInvoiceID(b.connection, document.ID)
			b.eventually(name+" is found", func() bool { return b.exists(id) })
			var result flow.SendResult
			err := b.client.GetWorkflow(b.within(), id, "").Get(b.within(), &result)
			written := b.document(document.ID)
			require.NoError(t, err, name)
			accepted++
			require.False(t, result.Adopted, name)
			require.NotEmpty(t, result.KSeFNumber, name)
			require.Equal(t, result.KSeFNumber, written.property("ksefNumber"), name)
			require.Equal(t, "SENT.TO.KSEF", written.Status, name)
			require.Equal(t, 1, b.submissions(document.SHA256), name)
			got := b.controlRaw("GET", b.ksefURL+"/_sim/invoices/"+result.KSeFNumber, nil)
			held := b.controlRaw("GET", b.teamogyURL+"/_sim/documents/"+itoa(document.ID)+"/xml", nil)
			require.Equal(t, sha256Of(held), sha256Of(got), "KSeF got other bytes of %s than Teamogy holds", name)
			require.Equal(t, document.SHA256, sha256Of(got), name)
		}
		require.Equal(t, len(names), accepted)
		require.Len(t, b.atKSeF(), accepted)
	})

	t.Logf("received and sent %d; sessions: %d", len(names), len(b.sessions()))
}
