package ksefsim

import (
	"fmt"
	"maps"
	"math"
	"net/http"
	"slices"
	"sync"
	"time"
)

// Values of Config.Limits.
const (
	LimitsProduction = "production" // those of production, DEMO and, since 2.5.0, TEST
	LimitsTenfold    = "tenfold"    // ten times more, as TEST had until 2.5.0
	LimitsOff        = "off"
)

// Quota groups, by the names of GET /rate-limits. groupPublic is for calls
// without an account and counts by address alone.
const (
	groupOnlineSession      = "onlineSession"
	groupOnlineSessionClose = "onlineSessionClose"
	groupInvoiceSend        = "invoiceSend"
	groupBatchSession       = "batchSession"
	groupBatchSessionClose  = "batchSessionClose"
	groupInvoiceExport      = "invoiceExport"
	groupExportStatus       = "invoiceExportStatus"
	groupInvoiceStatus      = "invoiceStatus"
	groupSessionList        = "sessionList"
	groupSessionInvoiceList = "sessionInvoiceList"
	groupSessionMisc        = "sessionMisc"
	groupInvoiceMetadata    = "invoiceMetadata"
	groupInvoiceDownload    = "invoiceDownload"
	groupOther              = "other"
	groupPublic             = "public"
)

// unlimited is what GET /rate-limits shows when no quota is enforced.
const unlimited = 1_000_000

// noLimit is a quota under which nothing is counted.
var noLimit = RateLimit{unlimited, unlimited, unlimited}

// RateLimit is a quota: three sliding windows that hold at once. A value that
// is not positive means no limit in that window.
type RateLimit struct {
	PerSecond int `json:"perSecond"`
	PerMinute int `json:"perMinute"`
	PerHour   int `json:"perHour"`
}

// productionLimits are the quotas of production 2.8 per context and address.
func productionLimits() map[string]RateLimit {
	return map[string]RateLimit{
		groupOnlineSession:      {10, 30, 120},
		groupOnlineSessionClose: {20, 60, 240},
		groupBatchSession:       {10, 20, 60},
		groupBatchSessionClose:  {20, 40, 120},
		groupInvoiceSend:        {10, 30, 180},
		groupInvoiceStatus:      {30, 120, 1200},
		groupSessionList:        {5, 10, 60},
		groupSessionInvoiceList: {10, 20, 200},
		groupSessionMisc:        {10, 120, 1200},
		groupInvoiceMetadata:    {8, 16, 20},
		groupInvoiceExport:      {8, 16, 20},
		groupExportStatus:       {10, 60, 600},
		groupInvoiceDownload:    {8, 16, 64},
		"collectiveIdentifier":  {10, 60, 120},
		groupOther:              {10, 30, 120},
	}
}

// limitsNamed are the quotas that a value of Config.Limits stands for.
func limitsNamed(name string) (map[string]RateLimit, error) {
	limits := productionLimits()
	switch name {
	case LimitsProduction:
	case LimitsTenfold:
		for group, l := range limits {
			limits[group] = RateLimit{10 * l.PerSecond, 10 * l.PerMinute, 10 * l.PerHour}
		}
	case LimitsOff:
		for group := range limits {
			limits[group] = noLimit
		}
	default:
		return nil, fmt.Errorf("limits %q: must be %q, %q or %q", name, LimitsProduction, LimitsTenfold, LimitsOff)
	}
	return limits, nil
}

// withGroups replaces the quotas of single groups, which must exist.
func withGroups(limits, groups map[string]RateLimit) (map[string]RateLimit, error) {
	for group, limit := range groups {
		if _, known := limits[group]; !known {
			return nil, fmt.Errorf("rate limit of %q: there is no such group, but %q", group, slices.Sorted(maps.Keys(productionLimits())))
		}
		if min(limit.PerSecond, limit.PerMinute, limit.PerHour) < 0 {
			return nil, fmt.Errorf("rate limit of %q: no number may be negative; 0 means no limit", group)
		}
		limits[group] = limit
	}
	return limits, nil
}

// limiter counts the requests of each client in sliding windows. A client is a
// context at an address; without a context, an address.
type limiter struct {
	scale float64

	initial     map[string]RateLimit
	initialName string

	mu        sync.Mutex
	name      string // of the quotas that hold for everybody
	standard  map[string]RateLimit
	byContext map[string]map[string]RateLimit // where a context has its own
	seen      map[string]*requests
	swept     time.Time
}

// requests are what a client did in a group.
type requests struct {
	accepted []time.Time // in the longest window, oldest first
	until    time.Time   // blocked until then
	grown    time.Time   // when the block began or became longer
}

func newLimiter(name string, limits map[string]RateLimit, scale float64) *limiter {
	return &limiter{initialName: name, name: name, initial: limits, standard: limits, scale: scale, seen: map[string]*requests{}, byContext: map[string]map[string]RateLimit{}}
}

func (l *limiter) window(d time.Duration) time.Duration {
	return time.Duration(float64(d) / l.scale)
}

// limitsOf are the quotas of a context, as GET /rate-limits shows them.
func (l *limiter) limitsOf(context string) map[string]RateLimit {
	l.mu.Lock()
	defer l.mu.Unlock()
	limits := maps.Clone(l.standard)
	maps.Copy(limits, l.byContext[context])
	return limits
}

