package integration

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	enums "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/workflowservice/v1"

	"teamogy-ksef/internal/flow"
	"teamogy-ksef/internal/simulator/ksefsim"
	"teamogy-ksef/internal/simulator/samples"
)

// How benchmarks are chosen and read: `make help` and docs/performance.md. A
// figure's name stands in its unit, behind an equals sign: see figure.

// liftedScale makes every interval and pause so short that only work takes
// time.
const liftedScale = 3600

// liftedSendScale is the same for sending, where it must not be so fast that an
// invoice which waits for its answer is handed over again and again: that happens
// every 45 minutes on the clock.
const liftedSendScale = 5

// lifted is a load without quotas in a direction.
func lifted(server *ownServer, d direction) loadOptions {
	o := loadOptions{server: server, scale: liftedScale, lifted: true, fields: mergingFields()}
	if d == sent {
		o.scale, o.more = liftedSendScale, map[string]string{"SEND_INTERVAL": "1m"}
	}
	return o
}

// stalled is after how long without any invoice done a run has failed.
const stalled = 5 * time.Minute

// load is a connection with many invoices, served by a worker process as in
// production, on a Temporal server that it may share with other loads only.
type load struct {
	*bed
	worker *workerProcess
	began  time.Time
	scale  float64
}

// loadOptions are what loads differ in.
type loadOptions struct {
	server *ownServer // nil: the one that all tests share
	scale  float64
	lifted bool           // no quotas
	fields map[string]any // the connection's field map; nil: the default one
	more   map[string]string
}

// newLoad prepares a connection; the worker starts with the invoices.
func newLoad(t testing.TB, o loadOptions) *load {
	t.Helper()
	b := newBed(t, func(bed *bedOptions) {
		bed.noWorker = true
		if o.server != nil {
			bed.temporal = func(testing.TB) *ownServer { return o.server }
		}
		bed.ksef.TimeScale, bed.teamogy.TimeScale = o.scale, o.scale
		bed.settings = map[string]string{
			"TIME_SCALE": fmt.Sprint(o.scale), "RECEIVE_INTERVAL": "24h", // one poll finds all
		}
		if o.lifted {
			bed.ksef.Limits, bed.teamogy.RequestsPerMinute = ksefsim.LimitsOff, 0
			bed.settings["TEAMOGY_REQUESTS_PER_MINUTE"] = "1000"
		}
		maps.Copy(bed.settings, o.more)
	})
	l := &load{bed: b, scale: o.scale}
	if o.fields != nil {
		b.writeFields(o.fields, b.options.settings)
	}
	return l
}

// mergingFields are those of a tenant of which it is known that PATCH merges,
// and that its list shows the XML.
func mergingFields() map[string]any { return map[string]any{"patchMode": "merge", "xmlInView": true} }

// fillKSeF makes up n invoices that this company has received, from suppliers
// that Teamogy knows.
func (l *load) fillKSeF(n int, more map[string]any) {
	l.Helper()
	var companies []map[string]any
	for _, s := range samples.Suppliers(l.sampleOptions()) {
		companies = append(companies, map[string]any{"name": s.Name, "nip": s.NIP, "supplier": true})
	}
	l.seedCompanies(companies...)
	body := map[string]any{"buyerNip": l.nip, "generate": n, "spread": "240h"}
	maps.Copy(body, more)
	l.control("POST", l.ksefURL+"/_sim/seed", body, nil)
}

// fillTeamogy makes n issued invoices ready to be sent.
func (l *load) fillTeamogy(n int) {
	l.Helper()
	var documents []map[string]any
	put := func() {
		l.control("POST", l.teamogyURL+"/_sim/seed", map[string]any{"documents": documents}, nil)
		documents = nil
	}
	for _, s := range samples.GenerateIssued(l.sampleOptions(), n+1)[:n] { // the last is a duplicate
		documents = append(documents, map[string]any{"type": "INVOICE.SALES", "status": "READY.FOR.KSEF", "number": s.Number, "xml": s.XML})
		if len(documents) == 1000 {
			put()
		}
	}
	put()
}

// launchWorker starts the load's worker, unless it has one, and waits until it
// polls.
func (l *load) launchWorker() {
	l.Helper()
	if l.worker != nil {
		return
	}
	binary, err := buildWorker()
	require.NoError(l, err)
	l.worker = l.startProcess(binary, "LOG_LEVEL=warn")
	l.eventually("the worker serves", func() bool {
		queue, err := l.client.DescribeTaskQueue(context.Background(), l.queue, enums.TASK_QUEUE_TYPE_ACTIVITY)
		return err == nil && len(queue.GetPollers()) > 0
	})
}

