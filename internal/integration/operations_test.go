package integration

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"teamogy-ksef/internal/archive"
	"teamogy-ksef/internal/flow"
	"teamogy-ksef/internal/simulator/samples"
)

// operations runs the commands of docs/operations.md, each in the situation for
// which the page shows it.
type operations struct {
	*readme
	left [][]string
}

// find is the place of the first command that is left with this verb and text in it.
func (o *operations) find(verb, with string) int {
	o.Helper()
	n := slices.IndexFunc(o.left, func(words []string) bool {
		return parseCommand(words).verb == verb && strings.Contains(strings.Join(words, " "), with)
	})
	require.GreaterOrEqual(o, n, 0, "docs/operations.md has no temporal %s with %s", verb, with)
	return n
}

// run runs the first command that is left with this verb and text in it. Names
// are this test's instead of the page's, and flags are changed as given.
func (o *operations) run(verb, with string, flags map[string]string) string {
	o.Helper()
	n := o.find(verb, with)
	words := o.filled(o.left[n])[1:]
	o.left = slices.Delete(o.left, n, n+1)
	for i, w := range words {
		words[i] = strings.NewReplacer("acme", o.connection, flow.DefaultTaskQueue, o.queue).Replace(w)
		if i > 0 && flags[words[i-1]] != "" {
			words[i] = flags[words[i-1]]
		}
	}
	return o.temporal(words)
}

// pendingActivity is the ID of the activity that a workflow waits for.
func (o *operations) pendingActivity(workflowID string) string {
	o.Helper()
	description, err := o.client.DescribeWorkflowExecution(o.within(), workflowID, "")
	require.NoError(o, err)
	require.Len(o, description.GetPendingActivities(), 1)
	return description.GetPendingActivities()[0].GetActivityId()
}

// atKSeFUndecided starts the sending of an invoice that KSeF gets and keeps.
func (o *operations) atKSeFUndecided(number string) {
	o.Helper()
	o.hold(number)
	o.singleIssued = o.seedReady(number, o.issued(number))
	o.startSend(o.singleIssued.ID)
	o.eventually("KSeF has got it", func() bool { return o.submissions(o.singleIssued.SHA256) == 1 })
}

// sent waits until the invoice's workflow has ended well.
func (o *operations) sent() flow.SendResult {
	o.Helper()
	result, err := o.awaitSend(o.singleIssued.ID)
	require.NoError(o, err)
	require.Equal(o, result.KSeFNumber, o.document(o.singleIssued.ID).property("ksefNumber"))
	return result
}