// override gives a context quotas of its own; nil takes them away.
func (l *limiter) override(context string, limits map[string]RateLimit) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if limits == nil {
		delete(l.byContext, context)
		return
	}
	l.byContext[context] = maps.Clone(limits)
}

// replace changes the quotas of everybody.
func (l *limiter) replace(name string, limits map[string]RateLimit) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.name, l.standard = name, limits
}

// called gives the name of the quotas that hold for everybody.
func (l *limiter) called() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.name
}

// quota finds the limit of an operation and the key under which its requests
// count.
func (l *limiter) quota(context, ip string, op *operation) (limit RateLimit, key string, known bool) {
	if op.group == groupPublic {
		return publicLimit, ip + " public " + op.name, !l.off()
	}
	limit, known = l.byContext[context][op.group]
	if !known {
		limit, known = l.standard[op.group]
	}
	key = context + " " + ip + " " + op.group
	if op.group == groupOther {
		key += " " + op.name
	}
	return limit, key, known && limit != noLimit
}

// publicLimit is the quota of calls without a log-in, for each address.
var publicLimit = RateLimit{PerSecond: 60, PerMinute: -1, PerHour: -1}

// off says whether nobody's requests are counted. The lock must be held.
func (l *limiter) off() bool { return l.standard[groupOther] == noLimit }

// anonymous is the quota of calls without a log-in, as GET /rate-limits shows
// it: -1 means that there is none.
func (l *limiter) anonymous() RateLimit {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.off() {
		return RateLimit{-1, -1, -1}
	}
	return publicLimit
}

// admit lets a request pass or answers 429. A refused request takes no place,
// but one that comes in spite of Retry-After makes the block longer.
func (l *limiter) admit(context, ip string, op *operation, now time.Time) error {
	if op.group == "" {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	limit, key, known := l.quota(context, ip, op)
	if !known {
		return nil
	}
	l.sweep(now)
	r := l.seen[key]
	if r == nil {
		r = &requests{}
		l.seen[key] = r
	}
	hour := now.Add(-l.window(time.Hour))
	for len(r.accepted) > 0 && !r.accepted[0].After(hour) {
		r.accepted = r.accepted[1:]
	}
	if left := r.until.Sub(now); left > 0 {
		// Once a second: what was under way when the block began does not ignore it.
		if now.Sub(r.grown) >= l.window(time.Second) {
			r.until, r.grown = now.Add(min(left+max(left/2, l.window(time.Second)), l.window(time.Hour))), now
		}
		return tooMany("Blokada trwa, a żądania ją przedłużają.", r.until.Sub(now))
	}
	wait, reason := l.wait(r.accepted, limit, now)
	if wait > 0 {
		r.until, r.grown = now.Add(wait), now
		return tooMany(reason, wait)
	}
	r.accepted = append(r.accepted, now)
	return nil
}

// wait is how long the next request has to wait for a place, and why.
func (l *limiter) wait(accepted []time.Time, limit RateLimit, now time.Time) (wait time.Duration, reason string) {
	for _, w := range []struct {
		most  int
		span  time.Duration
		words string
	}{
		{limit.PerSecond, time.Second, "w ciągu sekundy"},
		{limit.PerMinute, time.Minute, "w ciągu minuty"},
		{limit.PerHour, time.Hour, "w ciągu godziny"},
	} {
		if w.most <= 0 || len(accepted) < w.most {
			continue
		}
		free := accepted[len(accepted)-w.most].Add(l.window(w.span))
		if d := free.Sub(now); d > wait {
			wait, reason = d, fmt.Sprintf("Za dużo żądań: najwyżej %d %s.", w.most, w.words)
		}
	}
	return wait, reason
}

func tooMany(reason string, wait time.Duration) *failure {
	seconds := max(1, int(math.Ceil(wait.Seconds())))
	return &failure{
		status: http.StatusTooManyRequests, retryAfter: seconds,
		detail: fmt.Sprintf("%s Następne za %d s.", reason, seconds),
	}
}

// sweep forgets clients that were silent for the longest window.
func (l *limiter) sweep(now time.Time) {
	hour := l.window(time.Hour)
	if now.Sub(l.swept) < hour {
		return
	}
	l.swept = now
	for key, r := range l.seen {
		if n := len(r.accepted); now.After(r.until) && (n == 0 || now.Sub(r.accepted[n-1]) > hour) {
			delete(l.seen, key)
		}
	}
}

// forget forgets every request; the quotas stay.
func (l *limiter) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.seen = map[string]*requests{}
}

// reset forgets every request and goes back to the quotas of the beginning.
func (l *limiter) reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.name, l.standard = l.initialName, l.initial
	l.seen, l.byContext = map[string]*requests{}, map[string]map[string]RateLimit{}
}

// rateLimits answers GET /rate-limits with what is enforced.
func (s *Simulator) rateLimits(c *call) (*reply, error) {
	shown := s.limits.limitsOf(c.token.auth.context.value)
	shown["anonymous"] = s.limits.anonymous()
	shown["global"] = RateLimit{-1, -1, -1}
	return jsonReply(http.StatusOK, shown)
}
