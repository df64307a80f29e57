// Package teamogy is a client of Teamogy's REST API, as far as KSeF needs it: companies by NIP, received invoices
// found and created, issued invoices listed, read and patched.
//
// The API documents its frame but not the names inside (keys of properties, of registrations, the shape of some
// answers). Those names are data, see FieldMap; shapes are read leniently. Nothing is retried here, and nothing is
// repeated without looking first: that is the caller's decision, who keeps the record of what was done.
package teamogy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/net/http/httpguts"

	"teamogy-ksef/internal/together"
)

// Options are what a Client is made of.
type Options struct {
	// BaseURL is the tenant's address, such as https://acme.teamogy.com. Plain http is accepted on loopback only.
	BaseURL string
	// Unit is the number of the business unit ("agency") in the path.
	Unit int
	// APIKey is the bearer token of a programmatic user. It is sent to BaseURL's host only.
	APIKey string
	// Fields are the tenant's names; the zero value means DefaultFieldMap.
	Fields FieldMap
	// HTTP makes the requests; nil means a client of its own with a time-out of a minute. Redirects are judged by
	// this package in either case.
	HTTP *http.Client
	// BeforeWrite, if not nil, is asked right before a POST or PATCH leaves, after all waiting; an error keeps it from
	// being sent.
	BeforeWrite func(context.Context) error
	// Bucket is the request quota, shared by all clients of the host (see Buckets); nil means one of
	// DefaultRequestsPerMinute for this client alone.
	Bucket *Bucket
	// Logger is told of every request at debug level, without key, query and content. nil means none.
	Logger *slog.Logger
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// TimeScale divides what a Client remembers by time: cache life, view lag, and the quota's minute where Bucket is
	// nil. 0 means 1. What a server says in Retry-After is never scaled.
	TimeScale float64
}

// Client talks to one business unit of one Teamogy tenant. It is safe for concurrent use; make one per connection
// and keep it, because it remembers what it learnt of the tenant and which companies it found.
type Client struct {
	base        *url.URL
	unit        int
	fields      FieldMap
	http        *http.Client
	bucket      *Bucket
	beforeWrite func(context.Context) error
	log         *slog.Logger
	now         func() time.Time
	scale       float64
	redact      redactor
	authorize   string
	attachments *regexp.Regexp

	companies companyCache
	columns   columnKnowledge
	received  receivedIndex
	looks     numberLooks
	creates   createTurn
	patching  patchKnowledge
	sales     salesRows
	rowsTaken atomic.Int64 // rows of a page, where Teamogy refuses FieldMap.PageSize
}

// New checks the options and makes a client; it makes no request.
func New(o Options) (*Client, error) {
	base, err := tenantURL(o.BaseURL)
	if err != nil {
		return nil, fmt.Errorf("teamogy: base URL: %w", err)
	}
	if o.Unit < 0 {
		return nil, fmt.Errorf("teamogy: unit %d: must not be negative", o.Unit)
	}
	if o.APIKey == "" {
		return nil, errors.New("teamogy: the API key is empty")
	}
	if !httpguts.ValidHeaderFieldValue(o.APIKey) || strings.ContainsAny(o.APIKey, " \t\r\n") {
		return nil, errors.New("teamogy: the API key holds a space, line break or control character")
	}
	if reflect.ValueOf(o.Fields).IsZero() {
		o.Fields = DefaultFieldMap()
	}
	if err := o.Fields.Validate(); err != nil {
		return nil, fmt.Errorf("teamogy: field map: %w", err)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Bucket == nil {
		o.Bucket = NewScaledBucket(DefaultRequestsPerMinute, o.TimeScale, o.Now)
	}
	c := &Client{
		base:        base,
		unit:        o.Unit,
		fields:      o.Fields,
		beforeWrite: o.BeforeWrite,
		bucket:      o.Bucket,
		log:         o.Logger,
		now:         o.Now,
		scale:       o.TimeScale,
		redact:      newRedactor(o.APIKey),
		authorize:   "Bearer " + o.APIKey,
		attachments: o.Fields.attachmentName(),
		companies:   newCompanyCache(),
		received:    newReceivedIndex(),
		patching:    patchKnowledge{single: writtenOnce{proof: newTurn()}},
		sales:       salesRows{states: together.New[int64, salesState](mostRows, forCaller)},
		looks:       numberLooks{together: together.New[string, numberAnswer](mostTogether, forCaller)},
	}
	c.http = c.guarded(o.HTTP)
	return c, nil
}

// tenantURL accepts https, and http on loopback, with an optional path in front of /rest.
func tenantURL(text string) (*url.URL, error) {
	u, err := url.Parse(strings.TrimRight(text, "/"))
	if err != nil {
		return nil, errors.New("not a URL")
	}
	switch {
	case u.Scheme != "https" && u.Scheme != "http":
		return nil, errors.New("must begin with https://")
	case u.Hostname() == "":
		return nil, errors.New("the host is missing")
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return nil, errors.New("must not hold a user, query or fragment")
	case u.Scheme == "http" && !isLoopback(u.Hostname()):
		return nil, fmt.Errorf("%s: plain http is accepted on loopback only, because the API key would be readable on the way; use https", u.Host)
	}
	return u, nil
}

func isLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// Host is the tenant's host, to which the API key goes.
func (c *Client) Host() string { return c.base.Host }

// ViewLag is how long a created document may usually take to appear in a view, divided by the time scale.
func (c *Client) ViewLag() time.Duration {
	return scaled(time.Duration(c.fields.ViewLagSeconds)*time.Second, c.scale)
}

// Ping proves with one small request that host, unit and API key work together: it reads the first row of the sales
// invoices' view, which the product needs in any case.
func (c *Client) Ping(ctx context.Context) error {
	const operation = "read the first row of the sales invoices' view"
	path := "views/" + c.fields.Views.SalesInvoices
	answer, err := c.get(ctx, operation, path, []parameter{
		{c.fields.Query.Columns, c.fields.Columns.ID},
		{c.fields.Query.Limit, "1"},
	})
	if err != nil {
		return err
	}
	_, err = c.page(operation, answer)
	return err
}

// ttl is how long answers about companies, and the index of received invoices, are believed.
func (c *Client) ttl() time.Duration {
	return scaled(time.Duration(c.fields.Companies.CacheMinutes)*time.Minute, c.scale)
}

func (c *Client) idParameter(id int64) []parameter {
	return []parameter{{c.fields.Query.ID, strconv.FormatInt(id, 10)}}
}
