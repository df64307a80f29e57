package integration

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"

	"teamogy-ksef/internal/simulator/ksefsim"
)

// ofPackages is what can happen while invoices travel in packages: exports and
// batch sessions. The other experiments send and fetch them one by one.
const ofPackages = "KSeF, packages"

const (
	orderExport = "POST /invoices/exports"
	exportState = "GET /invoices/exports/{ref}"
	openBatch   = "POST /sessions/batch"
	uploadPart  = "PUT /storage/{file}"
	closeBatch  = "POST /sessions/batch/{ref}/close"
	storageLink = "GET /storage/{file}"
)

// packageOperations are the calls by which packages travel, by direction; each
// is made once or a few times, however many invoices there are.
var packageOperations = map[direction][]string{
	received: {orderExport, exportState, storageLink},
	sent:     {openBatch, uploadPart, closeBatch, "GET /sessions/{ref}", "GET /sessions/{ref}/invoices"},
}

// inPackages lets the product decide between few and many as it does in
// production.
func inPackages(o *bedOptions) { delete(o.settings, "ONE_BY_ONE") }

// everywhereInPackages orders a fault at each call by which packages travel.
func everywhereInPackages(name string, times int, more map[string]any) func(*trial) {
	return func(t *trial) {
		for _, d := range []direction{received, sent} {
			for _, operation := range packageOperations[d] {
				t.atPackageFault(name, operation, times, more)
			}
		}
	}
}

// inPackagesOnce orders one fault at a call by which packages travel.
func inPackagesOnce(name, operation string, times int, more map[string]any) func(*trial) {
	return func(t *trial) { t.atPackageFault(name, operation, times, more) }
}

// atPackageFault orders a fault that strikes at the first occasion.
func (t *trial) atPackageFault(name, operation string, times int, more map[string]any) {
	t.Helper()
	order := map[string]any{"name": name, "times": times}
	if operation != "" {
		order["operation"] = operation
	}
	for k, v := range more {
		order[k] = v
	}
	t.fault(t.ksefURL, order)
}

// packageExperiments are the faults of packages. Those of the simulator that
// strike nothing else are rows of KSeF's own table.
func packageExperiments() []experiment {
	all := []experiment{
		{name: "request-dropped", direction: both, arrange: everywhereInPackages("request-dropped", 1, nil)},
		{name: "answer-dropped", direction: both, arrange: everywhereInPackages("answer-dropped", 1, nil)},
		{name: "reset", direction: both, arrange: everywhereInPackages("reset", 1, nil)},
		{name: "reset-after", direction: both, arrange: everywhereInPackages("reset-after", 1, nil)},
		{name: "timeout-after", direction: both, arrange: everywhereInPackages("timeout-after", 1, more{"seconds": 0.2})},
		{name: "bad-gateway", direction: both, arrange: everywhereInPackages("bad-gateway", 1, nil)},
		{name: "bad-gateway-after", direction: both, arrange: everywhereInPackages("bad-gateway-after", 1, nil)},
		{name: "html", direction: both, arrange: everywhereInPackages("html", 1, nil)},
		{name: "too-many-requests", direction: both, arrange: func(t *trial) {
			for _, operation := range []string{orderExport, exportState, openBatch, closeBatch} {
				t.atPackageFault("too-many-requests", operation, 1, nil)
			}
		}},
		{name: "status", variant: "503", direction: both, arrange: everywhereInPackages("status", 1, more{"status": 503, "body": "maintenance"})},
		{name: "status", variant: "500", direction: both, arrange: everywhereInPackages("status", 1, more{"status": 500})},

		// Batch sessions.
		{name: "close-failed-but-worked", direction: sent, arrange: inPackagesOnce("close-failed-but-worked", closeBatch, 1, nil)},
		{name: "session-not-yet-known", direction: sent, arrange: inPackagesOnce("session-not-yet-known", closeBatch, 2, nil)},
		{name: "list-lags", direction: sent, arrange: inPackagesOnce("list-lags", "", -1, nil)},
		{name: "invoice-stuck", direction: sent, arrange: inPackagesOnce("invoice-stuck", closeBatch, 1, more{"seconds": 3600})},
		{name: "invoice-cancelled", direction: sent, arrange: inPackagesOnce("invoice-cancelled", closeBatch, 1, nil)},
		{name: "duplicate-of-itself", direction: sent, arrange: inPackagesOnce("duplicate-of-itself", closeBatch, 1, nil)},
		{name: "original-in-foreign-session", direction: sent, arrange: inPackagesOnce("original-in-foreign-session", closeBatch, 1, nil)},
		{name: "original-session-wrong", direction: sent, arrange: func(t *trial) {
			// Only a real duplicate has an original: one of the same bytes that somebody
			// else has sent.
			t.atPackageFault("original-in-foreign-session", closeBatch, 3, nil)
			t.atPackageFault("original-session-wrong", closeBatch, 3, nil)
		}},
		{name: "key-rotated", direction: both, arrange: func(t *trial) {
			t.atPackageFault("key-rotated", openBatch, 1, nil)
			t.atPackageFault("key-rotated", orderExport, 1, nil)
		}},
		{name: "key-withdrawn", direction: both, arrange: func(t *trial) {
			t.atPackageFault("key-withdrawn", openBatch, 1, nil)
			t.atPackageFault("key-withdrawn", orderExport, 1, nil)
		}},
		{name: "link-expired", direction: both, arrange: func(t *trial) {
			t.atPackageFault("link-expired", uploadPart, 1, nil)
			t.atPackageFault("link-expired", storageLink, 1, nil)
		}},
		{group: ofKSeF, name: "part-lost", direction: sent, arrange: inPackagesOnce("part-lost", uploadPart, 1, nil)},

		// Exports.
		{group: ofKSeF, name: "export-stuck", direction: received, arrange: inPackagesOnce("export-stuck", orderExport, 1, nil)},
		{group: ofKSeF, name: "export-fails", direction: received, arrange: inPackagesOnce("export-fails", orderExport, 1, nil)},
		{group: ofKSeF, name: "part-hash-wrong", direction: received, arrange: inPackagesOnce("part-hash-wrong", orderExport, 1, nil)},
		{name: "download-truncated", direction: received, arrange: inPackagesOnce("download-truncated", storageLink, 2, nil)},
		{name: "hwm-went-back", direction: received, arrange: inPackagesOnce("hwm-went-back", orderExport, 1, nil)},
	}
	for _, status := range []int{405, 415, 420, 430, 435, 440, 500, 550} {
		all = append(all, experiment{
			name: "session-fails", variant: fmt.Sprint(status), direction: sent,
			arrange: inPackagesOnce("session-fails", closeBatch, 1, more{"status": status}),
		})
	}
	for _, status := range []int{415, 500} {
		all = append(all, experiment{
			name: "export-fails", variant: fmt.Sprint(status), direction: received,
			arrange: inPackagesOnce("export-fails", orderExport, 1, more{"status": status}),
		})
	}
	for i := range all {
		if all[i].group == "" {
			all[i].group = ofPackages
		}
		all[i].what, all[i].fired, all[i].options = ksefsim.FaultEffect(all[i].name), allStruck, inPackages
	}
	return append(all, killedAroundPackages(), packagesWhileArchiveFails())
}

