package workflows

import (
	"encoding/base64"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	enums "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/history/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"teamogy-ksef/internal/flow"
)

// histories are the frozen histories by name.
func histories(t *testing.T) map[string]string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", "histories", "*.json"))
	require.NoError(t, err)
	require.NotEmpty(t, files, "no history to replay: see testdata/histories/README.md")
	byName := map[string]string{}
	for _, f := range files {
		byName[strings.TrimSuffix(filepath.Base(f), ".json")] = f
	}
	return byName
}

func loadHistory(t *testing.T, file string) *history.History {
	t.Helper()
	f, err := os.Open(file)
	require.NoError(t, err)
	defer f.Close()
	h, err := client.HistoryFromJSON(f, client.HistoryJSONOptions{})
	require.NoError(t, err)
	return h
}

var silent = log.NewStructuredLogger(slog.New(slog.DiscardHandler))

// Whatever was started by earlier code goes on with this one.
func TestReplay_ofEveryFrozenHistory(t *testing.T) {
	replayed := map[string]bool{}
	for name, file := range histories(t) {
		t.Run(name, func(t *testing.T) {
			h := loadHistory(t, file)
			replayer := worker.NewWorkflowReplayer()
			Register(replayer)
			require.NoError(t, replayer.ReplayWorkflowHistory(silent, h))
			started := h.GetEvents()[0].GetWorkflowExecutionStartedEventAttributes()
			replayed[started.GetWorkflowType().GetName()] = true
		})
	}
	for _, workflowType := range []string{
		flow.ReceiveInvoices, flow.ImportInvoice, flow.SendInvoices, flow.SendInvoice, flow.TransmitInvoices, flow.TransmitSession,
	} {
		require.True(t, replayed[workflowType], "no history of %s", workflowType)
	}
}

// A history of which nobody knows what it is for would be recorded anew or
// thrown away by chance.
func TestHistories_areAllInTheReadme(t *testing.T) {
	readme, err := os.ReadFile(filepath.Join("testdata", "histories", "README.md"))
	require.NoError(t, err)
	for name := range histories(t) {
		shape, _, _ := strings.Cut(name, "@")
		require.Contains(t, string(readme), "`"+strings.TrimSuffix(shape, "_next")+"`", name)
	}
}

// Long-running workflows are continued as new, with a state that the next run
// begins with: both sides of that are frozen, for each of them.
func TestHistories_holdBothSidesOfContinuingAsNew(t *testing.T) {
	ends, begins := map[string]bool{}, map[string]bool{}
	for _, file := range histories(t) {
		events := loadHistory(t, file).GetEvents()
		started := events[0].GetWorkflowExecutionStartedEventAttributes()
		if started.GetContinuedExecutionRunId() != "" {
			begins[started.GetWorkflowType().GetName()] = true
		}
		if events[len(events)-1].GetWorkflowExecutionContinuedAsNewEventAttributes() != nil {
			ends[started.GetWorkflowType().GetName()] = true
		}
	}
	for _, workflowType := range []string{flow.ReceiveInvoices, flow.SendInvoices, flow.TransmitInvoices} {
		require.True(t, ends[workflowType], "no history of %s ends by continuing as new", workflowType)
		require.True(t, begins[workflowType], "no history of %s begins with a state", workflowType)
	}
}

// importSwapped is ImportInvoice with its first two steps swapped.
func importSwapped(ctx workflow.Context, in flow.ImportInput) (flow.ImportResult, error) {
	var none flow.ImportResult
	if _, err := newImport(ctx, in); err != nil {
		return none, err
	}
	if _, err := run(ctx, oneCall, "", teamogy.FindSupplier, flow.FindSupplierInput{}); err != nil {
		return none, err
	}
	if _, err := run(ctx, oneCall, "", ksef.FetchInvoiceXML, in); err != nil {
		return none, err
	}
	return run(ctx, oneCall, "", teamogy.CreateReceivedInvoice, flow.CreateReceivedInput{})
}

// sendWithoutCheck is SendInvoice with a step left out.
func sendWithoutCheck(ctx workflow.Context, in flow.SendInvoiceInput) (flow.SendResult, error) {
	var none flow.SendResult
	if _, err := newSend(ctx, in); err != nil {
		return none, err
	}
	if _, err := run(ctx, oneCall, "", teamogy.FetchIssuedXML, in); err != nil {
		return none, err
	}
	_, err := run(ctx, handOver(1), "", starts.Transmit, flow.TransmitInput{})
	return none, err
}

// A replay that never fails would prove nothing.
func TestReplay_failsWhenAWorkflowChanges(t *testing.T) {
	for name, changed := range map[string]struct {
		workflowType string
		definition   any
	}{
		"import_invoice": {flow.ImportInvoice, importSwapped},
		"send_invoice":   {flow.SendInvoice, sendWithoutCheck},
	} {
		h := loadHistory(t, histories(t)[name])
		replayer := worker.NewWorkflowReplayer()
		replayer.RegisterWorkflowWithOptions(changed.definition, workflow.RegisterOptions{Name: changed.workflowType})
		require.ErrorContains(t, replayer.ReplayWorkflowHistory(silent, h), "TMPRL1100", name) // the SDK's code for it
	}
}

var (
	machinePath = regexp.MustCompile(`/(tmp|home|root|Users|work|private|var/folders)/`)
	payloadData = regexp.MustCompile(`"data": ?"([^"]*)"`)
	identities  = regexp.MustCompile(`"identity": ?"([^"]*)"`)
	secretSigns = regexp.MustCompile(`api-key-|password-|PRIVATE KEY|eyJ[A-Za-z0-9_-]{10,}\.|[?&]sig=|127\.0\.0\.1`)
)

func TestHistories_areSmallAndTellNothingOfTheMachine(t *testing.T) {
	host, err := os.Hostname()
	require.NoError(t, err)
	for name, file := range histories(t) {
		raw, err := os.ReadFile(file)
		require.NoError(t, err)
		require.Less(t, len(raw), 60_000, name)
		texts := []string{string(raw)}
		for _, data := range payloadData.FindAllStringSubmatch(string(raw), -1) {
			decoded, err := base64.StdEncoding.DecodeString(data[1])
			require.NoError(t, err)
			texts = append(texts, string(decoded))
		}
		require.Greater(t, len(texts), 3, "%s: no payloads were found", name)
		for _, text := range texts {
			require.NotRegexp(t, machinePath, text, name)
			require.NotRegexp(t, secretSigns, text, name)
			if len(host) > 4 {
				require.NotContains(t, text, host, name)
			}
		}
		for _, identity := range identities.FindAllStringSubmatch(string(raw), -1) {
			require.Equal(t, "worker", identity[1], name)
		}
		for _, e := range loadHistory(t, file).GetEvents() {
			queue := e.GetWorkflowTaskScheduledEventAttributes().GetTaskQueue()
			if queue.GetKind() == enums.TASK_QUEUE_KIND_STICKY {
				require.Equal(t, "worker", queue.GetName(), name)
			}
		}
	}
}
