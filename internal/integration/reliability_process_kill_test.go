package integration

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"time"
)

// workersKilled is the worker killed with SIGKILL at random moments, in the
// middle of requests and between them.
func workersKilled() experiment {
	k := &randomKiller{}
	return experiment{
		group: "worker", name: "killed at random moments",
		what: "The worker's process is killed (SIGKILL) before and after requests take effect, and between them, 20 times in CI and " +
			"200 times in the soak; another one is started.",
		direction: both,
		options: func(o *bedOptions) {
			*k = randomKiller{}
			o.noWorker = true
			o.wrapKSeF, o.wrapTeamogy = k.wrap, k.wrap
		},
		arrange: func(t *trial) {
			k.begin(t, killsFor(t.n))
			k.hire(t)
		},
		act: func(t *trial) {
			t.ended = time.Now().Add(reliabilityPatience + time.Duration(k.planned())*20*time.Second)
			t.until("all kills have happened", func() bool { return k.left() == 0 })
			t.Logf("%d kills at %v", len(k.struckAt()), k.struckAt())
		},
		fired: func(t *trial) bool { return len(k.struckAt()) == killsFor(t.n) },
	}
}

// killsFor is how often a worker is killed in a run with n invoices in each
// direction.
func killsFor(n int) int {
	switch {
	case n >= 100:
		return 200
	case n >= 25:
		return 20
	}
	return 2
}

// randomKiller kills the crew's worker at moments that follow a seed.
type randomKiller struct {
	mu     sync.Mutex
	random *rand.Rand
	crew   *crew
	kills  int // still to come
	most   int
	until  int // requests until the next one
	at     []string
	posted map[string]bool // POSTs of invoices that never arrived because of a kill
}

func (k *randomKiller) begin(t *trial, kills int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.random, k.kills, k.most, k.posted = t.random, kills, kills, map[string]bool{}
	k.until = k.random.IntN(10)
}

func (k *randomKiller) hire(t *trial) {
	c := t.hire(builtWorker(t))
	k.mu.Lock()
	defer k.mu.Unlock()
	k.crew = c
}

func (k *randomKiller) left() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.kills
}

func (k *randomKiller) planned() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.most
}

func (k *randomKiller) struckAt() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.at
}

// killBetween comes after an answer has gone out, a moment later.
const killBetween = killAfter + 1

// decide tells what happens at a request. While no worker runs nothing does.
func (k *randomKiller) decide(r *http.Request, key string) (killPoint, time.Duration) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.kills == 0 || k.crew == nil || k.crew.present() == nil {
		return live, 0
	}
	if k.until > 0 {
		k.until--
		return live, 0
	}
	point := killBefore + killPoint(k.random.IntN(3))
	if point == killBefore && key != "" {
		// Twice the same bytes is the most that anybody may try.
		if k.posted[key] {
			point = killAfter
		}
		k.posted[key] = true
	}
	k.kills--
	k.until = k.random.IntN(14)
	k.at = append(k.at, fmt.Sprintf("%s %s", map[killPoint]string{killBefore: "before", killAfter: "after", killBetween: "behind"}[point], operationOf(r)))
	return point, time.Duration(k.random.IntN(200)) * time.Millisecond
}

func (k *randomKiller) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/_sim") {
			next.ServeHTTP(w, r)
			return
		}
		switch point, moment := k.decide(r, keyOfPost(r)); point {
		case killBefore:
			k.crew.kill()
			panic(http.ErrAbortHandler)
		case killAfter:
			next.ServeHTTP(httptest.NewRecorder(), r)
			k.crew.kill()
			panic(http.ErrAbortHandler)
		case killBetween:
			next.ServeHTTP(w, r)
			time.AfterFunc(moment, func() { k.crew.kill() })
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// keyOfPost is what tells two POSTs of the same invoice in the same place from
// others; empty for any other request.
func keyOfPost(r *http.Request) string {
	sends, creates := postsInvoice(r)
	if !sends && !creates {
		return ""
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	p := newPost(r.URL.Path, body, sends)
	return p.place + " " + p.key + " " + string(p.content)
}

// postsInvoice tells whether a request sends an invoice to KSeF, or creates
// one in Teamogy.
func postsInvoice(r *http.Request) (sends, creates bool) {
	if r.Method != http.MethodPost {
		return false, false
	}
	return strings.HasSuffix(r.URL.Path, "/invoices") && strings.Contains(r.URL.Path, "/sessions/online/"),
		strings.HasPrefix(r.URL.Path, "/rest/") && strings.HasSuffix(r.URL.Path, "/documents")
}
