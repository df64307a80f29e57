package demo

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"teamogy-ksef/internal/cli/simulators"
	"teamogy-ksef/internal/connection"
)

func startSimulators(t *testing.T) *simulators.Simulators {
	t.Helper()
	s, err := simulators.Start(simulators.Options{KSeFAddress: "127.0.0.1:0", TeamogyAddress: "127.0.0.1:0", TimeScale: TimeScale})
	require.NoError(t, err)
	t.Cleanup(s.Stop)
	return s
}

func TestFill_writesTheManifestOfWhatTheSimulatorsHold(t *testing.T) {
	s := startSimulators(t)
	in := generated(1, 12, 8, today)
	w := witnesses{ksef: simulators.NewControl(s.KSeFURL), teamogy: simulators.NewControl(s.TeamogyURL)}
	m, err := fill(t.Context(), w.ksef, w.teamogy, in)
	require.NoError(t, err)
	received, sent, rejected := m.tally(m.judgeAll(Evidence{}))
	assert.Equal(t, []Tally{{0, 12}, {0, 7}, {0, 1}}, []Tally{received, sent, rejected})

	e := Evidence{Purchases: map[string][]Document{}, Sales: map[int64]Document{}, Held: map[string][]string{}, Submissions: map[string]int{}}
	require.NoError(t, w.askTeamogy(t.Context(), e))
	require.NoError(t, w.askKSeF(t.Context(), e))
	assert.Empty(t, e.Purchases)
	assert.Empty(t, e.Held, "what is seeded does not count as sent")
	assert.Len(t, e.Sales, 8)
	numbers := map[string]bool{}
	for _, i := range m {
		if i.DocumentID != 0 {
			assert.Equal(t, i.SHA256, e.Sales[i.DocumentID].SHA256, i.Label)
			assert.Equal(t, readyStatus, e.Sales[i.DocumentID].Status)
		} else {
			assert.False(t, numbers[i.KSeFNumber])
			numbers[i.KSeFNumber] = true
		}
	}
	for _, c := range []*simulators.Control{w.ksef, w.teamogy} {
		refused, err := tooManyRequests(t.Context(), c)
		require.NoError(t, err)
		assert.Zero(t, refused)
	}
}

func TestWriteConnection_makesAFileWithoutMistakes(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "connections")
	us := generated(1, 1, 2, today).us
	login, err := newCredentials(us, today)
	require.NoError(t, err)
	require.NoError(t, writeConnection(folder, us, login, "http://127.0.0.1:8081", "http://127.0.0.1:8082", today))
	c, err := connection.ParseFile(filepath.Join(folder, Connection+".env"))
	require.NoError(t, err)
	assert.Equal(t, us.nip, c.NIP)
	assert.Equal(t, "http://127.0.0.1:8081/v2", c.KSeFURL)
	assert.Equal(t, login.password, c.PrivateKeyPassword.Reveal())
	assert.Equal(t, login.apiKey, c.TeamogyAPIKey.Reveal())
	assert.True(t, c.Send)
	assert.InDelta(t, TimeScale, c.TimeScale, 0)
}
