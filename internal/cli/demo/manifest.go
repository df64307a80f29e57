package demo

import (
	"fmt"
	"strings"

	"teamogy-ksef/internal/flow"
)

// End is where an invoice is to end.
type End string

// Ends of the manifest.
const (
	Imported End = "imported" // a purchase invoice in Teamogy
	Accepted End = "accepted" // the KSeF number written to the document
	Rejected End = "rejected" // the reason written to the document, nothing held by KSeF
)

// Item is one sample invoice and the end that it is to reach.
type Item struct {
	Direction  string // flow.DirectionReceived or flow.DirectionSent
	Number     string // P_2
	Label      string // for people: number, party, amount
	SHA256     string // hex, of the bytes that were seeded
	KSeFNumber string // of a received invoice
	DocumentID int64  // of an issued invoice in Teamogy
	End        End
	// SupplierKnown says that Teamogy has the seller of a received invoice.
	SupplierKnown bool
	// Reason of the rejection that is expected.
	Reason rejection
}

// workflowID is the ID of the workflow that handles the invoice.
func (i Item) workflowID() string {
	if i.Direction == flow.DirectionReceived {
		return flow.ImportID(Connection, i.KSeFNumber)
	}
	return flow.SendInvoiceID(Connection, i.DocumentID)
}

func (i Item) want() string {
	switch {
	case i.End == Imported && i.SupplierKnown:
		return "one purchase invoice in Teamogy with its KSeF number and supplier"
	case i.End == Imported:
		return "one purchase invoice in Teamogy with its KSeF number, without a company and with a note"
	case i.End == Rejected:
		return "rejected because " + string(i.Reason)
	}
	return "accepted by KSeF and its KSeF number in Teamogy"
}

// Manifest names the end of every sample invoice, before the run.
type Manifest []Item

// verdict is what the evidence says about an item.
type verdict struct {
	state  string // for progress, one of the states below or of flow
	ended  bool
	wrong  string // why the end is not the manifest's; "" if it is, or not ended
	detail string // of a good end, for people
}

// States of progress besides those of flow.
const (
	stateWaiting = "waiting" // in KSeF, or ready in Teamogy; no workflow yet
	stateAtKSeF  = "at KSeF"
)

// judge compares an item with the evidence.
func judge(i Item, e Evidence) verdict {
	w, started := e.Workflows[i.workflowID()]
	switch {
	case !started:
		return verdict{state: stateWaiting}
	case !w.Closed && i.Direction == flow.DirectionReceived:
		return verdict{state: flow.StateImporting}
	case !w.Closed && e.Submissions[i.SHA256] > 0:
		return verdict{state: stateAtKSeF}
	case !w.Closed:
		return verdict{state: flow.StateSending}
	}
	var detail, wrong string
	switch i.End {
	case Imported:
		detail, wrong = judgeImported(i, w, e)
	case Accepted:
		detail, wrong = judgeAccepted(i, w, e)
	case Rejected:
		detail, wrong = judgeRejected(i, w, e)
	}
	state := w.State
	if w.Status != statusCompleted && state != flow.StateRejected && state != flow.StateWithdrawn {
		state = flow.StateFailed
	}
	return verdict{state: state, ended: true, wrong: wrong, detail: detail}
}

func judgeImported(i Item, w Workflow, e Evidence) (detail, wrong string) {
	documents := e.Purchases[i.KSeFNumber]
	if len(documents) != 1 {
		return "", fmt.Sprintf("Teamogy has %d purchase invoices with KSeF number %s%s", len(documents), i.KSeFNumber, w.note())
	}
	d := documents[0]
	detail = fmt.Sprintf("Teamogy document %d", d.ID)
	if !i.SupplierKnown {
		detail += ", supplier unknown: see its note"
	}
	switch {
	case w.Status != statusCompleted:
		return "", "the workflow " + w.Status + w.note()
	case d.CreatedVia != "post":
		return "", fmt.Sprintf("Teamogy document %d was not created through the API", d.ID)
	case d.Status != importedStatus:
		return "", fmt.Sprintf("Teamogy document %d has status %s instead of %s", d.ID, d.Status, importedStatus)
	case i.SupplierKnown && d.CompanyID == 0:
		return "", fmt.Sprintf("Teamogy document %d has no company", d.ID)
	case !i.SupplierKnown && d.CompanyID != 0:
		return "", fmt.Sprintf("Teamogy document %d has company %d", d.ID, d.CompanyID)
	case !i.SupplierKnown && w.State != flow.StateNeedsCheck:
		return "", fmt.Sprintf("the workflow ended as %q, without a note", w.State)
	}
	return detail, ""
}

func judgeAccepted(i Item, w Workflow, e Evidence) (detail, wrong string) {
	d, held := e.Sales[i.DocumentID], e.Held[i.SHA256]
	switch {
	case w.Status != statusCompleted:
		return "", "the workflow " + w.Status + w.note() + d.reasonNote()
	case len(held) != 1:
		return "", fmt.Sprintf("KSeF holds %d invoices with these bytes", len(held))
	case d.KSeFNumber != held[0]:
		return "", fmt.Sprintf("Teamogy has the KSeF number %q and KSeF gave %q", d.KSeFNumber, held[0])
	case d.Status != sentStatus:
		return "", fmt.Sprintf("the document has status %s instead of %s", d.Status, sentStatus)
	case d.SHA256 != i.SHA256:
		return "", "the document's XML in Teamogy has changed"
	}
	return "KSeF number " + held[0], ""
}

func judgeRejected(i Item, w Workflow, e Evidence) (detail, wrong string) {
	d := e.Sales[i.DocumentID]
	switch {
	case w.Status == statusCompleted:
		return "", "the workflow completed, with KSeF number " + d.KSeFNumber
	case d.KSeFNumber != "":
		return "", "the document has the KSeF number " + d.KSeFNumber
	case len(e.Held[i.SHA256]) > 0:
		return "", "KSeF holds it as " + e.Held[i.SHA256][0]
	case d.Status != rejectedStatus:
		return "", fmt.Sprintf("the document has status %s instead of %s%s", d.Status, rejectedStatus, w.note())
	case !i.Reason.in(d.Reason):
		return "", fmt.Sprintf("the document gives another reason: %q", d.Reason)
	}
	return d.Reason, ""
}

// in tells whether the words on a document give this reason.
func (r rejection) in(text string) bool {
	text = strings.ToLower(text)
	for _, word := range []string{"440", "duplic", "already holds"} {
		if strings.Contains(text, word) {
			return true
		}
	}
	return false
}

// tally counts what the evidence says about every item.
func (m Manifest) tally(verdicts []verdict) (received, sent, rejected Tally) {
	for n, i := range m {
		t := &sent
		switch {
		case i.Direction == flow.DirectionReceived:
			t = &received
		case i.End == Rejected:
			t = &rejected
		}
		t.Expected++
		if verdicts[n].ended && verdicts[n].wrong == "" {
			t.Reached++
		}
	}
	return received, sent, rejected
}

// judgeAll judges every item.
func (m Manifest) judgeAll(e Evidence) []verdict {
	verdicts := make([]verdict, len(m))
	for n, i := range m {
		verdicts[n] = judge(i, e)
	}
	return verdicts
}
