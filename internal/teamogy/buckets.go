package teamogy

import (
	"net/url"
	"strings"
	"sync"
	"time"
)

// Buckets holds the one bucket of each Teamogy host in this process, however many connections use the host.
// The zero value is ready for use.
type Buckets struct {
	mu     sync.Mutex
	byHost map[string]*Bucket
}

// For returns the bucket of baseURL's host. The first caller's figures count, except that a later caller with a lower
// quota lowers it for all: Teamogy counts per host, so the cautious setting wins.
func (s *Buckets) For(baseURL string, perMinute int, timeScale float64, now func() time.Time) *Bucket {
	host := baseURL
	if u, err := url.Parse(baseURL); err == nil && u.Host != "" {
		host = strings.ToLower(u.Host)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if b, ok := s.byHost[host]; ok {
		b.lower(perMinute)
		return b
	}
	if s.byHost == nil {
		s.byHost = map[string]*Bucket{}
	}
	b := NewScaledBucket(perMinute, timeScale, now)
	s.byHost[host] = b
	return b
}

// lower reduces the quota; a higher one is ignored.
func (b *Bucket) lower(perMinute int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if perMinute <= 0 || perMinute >= b.perMinute {
		return
	}
	b.advance(b.now())
	b.perMinute = perMinute
	b.burst = float64(max(1, perMinute/10))
	b.tokens = min(b.tokens, b.burst)
}
