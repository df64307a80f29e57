package integration

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"teamogy-ksef/internal/flow"
	"teamogy-ksef/internal/simulator/samples"
)

// issued gives a valid invoice of the bed's company under a number of its own.
func (b *bed) issued(number string) []byte {
	b.Helper()
	xml, err := samples.Adapt(samples.GenerateIssued(b.sampleOptions(), 2)[0].XML, b.nip, number)
	require.NoError(b, err)
	return xml
}

// failure is the typed error that a workflow ended with.
func failure(t *testing.T, err error) *temporal.ApplicationError {
	t.Helper()
	var typed *temporal.ApplicationError
	require.True(t, errors.As(err, &typed), "no typed error: %v", err)
	return typed
}

// What can be checked without KSeF is refused without a call to KSeF, and the
// reason stands on the document.
func TestSendInvoice_refusesBadContentWithoutACall(t *testing.T) {
	b := newBed(t)
	good := b.issued("BAD/1")
	future := time.Now().AddDate(0, 0, 4).Format(time.DateOnly) // KSeF is asked whether tomorrow has begun
	head := []byte(`<?xml version="1.0" encoding="UTF-8"?>`)
	withHead := func(more string) []byte {
		i := bytes.Index(good, []byte("?>"))
		require.Positive(t, i)
		return append(append(append([]byte{}, head...), more...), good[i+2:]...)
	}
	padding := bytes.Repeat([]byte("<!-- "+string(bytes.Repeat([]byte("x"), 1000))+" -->\n"), 1010)
	cases := map[string]struct {
		xml  []byte
		kind string
		text string
	}{
		"not well formed":        {good[:len(good)-20], flow.ErrInvoiceInvalid, "XML"},
		"DOCTYPE":                {withHead(`<!DOCTYPE Faktura>`), flow.ErrInvoiceInvalid, "DOCTYPE"},
		"byte order mark":        {append([]byte("\xef\xbb\xbf"), good...), flow.ErrInvoiceInvalid, "byte order mark"},
		"processing instruction": {withHead(`<?xml-stylesheet href="a"?>`), flow.ErrInvoiceInvalid, "processing instruction"},
		"another seller":         {bytes.ReplaceAll(good, []byte(b.nip), []byte(samples.NIP(88))), flow.ErrInvoiceInvalid, samples.NIP(88)},
		"unknown form":           {bytes.Replace(good, []byte(`"FA (3)"`), []byte(`"FA (7)"`), 1), flow.ErrInvoiceInvalid, "FA (7)"},
		"P_1 in the future":      {regexp.MustCompile(`<P_1>[^<]*</P_1>`).ReplaceAll(good, []byte("<P_1>"+future+"</P_1>")), flow.ErrIssueDateFuture, future},
		"too large":              {bytes.Replace(good, []byte("</Faktura>"), append(padding, []byte("</Faktura>")...), 1), flow.ErrInvoiceInvalid, "too-large"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			document := b.seedReady("BAD/"+name, c.xml)
			_, err := b.sendOne(document.ID)
			typed := failure(t, err)
			require.Equal(t, c.kind, typed.Type(), "%v", err)
			require.True(t, typed.NonRetryable())
			require.Contains(t, typed.Message(), c.text)
			require.Contains(t, typed.Message(), "What to do: ")
			written := b.document(document.ID)
			require.Equal(t, "REJECTED.BY.KSEF", written.Status)
			require.Contains(t, written.property("ksefMessage"), c.text)
		})
	}
	require.Zero(t, b.allRequests(b.ksefURL), "KSeF was called")
	document := b.seedReady("GOOD/1", b.issued("GOOD/1"))
	_, err := b.sendOne(document.ID)
	require.NoError(t, err, "a good invoice was hindered by the bad ones")
}

func TestSendInvoice_writesKSeFsRejectionToTheDocument(t *testing.T) {
	b := newBed(t)
	good, bad := b.seedReady("R/1", b.issued("R/1")), b.seedReady("R/2", b.issued("R/2"))
	b.control("POST", b.ksefURL+"/_sim/verdict", map[string]any{"invoiceNumber": "R/2", "code": 450, "details": []string{"P_13_1 does not fit"}, "times": 1}, nil)
	badRun, goodRun := b.startSend(bad.ID), b.startSend(good.ID)
	typed := failure(t, badRun.Get(b.within(), nil))
	require.Equal(t, flow.ErrInvoiceRejected, typed.Type())
	require.Contains(t, typed.Message(), "P_13_1 does not fit")
	require.NoError(t, goodRun.Get(b.within(), nil), "the other invoice was hindered")
	written := b.document(bad.ID)
	require.Equal(t, "REJECTED.BY.KSEF", written.Status)
	require.Contains(t, written.property("ksefMessage"), "450")
}

// blocked seeds an invoice of ours with other content into KSeF, as if other
// software had issued it.
func (b *bed) blocked(number string) []byte {
	b.Helper()
	xml := bytes.Replace(b.issued(number), []byte("</Faktura>"), []byte("<!-- other --></Faktura>"), 1)
	b.seedKSeF(samples.NIP(31), xmlOf(xml))
	return b.issued(number)
}

