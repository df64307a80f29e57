package archive

import (
	"bufio"
	"bytes"
	"encoding/xml"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// fakeS3 answers as much of the S3 protocol as the archive uses, in memory, for one bucket in path style.
type fakeS3 struct {
	mutex             sync.Mutex
	objects           map[string][]byte
	conflicts         int  // how many PUTs are still to be answered by 409 ConditionalRequestConflict
	ignoreIfNoneMatch bool // an S3 look-alike without conditional writes
}

// openFakeS3 starts the fake and returns an s3:// URL for it.
func openFakeS3(t *testing.T, fake *fakeS3) string {
	t.Helper()
	s3Environment(t)
	fake.objects = map[string][]byte{}
	server := httptest.NewServer(fake)
	t.Cleanup(server.Close)
	return s3URL("bucket", server.URL)
}

func (f *fakeS3) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	body, err := decodeBody(r) // all of it: an answer before the end of the body would reset the connection
	if err != nil {
		fail(w, http.StatusBadRequest, "InvalidRequest")
		return
	}
	key := strings.TrimPrefix(strings.TrimPrefix(r.URL.Path, "/bucket"), "/")
	object, exists := f.objects[key]
	switch {
	case r.Method == http.MethodGet && key == "":
		f.list(w, r)
	case r.Method == http.MethodPut && f.conflicts > 0:
		f.conflicts--
		fail(w, http.StatusConflict, "ConditionalRequestConflict")
	case r.Method == http.MethodPut && exists && r.Header.Get("If-None-Match") == "*" && !f.ignoreIfNoneMatch:
		fail(w, http.StatusPreconditionFailed, "PreconditionFailed")
	case r.Method == http.MethodPut:
		f.objects[key] = body
	case r.Method == http.MethodDelete:
		delete(f.objects, key)
		w.WriteHeader(http.StatusNoContent)
	case !exists:
		fail(w, http.StatusNotFound, "NoSuchKey")
	default:
		w.Header().Set("Content-Length", strconv.Itoa(len(object)))
		w.Header().Set("Last-Modified", "Sun, 22 Nov 2026 12:00:00 GMT")
		if r.Method == http.MethodGet {
			_, _ = w.Write(object)
		}
	}
}

func (f *fakeS3) list(w http.ResponseWriter, r *http.Request) {
	type contents struct {
		Key          string
		LastModified string
		Size         int
	}
	type commonPrefix struct{ Prefix string }
	answer := struct {
		XMLName               xml.Name `xml:"ListBucketResult"`
		IsTruncated           bool
		NextContinuationToken string `xml:",omitempty"`
		Contents              []contents
		CommonPrefixes        []commonPrefix
	}{}
	query := r.URL.Query()
	var keys []string
	for key := range f.objects {
		rest, below := strings.CutPrefix(key, query.Get("prefix"))
		if delimiter := query.Get("delimiter"); below && delimiter != "" {
			if folder, _, inside := strings.Cut(rest, delimiter); inside {
				key = query.Get("prefix") + folder + delimiter
			}
		}
		if below && key > query.Get("continuation-token") && !slices.Contains(keys, key) {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	const page = 2
	if len(keys) > page { // small pages, so that every test pages
		keys = keys[:page]
		answer.IsTruncated, answer.NextContinuationToken = true, keys[len(keys)-1]
	}
	for _, key := range keys {
		if strings.HasSuffix(key, "/") {
			answer.CommonPrefixes = append(answer.CommonPrefixes, commonPrefix{key})
			continue
		}
		answer.Contents = append(answer.Contents, contents{Key: key, LastModified: "2026-11-22T12:00:00.000Z", Size: len(f.objects[key])})
	}
	w.Header().Set("Content-Type", "application/xml")
	_ = xml.NewEncoder(w).Encode(answer)
}

// decodeBody reads a body, plain or in AWS's own chunks (size;signature CRLF data CRLF ... trailers).
func decodeBody(r *http.Request) ([]byte, error) {
	if !strings.Contains(r.Header.Get("Content-Encoding"), "aws-chunked") {
		return io.ReadAll(r.Body)
	}
	var body bytes.Buffer
	reader := bufio.NewReader(r.Body)
	for {
		line, err := reader.ReadString('\n')
		if err != nil {
			return nil, err
		}
		size, _, _ := strings.Cut(strings.TrimSpace(line), ";")
		count, err := strconv.ParseInt(size, 16, 64)
		if err != nil {
			return nil, err
		}
		if count == 0 {
			_, err := io.Copy(io.Discard, reader)
			return body.Bytes(), err
		}
		if _, err := io.CopyN(&body, reader, count); err != nil {
			return nil, err
		}
		if _, err := reader.Discard(2); err != nil {
			return nil, err
		}
	}
}

func fail(w http.ResponseWriter, status int, code string) {
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, "<Error><Code>"+code+"</Code><Message>"+code+"</Message></Error>")
}
