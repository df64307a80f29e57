package integration

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

// gate holds requests of a kind, before they take effect or before they are
// answered, until it is opened.
type gate struct {
	mu      sync.Mutex
	closed  bool
	after   bool // after the effect
	wanted  func(*http.Request) bool
	passing int // requests to let pass before the first is held
	most    int // to be held; 0: all
	held    []*http.Request
	open    chan struct{}
}

// close makes the gate hold what comes from now on, after so many.
func (g *gate) close(after bool, passing int, wanted func(*http.Request) bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed, g.after, g.passing, g.wanted, g.most, g.held, g.open = true, after, passing, wanted, 0, nil, make(chan struct{})
}

// closeWith is close for so many requests, after so many have passed.
func (g *gate) closeWith(after bool, most, passing int, wanted func(*http.Request) bool) {
	g.close(after, passing, wanted)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.most = most
}

// release lets everything go, now and from now on.
func (g *gate) release() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		g.closed = false
		close(g.open)
	}
}

func (g *gate) holds() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.held)
}

// holding tells whether a request whose query has a text in it is held, or was.
func (g *gate) holding(text string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.ContainsFunc(g.held, func(r *http.Request) bool { return strings.Contains(r.URL.RawQuery, text) })
}

// awaited tells whether somebody still waits for the answer to a held request
// whose query has a text in it.
func (g *gate) awaited(text string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.ContainsFunc(g.held, func(r *http.Request) bool {
		return strings.Contains(r.URL.RawQuery, text) && r.Context().Err() == nil
	})
}

func (g *gate) wait(r *http.Request) (open <-chan struct{}, after bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.closed || !g.wanted(r) || g.most > 0 && len(g.held) >= g.most {
		return nil, false
	}
	if g.passing > 0 {
		g.passing--
		return nil, false
	}
	g.held = append(g.held, r)
	return g.open, g.after
}

func (g *gate) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		open, after := g.wait(r)
		switch {
		case open == nil:
			next.ServeHTTP(w, r)
		case after:
			answer := httptest.NewRecorder()
			next.ServeHTTP(answer, r)
			<-open
			for name, values := range answer.Header() {
				w.Header()[name] = values
			}
			w.WriteHeader(answer.Code)
			_, _ = w.Write(answer.Body.Bytes()) // the caller may be gone
		default:
			<-open
			next.ServeHTTP(w, r)
		}
	})
}

// frozenBeforeKSeF is a worker that is frozen between two sends of a session
// and thawed while another one, which has sent the rest, is about to close it.
func frozenBeforeKSeF() experiment {
	g := &gate{}
	thawed := false
	return experiment{
		group: "worker", name: "frozen right before a POST to KSeF",
		what: "A worker's process is frozen (SIGSTOP) between two sends, until its heartbeat's time-out is over and another one has sent the rest into " +
			"the same session. Before that is closed the first one is thawed, and cannot reach Temporal.",
		direction: sent,
		options: func(o *bedOptions) {
			o.noWorker, o.wrapKSeF = true, g.wrap
			thawed = false
		},
		act: func(t *trial) {
			t.Cleanup(g.release)
			g.close(true, 0, func(r *http.Request) bool { sends, _ := postsInvoice(r); return sends })
			temporal := newProxy(t, t.temporal)
			first := t.startProcess(builtWorker(t), "TEMPORAL_ADDRESS="+temporal.address)
			t.until("the first invoice is sent and not answered", func() bool { return g.holds() > 0 })
			first.freeze()
			g.release()
			g.close(false, 0, func(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, "/close") })
			t.startProcess(builtWorker(t))
			t.until("the other worker is about to close the session", func() bool { return g.holds() > 0 })
			temporal.cut()
			first.thawToEnd()
			thawed = true
			g.release()
		},
		fired: func(*trial) bool { return thawed },
	}
}

// frozenBeforeTeamogy is a worker that is frozen when it has looked for
// invoices in Teamogy and not found them, and thawed when another one has
// created them.
func frozenBeforeTeamogy() experiment {
	g := &gate{}
	thawed := false
	return experiment{
		group: "worker", name: "frozen right before a POST to Teamogy",
		what: "A worker's process is frozen (SIGSTOP) when it has looked for documents and not found them, until its heartbeat's time-out is over " +
			"and another one has created them. Then the first one is thawed, and cannot reach Temporal.",
		direction: received,
		options: func(o *bedOptions) {
			o.noWorker, o.wrapTeamogy = true, g.wrap
			thawed = false
		},
		act: func(t *trial) {
			t.Cleanup(g.release)
			looks := &looksBeforePosts{}
			g.close(true, 0, looks.next)
			temporal := newProxy(t, t.temporal)
			first := t.startProcess(builtWorker(t), "TEMPORAL_ADDRESS="+temporal.address)
			t.until("documents were looked for and nobody was told", func() bool { return g.holds() >= min(3, t.n-looksUntilProven) })
			first.freeze()
			g.release()
			t.startProcess(builtWorker(t))
			t.until("the other worker has created all documents", t.allArrived)
			temporal.cut()
			first.thawToEnd()
			thawed = true
		},
		fired: func(*trial) bool { return thawed },
	}
}

