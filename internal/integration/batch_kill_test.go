package integration

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

// The worker's process is killed around each step of a package, before and
// after it took effect: nothing is lost, and nothing is sent twice.
func TestBatch_aWorkerKilledAroundAnyStepLosesNothing(t *testing.T) {
	steps := map[string]*regexp.Regexp{
		"open":   regexp.MustCompile(`^POST /v2/sessions/batch$`),
		"upload": regexp.MustCompile(`^PUT /storage/`),
		"close":  regexp.MustCompile(`^POST /v2/sessions/batch/[^/]+/close$`),
		"list":   regexp.MustCompile(`^GET /v2/sessions/[^/]+/invoices$`),
	}
	for name, step := range steps {
		for _, after := range []bool{false, true} {
			moment := map[bool]string{false: "before the ", true: "after the "}[after]
			t.Run(moment+name, func(t *testing.T) {
				var staff atomic.Pointer[crew]
				var killed atomic.Bool
				b := newBed(t, func(o *bedOptions) {
					o.noWorker = true
					o.wrapKSeF = func(next http.Handler) http.Handler {
						return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
							c := staff.Load()
							if c == nil || !step.MatchString(r.Method+" "+r.URL.Path) || !killed.CompareAndSwap(false, true) {
								next.ServeHTTP(w, r)
								return
							}
							if after {
								next.ServeHTTP(httptest.NewRecorder(), r)
							}
							c.kill()
							panic(http.ErrAbortHandler)
						})
					}
				})
				staff.Store(b.hire(builtWorker(t)))
				documents := b.readyInvoices("KILLED", 5)
				b.sendTogether(documents)
				b.sentOnce(documents)
				require.True(t, killed.Load(), "it was not killed")
				for _, d := range documents {
					require.LessOrEqual(t, b.submissions(d.SHA256), 1, "%s was sent twice", d.Number)
				}
			})
		}
	}
}
