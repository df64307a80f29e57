package integration

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync"
)

// posts stands before both simulators and writes down every POST of an
// invoice, whether or not the simulator lets it work.
type posts struct {
	mu   sync.Mutex
	made []*post
}

// post is one POST of an invoice.
type post struct {
	place   string // the KSeF session; "" for Teamogy
	key     string // SHA-256 of the invoice; for Teamogy nothing
	content []byte // what has to be the same in a second one
	status  int    // of the answer; 0 when there was none
}

// mayHaveWorked is what the caller has to believe of a POST: only an answer
// with a status of 4xx says that nothing was done.
func (p *post) mayHaveWorked() bool { return p.status < 400 || p.status > 499 }

// before gives what wraps a simulator: first this, then what the test wants.
func (p *posts) before(wrap func(http.Handler) http.Handler) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		if wrap != nil {
			next = wrap(next)
		}
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			sends := strings.HasSuffix(r.URL.Path, "/invoices") && strings.Contains(r.URL.Path, "/sessions/online/")
			creates := strings.HasPrefix(r.URL.Path, "/rest/") && strings.HasSuffix(r.URL.Path, "/documents")
			if r.Method != http.MethodPost || !sends && !creates {
				next.ServeHTTP(w, r)
				return
			}
			body, err := io.ReadAll(r.Body)
			if err != nil {
				panic(http.ErrAbortHandler) // the caller has died while it spoke
			}
			r.Body = io.NopCloser(bytes.NewReader(body))
			one := newPost(r.URL.Path, body, sends)
			p.mu.Lock()
			p.made = append(p.made, one)
			p.mu.Unlock()
			next.ServeHTTP(&statusOf{ResponseWriter: w, note: func(status int) {
				p.mu.Lock()
				defer p.mu.Unlock()
				one.status = status
			}}, r)
		})
	}
}

func newPost(path string, body []byte, sends bool) *post {
	if !sends {
		return &post{content: body}
	}
	var send struct {
		InvoiceHash             string `json:"invoiceHash"`
		EncryptedInvoiceContent string `json:"encryptedInvoiceContent"`
	}
	_ = json.Unmarshal(body, &send) // what is no JSON has no hash, and counts for no invoice
	hash, _ := base64.StdEncoding.DecodeString(send.InvoiceHash)
	return &post{place: path, key: hex.EncodeToString(hash), content: []byte(send.EncryptedInvoiceContent)}
}

// statusOf notes the status of an answer.
type statusOf struct {
	http.ResponseWriter
	note func(int)
}

func (s *statusOf) WriteHeader(status int) {
	s.note(status)
	s.ResponseWriter.WriteHeader(status)
}

func (s *statusOf) Write(content []byte) (int, error) { return s.ResponseWriter.Write(content) }

// Unwrap lets faults take the connection.
func (s *statusOf) Unwrap() http.ResponseWriter { return s.ResponseWriter }

// of are the POSTs of an invoice: by its hash in KSeF, by the KSeF number that
// stands somewhere in the body in Teamogy.
func (p *posts) of(key string) []*post {
	p.mu.Lock()
	defer p.mu.Unlock()
	var found []*post
	for _, one := range p.made {
		if one.key == key || one.key == "" && bytes.Contains(one.content, []byte(key)) {
			copied := *one
			found = append(found, &copied)
		}
	}
	return found
}

// count adds an invoice's POSTs to the counts and gives how many there were.
// More than two that may have worked in one place, or different bytes, count as
// doubled; whenever a person has said that there is none, one more is allowed.
func (p *posts) count(c *counts, key, name string, allowed int) int {
	made := map[string]int{}
	bytesOf := map[string][32]byte{}
	n := 0
	for _, one := range p.of(key) {
		if !one.mayHaveWorked() {
			continue
		}
		n++
		made[one.place]++
		if made[one.place] == 3+allowed {
			c.double("%s was posted once too often, %s", name, one.place)
		}
		sum := sha256.Sum256(one.content)
		if first, is := bytesOf[one.place]; is && first != sum {
			c.double("%s was posted with different bytes, %s", name, one.place)
		}
		bytesOf[one.place] = sum
	}
	c.Posts += n
	c.MaxPosts = max(c.MaxPosts, n)
	return n
}