// killedAroundPackages is a worker that is killed before and after each step by
// which packages travel.
func killedAroundPackages() experiment {
	k := &packageKiller{}
	return experiment{
		group: ofPackages, name: "worker killed around each step",
		what: "The worker's process is killed (SIGKILL) before and after each request by which packages travel takes effect: ordering an export, its status, " +
			"a download, opening a batch session, an upload, closing, status and list; another one is started.",
		direction: both,
		options: func(o *bedOptions) {
			inPackages(o)
			*k = packageKiller{}
			o.noWorker, o.wrapKSeF = true, k.wrap
		},
		arrange: func(t *trial) { k.hire(t) },
		fired: func(t *trial) bool {
			t.Logf("killed at %v", k.struckAt())
			return len(k.struckAt()) == 2*len(stepsOfPackages)
		},
	}
}

// stepsOfPackages are the requests around which a worker is killed: method, and
// what the path begins and ends with.
var stepsOfPackages = []struct{ name, method, begins, ends string }{
	{"order an export", http.MethodPost, "/v2/invoices/exports", "/exports"},
	{"read an export's status", http.MethodGet, "/v2/invoices/exports/", ""},
	{"open a batch session", http.MethodPost, "/v2/sessions/batch", "/batch"},
	{"close a batch session", http.MethodPost, "/v2/sessions/batch/", "/close"},
	{"upload a part", http.MethodPut, "/", ""},
	{"list a session's invoices", http.MethodGet, "/v2/sessions/", "/invoices"},
	{"download", http.MethodGet, "/storage/", ""},
	{"read a session's status", http.MethodGet, "/v2/sessions/", ""}, // what is no list
}

// packageKiller kills the crew's worker at the first time of each step after it took
// effect, and at the second before.
type packageKiller struct {
	mu   sync.Mutex
	crew *crew
	at   []string
}

func (k *packageKiller) hire(t *trial) {
	c := t.hire(builtWorker(t))
	k.mu.Lock()
	defer k.mu.Unlock()
	k.crew = c
}

func (k *packageKiller) struckAt() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.at)
}

// decide tells what happens at a request. While no worker runs nothing does.
func (k *packageKiller) decide(r *http.Request) killPoint {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.crew == nil || k.crew.present() == nil {
		return live
	}
	for _, s := range stepsOfPackages {
		if r.Method != s.method || !strings.HasPrefix(r.URL.Path, s.begins) || !strings.HasSuffix(r.URL.Path, s.ends) {
			continue
		}
		for _, point := range []struct {
			when  string
			point killPoint
		}{{"after", killAfter}, {"before", killBefore}} {
			if one := point.when + " " + s.name; !slices.Contains(k.at, one) {
				k.at = append(k.at, one)
				return point.point
			}
		}
		return live
	}
	return live
}

func (k *packageKiller) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/_sim") {
			next.ServeHTTP(w, r)
			return
		}
		switch k.decide(r) {
		case killBefore:
			k.crew.kill()
			panic(http.ErrAbortHandler)
		case killAfter:
			next.ServeHTTP(httptest.NewRecorder(), r)
			k.crew.kill()
			panic(http.ErrAbortHandler)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// packagesWhileArchiveFails is archiveFailsAtRandom with packages.
func packagesWhileArchiveFails() experiment {
	e := archiveFailsAtRandom()
	e.group, e.name = ofPackages, "the archive's writes fail at random"
	alone := e.options
	e.options = func(o *bedOptions) {
		inPackages(o)
		alone(o)
	}
	return e
}
