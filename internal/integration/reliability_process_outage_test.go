package integration

import (
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stretchr/testify/require"

	"teamogy-ksef/internal/flow"
	"teamogy-ksef/internal/simulator/ksefsim"
	"teamogy-ksef/internal/simulator/samples"
	"teamogy-ksef/internal/simulator/teamogysim"
)

const (
	outageScale       = 720 // 36 hours are three minutes
	outageHours       = 36
	outageConnections = 50
)

// callsPerActivity is how often one activity may call KSeF in an hour in which
// every call fails: the pauses between attempts double from a second to
// five minutes (activities.Failure), which is 9 attempts in the first ten
// minutes and 12 an hour from then on.
const callsPerActivity = 12 + 9

// outageBound bounds the calls of a connection in an hour of the outage: the two
// long-running workflows, one session, and each invoice under way have
// one activity each.
func outageBound(invoices int) int { return callsPerActivity * (3 + invoices) }

// ksefAway is KSeF away for a day and a half with many connections in one
// worker.
func ksefAway() experiment {
	o := &outage{}
	return experiment{
		group: "KSeF", name: fmt.Sprintf("away for %d hours, %d connections", outageHours, outageConnections),
		what: fmt.Sprintf("KSeF answers 503 for %d simulated hours to a worker with %d connections, in the middle of the work. No connection calls it more than "+
			"%d times an hour for each of its workflows, and everything arrives right afterwards.", outageHours, outageConnections, callsPerActivity),
		direction: both,
		options: func(b *bedOptions) {
			*o = outage{}
			b.ksef.TimeScale, b.teamogy.TimeScale = outageScale, outageScale
			b.settings["TIME_SCALE"] = fmt.Sprint(outageScale)
			b.settings["RECEIVE_INTERVAL"], b.settings["SEND_INTERVAL"] = "2h", "2h" // 50 connections ask every ten seconds
			b.wrapKSeF = o.counted
		},
		arrange: o.addConnections,
		act:     o.pass,
		fired:   func(*trial) bool { return o.refused.Load() > 0 },
	}
}

type outage struct {
	away    atomic.Bool
	refused atomic.Int64

	mu       sync.Mutex
	counters []*atomic.Int64 // calls since the last look, of each connection
	others   []*trial
}

// counted counts the calls of one connection and refuses them while KSeF is
// away.
func (o *outage) counted(next http.Handler) http.Handler {
	calls := &atomic.Int64{}
	o.mu.Lock()
	o.counters = append(o.counters, calls)
	o.mu.Unlock()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if len(r.URL.Path) > 5 && r.URL.Path[:5] == "/_sim" || !o.away.Load() {
			next.ServeHTTP(w, r)
			return
		}
		calls.Add(1)
		o.refused.Add(1)
		http.Error(w, "away", http.StatusServiceUnavailable)
	})
}

// addConnections adds connections with one invoice in each direction, each
// with simulators of its own.
func (o *outage) addConnections(t *trial) {
	for i := 1; i < outageConnections; i++ {
		b := *t.bed
		b.connection, b.files = fmt.Sprintf("%s-%d", t.connection, i), fmt.Sprintf("%d-", i)
		b.nip = samples.NIP(100_000 + 100*int(beds.Load()) + i)
		config := t.options.teamogy
		config.APIKey = b.apiKey
		simulator, err := ksefsim.New(t.options.ksef)
		require.NoError(t, err)
		b.ksefURL = b.serve(simulator.Handler(), o.counted)
		b.teamogyURL = b.serve(teamogysim.New(config).Handler(), nil)
		b.writeConnection(t.options.settings)
		other := &trial{bed: &b, experiment: t.experiment, n: 1, random: t.random, posts: &posts{}, ended: t.ended}
		other.fill()
		o.others = append(o.others, other)
	}
	for _, other := range o.others {
		other.startAll()
	}
}

// pass lets the hours pass and counts the calls in each of them.
func (o *outage) pass(t *trial) {
	t.until("the work has begun", func() bool {
		missingDocuments, missingNumbers := t.missing()
		return missingDocuments+missingNumbers < 2*t.n
	})
	hour := time.NewTicker(time.Hour / outageScale)
	defer hour.Stop()
	o.away.Store(true)
	most, last := 0, time.Now()
	for h := range outageHours {
		<-hour.C
		lasted := int(time.Since(last)/(time.Hour/outageScale)) + 1 // a busy machine ticks late
		last = time.Now()
		for i, calls := range o.counters {
			invoices := 2
			if i == 0 {
				invoices = 2 * t.n
			}
			n := int(calls.Swap(0))
			most = max(most, n)
			require.LessOrEqual(t, n, lasted*outageBound(invoices), "calls of connection %d in hour %d", i, h)
		}
	}
	o.away.Store(false)
	t.ended = time.Now().Add(reliabilityPatience)
	t.Logf("%d calls in %d hours, at most %d of a connection in an hour", o.refused.Load(), outageHours, most)
	for _, other := range o.others {
		other.ended = time.Now().Add(reliabilityPatience)
		other.until("invoices of "+other.connection+" arrive", other.allArrived)
		require.Empty(t, other.countReceived().Troubles)
		require.Empty(t, other.countSent().Troubles)
		for _, id := range []string{flow.ReceiveID(other.connection), flow.SendID(other.connection), flow.TransmitID(other.connection)} {
			require.NoError(t, t.client.TerminateWorkflow(t.within(), id, "", "the test is over"))
		}
	}
}
