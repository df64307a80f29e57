package ksefsim

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestFaults_thatChangeAnswersLeaveTheOthersTheirTurn(t *testing.T) {
	w := newWorld(t, nil)
	w.disturb(faultUnknownFields, nil)
	w.disturb(faultSystemWarning, map[string]any{"times": -1})
	w.disturb(faultHTML, map[string]any{"operation": "POST /auth/challenge"})
	assert.Equal(t, "text/html", w.do(http.MethodPost, "/auth/challenge", "", nil).header.Get("Content-Type"))
	assert.Zero(t, w.fired(faultUnknownFields), "nothing was changed in what the firewall answered")
	a := w.do(http.MethodPost, "/auth/challenge", "", nil)
	assert.Contains(t, a.json(t), "simUnknown")
	assert.NotEmpty(t, a.header.Get("X-System-Warning"), "both strike the same answer")
}

func TestFaults_doNotCountWhereTheyCannotDoWhatTheySay(t *testing.T) {
	w := newWorld(t, nil)
	s := w.open(w.login(testNIP))
	w.disturb(faultCloseWorked, nil)
	w.disturb(faultTruncated, nil)
	w.disturb(faultUnknownFields, map[string]any{"times": 1, "operation": opCloseOnline})
	assert.Equal(t, 21173, w.do(http.MethodPost, "/sessions/online/20261123-SO-0000000000-0000000000-00/close", s.access, nil, "X-Error-Format", "").code())
	assert.Equal(t, 21164, w.do(http.MethodGet, "/invoices/ksef/5265877635-20250826-0100001AF629-AF", s.access, nil).code())
	assert.Zero(t, w.fired(faultCloseWorked), "nothing was closed")
	assert.Zero(t, w.fired(faultTruncated), "nothing was downloaded")
	assert.Equal(t, 1, w.fired(faultUnknownFields))

	w.disturb(faultForeign, nil)
	bad, good := s.send(fa3{seller: otherNIP}.xml()), s.send(fa3{}.xml())
	w.clock.Advance(stepInTests)
	assert.Equal(t, []int{410, 440}, []int{statusCode(s.invoice(bad)), statusCode(s.invoice(good))}, "the first could be no duplicate")

	w.disturb(faultUnknownFields, map[string]any{"times": 1, "operation": opCloseOnline})
	assert.Equal(t, 502, w.do(http.MethodPost, "/sessions/online/"+s.ref+"/close", s.access, nil).status)
	assert.Equal(t, 170, statusCode(s.session()))
	assert.Equal(t, 1, w.fired(faultUnknownFields), "204 has no object")
}

func TestFaultKeyWithdrawn_strikesWhoeverHasJustFetchedTheKeys(t *testing.T) {
	w := newWorld(t, nil)
	access := w.login(testNIP)
	w.disturb(faultKeyWithdrawn, nil)
	a := w.do(http.MethodPost, "/sessions/online", access, w.openBody(make([]byte, 32), make([]byte, 16)))
	require.Equal(t, 21470, a.code(), "%s", a.body)
	assert.Equal(t, 201, w.do(http.MethodPost, "/sessions/online", access, w.openBody(make([]byte, 32), make([]byte, 16))).status)
}

func TestFaultOrder_takesOnlyCodesThatSomethingEndsWith(t *testing.T) {
	w := newWorld(t, nil)
	for _, name := range []string{faultSessionFails, faultLoginFails, faultExportFails, faultCancelled} {
		for _, status := range []int{100, 200, 600} {
			assert.Equal(t, 400, w.do(http.MethodPost, "/_sim/faults", "", map[string]any{"name": name, "status": status}).status, "%s %d", name, status)
		}
	}
}

func TestFaultWarsawMidnight_isNeverNearerThanItSays(t *testing.T) {
	w := newWorld(t, nil)
	w.control("clock", map[string]any{"set": "2026-11-23T22:59:59Z"})
	w.disturb(faultWarsawMidnight, nil)
	w.do(http.MethodPost, "/auth/challenge", "", nil)
	assert.Equal(t, "2026-11-24T22:59:58+00:00", stamp(w.sim.now()))
}

func TestFaultSessionFails_takesHeldInvoicesWithIt(t *testing.T) {
	w := newWorld(t, nil)
	s := w.open(w.login(testNIP))
	w.control("hold", map[string]any{"invoiceNumber": "HELD"})
	ref := s.send(fa3{number: "HELD"}.xml())
	w.disturb(faultSessionFails, nil)
	s.close()
	w.clock.Advance(2 * stepInTests)
	assert.Equal(t, 405, statusCode(s.invoice(ref)))
	assert.Equal(t, 500, statusCode(s.session()))
}

func TestFaultClockSkew_leavesNothingBehindWhenItEnds(t *testing.T) {
	for name, seconds := range map[string]int{"ahead": 600, "behind": -600} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, nil)
			w.open(w.login(testNIP)).send(fa3{number: "before"}.xml())
			w.clock.Advance(2 * stepInTests)
			assert.Equal(t, 1, w.submissions())
			w.disturb(faultClockSkew, map[string]any{"operation": opChallenge, "seconds": seconds})
			w.open(w.login(testNIP)).send(fa3{number: "skewed"}.xml())
			w.clock.Advance(2 * stepInTests)
			assert.Equal(t, 2, w.submissions())
			if seconds > 0 {
				w.do(http.MethodDelete, "/_sim/faults", "", nil)
			}
			access := w.login(testNIP)
			s := w.open(access)
			ref := s.send(fa3{number: "after"}.xml())
			w.clock.Advance(2 * stepInTests)
			assert.Contains(t, s.invoice(ref), "permanentStorageDate", "its storage does not wait for the clock to catch up")
		})
	}
}
