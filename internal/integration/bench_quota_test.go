package integration

import (
	"testing"

	"github.com/stretchr/testify/require"

	"teamogy-ksef/internal/flow"
)

// quotaScale is how many hours under production limits an hour of the
// benchmark is. Teamogy's quota, 60 a minute, is then 8 a second. To start the
// next invoices takes real time, which must be shorter than what the last ones
// take: at 15, two processors that run Temporal, both simulators and the worker
// were what was measured.
const quotaScale = 8

// Thousands of invoices under the limits of production, on a scaled clock:
// what of KSeF's and Teamogy's quotas and how much time they take, beside the
// least that could do.
func BenchmarkQuota(b *testing.B) {
	n := number(b, "BENCH_INVOICES", 10_000)
	scale := float64(number(b, "BENCH_SCALE", quotaScale))
	b.Run("receive", func(b *testing.B) {
		for b.Loop() {
			l := newLoad(b, loadOptions{server: newMemoryServer(b), scale: scale, fields: mergingFields(), more: map[string]string{"SEND": "off"}})
			l.wantTooMany = true // it is reported
			l.fillKSeF(n, nil)
			l.begin(received)
			elapsed := l.finished(n, flow.ImportInvoice)
			l.requireReceivedOnce(n)
			l.reportQuota(b, "receive_"+short(n), leastToReceive(n), l.hours(elapsed), leastHours(n))
			figure(b, "teamogy_calls_per_received_invoice", float64(l.allRequests(l.teamogyURL))/float64(n), "requests/invoice")
			l.reportCost(b, "received", n, l.costs(n, flow.ImportInvoice, receiving...))
			l.end()
		}
	})
	b.Run("send", func(b *testing.B) {
		for b.Loop() {
			l := newLoad(b, loadOptions{server: newMemoryServer(b), scale: scale, fields: mergingFields(), more: map[string]string{"RECEIVE": "off"}})
			l.wantTooMany = true
			l.fillTeamogy(n)
			l.begin(sent)
			elapsed := l.finished(n, flow.SendInvoice)
			l.requireSentOnce(n)
			l.reportQuota(b, "send_"+short(n), leastToSend(n), l.hours(elapsed), leastHours(n))
			figure(b, "teamogy_calls_per_sent_invoice", float64(l.allRequests(l.teamogyURL))/float64(n), "requests/invoice")
			l.reportCost(b, "sent", n, l.costs(n, flow.SendInvoice, sending...))
			l.end()
		}
	})
}

// Without knowing how the tenant's PATCH works, documents are read before and
// after each: the default.
func BenchmarkTeamogyCallsByDefault(b *testing.B) {
	const n, scale = 500, 30
	for b.Loop() {
		l := newLoad(b, loadOptions{server: newMemoryServer(b), scale: scale})
		l.wantTooMany = true
		l.fillKSeF(n, nil)
		l.begin(received)
		l.finished(n, flow.ImportInvoice)
		before := l.allRequests(l.teamogyURL)
		figure(b, "teamogy_calls_per_received_invoice_by_default", float64(before)/n, "requests/invoice")
		l.fillTeamogy(n)
		l.begin(sent)
		l.finished(n, flow.SendInvoice)
		figure(b, "teamogy_calls_per_sent_invoice_by_default", float64(l.allRequests(l.teamogyURL)-before)/n, "requests/invoice")
		b.ReportMetric(0, "ns/op")
		l.end()
	}
}

// reportQuota prints the requests to KSeF by quota and in all, and the time.
func (l *load) reportQuota(b *testing.B, name string, least map[string]int, hours, leastHours float64) {
	b.Helper()
	counts := l.ksefCounts()
	all, fewest := 0, 0
	for _, group := range l.scarce() {
		requests := counts.Groups[group].Requests
		all += requests
		fewest += least[group]
		figure(b, name+"_ksef_calls_"+group, float64(requests), "requests")
		if least[group] > 0 {
			figure(b, name+"_ksef_calls_"+group+"_least", float64(least[group]), "requests")
			figure(b, name+"_ksef_calls_"+group+"_ratio", float64(requests)/float64(least[group]), "times")
		}
	}
	figure(b, name+"_ksef_calls", float64(all), "requests")
	figure(b, name+"_ksef_calls_least", float64(fewest), "requests")
	figure(b, name+"_ksef_calls_ratio", float64(all)/float64(fewest), "times")
	figure(b, name+"_429", float64(counts.TooManyRequests), "answers")
	figure(b, name+"_teamogy_429", float64(l.tooMany(l.teamogyURL)), "answers")
	figure(b, name+"_hours_simulated", hours, "h")
	figure(b, name+"_hours_least", leastHours, "h")
	figure(b, name+"_hours_ratio", hours/leastHours, "times")
	b.ReportMetric(0, "ns/op") // a round says nothing by itself
}

func (l *load) reportCost(b *testing.B, what string, n int, c cost) {
	b.Helper()
	require.NotZero(b, n)
	figure(b, "events_per_"+what+"_invoice", c.own+c.sharedEvents, "events/invoice")
	figure(b, "events_per_"+what+"_invoice_own", c.own, "events/invoice")
	figure(b, "events_per_"+what+"_invoice_shared", c.sharedEvents, "events/invoice")
	figure(b, "events_in_longest_shared_history_"+what, float64(c.longest), "events")
	figure(b, "actions_per_"+what+"_invoice", c.ownActions+c.sharedActions, "actions/invoice")
	figure(b, "actions_per_"+what+"_invoice_own", c.ownActions, "actions/invoice")
	figure(b, "actions_per_"+what+"_invoice_shared", c.sharedActions, "actions/invoice")
}
