package activities

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"teamogy-ksef/internal/flow"
	"teamogy-ksef/internal/ksef"
)

// Decisions about a package come in large numbers, and each collection reads its
// whole list: the first ones wait for more, but not when there are no more to
// come. Those about invoices that were sent one by one wait for nothing.
func TestAwaitSession_collectsAPackagesDecisionsTogether(t *testing.T) {
	decided := func(n int) ksef.SessionStatus {
		return ksef.SessionStatus{Code: 170, InvoiceCount: 3, Successful: n - n/3, Failed: n / 3} // of three one is rejected
	}
	for name, c := range map[string]struct {
		looks         func(n int) ksef.SessionStatus // the n-th one's answer, from 0
		oneByOne      bool
		want          flow.Awaited
		atLeast, most time.Duration
	}{
		"some are decided": {
			looks: func(int) ksef.SessionStatus { return decided(1) },
			want:  flow.Awaited{Decided: 1, Code: 170}, atLeast: packageNews, most: packageNews + heldPause,
		},
		"all are decided": {
			looks: func(int) ksef.SessionStatus { return decided(3) },
			want:  flow.Awaited{Decided: 3, Code: 170}, atLeast: firstLook, most: firstLook,
		},
		"the last ones are decided meanwhile": {
			looks: func(n int) ksef.SessionStatus { return decided(min(1+n, 3)) },
			want:  flow.Awaited{Decided: 3, Code: 170}, atLeast: 3 * firstLook, most: 3 * firstLook,
		},
		"the session has ended": {
			looks: func(int) ksef.SessionStatus {
				return ksef.SessionStatus{Code: 500, InvoiceCount: 3, Successful: 1}
			},
			want: flow.Awaited{Decided: 1, Ended: true, Code: 500}, atLeast: firstLook, most: firstLook,
		},
		"some are decided, one by one": {
			looks: func(int) ksef.SessionStatus { return decided(1) }, oneByOne: true,
			want: flow.Awaited{Decided: 1, Code: 170}, atLeast: firstLook, most: firstLook,
		},
	} {
		t.Run(name, func(t *testing.T) {
			client := &fakeKSeF{onState: func(n int, _ string) (ksef.SessionStatus, error) { return c.looks(n), nil }}
			b := testBase(t, client)
			b.Connections.(*fakeConnections).settings.TimeScale = 1
			clock := stopClock(&b)
			plan, _ := sent(t, b, "one", "two", "three")
			out, err := (&Session{b}).AwaitSession(t.Context(), flow.AwaitInput{
				Connection: "acme", Reference: "batch-1", Plan: plan, Open: []int{0, 1, 2}, Batch: !c.oneByOne,
			})
			require.NoError(t, err)
			require.Equal(t, c.want, out)
			passed := clock.now.Sub(someDay)
			require.GreaterOrEqual(t, passed, c.atLeast)
			require.LessOrEqual(t, passed, c.most)
			require.Zero(t, client.asked, "it reads the list, which costs more")
		})
	}
}
