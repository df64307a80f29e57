package demo

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"

	"teamogy-ksef/internal/cli/simulators"
	"teamogy-ksef/internal/flow"
)

// Document statuses of the demo's connection.
const (
	importedStatus = "IMPORTED"
	readyStatus    = "READY.FOR.KSEF"
	sentStatus     = "SENT.TO.KSEF"
	rejectedStatus = "REJECTED.BY.KSEF"
)

const statusCompleted = "completed"

// Workflow is the latest run of an invoice's workflow.
type Workflow struct {
	Closed  bool
	Status  string // completed, failed, ... ; "" while running
	State   string // flow's state
	Failure string // why it failed, if that was asked for
}

func (w Workflow) note() string {
	if w.Failure == "" {
		return ""
	}
	return ": " + w.Failure
}

// Document is a Teamogy document as the simulator's control API shows it.
type Document struct {
	ID         int64
	Status     string
	CompanyID  int64
	CreatedVia string // seed or post
	KSeFNumber string
	SHA256     string // of its XML
	Reason     string // all its texts, for the reason of a rejection
}

func (d Document) reasonNote() string {
	if d.Reason == "" {
		return ""
	}
	return " (Teamogy: " + d.Reason + ")"
}

// Evidence is what the witnesses say: the two simulators and Temporal.
type Evidence struct {
	Workflows   map[string]Workflow   // by workflow ID
	Purchases   map[string][]Document // by KSeF number
	Sales       map[int64]Document    // by document ID
	Held        map[string][]string   // KSeF numbers by SHA-256, of what came through sessions
	Submissions map[string]int        // by SHA-256: how often an invoice was sent to KSeF
}

// witnesses asks for evidence.
type witnesses struct {
	ksef, teamogy *simulators.Control
	temporal      client.Client
}

// ask collects the evidence. Temporal comes first: a workflow that has closed
// has done its work before, so that what the simulators say afterwards
// includes it.
func (w witnesses) ask(ctx context.Context) (Evidence, error) {
	e := Evidence{
		Workflows: map[string]Workflow{}, Purchases: map[string][]Document{}, Sales: map[int64]Document{},
		Held: map[string][]string{}, Submissions: map[string]int{},
	}
	if err := w.askTemporal(ctx, e); err != nil {
		return e, err
	}
	if err := w.askTeamogy(ctx, e); err != nil {
		return e, err
	}
	return e, w.askKSeF(ctx, e)
}

func (w witnesses) askTemporal(ctx context.Context, e Evidence) error {
	request := &workflowservice.ListWorkflowExecutionsRequest{
		PageSize: 200,
		Query:    fmt.Sprintf("%s = '%s'", flow.AttributeConnection.GetName(), Connection),
	}
	started := map[string]int64{}
	for {
		page, err := w.temporal.ListWorkflow(ctx, request)
		if err != nil {
			return fmt.Errorf("list the workflows: %w", err)
		}
		for _, info := range page.GetExecutions() {
			id, at := info.GetExecution().GetWorkflowId(), info.GetStartTime().AsTime().UnixNano()
			if before, there := started[id]; there && before > at {
				continue // an older run
			}
			started[id] = at
			run := Workflow{}
			if status := info.GetStatus(); status != enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING {
				run.Closed, run.Status = true, strings.ToLower(status.String())
			}
			attribute := info.GetSearchAttributes().GetIndexedFields()[flow.AttributeState.GetName()]
			if attribute != nil {
				_ = converter.GetDefaultDataConverter().FromPayload(attribute, &run.State)
			}
			e.Workflows[id] = run
		}
		if request.NextPageToken = page.GetNextPageToken(); len(request.NextPageToken) == 0 {
			return nil
		}
	}
}

func (w witnesses) askTeamogy(ctx context.Context, e Evidence) error {
	var answer struct {
		Documents []struct {
			ID         int64          `json:"id"`
			Type       string         `json:"type"`
			Status     string         `json:"status"`
			CompanyID  int64          `json:"companyId"`
			CreatedVia string         `json:"createdVia"`
			Properties map[string]any `json:"properties"`
		} `json:"documents"`
	}
	if err := w.teamogy.Get(ctx, "documents", &answer); err != nil {
		return err
	}
	for _, d := range answer.Documents {
		document := Document{ID: d.ID, Status: d.Status, CompanyID: d.CompanyID, CreatedVia: d.CreatedVia}
		var texts []string
		for _, name := range slices.Sorted(maps.Keys(d.Properties)) {
			text, isText := d.Properties[name].(string)
			switch {
			case !isText || text == "":
			case name == "ksefNumber":
				document.KSeFNumber = text
			case name == "ksefXmlSha256":
				document.SHA256 = text
			case strings.Contains(text, " "):
				texts = append(texts, text) // a sentence
			}
		}
		document.Reason = strings.Join(texts, " ")
		if strings.HasPrefix(d.Type, "INVOICE.PURCHASE") {
			e.Purchases[document.KSeFNumber] = append(e.Purchases[document.KSeFNumber], document)
		} else {
			e.Sales[d.ID] = document
		}
	}
	return nil
}

func (w witnesses) askKSeF(ctx context.Context, e Evidence) error {
	var held struct {
		Invoices []struct {
			KSeFNumber string `json:"ksefNumber"`
			SHA256     string `json:"sha256"`
			Origin     string `json:"origin"`
			Status     int    `json:"status"`
		} `json:"invoices"`
	}
	if err := w.ksef.Get(ctx, "invoices", &held); err != nil {
		return err
	}
	for _, i := range held.Invoices {
		if i.Origin == "session" && i.KSeFNumber != "" && (i.Status == 0 || i.Status == 200) {
			e.Held[i.SHA256] = append(e.Held[i.SHA256], i.KSeFNumber)
		}
	}
	var sent []struct {
		SHA256 string `json:"sha256"`
	}
	if err := w.ksef.Get(ctx, "submissions", &sent); err != nil {
		return err
	}
	for _, s := range sent {
		e.Submissions[s.SHA256]++
	}
	return nil
}

// tooManyRequests reads a simulator's counter of answers 429.
func tooManyRequests(ctx context.Context, c *simulators.Control) (int, error) {
	var counters struct {
		TooManyRequests int `json:"tooManyRequests"`
	}
	err := c.Get(ctx, "counters", &counters)
	return counters.TooManyRequests, err
}
