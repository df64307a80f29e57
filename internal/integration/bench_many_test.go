package integration

import (
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"teamogy-ksef/internal/flow"
	"teamogy-ksef/internal/simulator/samples"
	"teamogy-ksef/internal/simulator/teamogysim"
)

// neighbour is a connection of its own beside the load's: another taxpayer at
// the same KSeF, with a Teamogy of its own.
func (l *load) neighbour(i int, settings map[string]string, wrap func(http.Handler) http.Handler) *load {
	l.Helper()
	b := *l.bed
	b.connection, b.files = fmt.Sprintf("%s-%d", l.connection, i), fmt.Sprintf("%d-", i)
	b.nip = samples.NIP(300_000 + int(beds.Add(1)))
	config := l.options.teamogy
	config.APIKey = b.apiKey
	b.teamogyURL = l.serve(teamogysim.New(config).Handler(), wrap)
	b.writeConnection(settings)
	return &load{bed: &b, scale: l.scale, worker: l.worker}
}

// requestTimes notes when requests came.
type requestTimes struct {
	mu sync.Mutex
	at []time.Time
}

func (r *requestTimes) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if !isControl(q) {
			r.mu.Lock()
			r.at = append(r.at, time.Now())
			r.mu.Unlock()
		}
		next.ServeHTTP(w, q)
	})
}

func isControl(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, "/_sim/") }

func (r *requestTimes) take() []time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	taken := r.at
	r.at = nil
	return taken
}

// busiest is the most requests that came within a span of time.
func busiest(at []time.Time, span time.Duration) int {
	slices.SortFunc(at, time.Time.Compare)
	most, first := 0, 0
	for i := range at {
		for at[i].Sub(at[first]) > span {
			first++
		}
		most = max(most, i-first+1)
	}
	return most
}

const (
	manyConnections = 200
	// manyScale makes an idle hour last three minutes.
	manyScale = 20
	// idleHours is how long many connections are watched that have nothing to do.
	idleHours = 1
)

// Two hundred connections on one worker: how long until each has asked both
// sides for the first time, and what it costs when nothing comes.
func BenchmarkManyConnections(b *testing.B) {
	n := number(b, "BENCH_CONNECTIONS", manyConnections)
	name := fmt.Sprintf("many_%d", n)
	for b.Loop() {
		ksef, teamogy := &requestTimes{}, &requestTimes{}
		settings := map[string]string{"RECEIVE_INTERVAL": "15m", "SEND_INTERVAL": "5m", "TIME_SCALE": fmt.Sprint(manyScale)}
		server := newMemoryServer(b)
		l := &load{scale: manyScale, bed: newBed(b, func(o *bedOptions) {
			o.noWorker, o.settings = true, settings
			o.temporal = func(testing.TB) *ownServer { return server }
			o.ksef.TimeScale, o.teamogy.TimeScale = manyScale, manyScale
			o.wrapKSeF, o.wrapTeamogy = ksef.wrap, teamogy.wrap
		})}
		l.wantTooMany = true
		all := []*load{l}
		for i := 1; i < n; i++ {
			all = append(all, l.neighbour(i, settings, teamogy.wrap))
		}
		began := time.Now()
		l.begin(both)
		for _, c := range all[1:] {
			c.worker = l.worker
			c.begin(both)
		}
		started := func(workflowType string) int {
			cycles := 0
			for _, c := range all {
				if c.cycled(workflowType) {
					cycles++
				}
			}
			return cycles
		}
		for _, workflowType := range []string{flow.ReceiveInvoices, flow.SendInvoices} {
			for look := time.NewTicker(time.Second); started(workflowType) < n; <-look.C {
				require.Less(b, time.Since(began), stalled)
			}
		}
		figure(b, name+"_start_up", time.Since(began).Seconds(), "s")
		figure(b, name+"_memory_of_worker", statusField(b, l.worker.process.Pid, "VmRSS:")/1024, "MiB")

		ksef.take()
		teamogy.take()
		worker, temporal := processorTime(b, l.worker.process.Pid), processorTime(b, server.running.PID())
		watch := time.Duration(idleHours * float64(time.Hour) / manyScale)
		<-time.After(watch)
		perHour := 1000 / float64(n) / idleHours
		figure(b, name+"_idle_processor_of_worker", (processorTime(b, l.worker.process.Pid)-worker)*perHour, "ms/connection/h")
		figure(b, name+"_idle_processor_of_temporal", (processorTime(b, server.running.PID())-temporal)*perHour, "ms/connection/h")
		for _, side := range []struct {
			name  string
			times []time.Time
		}{{"ksef", ksef.take()}, {"teamogy", teamogy.take()}} {
			figure(b, name+"_idle_"+side.name+"_calls", float64(len(side.times))/float64(n)/idleHours, "requests/connection/h")
			mean := float64(len(side.times)) / (idleHours * 60)
			figure(b, name+"_idle_"+side.name+"_busiest_minute", float64(busiest(side.times, time.Minute/manyScale)), "requests")
			figure(b, name+"_idle_"+side.name+"_mean_minute", mean, "requests")
		}
		figure(b, name+"_429", float64(l.ksefCounts().TooManyRequests), "answers")
		b.ReportMetric(0, "ns/op")
		for _, c := range all[1:] {
			c.stop()
		}
		l.end()
	}
}

