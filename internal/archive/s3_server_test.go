package archive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The S3 server that the archive is tested against is versitygw, a gateway that serves a folder: it checks
// signatures and checksums, and its conditional writes are atomic. `make tools` builds it into bin.

// s3Server is the one server of this test run, started when it is first needed.
var s3Server struct {
	sync.Mutex
	url    string
	folder string // its buckets are the folders in it
	input  io.Closer
	wait   func() error
	bucket int
}

// findVersityGW gives the server's program: VERSITYGW, then PATH, then bin.
func findVersityGW() (string, error) {
	if path := os.Getenv("VERSITYGW"); path != "" {
		return path, nil
	}
	if path, err := exec.LookPath("versitygw"); err == nil {
		return path, nil
	}
	path, err := filepath.Abs(filepath.Join("..", "..", "bin", "versitygw"))
	if err == nil {
		_, err = os.Stat(path)
	}
	return path, err
}

// openVersityGW gives the s3:// URL of a new bucket of the server.
func openVersityGW(t *testing.T) string {
	t.Helper()
	program, err := findVersityGW()
	if err != nil {
		if os.Getenv("CI") != "" {
			require.NoError(t, err, "the archive's tests need an S3 server")
		}
		t.Skipf("no S3 server: run `make tools`, or name versitygw by VERSITYGW (%v)", err)
	}
	s3Environment(t)
	s3Server.Lock()
	defer s3Server.Unlock()
	if s3Server.url == "" {
		require.NoError(t, startS3Server(program))
	}
	s3Server.bucket++
	bucket := fmt.Sprintf("bucket-%d", s3Server.bucket)
	require.NoError(t, os.Mkdir(filepath.Join(s3Server.folder, bucket), 0o700))
	return s3URL(bucket, s3Server.url)
}

// s3Environment sets credentials, and keeps this machine's own out.
func s3Environment(t *testing.T) {
	t.Helper()
	t.Setenv("AWS_ACCESS_KEY_ID", "test")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "test-secret")
	t.Setenv("AWS_CONFIG_FILE", "/dev/null")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
}

func s3URL(bucket, endpoint string) string {
	return "s3://" + bucket + "?region=eu-central-1&use_path_style=true&response_checksum_validation=when_required&endpoint=" + endpoint
}

func startS3Server(program string) error {
	folder, err := os.MkdirTemp("", "archive-s3-")
	if err != nil {
		return err
	}
	s3Server.folder = folder
	address, err := freeAddress()
	if err != nil {
		return err
	}
	// The shell ends the server when this process closes the pipe, however it ends.
	server := exec.Command("sh", "-c", `"$0" "$@" & cat; kill $!; wait`, program,
		"--port", address, "--region", "eu-central-1", "--quiet", "posix", folder)
	server.Env = append(os.Environ(), "ROOT_ACCESS_KEY=test", "ROOT_SECRET_KEY=test-secret")
	if s3Server.input, err = server.StdinPipe(); err != nil {
		return err
	}
	if err := server.Start(); err != nil {
		return err
	}
	s3Server.wait = server.Wait
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for ctx.Err() == nil {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address, nil)
		if err != nil {
			return err
		}
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			continue // a refused connection is quick
		}
		s3Server.url = "http://" + address
		return answer.Body.Close()
	}
	return fmt.Errorf("%s does not answer at %s", program, address)
}

func freeAddress() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return listener.Addr().String(), listener.Close()
}

// stopS3Server ends the server, if there is one.
func stopS3Server() {
	s3Server.Lock()
	defer s3Server.Unlock()
	if s3Server.input != nil {
		_ = s3Server.input.Close()
		_ = s3Server.wait()
	}
	if s3Server.folder != "" {
		_ = os.RemoveAll(s3Server.folder)
	}
}

// losing is a proxy in front of an S3 server that keeps answers back: what was asked for has happened, and
// the asker sees a broken connection.
type losing struct {
	lose func(r *http.Request) bool
	lost atomic.Int64
}

// before starts the proxy in front of an s3:// URL's endpoint and gives the URL with its own. A signature
// covers the host that was called, so the proxy passes it on.
func (l *losing) before(t *testing.T, address string) string {
	t.Helper()
	prefix, endpoint, found := strings.Cut(address, "endpoint=")
	require.True(t, found)
	target, err := url.Parse(endpoint)
	require.NoError(t, err)
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.Out.Host = r.In.Host
	}}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !l.lose(r) {
			proxy.ServeHTTP(w, r)
			return
		}
		proxy.ServeHTTP(httptest.NewRecorder(), r)
		l.lost.Add(1)
		panic(http.ErrAbortHandler) // closes the connection
	}))
	t.Cleanup(server.Close)
	return prefix + "endpoint=" + server.URL
}

