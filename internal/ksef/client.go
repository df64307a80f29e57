package ksef

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
)

// Options are what a [Client] needs. BaseURL, NIP and Credentials are required.
type Options struct {
	// BaseURL is the address of the API including /v2, as Environment.BaseURL
	// gives it. Plain http is accepted on loopback only.
	BaseURL string
	// NIP is the tax number of the taxpayer whose context the client works in.
	NIP string
	// Credentials sign the login.
	Credentials Credentials
	// HTTP makes the requests; its redirects are not followed. Nil means a
	// client of its own with time-outs that suit KSeF.
	HTTP *http.Client
	// BeforePost, if not nil, is asked right before a POST leaves, after all
	// waiting; an error keeps it from being sent and is returned.
	BeforePost func(context.Context) error
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// Quota is the taxpayer's, which all clients of the taxpayer in a process
	// share. Nil means one of its own.
	Quota *Quota
	// PublicQuota is that of the address, for logging in; see [NewPublicQuota].
	// Nil means that these calls are counted with the others.
	PublicQuota *Quota
	// TimeScale divides the waits between polls and the windows of the quotas.
	// 0 means 1. Only a simulator has another scale than 1.
	TimeScale float64
	// Logger receives warnings and, at level debug, one line a request. Nil
	// means no log.
	Logger *slog.Logger
}

// Client speaks with KSeF for one taxpayer in one environment. Clients of the
// same taxpayer share a [Quota]. It is safe for concurrent use.
type Client struct {
	base       *url.URL
	nip        string
	http       *http.Client
	beforePost func(context.Context) error
	transfer   *http.Client // for packages: without a time-out of its own
	// stallsAfter is how long nothing may move in such a transfer.
	stallsAfter time.Duration
	now         func() time.Time
	scale       float64
	logger      *slog.Logger
	pacer       *pacer
	public      *pacer // of anonymous calls; nil: pacer
	flight      singleflight.Group

	mu          sync.Mutex
	credentials Credentials
	generation  int // counts changes of credentials
	tokens      tokens
	pending     *pendingLogin
	clockOffset time.Duration // server's clock minus ours
	keys        []PublicKey
	keysRead    time.Time
	warnings    map[string]int
}

// New returns a client. It makes no call.
func New(o Options) (*Client, error) {
	base, err := url.Parse(strings.TrimRight(o.BaseURL, "/"))
	if err != nil || base.Host == "" || base.RawQuery != "" || base.User != nil {
		return nil, errors.New("KSeF address: not an address such as https://api.ksef.mf.gov.pl/v2")
	}
	if base.Scheme != "https" && (base.Scheme != "http" || !isLoopback(base.Hostname())) {
		return nil, fmt.Errorf("KSeF address %s: use https (plain http is for a simulator on this machine only)", base.Redacted())
	}
	if !isNIP(o.NIP) {
		return nil, fmt.Errorf("NIP %q: ten digits are needed", shorten(o.NIP, 20))
	}
	if o.Credentials.Certificate == nil || o.Credentials.Key == nil {
		return nil, errors.New("KSeF credentials: a certificate and its key are needed")
	}
	if o.TimeScale < 0 {
		return nil, errors.New("time scale: must not be negative")
	}
	c := &Client{
		base: base, nip: o.NIP, beforePost: o.BeforePost, now: o.Now, scale: o.TimeScale, logger: o.Logger,
		credentials: o.Credentials, warnings: map[string]int{},
	}
	if c.now == nil {
		c.now = time.Now
	}
	if c.scale == 0 {
		c.scale = 1
	}
	if c.logger == nil {
		c.logger = slog.New(slog.DiscardHandler)
	}
	c.http = newHTTPClient(o.HTTP)
	transfer := *c.http
	transfer.Timeout = 0 // a package may take long; contexts bound it
	c.transfer, c.stallsAfter = &transfer, longestStall
	if c.pacer = newPacer(c.now, c.scale); o.Quota != nil {
		c.pacer = o.Quota.pacer
	}
	if o.PublicQuota != nil {
		c.public = o.PublicQuota.pacer
	}
	return c, nil
}

// SetCredentials makes the client log in with another certificate from now on;
// the present tokens are dropped. No restart is needed.
func (c *Client) SetCredentials(credentials Credentials) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.credentials = credentials
	c.generation++
	c.tokens = tokens{}
	c.pending = nil
}

// IsOwner tells whether the certificate carries the NIP of the context itself.
// Such a login has all permissions without any being granted, so that
// [Client.Permissions] may be empty.
func (c *Client) IsOwner() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.credentials.BelongsTo(c.nip)
}

// ClockOffset returns by how much KSeF's clock is ahead of ours, as its last
// answer showed to the second; zero before the first one.
func (c *Client) ClockOffset() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.clockOffset
}

// ServerTime returns the present time by KSeF's clock. The life of tokens is
// reckoned by it, so that a wrong clock here does no harm.
func (c *Client) ServerTime() time.Time {
	return c.now().Add(c.ClockOffset())
}

// Warnings returns how often KSeF sent each X-System-Warning, by its code.
func (c *Client) Warnings() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.warnings)
}

func newHTTPClient(given *http.Client) *http.Client {
	var h http.Client
	if given != nil {
		h = *given
	} else {
		t := http.DefaultTransport.(*http.Transport).Clone()
		t.DialContext = (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}).DialContext
		t.TLSHandshakeTimeout = 10 * time.Second
		t.ResponseHeaderTimeout = 60 * time.Second
		h = http.Client{Transport: t, Timeout: 3 * time.Minute}
	}
	h.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &h
}

func isLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

func isNIP(s string) bool {
	if len(s) != 10 {
		return false
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}
