package demo

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"teamogy-ksef/internal/flow"
)

var (
	receivedItem = Item{Direction: flow.DirectionReceived, Label: "FV/1", SHA256: "aa", KSeFNumber: "K1", End: Imported, SupplierKnown: true}
	unknownItem  = Item{Direction: flow.DirectionReceived, Label: "FV/2", SHA256: "ab", KSeFNumber: "K2", End: Imported}
	sentItem     = Item{Direction: flow.DirectionSent, Label: "FS/1", SHA256: "ba", DocumentID: 7, End: Accepted}
	takenItem    = Item{Direction: flow.DirectionSent, Label: "FS/2", SHA256: "bb", DocumentID: 8, End: Rejected, Reason: numberTaken}
	allItems     = Manifest{receivedItem, unknownItem, sentItem, takenItem}
)

// goodEvidence is what the witnesses say when every item has ended well.
func goodEvidence() Evidence {
	return Evidence{
		Workflows: map[string]Workflow{
			"demo/receive/K1": {Closed: true, Status: statusCompleted, State: flow.StateImported},
			"demo/receive/K2": {Closed: true, Status: statusCompleted, State: flow.StateNeedsCheck},
			"demo/send/7":     {Closed: true, Status: statusCompleted, State: flow.StateAccepted},
			"demo/send/8":     {Closed: true, Status: "failed", State: flow.StateRejected},
		},
		Purchases: map[string][]Document{
			"K1": {{ID: 1, Status: importedStatus, CompanyID: 3, CreatedVia: "post", KSeFNumber: "K1"}},
			"K2": {{ID: 2, Status: importedStatus, CreatedVia: "post", KSeFNumber: "K2"}},
		},
		Sales: map[int64]Document{
			7: {ID: 7, Status: sentStatus, KSeFNumber: "N7", SHA256: "ba"},
			8: {ID: 8, Status: rejectedStatus, SHA256: "bb", Reason: "KSeF (440): duplicate invoice"},
		},
		Held:        map[string][]string{"ba": {"N7"}},
		Submissions: map[string]int{"ba": 1, "bb": 1},
	}
}

func TestJudge_reachesTheEndOfTheManifest(t *testing.T) {
	for n, v := range allItems.judgeAll(goodEvidence()) {
		assert.True(t, v.ended, allItems[n].Label)
		assert.Empty(t, v.wrong, allItems[n].Label)
		assert.NotEmpty(t, v.detail, allItems[n].Label)
	}
	received, sent, rejected := allItems.tally(allItems.judgeAll(goodEvidence()))
	assert.Equal(t, "demo: received 2/2, sent 1/1, rejected as expected 1/1",
		Result{Received: received, Sent: sent, Rejected: rejected}.Line())
}