// onceEach loses the first answer to each kind of request about each object.
func onceEach() func(*http.Request) bool {
	var seen sync.Map
	return func(r *http.Request) bool {
		_, again := seen.LoadOrStore(r.Method+" "+r.URL.Path, true)
		return !again
	}
}

// Each first answer gets lost after the request went through: everything comes to the same as if it had
// arrived, because who finds the object there finds its own.
func TestS3Store_comesToTheSameWhenAnswersGetLost(t *testing.T) {
	l := &losing{lose: onceEach()}
	a, err := Open(t.Context(), l.before(t, openVersityGW(t)))
	require.NoError(t, err)
	ctx := t.Context()
	require.NoError(t, a.Check(ctx))

	ref, err := a.PutDocument(ctx, []byte("<Faktura/>"))
	require.NoError(t, err)
	document, err := a.Document(ctx, ref.SHA256)
	require.NoError(t, err)
	require.Equal(t, "<Faktura/>", string(document))

	fact := Fact{Kind: "submitted", Name: "s", At: time.Unix(1, 0)}
	_, err = a.AddFact(ctx, record, fact) // added or not: it cannot know
	require.NoError(t, err)
	facts, err := a.Facts(ctx, record)
	require.NoError(t, err)
	require.Len(t, facts, 1)
	require.Equal(t, fact.Name, facts[0].Name)

	list, err := a.PutList(ctx, []int{1, 2}, 2)
	require.NoError(t, err)
	var items []int
	require.NoError(t, a.List(ctx, list, &items))
	require.NoError(t, a.PutNamed(ctx, "upo/1.xml", []byte("upo")))
	require.NoError(t, a.AddToIndex(ctx, record, 2026, 11))
	require.NoError(t, a.FreezeBinding(ctx, "acme", Binding{Environment: "test", NIP: "5265877635", TeamogyHost: "h", Unit: 1}))
	require.NoError(t, a.ClaimReceiver(ctx, "test", "5265877635", "acme"))
	var taken *ReceiverTakenError
	require.ErrorAs(t, a.ClaimReceiver(ctx, "test", "5265877635", "second"), &taken)
	require.NoError(t, a.ReleaseReceiver(ctx, "test", "5265877635", "acme"))
	require.NoError(t, a.ClaimReceiver(ctx, "test", "5265877635", "second"))
	require.Greater(t, l.lost.Load(), int64(15))
	t.Logf("%d answers lost", l.lost.Load())
}

// An answer that is always lost is an error, not a success; the next try finds what the first ones did.
func TestS3Store_saysThatItFailedWhenNoAnswerComes(t *testing.T) {
	var cut atomic.Bool
	l := &losing{lose: func(r *http.Request) bool { return cut.Load() && r.Method == http.MethodPut }}
	a, err := Open(t.Context(), l.before(t, openVersityGW(t)))
	require.NoError(t, err)
	cut.Store(true)
	_, err = a.AddFact(t.Context(), record, Fact{Kind: "submitted", At: time.Unix(1, 0)})
	require.Error(t, err)
	require.NotErrorIs(t, err, ErrExists)
	cut.Store(false)
	added, err := a.AddFact(t.Context(), record, Fact{Kind: "submitted", At: time.Unix(2, 0)})
	require.NoError(t, err)
	require.False(t, added)
	facts, err := a.Facts(t.Context(), record)
	require.NoError(t, err)
	require.Len(t, facts, 1)
	require.Equal(t, int64(1), facts[0].At.Unix())
}

// Creators of one key whose answers get lost still leave one whole object, and nobody overwrites it.
func TestS3Store_oneOfConcurrentCreatorsStaysAlsoWhenAnswersGetLost(t *testing.T) {
	var n atomic.Int64
	l := &losing{lose: func(r *http.Request) bool { return r.Method == http.MethodPut && n.Add(1)%3 == 0 }}
	a, err := Open(t.Context(), l.before(t, openVersityGW(t)))
	require.NoError(t, err)
	for round := range 3 {
		key := fmt.Sprintf("race/%d", round)
		var wait sync.WaitGroup
		var won atomic.Int64
		for creator := range 6 {
			wait.Go(func() {
				err := a.store.Create(t.Context(), key, []byte(largeText(fmt.Sprint("creator-", creator))))
				switch {
				case err == nil:
					won.Add(1)
				case !errors.Is(err, ErrExists):
					t.Logf("no answer in time: %v", err)
				}
			})
		}
		wait.Wait()
		require.LessOrEqual(t, won.Load(), int64(1))
		first, err := a.store.Read(t.Context(), key)
		require.NoError(t, err)
		whose, _, _ := strings.Cut(string(first), " ")
		require.Equal(t, largeText(whose), string(first))
		require.ErrorIs(t, a.store.Create(t.Context(), key, []byte("late")), ErrExists)
		again, err := a.store.Read(t.Context(), key)
		require.NoError(t, err)
		require.Equal(t, first, again)
	}
}
