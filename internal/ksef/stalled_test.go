package ksef

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A storage that takes, or gives, nothing any more and does not hang up ends the
// transfer: else it would last as long as the activity may.
func TestTransfer_endsWhenNothingMoves(t *testing.T) {
	ended := make(chan struct{})
	stalling := func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			_, _ = io.WriteString(w, "the beginning of a part")
			_ = http.NewResponseController(w).Flush()
		} else {
			_, _ = r.Body.Read(make([]byte, 16))
		}
		select {
		case <-ended:
		case <-r.Context().Done():
		}
	}
	server := httptest.NewServer(http.HandlerFunc(stalling))
	t.Cleanup(func() {
		close(ended) // else the server waits for its answers
		server.Close()
	})
	c := newFakeKSeF(t).client()
	c.stallsAfter = 50 * time.Millisecond
	large := make([]byte, 20<<20) // more than the sockets take

	for name, transfer := range map[string]func() error{
		"download": func() error {
			return c.DownloadPart(t.Context(), ExportPart{URL: SecretURL(server.URL + "/secret")}, sampleKey(t), io.Discard)
		},
		"upload": func() error {
			return c.UploadPart(t.Context(), UploadRequest{URL: SecretURL(server.URL + "/secret")}, bytes.NewReader(large), int64(len(large)))
		},
	} {
		t.Run(name, func(t *testing.T) {
			failed := make(chan error, 1)
			go func() { failed <- transfer() }()
			select {
			case err := <-failed:
				e, is := AsError(err)
				require.True(t, is, "%v", err)
				require.Equal(t, KindNetwork, e.Kind)
				require.ErrorContains(t, err, "nothing moved")
				require.NotContains(t, err.Error(), "secret")
			case <-time.After(10 * time.Second):
				t.Fatal("it waits for ever")
			}
		})
	}
}
