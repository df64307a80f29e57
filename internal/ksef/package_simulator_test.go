package ksef

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"io"
	"iter"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"teamogy-ksef/internal/simulator/ksefsim"
	"teamogy-ksef/internal/simulator/samples"
)

// atSimulator is a client of ours at a KSeF simulator.
type atSimulator struct {
	*testing.T
	*Client
	url string
	nip string
}

func newAtSimulator(t *testing.T) *atSimulator {
	t.Helper()
	sim, err := ksefsim.New(ksefsim.Config{TimeScale: 1000, Control: true, Limits: ksefsim.LimitsOff})
	require.NoError(t, err)
	server := httptest.NewServer(sim.Handler())
	t.Cleanup(server.Close)
	nip := samples.NIP(4711)
	seal := []part{{oid: "2.5.4.6", value: "PL"}, {oid: "2.5.4.10", value: "Próba"}, {oid: "2.5.4.3", value: "Próba"}, {oid: "2.5.4.97", value: "VATPL-" + nip}}
	key := ecKey()
	certificate := newCertificate(t, key, seal, func(c *x509.Certificate) {
		c.NotBefore, c.NotAfter = time.Now().Add(-time.Hour), time.Now().AddDate(1, 0, 0)
	})
	c, err := New(Options{BaseURL: server.URL + "/v2", NIP: nip, Credentials: Credentials{Certificate: certificate, Key: key}, TimeScale: 1000})
	require.NoError(t, err)
	return &atSimulator{T: t, Client: c, url: server.URL, nip: nip}
}

func (s *atSimulator) control(method, path string, body any) {
	s.Helper()
	raw, err := json.Marshal(body)
	require.NoError(s, err)
	request, err := http.NewRequestWithContext(s.Context(), method, s.url+path, bytes.NewReader(raw))
	require.NoError(s, err)
	request.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(request)
	require.NoError(s, err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	require.NoError(s, err)
	require.Less(s, answer.StatusCode, 300, "%s", text)
}

// issued are invoices of ours with numbers of their own.
func (s *atSimulator) issued(numbers ...string) [][]byte {
	s.Helper()
	var all [][]byte
	for _, number := range numbers {
		sample := samples.GenerateIssued(samples.Options{Seed: 1, OurNIP: s.nip, OurName: "Próba", Today: time.Now()}, 1)[0]
		xml, err := samples.Adapt(sample.XML, s.nip, number)
		require.NoError(s, err)
		all = append(all, xml)
	}
	return all
}

func each(invoices [][]byte) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		for _, xml := range invoices {
			if !yield(xml, nil) {
				return
			}
		}
	}
}

// until reads something again and again until it is as wanted.
func until[T any](s *atSimulator, read func() (T, error), wanted func(T) bool) T {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.Context(), time.Minute)
	defer cancel()
	for {
		v, err := read()
		require.NoError(s, err)
		if wanted(v) {
			return v
		}
		require.NoError(s, ctx.Err(), "it did not come about")
	}
}

// A package in several parts goes through a batch session, each invoice is found
// by its hash, and a bad one fails alone.
func TestBatchSession_takesAPackageInPartsAndDecidesOnEachInvoice(t *testing.T) {
	s := newAtSimulator(t)
	invoices := s.issued("B/1", "B/2", "B/3")
	invoices = append(invoices, []byte("<Faktura>this is none</Faktura>"))
	k := sampleKey(t)
	p, err := WritePackage(k, t.TempDir(), each(invoices), 1000)
	require.NoError(t, err)
	require.Greater(t, len(p.Parts), 2)
	require.Equal(t, 4, p.Invoices)

	opened, err := s.OpenBatchSession(t.Context(), FA3, k, p.File, false)
	require.NoError(t, err)
	for n, upload := range opened.Uploads {
		for range 2 { // a part may be uploaded twice
			file, err := os.Open(p.Parts[n])
			require.NoError(t, err)
			require.NoError(t, s.UploadPart(t.Context(), upload, file, p.File.Parts[n].Size))
			require.NoError(t, file.Close())
		}
	}
	require.NoError(t, s.CloseBatchSession(t.Context(), opened.Reference))
	until(s, func() (SessionStatus, error) { return s.SessionStatus(t.Context(), opened.Reference) }, func(v SessionStatus) bool { return v.Code >= StatusDone })
	list, err := s.SessionInvoices(t.Context(), opened.Reference)
	require.NoError(t, err)
	codes := map[string]int{}
	for _, i := range list {
		codes[i.InvoiceHash] = i.Code
	}
	for n, xml := range invoices {
		code, there := codes[hashOf(xml)]
		require.True(t, there, "invoice %d is not in the list", n)
		if n < 3 {
			require.Equal(t, StatusDone, code)
		} else {
			require.GreaterOrEqual(t, code, 400)
		}
	}
	e, is := AsError(s.CloseBatchSession(t.Context(), opened.Reference))
	require.True(t, is)
	require.True(t, e.Has(CodeSessionForbids), "closing it again says that it is closed: %v", e)
}

