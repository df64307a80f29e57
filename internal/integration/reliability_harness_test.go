package integration

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/workflowservice/v1"

	"teamogy-ksef/internal/flow"
	"teamogy-ksef/internal/simulator/samples"
)

// direction is which way an experiment's invoices go.
type direction string

const (
	received direction = "received" // from KSeF to Teamogy
	sent     direction = "sent"     // from Teamogy to KSeF
	both     direction = "both"     // both at once; two rows of the table
)

func (d direction) has(one direction) bool { return d == one || d == both }

// experiment is one fault and how it is met: invoices are there, the fault
// strikes while they are on their way, it ends, and then they are counted.
type experiment struct {
	group   string // whose fault it is, one of the table's parts
	name    string // of the row of the table
	variant string // tells experiments of one row apart; their runs are added up
	what    string // one sentence for the table: what happens
	rows    []row  // further rows that this experiment stands for: group, name, what

	direction direction
	n         int // invoices in each direction; 0: the suite's number
	runs      int // how often, each time with a seed of its own; 0: once

	options func(*bedOptions) // changes the bed before it is made; may be nil
	fields  string            // TEAMOGY_FIELDS_FILE, if the product has to be told something of the tenant
	prepare func(*trial)      // runs before the invoices are there; may be nil
	arrange func(*trial)      // orders the fault, before the worker and the workflows start; may be nil
	act     func(*trial)      // runs while the invoices are on their way and returns when the fault is over; may be nil
	fired   func(*trial) bool // whether the fault happened, asked at the end

	// blind says why nobody can find out whether a create whose answer was lost has
	// worked, so that a person is asked at once; "": only after two of them.
	blind string
	// mayFail says why invoice workflows may fail here although their invoices
	// arrive in the end; "": none may.
	mayFail string
}

func (e experiment) title() string {
	return strings.TrimSpace(e.group + ": " + e.name + " " + e.variant)
}

// trial is one run of an experiment: a bed with invoices.
type trial struct {
	*bed
	experiment experiment
	n          int // in each direction that it has
	seed       uint64
	random     *rand.Rand // of the seed; for arrange and act

	imports []seededInvoice  // in KSeF, for us
	exports []issuedDocument // in Teamogy, ready
	posts   *posts           // what was posted
	ended   time.Time        // when it is given up, unless something arrives before
	arrived int              // so far
	work    func()           // starts the worker
	missed  []string         // faults that were taken back without having struck
	asked   map[string]int   // how often a person had to say what became of a received invoice
}

// counts are what was found at the simulators when an experiment had ended.
type counts struct {
	Invoices int
	Arrived  int // exactly one document resp. one KSeF number, written back
	Lost     int // no document; no KSeF number, or not written back
	Doubled  int // two documents, two numbers, more than two POSTs, or other bytes in the second one
	Posts    int // creations at Teamogy resp. sends to KSeF that may have worked
	MaxPosts int // of one invoice
	Failed   int // workflows of invoices that ended as failed

	Troubles []string // what Lost, Doubled and Failed are, in words
}

// reliabilityScale makes an hour under production limits 15 seconds.
const reliabilityScale = 240

// oneByOne is more than the invoices of any experiment: without packages each of
// them is a request of its own, which a fault can strike.
const oneByOne = 1000

// reliabilityPatience is how long nothing may arrive before an experiment is
// given up. On a machine that has other things to do it goes slowly.
const reliabilityPatience = 4 * time.Minute

// try runs an experiment once, with n invoices in each of its directions, and
// counts. Everything that is left to chance follows the seed. Fired tells
// whether the fault happened.
func (e experiment) try(t *testing.T, n int, seed uint64) (found map[direction]counts, fired bool) {
	t.Helper()
	b := newTrial(t, e, n, seed)
	if e.prepare != nil {
		e.prepare(b)
	}
	b.fill()
	if e.arrange != nil {
		e.arrange(b)
	}
	b.work()
	b.startAll()
	if e.act != nil {
		e.act(b)
	}
	b.settle()
	require.NotNil(t, e.fired, "the experiment cannot tell whether its fault happened")
	fired = e.fired(b)
	found = map[direction]counts{}
	if e.direction.has(received) {
		found[received] = b.countReceived()
	}
	if e.direction.has(sent) {
		found[sent] = b.countSent()
	}
	return found, fired
}