func TestOperationsPage_commandsWorkAsWritten(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "operations.md"))
	require.NoError(t, err)
	o := &operations{readme: &readme{bed: newBed(t)}, left: readmeCommands(t, string(text))}

	// An invoice is tried again, one is imported by hand.
	o.verdict("OPS/1", 450)
	o.singleIssued = o.seedReady("OPS/1", o.issued("OPS/1"))
	_, err = o.sendOne(o.singleIssued.ID)
	require.Error(t, err)
	o.run("workflow start", flow.SendInvoice, nil)
	o.sent()
	o.single = o.seedKSeF(samples.NIP(41), xmlOf(o.issued("OPS/2")))[0]
	o.run("workflow start", flow.ImportInvoice, nil)
	require.NoError(t, o.client.GetWorkflow(o.within(), flow.ImportID(o.connection, o.single.KSeFNumber), "").Get(o.within(), nil))

	// A create without an answer that only a person can clear up: once there is none, once there is one.
	for n, answer := range []string{`"notCreated":true`, `"documentId":123`} {
		lost := []string{"drop-before", "drop-after"}[n]
		o.writeFields(map[string]any{"receivedSearch": "none", "scanLimit": 1000 + n}, nil) // a client without memory
		o.fault(o.teamogyURL, map[string]any{"operation": "POST /documents", "action": lost, "times": 1})
		o.single = o.seedKSeF(samples.NIP(41), xmlOf(o.issued("OPS/UNKNOWN/"+itoa(int64(n)))))[0]
		id := o.startImport(o.single.KSeFNumber).GetID()
		o.eventually("it waits for a person", func() bool { return o.stateOf(id) == flow.StateUnknown })
		flags := map[string]string{}
		if made := o.received(o.single.KSeFNumber); len(made) == 1 {
			input := parseCommand(o.left[o.find("workflow update execute", answer)]).flags["--input"]
			flags["--input"] = strings.Replace(input, "123", itoa(made[0].ID), 1)
			require.Contains(t, o.run("workflow metadata", "", nil), "Resolve")
		}
		o.run("workflow update execute", answer, flags)
		_, err = o.awaitImport(o.single.KSeFNumber)
		require.NoError(t, err)
		require.Len(t, o.received(o.single.KSeFNumber), 1)
	}
	o.writeSettings(nil)

	// A step is tried again and again.
	receive := flow.ReceiveID(o.connection)
	o.fault(o.ksefURL, map[string]any{"operation": "POST /invoices/query/metadata", "action": "502-before", "times": -1})
	o.start(flow.ReceiveInvoices, receive, flow.ReceiveInput{Connection: o.connection})
	o.eventually("KSeF does not answer", func() bool { return o.pendingFailure(receive) != "" })
	require.Contains(t, o.run("workflow describe", receiveOfThePage, nil), "Pending Activities: 1")
	o.run("activity reset", receiveOfThePage, map[string]string{"--activity-id": o.pendingActivity(receive)})
	o.clearFaults(o.ksefURL)
	o.eventually("it goes on", func() bool { return o.receiveStatus().Totals.Cycles >= 1 })

	// Pause, cursor, hold.
	o.run("workflow update execute", flow.UpdatePause, nil)
	require.Equal(t, "year-end closing", o.receiveStatus().Paused)
	o.run("workflow update execute", flow.UpdateResume, nil)
	require.Empty(t, o.receiveStatus().Paused)
	o.run("workflow update execute", flow.UpdateSetCursor, nil)
	o.startSends()
	o.run("workflow update execute", "disputed", nil)
	require.Len(t, o.sendStatus().Held, 1)
	o.run("workflow update execute", "release", nil)
	require.Empty(t, o.sendStatus().Held)

	// Look.
	for _, id := range []string{receiveOfThePage, "acme/send", "acme/transmit"} {
		o.run("workflow query", id, nil)
	}
	for slices.ContainsFunc(o.left, func(words []string) bool { return parseCommand(words).verb == "workflow list" }) {
		o.run("workflow list", "", nil)
	}

	// Cancelled after it was sent: it ends well all the same.
	o.atKSeFUndecided("OPS/3")
	o.run("workflow cancel", "acme/send/17", nil)
	o.release("OPS/3")
	o.sent()

	// Registered again while KSeF has it: it is not sent twice.
	o.atKSeFUndecided("OPS/4")
	o.run("workflow reset", "acme/send/17", nil)
	o.release("OPS/4")
	o.sent()
	require.Equal(t, 1, o.submissions(o.singleIssued.SHA256))

	// Answered by hand, when nobody else is left to do so.
	o.atKSeFUndecided("OPS/5")
	sessions := o.sessions()
	for _, id := range []string{flow.TransmitID(o.connection), sessions[len(sessions)-1]} {
		require.NoError(t, o.client.TerminateWorkflow(o.within(), id, "", "to be lost"))
	}
	o.release("OPS/5")
	o.eventually("KSeF has accepted it", func() bool { return o.numberAtKSeF(o.singleIssued.SHA256) != "" })
	number := o.numberAtKSeF(o.singleIssued.SHA256)
	o.run("activity complete", "acme/send/17", map[string]string{
		"--activity-id": o.pendingActivity(flow.SendInvoiceID(o.connection, o.singleIssued.ID)),
		"--result":      o.answerByHand(number),
	})
	result := o.sent()
	require.Equal(t, number, result.KSeFNumber)
	require.True(t, result.UPO.Available)
	require.Equal(t, 1, o.submissions(o.singleIssued.SHA256))

	require.Empty(t, o.left, "commands of docs/operations.md that this test does not run")
}

const receiveOfThePage = "acme/receive"

func (o *operations) numberAtKSeF(sha256 string) string {
	o.Helper()
	for _, i := range o.atKSeF() {
		if i.SHA256 == sha256 && i.Status == 200 {
			return i.KSeFNumber
		}
	}
	return ""
}

// answerByHand is the page's result of Transmit with what the invoice's record
// says instead of the examples.
func (o *operations) answerByHand(number string) string {
	o.Helper()
	n := slices.IndexFunc(o.left, func(words []string) bool { return parseCommand(words).verb == "activity complete" })
	require.GreaterOrEqual(o, n, 0)
	decoder := json.NewDecoder(strings.NewReader(parseCommand(o.left[n]).flags["--result"]))
	decoder.DisallowUnknownFields()
	var answer flow.Transmitted
	require.NoError(o, decoder.Decode(&answer))

	facts, err := o.archive.Facts(o.within(), archive.RecordKey{Connection: o.connection, Direction: archive.Sent, ID: itoa(o.singleIssued.ID)})
	require.NoError(o, err)
	var taken struct{ SHA256, Session, Reference string }
	for _, f := range facts {
		if f.Kind == "taken" {
			require.NoError(o, json.Unmarshal(f.Data, &taken))
		}
	}
	require.NotEmpty(o, taken.Reference)
	answer.DocumentID, answer.SHA256, answer.KSeFNumber = o.singleIssued.ID, taken.SHA256, number
	answer.SessionReference, answer.InvoiceReference = taken.Session, taken.Reference
	result, err := json.Marshal(answer)
	require.NoError(o, err)
	return string(result)
}