// A part that never came is said at the close, and nothing was sent.
func TestBatchSession_aMissingPartIsSaidAtTheClose(t *testing.T) {
	s := newAtSimulator(t)
	k := sampleKey(t)
	p, err := WritePackage(k, t.TempDir(), each(s.issued("M/1")), MaxBatchPart)
	require.NoError(t, err)
	opened, err := s.OpenBatchSession(t.Context(), FA3, k, p.File, false)
	require.NoError(t, err)
	e, is := AsError(s.CloseBatchSession(t.Context(), opened.Reference))
	require.True(t, is)
	require.Equal(t, KindRejected, e.Kind)
}

func TestOpenBatchSession_refusesWhatKSeFWouldRefuseWithoutACall(t *testing.T) {
	c := newFakeKSeF(t).client()
	good := BatchPart{Size: 16, SHA256: "x"}
	for name, file := range map[string]BatchFile{
		"no part":          {Size: 1, SHA256: "x"},
		"51 parts":         {Size: 1, SHA256: "x", Parts: bytesOfParts(51)},
		"no hash":          {Size: 1, Parts: []BatchPart{good}},
		"empty":            {SHA256: "x", Parts: []BatchPart{good}},
		"too large":        {Size: MaxBatchPackage + 1, SHA256: "x", Parts: []BatchPart{good}},
		"part too large":   {Size: 1, SHA256: "x", Parts: []BatchPart{{Size: MaxBatchPart + 17, SHA256: "x"}}},
		"part with no sum": {Size: 1, SHA256: "x", Parts: []BatchPart{{Size: 16}}},
	} {
		_, err := c.OpenBatchSession(t.Context(), FA3, sampleKey(t), file, false)
		require.ErrorContains(t, err, "batch session", name)
		_, is := AsError(err)
		require.False(t, is, name)
	}
}

func bytesOfParts(n int) []BatchPart {
	parts := make([]BatchPart, n)
	for i := range parts {
		parts[i] = BatchPart{Size: 16, SHA256: "x"}
	}
	return parts
}

// An export comes as it was ordered, in parts, and every invoice has the bytes
// that its metadata promise.
func TestExport_bringsEveryInvoiceInEitherCompression(t *testing.T) {
	for _, compression := range []string{CompressionZIP, CompressionTarGz} {
		t.Run(compression, func(t *testing.T) {
			s := newAtSimulator(t)
			s.control(http.MethodPost, "/_sim/seed", map[string]any{"buyerNip": s.nip, "generate": 30})
			k := sampleKey(t)
			file, status := s.export(k, compression)
			require.Equal(t, 30, status.InvoiceCount)
			require.False(t, status.HWM.IsZero())

			var listed struct{ Invoices []wireMetadata }
			found := map[string]string{}
			require.NoError(t, ReadPackage(file, func(name string, content []byte) error {
				if name == MetadataEntry {
					return json.Unmarshal(content, &listed)
				}
				found[strings.TrimSuffix(name, ".xml")] = hashOf(content)
				return nil
			}))
			require.Len(t, found, 30)
			require.Len(t, listed.Invoices, 30)
			for _, m := range listed.Invoices {
				require.Equal(t, m.InvoiceHash, found[m.KSeFNumber])
			}
		})
	}
}