func newTrial(t *testing.T, e experiment, n int, seed uint64) *trial {
	t.Helper()
	p := &posts{}
	var options bedOptions
	b := newBed(t, func(o *bedOptions) {
		o.ksef.TimeScale, o.teamogy.TimeScale = reliabilityScale, reliabilityScale
		o.settings["TIME_SCALE"], o.settings["SEND_INTERVAL"] = fmt.Sprint(reliabilityScale), "15m" // all is there at the first poll
		o.settings["ONE_BY_ONE"] = fmt.Sprint(oneByOne)                                             // experiments with packages take it out
		if e.fields != "" {
			o.settings["TEAMOGY_FIELDS_FILE"] = "fields.json"
		}
		if e.options != nil {
			e.options(o)
		}
		options = *o
		o.noWorker = true // only when everything is prepared
		o.wrapKSeF, o.wrapTeamogy = p.before(o.wrapKSeF), p.before(o.wrapTeamogy)
	})
	if e.fields != "" {
		require.NoError(t, os.WriteFile(filepath.Join(b.connectionsDir(), "fields.json"), []byte(e.fields), 0o600))
	}
	work := func() {}
	if !options.noWorker {
		work = func() { b.startWorker(options.interceptor) }
	}
	b.wantTooMany = true // quotas are counted elsewhere; here refusals are one more fault
	return &trial{
		bed: b, experiment: e, n: n, seed: seed, posts: p,
		random: rand.New(rand.NewPCG(seed, 0)), //nolint:gosec // a repeatable choice is wanted
		ended:  time.Now().Add(reliabilityPatience), work: work,
	}
}

// fill puts the invoices where they start from, in an order of the seed.
func (t *trial) fill() {
	t.Helper()
	if t.experiment.direction.has(received) {
		made := samples.GenerateReceived(t.sampleOptions(), t.n)
		t.random.Shuffle(len(made), func(i, j int) { made[i], made[j] = made[j], made[i] })
		companies, known := []map[string]any{}, map[string]bool{}
		var invoices []map[string]any
		for _, m := range made {
			invoices = append(invoices, xmlOf(m.XML))
			if m.SupplierKnown && !known[m.SellerNIP] {
				known[m.SellerNIP] = true
				companies = append(companies, map[string]any{"name": m.SellerName, "nip": m.SellerNIP, "supplier": true})
			}
		}
		t.seedCompanies(companies...)
		t.imports = t.seedKSeF(t.nip, invoices...)
	}
	if t.experiment.direction.has(sent) {
		made := samples.GenerateIssued(t.sampleOptions(), t.n+1)[:t.n] // the last would be a duplicate
		t.random.Shuffle(len(made), func(i, j int) { made[i], made[j] = made[j], made[i] })
		for _, m := range made {
			t.exports = append(t.exports, t.seedReady(m.Number, m.XML))
		}
	}
}

// startAll starts the long-running workflows.
func (t *trial) startAll() {
	t.Helper()
	if t.experiment.direction.has(received) {
		t.start(flow.ReceiveInvoices, flow.ReceiveID(t.connection), flow.ReceiveInput{Connection: t.connection})
	}
	if t.experiment.direction.has(sent) {
		t.start(flow.SendInvoices, flow.SendID(t.connection), flow.SendInput{Connection: t.connection})
	}
}

// settle waits until everything has arrived and no invoice is on its way any
// more, or until nothing has arrived for long. It fails nothing: what has not
// come is counted.
func (t *trial) settle() {
	t.Helper()
	t.await(20*pollEvery, func() bool {
		t.askPerson()
		return t.allArrived() && t.underway() == 0
	})
}

// until waits for a condition, with the patience that an experiment has.
func (t *trial) until(what string, condition func() bool) {
	t.Helper()
	require.True(t, t.await(pollEvery, condition), "it did not come about: %s", what)
}

// await looks again and again until a condition holds or the experiment is
// given up, and says which.
func (t *trial) await(every time.Duration, condition func() bool) bool {
	t.Helper()
	look := time.NewTicker(every)
	defer look.Stop()
	for !condition() {
		if <-look.C; time.Now().After(t.ended) {
			return condition()
		}
	}
	return true
}

func (t *trial) allArrived() bool {
	t.Helper()
	return t.look() == len(t.imports)+len(t.exports)
}

