package ksef

import (
	"crypto"
	"crypto/rand"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Encryption and signing as the product does them, beside the same primitive in
// openssl, in one run. A package is encrypted as a stream; a login is a whole
// XAdES document, of which the signature is a part.
func BenchmarkBesideOpenssl(b *testing.B) {
	if _, err := exec.LookPath("openssl"); err != nil {
		b.Skip("openssl is not installed")
	}
	b.Run("encrypt", func(b *testing.B) {
		var k SymmetricKey
		_, _ = rand.Read(k.Key[:])
		_, _ = rand.Read(k.IV[:])
		const size = 100 * 1024
		invoice := make([]byte, size)
		for b.Loop() {
			_, err := Encrypt(k, invoice)
			require.NoError(b, err)
		}
		ours := size * float64(b.N) / b.Elapsed().Seconds() / 1e6
		theirs := openssl(b, "-bytes", strconv.Itoa(size), "-evp", "aes-256-cbc")[0] / 1e6
		beside(b, "encrypt", ours, theirs, "MB/s")
	})
	for _, s := range []struct {
		name string
		key  crypto.Signer
	}{{"rsa2048", rsaKey()}, {"ecdsap256", ecKey()}} {
		b.Run("sign_"+s.name, func(b *testing.B) {
			c := Credentials{Certificate: newCertificate(b, s.key, polishName, nil), Key: s.key}
			for b.Loop() {
				_, err := signAuthTokenRequest(c, "20261122-CR-0123456789-ABCDEF0123-AB", "5265877635", testNow)
				require.NoError(b, err)
			}
			beside(b, "sign_"+s.name, float64(b.N)/b.Elapsed().Seconds(), openssl(b, s.name)[0], "1/s")
		})
	}
}

func beside(b *testing.B, name string, ours, theirs float64, unit string) {
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(ours, "="+name+":"+unit)
	b.ReportMetric(theirs, "="+name+"_by_openssl:"+unit)
	b.ReportMetric(ours/theirs, "="+name+"_ratio:times")
}

// openssl gives what `openssl speed` measures within a second: bytes or
// signatures a second. It answers lines such as +F:25:AES-256-CBC:933205333.33
// and +F2:2:2048:2604.76:48059.42, where signing comes before verifying.
func openssl(b *testing.B, arguments ...string) []float64 {
	b.Helper()
	out, err := exec.CommandContext(b.Context(), "openssl", append([]string{"speed", "-mr", "-elapsed", "-seconds", "1"}, arguments...)...).Output()
	require.NoError(b, err)
	var rates []float64
	for line := range strings.Lines(string(out)) {
		if fields := strings.Split(strings.TrimSpace(line), ":"); strings.HasPrefix(fields[0], "+F") && len(fields) > 3 {
			rate, err := strconv.ParseFloat(fields[3], 64)
			require.NoError(b, err)
			rates = append(rates, rate)
		}
	}
	require.NotEmpty(b, rates, "%s", out)
	return rates
}
