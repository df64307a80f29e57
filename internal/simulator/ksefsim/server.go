package ksefsim

import (
	"encoding/json"
	"errors"
	"io"
	"maps"
	"mime"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Limits on request bodies in bytes. An invoice of 10 MB, the most that a
// context's limits can be set to, arrives as about 13 MB of Base64.
const (
	maxBody     = 64 << 10
	maxAuthBody = 512 << 10
	maxSendBody = 15 << 20
)

// operation is one endpoint.
type operation struct {
	name    string // METHOD and path template without /v2; faults and counters use it
	open    bool   // needs no Bearer
	kinds   []tokenKind
	anyOf   []string // permissions of which one is needed
	group   string   // quota group; "" for none
	maxBody int64
	streams bool // the handler reads the body itself
	handle  func(*call) (*reply, error)
}

// call is one request on its way through an operation.
type call struct {
	r       *http.Request
	ip      string
	now     time.Time
	op      *operation
	token   *token
	body    []byte
	baseURL string
	faults  *faultList

	warnings []string
}

// warn adds a warning to the answer's X-System-Warning.
func (c *call) warn(code, text string) { c.warnings = append(c.warnings, "["+code+"]: "+text) }

// feature says whether the caller asked for strictness that KSeF has only
// announced (X-KSeF-Feature).
func (c *call) feature(name string) bool {
	return slices.ContainsFunc(c.r.Header.Values("X-KSeF-Feature"), func(value string) bool {
		return slices.ContainsFunc(strings.Split(value, ","), func(one string) bool { return strings.TrimSpace(one) == name })
	})
}

// reply is an answer before it is written, so that a fault can still take it
// away after everything was committed.
type reply struct {
	status      int
	contentType string
	body        []byte
	header      http.Header
	delivery    delivery
	hang        time.Duration // for a delivery that hangs
}

func (out *reply) setHeader(name, value string) {
	if out.header == nil {
		out.header = http.Header{}
	}
	out.header.Set(name, value)
}

func jsonReply(status int, v any) (*reply, error) {
	body, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	return &reply{status: status, contentType: "application/json; charset=utf-8", body: body}, nil
}

// xmlReply is a document with the hash header that downloads carry.
func xmlReply(body []byte) *reply {
	return &reply{
		status: http.StatusOK, contentType: "application/xml", body: body,
		header: http.Header{"X-Ms-Meta-Hash": {hashBase64(body)}},
	}
}

// serve wraps an operation with faults, counters and the writing of answers.
func (s *Simulator) serve(op *operation) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.strikeClock(op.name)
		out := s.disturbed(op, r)
		s.count(op.name, out)
		s.log.Debug("ksef simulator", "operation", op.name, "status", out.label())
		if out.delivery != delivered && out.delivery != truncated {
			out.cutOff(w, r)
			return
		}
		maps.Copy(w.Header(), out.header)
		w.Header().Set("Date", s.now().Format(http.TimeFormat))
		if warning := r.Header.Get("X-Test-System-Warning"); warning != "" && s.cfg.Environment == EnvironmentTest {
			w.Header().Set("X-System-Warning", asciiFolded(warning))
		}
		if out.contentType != "" {
			w.Header().Set("Content-Type", out.contentType)
		}
		if out.body != nil {
			w.Header().Set("Content-Length", strconv.Itoa(len(out.body)))
		}
		w.WriteHeader(out.status)
		if out.delivery == truncated {
			_, _ = w.Write(out.body[:len(out.body)/2])
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}
		_, _ = w.Write(out.body) // the caller may be gone; nothing is owed then
	})
}

// disturbed runs an operation and lets the faults strike that were ordered for
// it: one instead of it, or one that takes its answer away, or all that change
// its answer.
func (s *Simulator) disturbed(op *operation, r *http.Request) *reply {
	if f := s.faults.instead(op.name); f != nil {
		return f.replace(nil, r, s.now())
	}
	out := s.answer(op, r)
	if f := s.faults.afterwards(op.name, out); f != nil {
		return f.replace(out, r, s.now())
	}
	for _, f := range s.faults.changes(op.name, out) {
		out = f.replace(out, r, s.now())
	}
	return out
}

