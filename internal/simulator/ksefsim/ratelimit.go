package ksefsim

import (
	"fmt"
	"maps"
	"math"
	"net/http"
	"sync"
	"time"
)

// Values of Config.Limits.
const (
	LimitsProduction = "production"
	LimitsOff        = "off"
)

// Quota groups, by the names of GET /rate-limits. groupPublic is for calls
// without an account and counts by address alone.
const (
	groupOnlineSession      = "onlineSession"
	groupOnlineSessionClose = "onlineSessionClose"
	groupInvoiceSend        = "invoiceSend"
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
		"batchSession":          {10, 20, 60},
		"batchSessionClose":     {20, 40, 120},
		groupInvoiceSend:        {10, 30, 180},
		groupInvoiceStatus:      {30, 120, 1200},
		groupSessionList:        {5, 10, 60},
		groupSessionInvoiceList: {10, 20, 200},
		groupSessionMisc:        {10, 120, 1200},
		groupInvoiceMetadata:    {8, 16, 20},
		"invoiceExport":         {8, 16, 20},
		"invoiceExportStatus":   {10, 60, 600},
		groupInvoiceDownload:    {8, 16, 64},
		"collectiveIdentifier":  {10, 60, 120},
		groupOther:              {10, 30, 120},
	}
}

// effectiveLimits are the quotas that a configuration asks for, as
// GET /rate-limits shows them.
func effectiveLimits(c Config) map[string]RateLimit {
	limits := productionLimits()
	if c.Limits == LimitsOff {
		for group := range limits {
			limits[group] = RateLimit{unlimited, unlimited, unlimited}
		}
	}
	maps.Copy(limits, c.RateLimits)
	return limits
}

// limiter counts the requests of each client in sliding windows.
type limiter struct {
	limits map[string]RateLimit
	scale  float64

	mu    sync.Mutex
	seen  map[string][]time.Time // accepted requests of the longest window, oldest first
	swept time.Time
}

func newLimiter(limits map[string]RateLimit, scale float64) *limiter {
	return &limiter{limits: limits, scale: scale, seen: map[string][]time.Time{}}
}

func (l *limiter) window(d time.Duration) time.Duration {
	return time.Duration(float64(d) / l.scale)
}

// admit lets a request of a client pass or answers 429. A refused request does
// not count.
func (l *limiter) admit(client string, op *operation, now time.Time) error {
	if op.group == "" {
		return nil
	}
	key := client + " " + op.group
	limit, known := l.limits[op.group]
	switch op.group {
	case groupPublic:
		limit, known = RateLimit{PerSecond: 60}, true
		if l.limits[groupOther].PerSecond == unlimited {
			return nil
		}
		key += " " + op.name
	case groupOther:
		key += " " + op.name
	}
	if !known {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sweep(now)

	times := l.seen[key]
	hour := now.Add(-l.window(time.Hour))
	for len(times) > 0 && !times[0].After(hour) {
		times = times[1:]
	}
	var wait time.Duration
	var reason string
	for _, w := range []struct {
		most  int
		span  time.Duration
		words string
	}{
		{limit.PerSecond, time.Second, "w ciągu sekundy"},
		{limit.PerMinute, time.Minute, "w ciągu minuty"},
		{limit.PerHour, time.Hour, "w ciągu godziny"},
	} {
		if w.most <= 0 || len(times) < w.most {
			continue
		}
		free := times[len(times)-w.most].Add(l.window(w.span))
		if d := free.Sub(now); d > wait {
			wait, reason = d, fmt.Sprintf("Za dużo żądań: najwyżej %d %s.", w.most, w.words)
		}
	}
	if wait > 0 {
		l.seen[key] = times
		seconds := max(1, int(math.Ceil(wait.Seconds())))
		return &failure{
			status: http.StatusTooManyRequests, retryAfter: seconds,
			detail: fmt.Sprintf("%s Następne za %d s.", reason, seconds),
		}
	}
	l.seen[key] = append(times, now)
	return nil
}

// sweep forgets clients that were silent for the longest window.
func (l *limiter) sweep(now time.Time) {
	hour := l.window(time.Hour)
	if now.Sub(l.swept) < hour {
		return
	}
	l.swept = now
	for key, times := range l.seen {
		if now.Sub(times[len(times)-1]) > hour {
			delete(l.seen, key)
		}
	}
}

func (l *limiter) reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.seen = map[string][]time.Time{}
}

// rateLimits answers GET /rate-limits with what is enforced.
func (s *Simulator) rateLimits(*call) (*reply, error) {
	shown := maps.Clone(s.limits.limits)
	shown["anonymous"] = RateLimit{60, -1, -1}
	shown["global"] = RateLimit{-1, -1, -1}
	return jsonReply(http.StatusOK, shown)
}

// contextLimits answers GET /limits/context.
func (s *Simulator) contextLimits(*call) (*reply, error) {
	session := map[string]any{
		"maxInvoiceSizeInMB": 1, "maxInvoiceWithAttachmentSizeInMB": 3, "maxInvoices": maxSessionInvoices,
	}
	return jsonReply(http.StatusOK, map[string]any{"onlineSession": session, "batchSession": session})
}

// subjectLimits answers GET /limits/subject.
func (s *Simulator) subjectLimits(*call) (*reply, error) {
	return jsonReply(http.StatusOK, map[string]any{
		"enrollment":  map[string]any{"maxEnrollments": 300},
		"certificate": map[string]any{"maxCertificates": 100},
	})
}