// look counts what has arrived, and is patient again if that is more than
// before.
func (t *trial) look() int {
	t.Helper()
	documents, numbers := t.byNumber()
	n := 0
	for _, i := range t.imports {
		n += min(documents[i.KSeFNumber], 1)
	}
	for _, e := range t.exports {
		if numbers[e.ID] != "" {
			n++
		}
	}
	if n > t.arrived {
		t.arrived = n
		if later := time.Now().Add(reliabilityPatience); later.After(t.ended) {
			t.ended = later
		}
	}
	return n
}

// byNumber reads Teamogy once: how many documents were created for each KSeF
// number, and which number stands on each document.
func (t *trial) byNumber() (documents map[string]int, numbers map[int64]string) {
	t.Helper()
	documents, numbers = map[string]int{}, map[int64]string{}
	for _, d := range t.documents() {
		number := d.property("ksefNumber")
		numbers[d.ID] = number
		if d.CreatedVia == "post" {
			documents[number]++
		}
	}
	return documents, numbers
}

// underway counts the workflows of single invoices and sessions that have not
// ended.
func (t *trial) underway() int64 { return t.countWorkflows("Running") }

func (t *trial) countWorkflows(status string) int64 {
	t.Helper()
	answer, err := t.client.CountWorkflow(t.within(), &workflowservice.CountWorkflowExecutionsRequest{
		Namespace: "default",
		Query: fmt.Sprintf("TaskQueue='%s' AND ExecutionStatus='%s' AND WorkflowType IN ('%s','%s','%s')",
			t.queue, status, flow.ImportInvoice, flow.SendInvoice, flow.TransmitSession),
	})
	require.NoError(t, err)
	return answer.GetCount()
}

// countReceived counts documents at Teamogy.
func (t *trial) countReceived() counts {
	t.Helper()
	documents, _ := t.byNumber()
	c := counts{Invoices: len(t.imports)}
	for _, i := range t.imports {
		switch n := documents[i.KSeFNumber]; {
		case n == 0:
			c.lose("no document of %s: %s", i.KSeFNumber, t.describe(flow.ImportID(t.connection, i.KSeFNumber)))
		case n > 1:
			c.double("%d documents of %s", n, i.KSeFNumber)
		default:
			c.Arrived++
		}
		made := t.posts.count(&c, i.KSeFNumber, i.KSeFNumber, t.asked[i.KSeFNumber])
		if asked := t.asked[i.KSeFNumber]; asked > 0 && t.experiment.blind == "" && made < 2 {
			c.double("a person was asked about %s although it was posted only once", i.KSeFNumber)
		}
		delete(documents, i.KSeFNumber)
	}
	for number, n := range documents {
		c.double("%d documents of %q, which nobody sent us", n, number)
	}
	c.Failed = t.failed(flow.ImportInvoice, &c)
	c.explain("%s: %s", flow.ReceiveID(t.connection), t.describe(flow.ReceiveID(t.connection)))
	return c
}

// countSent counts KSeF numbers at KSeF and on the documents.
func (t *trial) countSent() counts {
	t.Helper()
	_, written := t.byNumber()
	numbers := map[string][]string{} // by hash
	var held struct{ Invoices []ksefInvoice }
	t.control(http.MethodGet, t.ksefURL+"/_sim/invoices", nil, &held)
	imports := map[string]bool{}
	for _, i := range t.imports {
		imports[i.KSeFNumber] = true
	}
	for _, i := range held.Invoices {
		if !imports[i.KSeFNumber] { // also one that got in under somebody else's session
			numbers[i.SHA256] = append(numbers[i.SHA256], i.KSeFNumber)
		}
	}
	c := counts{Invoices: len(t.exports)}
	for _, e := range t.exports {
		got := numbers[e.SHA256]
		switch {
		case len(got) > 1:
			c.double("%d KSeF numbers of %s: %v", len(got), e.Number, got)
		case len(got) == 0:
			c.lose("no KSeF number of %s: %s", e.Number, t.describe(flow.SendInvoiceID(t.connection, e.ID)))
		case written[e.ID] != got[0]:
			c.lose("%s has the number %s at KSeF and %q in Teamogy: %s", e.Number, got[0], written[e.ID], t.describe(flow.SendInvoiceID(t.connection, e.ID)))
		default:
			c.Arrived++
		}
		t.posts.count(&c, e.SHA256, e.Number, 0)
		delete(numbers, e.SHA256)
	}
	for hash, got := range numbers {
		c.double("%v are of bytes that no document has: %s", got, hash)
	}
	c.Failed = t.failed(flow.SendInvoice, &c)
	c.explain("%s: %s", flow.SendID(t.connection), t.describe(flow.SendID(t.connection)))
	c.explain("%s: %s", flow.TransmitID(t.connection), t.describe(flow.TransmitID(t.connection)))
	return c
}

