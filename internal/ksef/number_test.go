package ksef

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestParseNumber_acceptsPublishedNumbers(t *testing.T) {
	for _, s := range []string{
		"5265877635-20250826-0100001AF629-AF",
		"5265877635-20250626-010080DD2B5E-26",
		"5265877635-20250916-0200A0D6723E-C2",
	} {
		n, err := ParseNumber(s)
		require.NoError(t, err)
		assert.Equal(t, Number(s), n)
		assert.Equal(t, "5265877635", n.SellerNIP())
		assert.Equal(t, s[11:19], n.AcceptedOn().Format("20060102"))
		assert.Equal(t, time.UTC, n.AcceptedOn().Location())
	}
}

func TestParseNumber_refusesWhatIsNone(t *testing.T) {
	for _, s := range []string{
		"",
		"5265877635-20250826-0100001AF629-AE",    // checksum
		"5265877635-20250826-0100001AF629-af",    // lower case
		"5265877635-20251326-0100001AF629-AF",    // month
		"5265877635-20250826-0100001af629-AF",    // lower case
		"526587763X-20250826-0100001AF629-AF",    // letter in the NIP
		"5265877635x20250826-0100001AF629-AF",    // no dash
		"5265877635-20250826-0100001AF629-AF ",   // blank
		"5265877635-20250826-010000-1AF629-AF",   // KSeF 1.0
		strings.Repeat("9", 5000),                // far too long
		"5265877635-20250826-0100001AF6\u00d3-A", // not ASCII
	} {
		_, err := ParseNumber(s)
		require.Error(t, err, s)
		assert.Less(t, len(err.Error()), 300)
	}
	assert.Empty(t, Number("x").SellerNIP())
	assert.True(t, Number("x").AcceptedOn().IsZero())
}

// TestParseNumber_noticesEveryTypingError proves that one wrong character never
// passes, and that every well-formed number does.
func TestParseNumber_noticesEveryTypingError(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		day := time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC).AddDate(0, 0, rapid.IntRange(0, 5000).Draw(t, "day"))
		s := fmt.Sprintf("%010d-%s-%012X", rapid.Int64Range(0, 9999999999).Draw(t, "nip"), day.Format("20060102"), rapid.Int64Range(0, 1<<48-1).Draw(t, "id"))
		s += fmt.Sprintf("-%02X", crc8(s))
		n, err := ParseNumber(s)
		require.NoError(t, err)
		require.Equal(t, day, n.AcceptedOn())

		i := rapid.IntRange(0, len(s)-1).Draw(t, "position")
		c := rapid.SampledFrom([]byte("0123456789ABCDEF-x ")).Draw(t, "character")
		if wrong := s[:i] + string(c) + s[i+1:]; wrong != s {
			_, err = ParseNumber(wrong)
			require.Error(t, err, wrong)
		}
	})
}

func TestVerificationLink_hasTheFormOfKodI(t *testing.T) {
	got := VerificationLink(Test.QRBaseURL(), "1111111111", time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC),
		[]byte{0xfb, 0xff, 0xfe, 0x00, 0x10})
	assert.Equal(t, "https://qr-test.ksef.mf.gov.pl/invoice/1111111111/01-02-2026/-__-ABA", got)
}

func TestEnvironment_hasItsOwnAddresses(t *testing.T) {
	for e, want := range map[Environment][2]string{
		Production: {"https://api.ksef.mf.gov.pl/v2", "https://qr.ksef.mf.gov.pl"},
		Demo:       {"https://api-demo.ksef.mf.gov.pl/v2", "https://qr-demo.ksef.mf.gov.pl"},
		Test:       {"https://api-test.ksef.mf.gov.pl/v2", "https://qr-test.ksef.mf.gov.pl"},
		"other":    {"", ""},
	} {
		assert.Equal(t, want[0], e.BaseURL())
		assert.Equal(t, want[1], e.QRBaseURL())
		parsed, err := ParseEnvironment(string(e))
		if e == "other" {
			assert.ErrorContains(t, err, "use production, demo or test")
		} else {
			assert.Equal(t, e, parsed)
		}
	}
}