func TestJudge_namesWhatIsNotAsExpected(t *testing.T) {
	tests := map[string]struct {
		item   Item
		change func(e Evidence)
		wrong  string
	}{
		"no document":            {receivedItem, func(e Evidence) { delete(e.Purchases, "K1") }, "Teamogy has 0 purchase invoices"},
		"two documents":          {receivedItem, func(e Evidence) { e.Purchases["K1"] = append(e.Purchases["K1"], Document{ID: 5}) }, "Teamogy has 2 purchase invoices"},
		"no company":             {receivedItem, func(e Evidence) { e.Purchases["K1"][0].CompanyID = 0 }, "has no company"},
		"other status":           {receivedItem, func(e Evidence) { e.Purchases["K1"][0].Status = "OPEN" }, "has status OPEN"},
		"not by the API":         {receivedItem, func(e Evidence) { e.Purchases["K1"][0].CreatedVia = "seed" }, "not created through the API"},
		"import failed":          {receivedItem, func(e Evidence) { e.Workflows["demo/receive/K1"] = Workflow{Closed: true, Status: "terminated"} }, "the workflow terminated"},
		"company for an unknown": {unknownItem, func(e Evidence) { e.Purchases["K2"][0].CompanyID = 4 }, "has company 4"},
		"no note for an unknown": {unknownItem, func(e Evidence) {
			e.Workflows["demo/receive/K2"] = Workflow{Closed: true, Status: statusCompleted, State: flow.StateImported}
		}, "without a note"},
		"rejected": {sentItem, func(e Evidence) {
			e.Workflows["demo/send/7"] = Workflow{Closed: true, Status: "failed", Failure: "because"}
		}, "the workflow failed: because"},
		"not at KSeF":           {sentItem, func(e Evidence) { delete(e.Held, "ba") }, "KSeF holds 0 invoices"},
		"twice at KSeF":         {sentItem, func(e Evidence) { e.Held["ba"] = []string{"N7", "N8"} }, "KSeF holds 2 invoices"},
		"another number":        {sentItem, func(e Evidence) { e.Held["ba"] = []string{"N8"} }, `KSeF gave "N8"`},
		"sent, status not":      {sentItem, func(e Evidence) { e.Sales[7] = Document{Status: readyStatus, KSeFNumber: "N7", SHA256: "ba"} }, "has status READY.FOR.KSEF"},
		"accepted all the same": {takenItem, func(e Evidence) { e.Workflows["demo/send/8"] = Workflow{Closed: true, Status: statusCompleted} }, "the workflow completed"},
		"rejected and a number": {takenItem, func(e Evidence) { e.Sales[8] = Document{Status: rejectedStatus, KSeFNumber: "N"} }, "has the KSeF number N"},
		"rejected and held":     {takenItem, func(e Evidence) { e.Held["bb"] = []string{"N"} }, "KSeF holds it as N"},
		"rejection not written": {takenItem, func(e Evidence) { e.Sales[8] = Document{Status: readyStatus} }, "has status READY.FOR.KSEF"},
		"rejected otherwise":    {takenItem, func(e Evidence) { e.Sales[8] = Document{Status: rejectedStatus, Reason: "P_15 is missing"} }, "P_15 is missing"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			e := goodEvidence()
			test.change(e)
			v := judge(test.item, e)
			assert.True(t, v.ended)
			assert.Contains(t, v.wrong, test.wrong)
		})
	}
}

func TestJudge_followsAnInvoiceOnItsWay(t *testing.T) {
	e := goodEvidence()
	delete(e.Workflows, "demo/receive/K1")
	assert.Equal(t, verdict{state: stateWaiting}, judge(receivedItem, e))
	e.Workflows["demo/receive/K1"] = Workflow{State: flow.StateImporting}
	assert.Equal(t, verdict{state: flow.StateImporting}, judge(receivedItem, e))

	e.Workflows["demo/send/7"] = Workflow{State: flow.StateSending}
	assert.Equal(t, verdict{state: stateAtKSeF}, judge(sentItem, e))
	delete(e.Submissions, "ba")
	assert.Equal(t, verdict{state: flow.StateSending}, judge(sentItem, e))
}

func TestStrangers_findsWhatNoItemAccountsFor(t *testing.T) {
	e := goodEvidence()
	assert.Empty(t, strangers(allItems, e))
	e.Purchases[""] = []Document{{ID: 50}}
	e.Held["ff"] = []string{"N99"}
	found := strangers(allItems, e)
	assert.Len(t, found, 2)
}

func TestComplete_needsSomethingOfEachKind(t *testing.T) {
	full := Tally{1, 1}
	assert.True(t, Result{Received: full, Sent: full, Rejected: full}.complete())
	assert.False(t, Result{Received: full, Sent: full}.complete())
	assert.False(t, Result{Received: full, Sent: Tally{1, 2}, Rejected: full}.complete())
	assert.False(t, Result{Received: full, Sent: full, Rejected: full, Mismatches: []Mismatch{{}}}.complete())
}