func (c *counts) lose(format string, arguments ...any) {
	c.Lost++
	c.Troubles = append(c.Troubles, "lost: "+fmt.Sprintf(format, arguments...))
}

func (c *counts) double(format string, arguments ...any) {
	c.Doubled++
	c.Troubles = append(c.Troubles, "doubled: "+fmt.Sprintf(format, arguments...))
}

// explain adds what the long-running workflows do, where something is wrong.
func (c *counts) explain(format string, arguments ...any) {
	if len(c.Troubles) > 0 {
		c.Troubles = append(c.Troubles, fmt.Sprintf(format, arguments...))
	}
}

// failed counts the failed workflows of a type and says which they are.
func (t *trial) failed(workflowType string, c *counts) int {
	t.Helper()
	answer, err := t.client.ListWorkflow(t.within(), &workflowservice.ListWorkflowExecutionsRequest{
		Query: fmt.Sprintf("TaskQueue='%s' AND ExecutionStatus='Failed' AND WorkflowType='%s'", t.queue, workflowType),
	})
	require.NoError(t, err)
	for _, e := range answer.GetExecutions() {
		err := t.client.GetWorkflow(t.within(), e.GetExecution().GetWorkflowId(), e.GetExecution().GetRunId()).Get(t.within(), nil)
		c.Troubles = append(c.Troubles, fmt.Sprintf("failed: %s: %v", e.GetExecution().GetWorkflowId(), err))
	}
	return len(answer.GetExecutions())
}

// describe says what a workflow does, for the report of a loss.
func (t *trial) describe(id string) string {
	t.Helper()
	description, err := t.client.DescribeWorkflowExecution(t.within(), id, "")
	if err != nil {
		return err.Error()
	}
	text := strings.ToLower(strings.TrimPrefix(description.GetWorkflowExecutionInfo().GetStatus().String(), "WORKFLOW_EXECUTION_STATUS_"))
	for _, a := range description.GetPendingActivities() {
		text += fmt.Sprintf("; %s, attempt %d: %s", a.GetActivityType().GetName(), a.GetAttempt(), a.GetLastFailure().GetMessage())
	}
	if value, err := t.client.QueryWorkflow(t.within(), id, "", flow.QueryStatus); err == nil {
		var status map[string]any
		if value.Get(&status) == nil {
			raw, _ := json.Marshal(status)
			text += "; " + string(raw)
		}
	}
	return text
}

// ---- what faults have in common ----

// faultsAt are the faults that are ordered at a simulator now.
func (t *trial) faultsAt(base string) []orderedFault {
	t.Helper()
	var answer struct{ Faults []orderedFault }
	t.control(http.MethodGet, base+"/_sim/faults", nil, &answer)
	return answer.Faults
}

type orderedFault struct {
	Name      string `json:"name"`
	Operation string `json:"operation"`
	Fired     int    `json:"fired"`
}

// endFaults takes the faults of a simulator back, and notes those that never
// struck.
func (t *trial) endFaults(base string) {
	t.Helper()
	t.missed = append(t.missed, t.unfired(base)...)
	t.clearFaults(base)
}

func (t *trial) unfired(base string) []string {
	t.Helper()
	var names []string
	for _, f := range t.faultsAt(base) {
		if f.Fired == 0 {
			names = append(names, f.Name+" at "+f.Operation)
		}
	}
	return names
}

// allStruck says whether every fault that was ordered has struck.
func allStruck(t *trial) bool {
	t.Helper()
	missed := append(append(t.unfired(t.ksefURL), t.unfired(t.teamogyURL)...), t.missed...)
	if len(missed) > 0 {
		t.Logf("these never struck: %q", missed)
	}
	return len(missed) == 0
}

// struckAt counts the strikes at a simulator so far.
func (t *trial) struckAt(base string) (n int) {
	t.Helper()
	for _, f := range t.faultsAt(base) {
		n += f.Fired
	}
	return n
}
