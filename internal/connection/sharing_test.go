package connection

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSenders_countsThoseThatSendForTheSameTaxpayerInTheSameEnvironment(t *testing.T) {
	store, dir, _ := newTestStore(t)
	sending := func(more ...string) string { return settings(append([]string{"SEND=on"}, more...)...) }
	write(t, dir, "acme.env", sending())
	acme, err := store.Get("acme")
	require.NoError(t, err)
	require.True(t, acme.Send)
	require.Equal(t, 1, store.Senders(acme))

	write(t, dir, "second-unit.env", sending("TEAMOGY_UNIT=2"))
	write(t, dir, "elsewhere.env", sending("NIP=1111111111"))
	write(t, dir, "trial.env", sending("KSEF_ENVIRONMENT=demo"))
	write(t, dir, "receives-only.env", settings("SEND=off"))
	write(t, dir, "broken.env", "NIP="+acme.NIP+"\nSEND=on\n")
	require.Equal(t, 2, store.Senders(acme))

	write(t, dir, "second-unit.env", settings("SEND=off", "TEAMOGY_UNIT=2"))
	require.Equal(t, 1, store.Senders(acme), "what is switched off leaves its part to the others")
}