// label is how an answer is counted: by its status, or as what became of it.
func (out *reply) label() string {
	switch out.delivery {
	case dropped:
		return "dropped"
	case reset:
		return "reset"
	case hanging:
		return "timeout"
	case truncated:
		return "truncated"
	}
	return strconv.Itoa(out.status)
}

// answer runs an operation up to its answer.
func (s *Simulator) answer(op *operation, r *http.Request) *reply {
	out, err := s.attempt(op, r)
	if err == nil {
		return out
	}
	var f *failure
	if !errors.As(err, &f) {
		s.log.Error("ksef simulator: operation broke", "operation", op.name, "error", err)
		f = &failure{status: http.StatusInternalServerError, codes: []problemCode{{code: http.StatusInternalServerError, description: "Symulator zawiódł."}}}
	}
	s.log.Debug("ksef simulator: refused", "operation", op.name, "reason", f.Error())
	return f.reply(r, s.now())
}

func (s *Simulator) attempt(op *operation, r *http.Request) (*reply, error) {
	c := &call{r: r, op: op, ip: clientIP(r), now: s.now(), baseURL: s.cfg.PublicURL, faults: &s.faults}
	if c.baseURL == "" {
		c.baseURL = "http://" + r.Host
	}
	context := ""
	if !op.open {
		var err error
		if c.token, err = s.bearer(c, op.kinds); err != nil {
			return nil, err
		}
		context = c.token.auth.context.value
	}
	if err := s.limits.admit(context, c.ip, op, s.clock.steady()); err != nil {
		return nil, err
	}
	if len(op.anyOf) > 0 && !c.token.may(op.anyOf...) {
		return nil, missingPermission(op.anyOf, c.token.permissions)
	}
	if op.streams {
		return op.handle(c)
	}
	limit := op.maxBody
	if limit == 0 {
		limit = maxBody
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, limit+1))
	if err != nil {
		return nil, refuse(21001, "Nie udało się odczytać treści żądania.")
	}
	if int64(len(body)) > limit {
		return nil, invalid("Przekroczono dozwolony rozmiar treści żądania.")
	}
	c.body, c.now = body, s.now()
	out, err := op.handle(c)
	if out != nil && len(c.warnings) > 0 {
		out.setHeader("X-System-Warning", strings.Join(c.warnings, " | "))
	}
	return out, err
}

// decode reads a JSON body into v.
func (c *call) decode(v any) error {
	if given := c.r.Header.Get("Content-Type"); given != "" {
		kind, _, err := mime.ParseMediaType(given)
		if err != nil || (kind != "application/json" && !strings.HasSuffix(kind, "+json")) {
			return &failure{status: http.StatusUnsupportedMediaType, detail: "Content-Type must be application/json."}
		}
	}
	if err := json.Unmarshal(c.body, v); err != nil {
		return invalid("Treść żądania nie jest poprawnym dokumentem JSON: " + err.Error())
	}
	return nil
}

// queryInt reads a whole number from the query string.
func (c *call) queryInt(name string, standard, least, most int) (int, error) {
	text := c.r.URL.Query().Get(name)
	if text == "" {
		return standard, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < least || n > most {
		return 0, invalid("Parametr " + name + " musi być liczbą z zakresu " + strconv.Itoa(least) + "-" + strconv.Itoa(most) + ".")
	}
	return n, nil
}

func clientIP(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// count remembers what an operation answered.
func (s *Simulator) count(op string, out *reply) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if out.delivery == delivered && out.status == http.StatusTooManyRequests {
		s.tooManyRequests++
	}
	if s.requests[op] == nil {
		s.requests[op] = map[string]int{}
	}
	s.requests[op][out.label()]++
}

// foldPolish writes Polish letters without their marks.
var foldPolish = strings.NewReplacer(
	"ą", "a", "ć", "c", "ę", "e", "ł", "l", "ń", "n", "ó", "o", "ś", "s", "ź", "z", "ż", "z",
	"Ą", "A", "Ć", "C", "Ę", "E", "Ł", "L", "Ń", "N", "Ó", "O", "Ś", "S", "Ź", "Z", "Ż", "Z",
)

// asciiFolded is a text as a header can bear it.
func asciiFolded(text string) string {
	return strings.Map(func(r rune) rune {
		if r < 0x20 || r > 0x7e {
			return '?'
		}
		return r
	}, foldPolish.Replace(text))
}
