package ksefsim

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
)

// maxControlBody bounds a request to the control API in bytes.
const maxControlBody = 256 << 20

// controls are the calls of the control API: seeding, inspection, time, quotas,
// faults and forced outcomes.
func (s *Simulator) controls() map[string]func(*http.Request) (any, error) {
	controls := map[string]func(*http.Request) (any, error){
		"GET /_sim/health":       s.simHealth,
		"POST /_sim/seed":        s.simSeed,
		"POST /_sim/reset":       s.simReset,
		"GET /_sim/invoices":     s.simInvoices,
		"GET /_sim/submissions":  s.simSubmissions,
		"GET /_sim/counters":     s.simCounters,
		"POST /_sim/faults":      s.simAddFault,
		"GET /_sim/faults":       s.simFaults,
		"GET /_sim/faults/names": s.simFaultNames,
		"DELETE /_sim/faults":    s.simClearFaults,
		"GET /_sim/clock":        s.simClock,
		"POST /_sim/clock":       s.simMoveClock,
		"GET /_sim/limits":       s.simLimits,
		"POST /_sim/limits":      s.simSetLimits,
		"POST /_sim/permissions": s.simPermissions,
		"POST /_sim/verdict":     s.simVerdict,
		"GET /_sim/verdict":      s.simVerdicts,
		"POST /_sim/hold":        s.simHold,
		"POST /_sim/release":     s.simRelease,
	}
	maps.Copy(controls, s.authControls())
	return controls
}

// rawInvoice is the one call of the control API that answers no JSON.
const rawInvoice = "GET /_sim/invoices/{ksefNumber}"

// controlNames are all calls of the control API.
func (s *Simulator) controlNames() []string {
	return append(slices.Sorted(maps.Keys(s.controls())), rawInvoice)
}

// registerControl adds the control API. It answers loopback callers only.
func (s *Simulator) registerControl(mux *http.ServeMux) {
	for pattern, handle := range s.controls() {
		mux.Handle(pattern, s.control(handle))
	}
	mux.Handle(rawInvoice, loopbackOnly(http.HandlerFunc(s.simRaw)))
	known := s.controlNames()
	mux.Handle("/_sim/", s.control(func(r *http.Request) (any, error) {
		return nil, fmt.Errorf("%s %s: must be one of %q", r.Method, r.URL.Path, known)
	}))
}

// control wraps a handler: loopback only, JSON out, errors as 400.
func (s *Simulator) control(handle func(*http.Request) (any, error)) http.Handler {
	return loopbackOnly(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, maxControlBody)
		status := http.StatusOK
		answer, err := handle(r)
		if err != nil {
			status, answer = http.StatusBadRequest, map[string]string{"error": err.Error()}
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(answer) // the caller may be gone
	}))
}

func loopbackOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if ip := net.ParseIP(clientIP(r)); ip == nil || !ip.IsLoopback() {
			http.Error(w, "the control API answers loopback callers only", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

var done = map[string]bool{"ok": true}

func (s *Simulator) simHealth(*http.Request) (any, error) {
	return map[string]any{
		"status": "ok", "now": stamp(s.now()), "timeScale": s.cfg.TimeScale, "limits": s.limits.called(),
		"environment": s.cfg.Environment,
	}, nil
}

func (s *Simulator) simReset(*http.Request) (any, error) {
	s.reset()
	return done, nil
}

func (s *Simulator) simInvoices(r *http.Request) (any, error) {
	page, err := readInvoicePage(r)
	if err != nil {
		return nil, err
	}
	s.lock(s.now())
	defer s.mu.Unlock()
	shown, total := page.of(s.store.order)
	submitted := map[string]int{}
	for _, i := range s.submissions {
		submitted[i.hash]++
	}
	list := make([]map[string]any, 0, len(shown))
	for _, r := range shown {
		item := map[string]any{
			"ksefNumber": r.number, "sha256": r.hash, "size": r.document.size, "invoiceNumber": r.invoice.number,
			"sellerNip": r.invoice.sellerNIP, "buyerNip": r.buyerNIP, "origin": "seed",
			"sessionReference": "", "invoiceReference": "", "status": invoiceAccepted,
			"contextNip": r.contextNIP, "submissions": submitted[r.hash],
		}
		if item["buyerNip"] == "" && r.invoice.buyer.idType == "Nip" {
			item["buyerNip"] = r.invoice.buyer.id
		}
		if r.sent != nil {
			item["origin"], item["sessionReference"], item["invoiceReference"] = "session", r.sessionRef, r.sent.ref
		}
		list = append(list, item)
	}
	answer := map[string]any{"invoices": list}
	if page.asked {
		answer["total"] = total
	}
	return answer, nil
}

func (s *Simulator) simRaw(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	rec := s.store.byNumber[r.PathValue("ksefNumber")]
	s.mu.Unlock()
	if rec == nil {
		http.Error(w, "no such invoice", http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", "application/xml")
	_, _ = w.Write(rec.document.bytes()) // the caller may be gone
}

func (s *Simulator) simSubmissions(*http.Request) (any, error) {
	now := s.now()
	s.lock(now)
	defer s.mu.Unlock()
	list := make([]map[string]any, 0, len(s.submissions))
	for _, i := range s.submissions {
		item := map[string]any{
			"sha256": i.hash, "invoiceNumber": i.invoice.number, "sessionReference": i.session.ref,
			"invoiceReference": i.ref, "contextNip": i.session.auth.context.nip, "status": i.status(now).Code,
			"ksefNumber": "",
		}
		if i.record != nil {
			item["ksefNumber"] = i.record.number
		}
		list = append(list, item)
	}
	return list, nil
}

func (s *Simulator) simVerdict(r *http.Request) (any, error) {
	var v forcedVerdict
	if err := read(r, &v); err != nil {
		return nil, err
	}
	if v.InvoiceNumber == "" {
		return nil, errors.New("invoiceNumber is missing")
	}
	if v.Code != 0 && (v.Code < invoiceAccepted || v.Code > 599) {
		return nil, fmt.Errorf("code %d: must be 200 to 599, or 0 for a delay only", v.Code)
	}
	if v.Times < faultForEver {
		return nil, fmt.Errorf("times %d: must be at least -1 (for ever)", v.Times)
	}
	if v.Times == 0 {
		v.Times = 1
	}
	v.Fired = 0
	s.mu.Lock()
	defer s.mu.Unlock()
	s.verdicts = append(s.verdicts, &v)
	return done, nil
}

func (s *Simulator) simVerdicts(*http.Request) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]forcedVerdict, 0, len(s.verdicts))
	for _, v := range s.verdicts {
		list = append(list, *v)
	}
	return map[string]any{"verdicts": list}, nil
}

func (s *Simulator) simHold(r *http.Request) (any, error) {
	number, err := readInvoiceNumber(r)
	if err != nil {
		return nil, err
	}
	s.lock(s.now())
	defer s.mu.Unlock()
	s.held[number] = true
	return done, nil
}

func (s *Simulator) simRelease(r *http.Request) (any, error) {
	number, err := readInvoiceNumber(r)
	if err != nil {
		return nil, err
	}
	now := s.now()
	s.lock(now)
	defer s.mu.Unlock()
	delete(s.held, number)
	s.pending.release(number, now)
	return done, nil
}

func readInvoiceNumber(r *http.Request) (string, error) {
	var body struct {
		InvoiceNumber string `json:"invoiceNumber"`
	}
	if err := read(r, &body); err != nil {
		return "", err
	}
	if strings.TrimSpace(body.InvoiceNumber) == "" {
		return "", errors.New("invoiceNumber is missing")
	}
	return body.InvoiceNumber, nil
}