// export orders a package and downloads it into one file.
func (s *atSimulator) export(k SymmetricKey, compression string) (*os.File, ExportStatus) {
	s.Helper()
	reference, err := s.OrderExport(s.Context(), k, ExportQuery{SubjectType: SubjectBuyer, From: time.Now().AddDate(0, 0, -90), RestrictToHWM: true, Compression: compression})
	require.NoError(s, err)
	status := until(s, func() (ExportStatus, error) { return s.ExportStatus(s.Context(), reference) }, func(v ExportStatus) bool { return v.Code != ExportRunning })
	require.Equal(s, ExportReady, status.Code, status.Description)
	file, err := os.Create(filepath.Join(s.TempDir(), "package"))
	require.NoError(s, err)
	s.Cleanup(func() { _ = file.Close() })
	for _, p := range status.Parts {
		require.NoError(s, s.DownloadPart(s.Context(), p, k, file))
	}
	return file, status
}

// Each of what can be wrong with a part has its own kind: order again, read the
// status again, or try again.
func TestDownloadPart_tellsAWrongHashFromAnExpiredLink(t *testing.T) {
	s := newAtSimulator(t)
	s.control(http.MethodPost, "/_sim/seed", map[string]any{"buyerNip": s.nip, "generate": 2})
	k := sampleKey(t)
	_, status := s.export(k, CompressionZIP)
	part := status.Parts[0]

	kind := func(p ExportPart, k SymmetricKey) Kind {
		e, is := AsError(s.DownloadPart(t.Context(), p, k, io.Discard))
		require.True(t, is)
		require.NotContains(t, e.Error(), s.url)
		return e.Kind
	}
	wrong := part
	wrong.EncryptedSHA256 = base64.StdEncoding.EncodeToString(make([]byte, 32))
	require.Equal(t, KindHashMismatch, kind(wrong, k))
	wrong = part
	wrong.SHA256 = base64.StdEncoding.EncodeToString(make([]byte, 32))
	require.Equal(t, KindHashMismatch, kind(wrong, k))
	for _, size := range []int64{part.EncryptedSize - 16, part.EncryptedSize + 16} {
		wrong = part
		wrong.EncryptedSize = size
		require.Equal(t, KindHashMismatch, kind(wrong, k))
	}
	s.control(http.MethodPost, "/_sim/faults", map[string]any{"name": "link-expired"})
	require.Equal(t, KindGone, kind(part, k))
	require.NoError(t, s.DownloadPart(t.Context(), part, k, io.Discard))
	for _, link := range []SecretURL{"http://example.com/x", "ftp://127.0.0.1/x", "https://user:word@example.com/", "::"} {
		wrong = part
		wrong.URL = link
		require.Equal(t, KindRejected, kind(wrong, k))
	}
}

// A disk that is full is no fault of KSeF's.
func TestDownloadPart_saysThatItCouldNotBeKept(t *testing.T) {
	s := newAtSimulator(t)
	s.control(http.MethodPost, "/_sim/seed", map[string]any{"buyerNip": s.nip, "generate": 2})
	k := sampleKey(t)
	_, status := s.export(k, CompressionZIP)
	err := s.DownloadPart(t.Context(), status.Parts[0], k, fullDisk{})
	require.ErrorIs(t, err, errFull)
	_, is := AsError(err)
	require.False(t, is)
}

func TestExportStatus_unknownReferenceAndNothingNew(t *testing.T) {
	s := newAtSimulator(t)
	_, err := s.ExportStatus(t.Context(), "20260101-EH-0000000000-0000000000-00")
	e, is := AsError(err)
	require.True(t, is)
	require.Equal(t, KindRejected, e.Kind)
	_, err = s.OrderExport(t.Context(), sampleKey(t), ExportQuery{SubjectType: SubjectBuyer})
	require.ErrorContains(t, err, "beginning of the range")
}