// begin starts the workflows of a direction, or of both.
func (l *load) begin(d direction) {
	l.Helper()
	l.launchWorker()
	l.began = time.Now()
	if d.has(received) {
		l.start(flow.ReceiveInvoices, flow.ReceiveID(l.connection), flow.ReceiveInput{Connection: l.connection})
	}
	if d.has(sent) {
		l.start(flow.SendInvoices, flow.SendID(l.connection), flow.SendInput{Connection: l.connection})
	}
}

// looksPerRun is about how often a load of many is looked at: each look has
// Temporal count all of its workflows, which must not become the load itself.
const looksPerRun = 250

// finished waits until n workflows of each type have ended well, and tells how
// long after the beginning that was.
func (l *load) finished(n int, types ...string) time.Duration {
	l.Helper()
	last, progress := -1, time.Now()
	// a thousand take a minute or so
	pause := min(max(250*time.Millisecond, time.Duration(n/1000)*time.Minute/looksPerRun), 10*time.Second)
	for look := time.NewTicker(pause); ; <-look.C {
		done := 0
		for _, name := range types {
			done += l.count(name, "Completed")
		}
		if done >= n*len(types) {
			look.Stop()
			return time.Since(l.began)
		}
		if done != last {
			last, progress = done, time.Now()
		}
		if time.Since(progress) > stalled {
			look.Stop()
			require.FailNow(l, "no invoice was done for "+stalled.String(), "%d of %d; the worker says:\n%s", done, n*len(types), l.worker.logs.end(3000))
		}
	}
}

func (b *bed) count(workflowType, status string) int {
	b.Helper()
	answer, err := b.client.CountWorkflow(context.Background(), &workflowservice.CountWorkflowExecutionsRequest{Query: fmt.Sprintf(
		"WorkflowType='%s' AND ExecutionStatus='%s' AND %s='%s'", workflowType, status, flow.AttributeConnection.GetName(), b.connection)})
	require.NoError(b, err)
	return int(answer.GetCount())
}

// hours are those that a time on the clock stands for.
func (l *load) hours(d time.Duration) float64 { return d.Hours() * l.scale }

// stop ends the connection's long-running workflows.
func (l *load) stop() {
	for _, id := range []string{flow.ReceiveID(l.connection), flow.SendID(l.connection), flow.TransmitID(l.connection)} {
		_ = l.client.TerminateWorkflow(context.Background(), id, "", "the run is over") // it may not run
	}
}

// end stops the load and its worker, so that the next one has the machine to
// itself.
func (l *load) end() {
	l.stop()
	l.worker.kill()
}

// memoryPeak is the most that a process ever held, in MiB.
func memoryPeak(t testing.TB, pid int) float64 { return statusField(t, pid, "VmHWM:") / 1024 }

// statusField is a number of /proc/<pid>/status; benchmarks run on Linux.
func statusField(t testing.TB, pid int, name string) float64 {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "status"))
	require.NoError(t, err)
	for line := range strings.Lines(string(raw)) {
		if fields := strings.Fields(line); len(fields) > 1 && fields[0] == name {
			n, err := strconv.ParseFloat(fields[1], 64)
			require.NoError(t, err)
			return n
		}
	}
	require.Failf(t, "no such field", "%s of process %d", name, pid)
	return 0
}

// processorTime is what a process has used of the processors, in seconds.
func processorTime(t testing.TB, pid int) float64 {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	require.NoError(t, err)
	_, after, _ := strings.Cut(string(raw), ") ")
	fields := strings.Fields(after)
	require.Greater(t, len(fields), 12)
	ticks := 0.0
	for _, field := range fields[11:13] { // utime and stime, in hundredths of a second
		n, err := strconv.ParseFloat(field, 64)
		require.NoError(t, err)
		ticks += n
	}
	return ticks / 100
}

// figure gives a value a name of its own; `make bench` prints "name: value unit".
func figure(b *testing.B, name string, value float64, unit string) {
	b.Helper()
	b.ReportMetric(value, "="+name+":"+unit)
}

// number reads a whole number from the environment.
func number(t testing.TB, name string, standard int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return standard
	}
	n, err := strconv.Atoi(text)
	require.NoError(t, err, "%s has to be a whole number", name)
	return n
}

// short writes 10000 as 10k.
func short(n int) string {
	if n%1000 == 0 {
		return fmt.Sprintf("%dk", n/1000)
	}
	return fmt.Sprint(n)
}
