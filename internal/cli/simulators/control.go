package simulators

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// Control speaks the control API (/_sim/) of one simulator over HTTP, as any
// other program would.
type Control struct {
	Base string // without /_sim
	HTTP *http.Client
}

// NewControl makes a Control for the simulator at a base URL.
func NewControl(base string) *Control {
	return &Control{Base: base, HTTP: &http.Client{Timeout: 30 * time.Second}}
}

// Get reads a JSON answer.
func (c *Control) Get(ctx context.Context, path string, into any) error {
	return c.call(ctx, http.MethodGet, "/_sim/"+path, nil, into)
}

// Post sends a JSON body and reads a JSON answer; into may be nil.
func (c *Control) Post(ctx context.Context, path string, body, into any) error {
	return c.call(ctx, http.MethodPost, "/_sim/"+path, body, into)
}

// AllowAttachments lets a taxpayer's invoices have structured attachments, as
// KSeF's own test environment does.
func (c *Control) AllowAttachments(ctx context.Context, nip string) error {
	return c.call(ctx, http.MethodPost, "/v2/testdata/attachment", map[string]string{"nip": nip}, nil)
}

func (c *Control) call(ctx context.Context, method, path string, body, into any) error {
	failed := func(err error) error {
		return fmt.Errorf("ask the simulator at %s to %s %s: %w", c.Base, method, path, err)
	}
	var payload io.Reader
	if body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			return failed(err)
		}
		payload = bytes.NewReader(data)
	}
	request, err := http.NewRequestWithContext(ctx, method, c.Base+path, payload)
	if err != nil {
		return failed(err)
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := c.HTTP.Do(request)
	if err != nil {
		return failed(err)
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	if err != nil {
		return failed(err)
	}
	if response.StatusCode/100 != 2 {
		return failed(fmt.Errorf("%s: %s", response.Status, strings.TrimSpace(string(data[:min(len(data), 500)]))))
	}
	if into == nil {
		return nil
	}
	if err := json.Unmarshal(data, into); err != nil {
		return failed(err)
	}
	return nil
}