// cycled tells whether a long-running workflow of the connection has been
// through its first cycle.
func (l *load) cycled(workflowType string) bool {
	l.Helper()
	if workflowType == flow.SendInvoices {
		var status flow.SendStatus
		l.query(flow.SendID(l.connection), &status)
		return status.Totals.Cycles > 0
	}
	var status flow.ReceiveStatus
	l.query(flow.ReceiveID(l.connection), &status)
	return status.Totals.Cycles > 0
}

// fairnessInvoices is how many one connection has in each direction while
// another one has a single one.
const fairnessInvoices = 10_000

// A single invoice in each direction, of a connection that shares the worker
// with one that has thousands; on a clock that is not scaled, so that a minute
// is one. The thousands are not waited for: they take hours.
func BenchmarkFairness(b *testing.B) {
	n := number(b, "BENCH_INVOICES", fairnessInvoices)
	for b.Loop() {
		server := newMemoryServer(b)
		l := newLoad(b, loadOptions{server: server, scale: 1, fields: mergingFields()})
		l.wantTooMany = true
		alone := l.neighbour(1, l.options.settings, nil)
		behind := l.neighbour(2, l.options.settings, nil)
		l.fillKSeF(n, nil)
		l.fillTeamogy(n)
		alone.launchWorker()
		l.worker = alone.worker
		behind.worker = alone.worker
		receivedAlone, sentAlone := alone.single()
		l.begin(both)
		many := min(n/2, 80) // of the imports there are at most 120, two minutes of Teamogy's requests
		for look, began := time.NewTicker(time.Second), time.Now(); l.count(flow.ImportInvoice, "Running") < many || l.count(flow.SendInvoice, "Running") < many; <-look.C {
			require.Less(b, time.Since(began), 2*stalled, "the thousands do not begin")
		}
		receivedBehind, sentBehind := behind.single()
		figure(b, "single_received_alone", receivedAlone.Seconds(), "s")
		figure(b, "single_received_behind_"+short(n), receivedBehind.Seconds(), "s")
		figure(b, "single_received_delay", (receivedBehind - receivedAlone).Seconds(), "s")
		figure(b, "single_sent_alone", sentAlone.Seconds(), "s")
		figure(b, "single_sent_behind_"+short(n), sentBehind.Seconds(), "s")
		figure(b, "single_sent_delay", (sentBehind - sentAlone).Seconds(), "s")
		figure(b, "single_429", float64(l.ksefCounts().TooManyRequests), "answers")
		b.ReportMetric(0, "ns/op")
		alone.stop()
		behind.stop()
		l.end()
		require.NoError(b, os.RemoveAll(l.dir))
	}
}

// single has one invoice go in each direction and tells how long each took.
func (l *load) single() (inbound, outbound time.Duration) {
	l.Helper()
	// Over two hours that is the first one an hour ago, so that KSeF shows it at
	// once, and the other one now, which the next poll will find, in a day.
	var seeded struct{ Invoices []seededInvoice }
	l.control(http.MethodPost, l.ksefURL+"/_sim/seed", map[string]any{
		"buyerNip": l.nip, "invoices": []map[string]any{xmlOf(samples.GenerateReceived(l.sampleOptions(), 2)[0].XML)}, "generate": 1, "spread": "2h",
	}, &seeded)
	require.NotEmpty(l, seeded.Invoices)
	number := seeded.Invoices[0].KSeFNumber
	sample := samples.GenerateIssued(l.sampleOptions(), 2)[0]
	id := l.seedReady(sample.Number, sample.XML).ID
	l.begin(both)
	for look := time.NewTicker(100 * time.Millisecond); inbound == 0 || outbound == 0; <-look.C {
		if inbound == 0 && len(l.received(number)) == 1 {
			inbound = time.Since(l.began)
		}
		if outbound == 0 && l.document(id).property("ksefNumber") != "" {
			outbound = time.Since(l.began)
		}
		require.Less(l, time.Since(l.began), 2*stalled)
	}
	return inbound, outbound
}