// cutOffFromTemporal is a worker that goes on working while Temporal cannot be
// reached from it, and another one is given its work. Whether the first one still
// waits for the answers of its look by then hangs on seconds: the SDK ends an
// attempt of which it could not tell the server, at about the same time.
func cutOffFromTemporal() experiment {
	g := &gate{}
	cutOff := false
	return experiment{
		group: "worker", name: "cut off from Temporal right before a POST to Teamogy",
		what: "A worker has looked for documents and not found them when it can no longer reach Temporal; after its heartbeat's time-out another one " +
			"creates them. The first one gets the answers of its look when one of them is there, or all.",
		direction: received,
		options: func(o *bedOptions) {
			o.noWorker, o.wrapTeamogy = true, g.wrap
			cutOff = false
		},
		act: func(t *trial) {
			t.Cleanup(g.release)
			looks := &looksBeforePosts{}
			most := min(3, t.n-looksUntilProven)
			g.closeWith(true, most, 0, looks.next)
			temporal := newProxy(t, t.temporal)
			first := t.startProcess(builtWorker(t), "TEMPORAL_ADDRESS="+temporal.address)
			t.until("documents were looked for and nobody was told", func() bool { return g.holds() >= most })
			second := t.startProcess(builtWorker(t))
			t.until("another worker serves", second.serves)
			temporal.cut()
			unaware := false
			t.until("the other worker has created a document", func() bool {
				all := t.allHeld(g, func(number string) bool {
					there := len(t.received(number)) > 0
					unaware = unaware || there && g.awaited(number)
					cutOff = cutOff || there
					return there
				})
				return unaware || all
			})
			t.Logf("cut off: a look's answer was still awaited when another worker had created its document: %t", unaware)
			g.release()
			first.ask()
			<-first.ended
		},
		fired: func(*trial) bool { return cutOff },
	}
}

// allHeld tells whether something is so for each KSeF number whose look is
// held.
func (t *trial) allHeld(g *gate, is func(ksefNumber string) bool) bool {
	for _, i := range t.imports {
		if g.holding(i.KSeFNumber) && !is(i.KSeFNumber) {
			return false
		}
	}
	return true
}

// looksUntilProven is after how many documents the client trusts Teamogy's
// filter, so that a look is one request.
const looksUntilProven = 3

// looksBeforePosts recognizes a look for a KSeF number that is the last
// request before a document is created.
type looksBeforePosts struct{ posts atomic.Int32 }

func (l *looksBeforePosts) next(r *http.Request) bool {
	if _, creates := postsInvoice(r); creates {
		l.posts.Add(1)
	}
	return l.posts.Load() >= looksUntilProven && r.Method == http.MethodGet && strings.Contains(r.URL.RawQuery, "properties.ksefNumber")
}

// thawToEnd thaws a frozen process, asks it to end and returns when it has:
// whatever it was about to do it has done by then.
func (w *workerProcess) thawToEnd() {
	w.thaw()
	w.ask()
	<-w.ended
}

// proxy stands between a worker and Temporal, until it is cut.
type proxy struct {
	address string
	target  string

	mu          sync.Mutex
	isCut       bool
	connections []net.Conn
}

func newProxy(t testing.TB, target string) *proxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p := &proxy{address: listener.Addr().String(), target: target}
	t.Cleanup(func() {
		_ = listener.Close()
		p.cut()
	})
	go func() {
		for {
			accepted, err := listener.Accept()
			if err != nil {
				return
			}
			go p.carry(accepted)
		}
	}()
	return p
}

func (p *proxy) carry(near net.Conn) {
	defer near.Close()
	far, err := net.Dial("tcp", p.target)
	if err != nil {
		return
	}
	defer far.Close()
	if !p.keep(near, far) {
		return
	}
	go func() {
		_, _ = io.Copy(far, near)
		_ = far.Close()
	}()
	_, _ = io.Copy(near, far)
}

func (p *proxy) keep(connections ...net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.connections = append(p.connections, connections...)
	return !p.isCut
}

// cut ends all connections, and lets none through any more.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.isCut = true
	for _, c := range p.connections {
		_ = c.Close()
	}
	p.connections = nil
}
