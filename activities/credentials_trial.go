package activities

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"teamogy-ksef/internal/connection"
	"teamogy-ksef/internal/flow"
	"teamogy-ksef/internal/ksef"
)

// newCredentials are a certificate and key that the settings have got while
// others were in use. They are tried by a login of their own before the old
// ones are given up, because a certificate that is right in itself may be
// without permission, revoked, or of another environment.
type newCredentials struct {
	credentials ksef.Credentials
	client      *ksef.Client // of the trial; kept while KSeF is deciding
	trying      bool
	tries       int
	next        time.Time
	refused     string // what was alerted
}

// retryTrial is after how long a trial that brought no answer is repeated.
const retryTrial = 10 * time.Second

func sameCredentials(a, b ksef.Credentials) bool {
	if a.Certificate == nil || b.Certificate == nil || !a.Certificate.Equal(b.Certificate) {
		return false
	}
	key, comparable := a.Key.Public().(interface{ Equal(crypto.PublicKey) bool })
	return comparable && key.Equal(b.Key.Public())
}

// tryNewer tries credentials that are new in the settings, if it is time for
// it. Until they have proven good the old ones stay in use.
func (c *Clients) tryNewer(ctx context.Context, pair *clientPair, s *connection.Connection, now bool) (permissions []string, tried bool) {
	c.mu.Lock()
	n := pair.newer
	if n == nil || n.trying || !now && c.now().Before(n.next) {
		c.mu.Unlock()
		return nil, false
	}
	n.trying = true
	client := n.client
	c.mu.Unlock()

	client, permissions, err := c.logInAnew(ctx, client, s, n.credentials)
	if missing := missingPermissions(s, permissions); err == nil && missing != "" {
		err = newProblem(flow.ErrKSeFPermission, "their login lacks %s", missing)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	n.client, n.trying = client, false
	if c.made[s.Name] != pair {
		return nil, false // the settings have changed meanwhile
	}
	if err == nil {
		pair.ksef.SetCredentials(n.credentials)
		pair.credentials, pair.newer = n.credentials, nil
		c.logger.InfoContext(ctx, "the new KSeF credentials are in use", "connection", s.Name, "certificate", n.credentials)
		return permissions, true
	}
	p := classify(err)
	if flow.LookupError(p.Type).Class != flow.Configuration {
		n.next = c.now().Add(flow.Scaled(retryTrial, s.TimeScale))
		return nil, false
	}
	n.next = c.now().Add(probePause(n.tries, s.TimeScale))
	n.tries++
	if n.refused != p.Text {
		n.refused = p.Text
		row := flow.LookupError(p.Type)
		c.logger.ErrorContext(ctx, "new KSeF credentials are refused: the old ones stay in use",
			"connection", s.Name, "errorType", row.Type, "error", p.Text, "remedy", row.Remedy,
			"new", n.credentials, "old", pair.credentials)
	}
	return nil, false
}

// TryLogin implements loginTrier: it logs in from the beginning, with new
// credentials if there are any and they work, else with those in use. After
// success every later call has an access token with the permissions of now.
func (c *Clients) TryLogin(ctx context.Context, name string) ([]string, error) {
	pair, settings, err := c.pair(ctx, name)
	if err != nil {
		return nil, err
	}
	if permissions, tried := c.tryNewer(ctx, pair, settings, true); tried {
		return permissions, nil
	}
	c.mu.Lock()
	credentials, prober := pair.credentials, pair.prober
	pair.prober = nil
	c.mu.Unlock()
	if credentials.Certificate == nil {
		return nil, newProblem(flow.ErrKSeFCredentials, "the connection %s has no KSeF credentials", name)
	}
	prober, permissions, err := c.logInAnew(ctx, prober, settings, credentials)
	c.mu.Lock()
	defer c.mu.Unlock()
	pair.prober = prober
	if err == nil && sameCredentials(credentials, pair.credentials) {
		pair.ksef.SetCredentials(credentials)
	}
	return permissions, err
}

// logInAnew makes a complete login beside the present one, which stays as it
// is. The client is given back only while KSeF is still deciding.
func (c *Clients) logInAnew(ctx context.Context, client *ksef.Client, s *connection.Connection, credentials ksef.Credentials) (*ksef.Client, []string, error) {
	var err error
	if client == nil {
		if client, err = c.makeKSeF(s, credentials); err != nil {
			return nil, nil, fmt.Errorf("connection %s: %w", s.Name, err)
		}
	}
	if _, err = client.Login(ctx); err != nil {
		var failure *ksef.Error
		if errors.As(err, &failure) && failure.Kind == ksef.KindNotYet {
			return client, nil, err
		}
		return nil, nil, err
	}
	permissions, err := client.Permissions(ctx)
	return nil, permissions, err
}

// missingPermissions names what a login lacks of what the connection needs. The
// list of an owner's login is empty, and says nothing.
func missingPermissions(s *connection.Connection, permissions []string) string {
	if len(permissions) == 0 {
		return ""
	}
	var missing []string
	if s.Receive != connection.ReceiveOff && !slices.Contains(permissions, ksef.PermissionInvoiceRead) {
		missing = append(missing, ksef.PermissionInvoiceRead)
	}
	if s.Send && !slices.Contains(permissions, ksef.PermissionInvoiceWrite) {
		missing = append(missing, ksef.PermissionInvoiceWrite)
	}
	return strings.Join(missing, " and ")
}
