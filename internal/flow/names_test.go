package flow

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestAmount_groupsThousands(t *testing.T) {
	for amount, want := range map[string]string{
		"0": "0", "123.00": "123.00", "1230.00": "1 230.00", "-26283.78": "-26 283.78", "1234567.89": "1 234 567.89", "": "",
	} {
		require.Equal(t, want, Amount(amount))
	}
}

func TestSummary_isNeverLongerThan200BytesAndNeverBreaksACharacter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		line := strings.Repeat(rapid.SampledFrom([]string{"a", "ł", "€", "𝄞"}).Draw(t, "character"), rapid.IntRange(0, 300).Draw(t, "length"))
		cut := Summary(line)
		require.LessOrEqual(t, len(cut), 200)
		require.True(t, utf8.ValidString(cut))
		if len(line) <= 200 {
			require.Equal(t, line, cut)
		}
	})
}

func TestNames_areThoseOfTheDesign(t *testing.T) {
	require.Equal(t, "acme/receive", ReceiveID("acme"))
	require.Equal(t, "acme/receive/5265877635-20250826-0100001AF629-AF", ImportID("acme", "5265877635-20250826-0100001AF629-AF"))
	require.Equal(t, "acme/send/17", SendInvoiceID("acme", 17))
	require.Equal(t, "acme/session/20261122T143806Z", SessionID("acme", time.Date(2026, 11, 22, 15, 38, 6, 0, time.FixedZone("CET", 3600))))
	require.True(t, ValidConnection("acme-2"))
	for _, name := range []string{"", "Acme", "a/b", strings.Repeat("a", 41)} {
		require.False(t, ValidConnection(name), name)
	}
}

func TestScaled_leavesRealTimeAlone(t *testing.T) {
	require.Equal(t, time.Hour, Scaled(time.Hour, 0))
	require.Equal(t, time.Hour, Scaled(time.Hour, 1))
	require.Equal(t, time.Minute, Scaled(time.Hour, 60))
}