func TestSendInvoice_numberTakenByOtherContentIsTheAccountantsMove(t *testing.T) {
	b := newBed(t)
	document := b.seedReady("T/1", b.blocked("T/1"))
	_, err := b.sendOne(document.ID)
	typed := failure(t, err)
	require.Equal(t, flow.ErrNumberTaken, typed.Type())
	written := b.document(document.ID)
	require.Equal(t, "REJECTED.BY.KSEF", written.Status)
	require.Contains(t, written.property("ksefMessage"), "already holds an invoice with this number")
	require.Empty(t, written.property("ksefNumber"))
}

func TestSendInvoice_adoptsOriginalWhenDuplicateHasSameHash(t *testing.T) {
	b := newBed(t)
	xml := b.issued("A/1")
	original := b.seedKSeF(samples.NIP(32), xmlOf(xml))[0]
	document := b.seedReady("A/1", xml)
	result, err := b.sendOne(document.ID)
	require.NoError(t, err)
	require.True(t, result.Adopted)
	require.Equal(t, original.KSeFNumber, result.KSeFNumber)
	require.Equal(t, original.KSeFNumber, b.document(document.ID).property("ksefNumber"))
}

// A refused document is not sent again until its content changes; then the
// next poll sends it.
func TestSendInvoices_sendsARefusedDocumentAgainOnlyWhenItChanged(t *testing.T) {
	b := newBed(t)
	document := b.seedReady("C/1", b.blocked("C/1"))
	b.start(flow.SendInvoices, flow.SendID(b.connection), flow.SendInput{Connection: b.connection})
	b.eventually("it is refused", func() bool { return b.document(document.ID).Status == "REJECTED.BY.KSEF" })
	submitted := b.submissions(document.SHA256)

	// Somebody sets it ready again without a change.
	b.setDocument(document.ID, map[string]any{"status": "READY.FOR.KSEF"})
	b.eventually("the poll has seen it and left it", func() bool {
		require.NoError(t, b.update(flow.SendID(b.connection), flow.UpdatePollNow))
		last := b.sendStatus().Last
		return last != nil && last.Refused == 1
	})
	require.Equal(t, submitted, b.submissions(document.SHA256))

	// Now with a new number: the comparison is due within an hour of scaled time.
	b.setDocument(document.ID, map[string]any{"xml": b.issued("C/2")})
	b.eventually("the corrected invoice is accepted", func() bool {
		require.NoError(t, b.update(flow.SendID(b.connection), flow.UpdatePollNow))
		return b.document(document.ID).property("ksefNumber") != ""
	})
}

func (b *bed) setDocument(id int64, change map[string]any) {
	b.Helper()
	b.control("PATCH", b.teamogyURL+"/_sim/documents/"+itoa(id), change, nil)
}

func (b *bed) update(workflowID, name string, arguments ...any) error {
	b.Helper()
	handle, err := b.client.UpdateWorkflow(b.within(), client.UpdateWorkflowOptions{
		WorkflowID: workflowID, UpdateName: name, Args: arguments, WaitForStage: client.WorkflowUpdateStageCompleted,
	})
	if err != nil {
		return err
	}
	return handle.Get(b.within(), nil)
}

func (b *bed) sendStatus() flow.SendStatus {
	b.Helper()
	var status flow.SendStatus
	b.query(flow.SendID(b.connection), &status)
	return status
}

// A held document stays out until it is released.
func TestSendInvoices_holdsADocumentUntilReleased(t *testing.T) {
	b := newBed(t)
	b.start(flow.SendInvoices, flow.SendID(b.connection), flow.SendInput{Connection: b.connection})
	b.eventually("the first poll has ended", func() bool { return b.sendStatus().Totals.Cycles >= 1 })
	document := b.seedReady("H/1", b.issued("H/1"))
	require.ErrorContains(t, b.update(flow.SendID(b.connection), flow.UpdateHold, flow.HoldChange{DocumentID: document.ID}), "reason")
	require.NoError(t, b.update(flow.SendID(b.connection), flow.UpdateHold, flow.HoldChange{DocumentID: document.ID, Reason: "disputed"}))
	require.NoError(t, b.update(flow.SendID(b.connection), flow.UpdatePollNow))
	b.eventually("the poll has held it", func() bool { last := b.sendStatus().Last; return last != nil && last.Held == 1 })
	require.Empty(t, b.atKSeF())
	require.NoError(t, b.update(flow.SendID(b.connection), flow.UpdateHold, flow.HoldChange{DocumentID: document.ID, Release: true}))
	b.eventually("it is sent", func() bool { return b.document(document.ID).property("ksefNumber") != "" })
}

// The official invoices of the Ministry, as far as they are at hand.
func officialInvoices(t *testing.T) map[string][]byte {
	t.Helper()
	reference := os.Getenv("KSEF_REFERENCE")
	if reference == "" {
		reference = filepath.Join("..", "..", "..", "shared", "ksef")
	}
	files, err := filepath.Glob(filepath.Join(reference, "invoices", "official", "*.xml"))
	require.NoError(t, err)
	if len(files) == 0 {
		if os.Getenv("CI") != "" {
			t.Fatal("no official invoices: set KSEF_REFERENCE")
		}
		t.Skip("no official invoices here: set KSEF_REFERENCE")
	}
	invoices := map[string][]byte{}
	for _, f := range files {
		content, err := os.ReadFile(f)
		require.NoError(t, err)
		invoices[filepath.Base(f)] = content
	}
	return invoices
}
