package ksef

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// storageURL checks a link to the storage that KSeF hands out: https, or the
// scheme of our own base on loopback, and no user in it.
func (c *Client) storageURL(operation string, link SecretURL) (*url.URL, error) {
	u, err := url.Parse(link.Reveal())
	if err != nil || u.Host == "" || u.User != nil || u.Scheme != "https" && u.Scheme != c.base.Scheme ||
		u.Scheme == "http" && !isLoopback(u.Hostname()) {
		return nil, &Error{Operation: operation, Kind: KindRejected, Detail: "the link is not an https address"}
	}
	return u, nil
}

// openLink begins to download what is behind a link, which needs no login and
// has no quota. The caller closes the body.
func (c *Client) openLink(ctx context.Context, operation string, link SecretURL) (io.ReadCloser, error) {
	u, err := c.storageURL(operation, link)
	if err != nil {
		return nil, err
	}
	t := c.transferring(ctx)
	q, err := http.NewRequestWithContext(t.ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		t.end()
		return nil, &Error{Operation: operation, Kind: KindRejected, Detail: "the link is not an https address"}
	}
	resp, err := c.storage(t, operation, q) //nolint:bodyclose // download.Close does
	if err != nil {
		t.end()
		return nil, err
	}
	return &download{t.moving(resp.Body), resp.Body, t}, nil
}

// download is the body of an answer while it is read.
type download struct {
	io.Reader
	body io.Closer
	t    *transfer
}

func (d *download) Close() error {
	d.t.end()
	return d.body.Close()
}

// putLink uploads to a link with exactly the headers that KSeF names.
func (c *Client) putLink(ctx context.Context, operation string, method string, link SecretURL, header map[string]string, body io.Reader, size int64) error {
	u, err := c.storageURL(operation, link)
	if err != nil {
		return err
	}
	t := c.transferring(ctx)
	defer t.end()
	q, err := http.NewRequestWithContext(t.ctx, method, u.String(), io.NopCloser(t.moving(body))) // the caller closes what is theirs
	if err != nil {
		return &Error{Operation: operation, Kind: KindRejected, Detail: "the link is not an https address"}
	}
	q.ContentLength = size
	for _, name := range slices.Sorted(maps.Keys(header)) {
		switch strings.ToLower(name) {
		case "host", "content-length", "transfer-encoding", "authorization", "cookie":
			return &Error{Operation: operation, Kind: KindGateway, Detail: fmt.Sprintf("KSeF asks for the header %s, which is not its to set", shorten(clean(name), 40))}
		}
		q.Header.Set(name, header[name])
	}
	resp, err := c.storage(t, operation, q)
	if err != nil {
		return err
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, maxErrorBody))
	return resp.Body.Close()
}

// storage makes a request to the storage. A failed one is KindGone where the
// link has ended (401, 403, 404, 410): a new one comes with each status answer.
func (c *Client) storage(t *transfer, operation string, q *http.Request) (*http.Response, error) {
	q.Header.Set("User-Agent", "teamogy-ksef")
	started := time.Now()
	resp, err := c.transfer.Do(q)
	if err != nil {
		return nil, &Error{Operation: operation, Kind: KindNetwork, cause: t.reason(withoutAddress(err))}
	}
	c.logger.LogAttrs(t.ctx, slog.LevelDebug, "KSeF storage request",
		slog.String("operation", operation), slog.Int("status", resp.StatusCode), slog.Duration("took", time.Since(started)))
	if resp.StatusCode >= 200 && resp.StatusCode <= 299 {
		return resp, nil
	}
	defer func() { _ = resp.Body.Close() }()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, maxErrorBody))
	e := &Error{Operation: operation, Status: resp.StatusCode, Kind: KindGateway}
	switch s := resp.StatusCode; {
	case s == http.StatusTooManyRequests:
		e.Kind, e.RetryAfter = KindRateLimited, c.retryAfter(resp)
	case s == http.StatusUnauthorized, s == http.StatusForbidden, s == http.StatusNotFound, s == http.StatusGone:
		e.Kind, e.Detail = KindGone, "the link is not valid, or not any more"
	case s >= 400 && s < 500:
		e.Kind = KindRejected
	}
	return nil, e
}
