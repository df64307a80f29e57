package activities

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"teamogy-ksef/internal/archive"
	"teamogy-ksef/internal/flow"
	"teamogy-ksef/internal/ksef"
)

// A record's kinds, one after the other, and whether the invoice is open then.
func TestOpenInvoices_areThoseWithoutAnEnd(t *testing.T) {
	a, err := archive.Open(t.Context(), "mem://")
	require.NoError(t, err)
	at := time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)
	note := func(key archive.RecordKey, kind, name string, data any) {
		t.Helper()
		raw, err := json.Marshal(data)
		require.NoError(t, err)
		at = at.Add(time.Minute)
		_, err = a.AddFact(t.Context(), key, archive.Fact{Kind: kind, Name: name, At: at, Data: raw})
		require.NoError(t, err)
	}
	openNow := func(key archive.RecordKey) (OpenInvoice, bool) {
		t.Helper()
		open, problems, err := OpenInvoices(t.Context(), a, key.Connection)
		require.NoError(t, err)
		require.Empty(t, problems)
		for _, o := range open {
			if o.WorkflowID == recordWorkflow(key) {
				return o, true
			}
		}
		return OpenInvoice{}, false
	}
	requireOpen := func(key archive.RecordKey, want bool) OpenInvoice {
		t.Helper()
		o, is := openNow(key)
		require.Equal(t, want, is)
		same, known, open, err := RegisteredInvoice(t.Context(), a, key.Connection, recordWorkflow(key))
		require.NoError(t, err)
		require.True(t, known)
		if want {
			require.True(t, open)
			require.Equal(t, o, same)
		}
		return o
	}

	received := receivedKey("acme", "5265877635-20250826-0100001AF629-AF")
	note(received, factFound, "metadata", ksef.Metadata{InvoiceNumber: "FV/1", SellerName: "Alfa", Currency: "PLN"})
	note(received, factFetched, "x", fetchedFact{SHA256: "a"})
	note(received, factCreating, "1", flow.Nothing{})
	o := requireOpen(received, true)
	require.Equal(t, []string{"found", "fetched", "creation in Teamogy begun"}, words(o))
	require.Equal(t, "Invoice FV/1 from Alfa, 0.00 PLN", o.Summary)
	require.Equal(t, flow.ImportInput{Connection: "acme", KSeFNumber: received.ID}, o.Start("acme").Input)
	note(received, factCreated, "document", createdFact{DocumentID: 9})
	requireOpen(received, false)

	in := func(session, hash string) sessionFact {
		return sessionFact{Session: session, SHA256: hash, Text: "because"}
	}
	sent := sentKey("acme", 17)
	note(sent, factFetched, "a", fetchedFact{SHA256: "a", Number: "FV/17"})
	requireOpen(sent, false) // Teamogy's ready list still has it
	note(sent, factSubmitted, "1", in("s1", "a"))
	o = requireOpen(sent, true)
	require.Equal(t, "Invoice FV/17", o.Summary)
	require.Equal(t, []string{"fetched", "submitted in session s1"}, words(o))
	require.Equal(t, flow.SendInvoiceInput{Connection: "acme", DocumentID: 17}, o.Start("acme").Input, "also if it is not ready any more")
	note(sent, factNotProcessed, "1", in("s1", "a"))
	requireOpen(sent, true)
	note(sent, factSubmitted, "2", in("s2", "a"))
	note(sent, factRejected, "2", in("s2", "a"))
	note(sent, factRejected, "run-1", sessionFact{SHA256: "a"})
	requireOpen(sent, false)
	note(sent, factSubmitted, "3", in("s3", "a")) // a person has said so
	requireOpen(sent, true)
	note(sent, factWithdrawn, "run", writtenFact{SHA256: "a"})
	requireOpen(sent, false)
	note(sent, factFetched, "b", fetchedFact{SHA256: "b"})
	note(sent, factRejected, "run-2", sessionFact{SHA256: "b"}) // while the fate of the other bytes is not known
	requireOpen(sent, true)
	note(sent, factAccepted, "a", flow.Transmitted{DocumentID: 17, SHA256: "a", KSeFNumber: "N"})
	o = requireOpen(sent, true)
	require.Equal(t, "N", o.KSeFNumber)
	note(sent, factWrittenBack, "rejection-1", writtenFact{SHA256: "b"})
	requireOpen(sent, true)
	note(sent, factWrittenBack, numberFact, writtenFact{KSeFNumber: "N"})
	requireOpen(sent, false)

	_, known, _, err := RegisteredInvoice(t.Context(), a, "acme", "acme/send/18")
	require.NoError(t, err)
	require.False(t, known)
}

func words(o OpenInvoice) []string {
	var out []string
	for _, s := range o.Steps {
		out = append(out, s.What)
	}
	return out
}

// A record that cannot be read is named and hinders no other.
func TestOpenInvoices_nameTheRecordsThatCannotBeRead(t *testing.T) {
	url, err := archive.FileURL(t.TempDir())
	require.NoError(t, err)
	a, err := archive.Open(t.Context(), url)
	require.NoError(t, err)
	folder := filepath.Join(filepath.FromSlash(url[len("file://"):]), "records", "acme", "sent")
	for _, id := range []int64{1, 2} {
		raw, _ := json.Marshal(sessionFact{Session: "s", SHA256: "a"})
		_, err := a.AddFact(t.Context(), sentKey("acme", id), archive.Fact{Kind: factSubmitted, At: time.Now(), Data: raw})
		require.NoError(t, err)
	}
	require.NoError(t, os.WriteFile(filepath.Join(folder, "1", "submitted.json"), []byte("cut sho"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(folder, "2", "notes.txt"), []byte("mine"), 0o600))
	open, problems, err := OpenInvoices(t.Context(), a, "acme")
	require.NoError(t, err)
	require.Empty(t, open)
	require.Len(t, problems, 2)
	require.Contains(t, problems[0], "records/acme/sent/1/submitted.json")
	require.Contains(t, problems[1], "records/acme/sent/2/notes.txt")
}
