package archive

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var gateTime = time.Date(2026, 11, 22, 9, 0, 0, 5, time.UTC)

func someGate(scope string) Gate {
	return Gate{
		Connection: "acme", Scope: scope, Since: gateTime, ErrorType: "TeamogyTokenRefused",
		Text: "the API key was not accepted", Remedy: "Put a valid API key in place.", Call: "CreatePurchaseInvoice",
	}
}

func TestGates_closeOnceAndOpenOnce(t *testing.T) {
	onEveryBackEnd(t, func(t *testing.T, a *Archive) {
		closed, mine, err := a.CloseGate(t.Context(), someGate("teamogy"))
		require.NoError(t, err)
		require.True(t, closed)
		later := someGate("teamogy")
		later.Since = gateTime.Add(time.Hour)
		closed, there, err := a.CloseGate(t.Context(), later)
		require.NoError(t, err)
		require.False(t, closed)
		require.Equal(t, mine, there)

		_, other, err := a.CloseGate(t.Context(), someGate("ksef-read"))
		require.NoError(t, err)
		gates, err := a.Gates(t.Context(), "acme")
		require.NoError(t, err)
		require.Equal(t, []Gate{other, mine}, gates)
		none, err := a.Gates(t.Context(), "beta")
		require.NoError(t, err)
		require.Empty(t, none)

		opened, err := a.OpenGate(t.Context(), mine)
		require.NoError(t, err)
		require.True(t, opened)
		opened, err = a.OpenGate(t.Context(), mine)
		require.NoError(t, err)
		require.False(t, opened, "somebody else had opened it")
	})
}

// A worker that knows of an earlier closing must not open a later one.
func TestOpenGate_leavesAGateThatWasClosedAnew(t *testing.T) {
	onEveryBackEnd(t, func(t *testing.T, a *Archive) {
		_, first, err := a.CloseGate(t.Context(), someGate("send"))
		require.NoError(t, err)
		_, err = a.OpenGate(t.Context(), first)
		require.NoError(t, err)
		closed, second, err := a.CloseGate(t.Context(), someGate("send"))
		require.NoError(t, err)
		require.True(t, closed)
		opened, err := a.OpenGate(t.Context(), first)
		require.NoError(t, err)
		require.False(t, opened)
		gates, err := a.Gates(t.Context(), "acme")
		require.NoError(t, err)
		require.Equal(t, []Gate{second}, gates)
	})
}

func TestCloseGate_hasExactlyOneCloserOfMany(t *testing.T) {
	onEveryBackEnd(t, func(t *testing.T, a *Archive) {
		var closers atomic.Int64
		var wait sync.WaitGroup
		for range 50 {
			wait.Go(func() {
				closed, _, err := a.CloseGate(t.Context(), someGate("receive"))
				if err != nil {
					t.Error(err)
				}
				if closed {
					closers.Add(1)
				}
			})
		}
		wait.Wait()
		require.EqualValues(t, 1, closers.Load())
	})
}

func TestGates_reportABrokenOneBesideTheOthers(t *testing.T) {
	onEveryBackEnd(t, func(t *testing.T, a *Archive) {
		_, good, err := a.CloseGate(t.Context(), someGate("send"))
		require.NoError(t, err)
		for _, broken := range []string{"", "{}", "\x00", `{"connection":"beta","scope":"receive","since":"2026-11-22T09:00:00Z"}`} {
			require.NoError(t, a.store.Create(t.Context(), "gates/acme/receive.json", []byte(broken)))
			gates, err := a.Gates(t.Context(), "acme")
			var corrupt *CorruptError
			require.ErrorAs(t, err, &corrupt, "%q", broken)
			require.Equal(t, "gates/acme/receive.json", corrupt.Key)
			require.Equal(t, []Gate{good}, gates)
			require.NoError(t, a.store.Delete(t.Context(), "gates/acme/receive.json"))
		}
	})
}

func TestGates_refuseNamesThatAreNoKeys(t *testing.T) {
	a := New(newMemoryStore())
	for _, gate := range []Gate{{Connection: "../x", Scope: "send"}, {Connection: "acme", Scope: "a/b"}, {Connection: "acme"}, {Connection: "acme", Scope: "-"}} {
		_, _, err := a.CloseGate(t.Context(), gate)
		require.Error(t, err)
		_, err = a.OpenGate(t.Context(), gate)
		require.Error(t, err)
	}
	_, err := a.Gates(t.Context(), "..")
	require.Error(t, err)
	require.Error(t, a.PutNamed(t.Context(), "gates/acme/send.json", []byte("x")))
}
