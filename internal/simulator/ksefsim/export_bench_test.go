package ksefsim

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// BenchmarkExport exports 10,000 invoices of 20,000 and downloads the package.
func BenchmarkExport(b *testing.B) {
	for _, compression := range []string{compressionZip, compressionTarGz} {
		b.Run(compression, func(b *testing.B) {
			x := newBench(b)
			x.seed(20_000)
			wrapped, err := rsa.EncryptOAEP(sha256.New(), rand.Reader, &x.sim.keys.symmetric("")[0].private.PublicKey, make([]byte, 32), nil)
			require.NoError(b, err)
			for b.Loop() {
				order := map[string]any{
					"filters": queryBody("Subject2", stamp(x.clock.Now().Add(-241*time.Hour)), nil), "compressionType": compression,
					"encryption": map[string]any{
						"encryptedSymmetricKey": base64.StdEncoding.EncodeToString(wrapped),
						"initializationVector":  base64.StdEncoding.EncodeToString(make([]byte, 16)),
					},
				}
				began := time.Now()
				ref, _ := x.post("/v2/invoices/exports", 201, order)["referenceNumber"].(string)
				ordered := time.Since(began)
				x.clock.Advance(time.Second)
				var doc struct {
					Package struct {
						InvoiceCount int
						Size         int
						Parts        []struct{ URL string }
					}
				}
				w := x.do(http.MethodGet, "/v2/invoices/exports/"+ref, nil)
				require.NoError(b, json.Unmarshal(w.Body.Bytes(), &doc))
				require.Equal(b, 10_000, doc.Package.InvoiceCount)
				b.ReportMetric(time.Since(began).Seconds(), "make_10000:s")
				b.ReportMetric(ordered.Seconds()*1000, "order:ms")
				for _, part := range doc.Package.Parts {
					w := x.do(http.MethodGet, part.URL[strings.Index(part.URL, "/storage/"):], nil)
					require.Equal(b, 200, w.Code)
				}
				b.ReportMetric(time.Since(began).Seconds(), "with_download:s")
				b.ReportMetric(float64(doc.Package.Size)/(1<<20), "package:MiB")
			}
			x.reportPeak()
		})
	}
}
