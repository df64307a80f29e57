package activities

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"teamogy-ksef/internal/flow"
	"teamogy-ksef/internal/ksef"
)

// partsKSeF is a KSeF that keeps what is uploaded to it, by the link to which it
// went.
type partsKSeF struct {
	fakeKSeF
	requests func([]ksef.UploadRequest) []ksef.UploadRequest // the order in which they are given; nil: by ordinal
	began    func()                                          // runs when an upload begins; may be nil

	parts sync.Mutex
	key   ksef.SymmetricKey
	file  ksef.BatchFile
	came  map[string][][]byte
}

func storageOf(ordinal int) string { return fmt.Sprintf("https://storage/part/%d", ordinal) }

func (p *partsKSeF) OpenBatchSession(_ context.Context, _ ksef.FormCode, key ksef.SymmetricKey, file ksef.BatchFile, _ bool) (ksef.OpenedBatch, error) {
	p.key, p.file = key, file
	var requests []ksef.UploadRequest
	for i := range file.Parts {
		requests = append(requests, ksef.UploadRequest{Ordinal: i + 1, URL: ksef.SecretURL(storageOf(i + 1))})
	}
	if p.requests != nil {
		requests = p.requests(requests)
	}
	return ksef.OpenedBatch{Reference: "batch-1", Uploads: requests}, nil
}

func (p *partsKSeF) UploadPart(_ context.Context, to ksef.UploadRequest, encrypted io.Reader, size int64) error {
	if p.began != nil {
		p.began()
	}
	content, err := io.ReadAll(encrypted)
	if err != nil || int64(len(content)) != size {
		return fmt.Errorf("%d bytes instead of %d: %w", len(content), size, err)
	}
	p.parts.Lock()
	defer p.parts.Unlock()
	if p.came == nil {
		p.came = map[string][][]byte{}
	}
	p.came[to.URL.Reveal()] = append(p.came[to.URL.Reveal()], content)
	return nil
}

// arrived sees that each part came once, to its own link, as it was announced,
// and that together they are the package of these invoices.
func (p *partsKSeF) arrived(t *testing.T, contents []string) {
	t.Helper()
	require.Len(t, p.came, len(p.file.Parts))
	var whole []byte
	for i, announced := range p.file.Parts {
		came := p.came[storageOf(i+1)]
		require.Len(t, came, 1, "part %d", i+1)
		require.Equal(t, announced, ksef.BatchPart{Size: int64(len(came[0])), SHA256: base64Hash(string(came[0]))}, "part %d", i+1)
		plain, err := ksef.Decrypt(p.key, came[0])
		require.NoError(t, err)
		whole = append(whole, plain...)
	}
	require.Equal(t, p.file.SHA256, base64Hash(string(whole)))
	archive, err := zip.NewReader(bytes.NewReader(whole), int64(len(whole)))
	require.NoError(t, err)
	var packed []string
	for _, f := range archive.File {
		r, err := f.Open()
		require.NoError(t, err)
		content, err := io.ReadAll(r)
		require.NoError(t, err)
		packed = append(packed, string(content))
	}
	require.Equal(t, contents, packed)
}

const fewBytes = 2000

// sendInParts sends a package in parts of a few bytes.
func sendInParts(t *testing.T, client *partsKSeF) (out flow.SentBatch, contents []string, err error) {
	t.Helper()
	ownTemp(t)
	b := testBase(t, client)
	b.partSize = fewBytes
	chance := rand.NewChaCha8([32]byte{}) // the same contents in every run
	for range 20 {
		raw := make([]byte, 500)
		_, _ = chance.Read(raw) // does not fail
		contents = append(contents, hex.EncodeToString(raw))
	}
	plan, _ := sent(t, b, contents...)
	synctest.Test(t, func(t *testing.T) {
		out, err = (&Session{b}).SendBatch(t.Context(), batchInput(plan))
	})
	return out, contents, err
}

func TestSendBatch_uploadsEachPartToItsOwnRequest(t *testing.T) {
	for name, order := range map[string]func([]ksef.UploadRequest) []ksef.UploadRequest{
		"in their order": nil,
		"in reverse": func(requests []ksef.UploadRequest) []ksef.UploadRequest {
			slices.Reverse(requests)
			return requests
		},
		"the last one first": func(requests []ksef.UploadRequest) []ksef.UploadRequest {
			return append(requests[len(requests)-1:], requests[:len(requests)-1]...)
		},
	} {
		t.Run(name, func(t *testing.T) {
			client := &partsKSeF{requests: order}
			out, contents, err := sendInParts(t, client)
			require.NoError(t, err)
			require.Greater(t, out.Parts, 3)
			require.Len(t, client.file.Parts, out.Parts)
			require.Equal(t, client.file.Size, out.Bytes)
			for _, part := range client.file.Parts[:out.Parts-1] {
				require.Equal(t, ksef.EncryptedSize(fewBytes), part.Size)
			}
			client.arrived(t, contents)
		})
	}
}

func TestSendBatch_uploadsPartsInParallel(t *testing.T) {
	var mu sync.Mutex
	begun, meanwhile := 0, 0
	client := &partsKSeF{began: func() {
		mu.Lock()
		begun++
		first := begun == 1
		mu.Unlock()
		if first {
			synctest.Wait() // the others have begun meanwhile, or wait for this one
			meanwhile = begun - 1
		}
	}}
	_, contents, err := sendInParts(t, client)
	require.NoError(t, err)
	require.Positive(t, meanwhile, "one part after the other")
	client.arrived(t, contents)
}
