package activities

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"sync"
	"time"

	"teamogy-ksef/internal/archive"
	"teamogy-ksef/internal/connection"
	"teamogy-ksef/internal/flow"
	"teamogy-ksef/internal/ksef"
	"teamogy-ksef/internal/teamogy"
)

// Clients makes the KSeF and Teamogy clients of each connection and keeps
// them: their tokens, quotas and caches live in the worker's memory. A changed
// settings file, certificate or key makes new ones, without a restart. The
// zero value is not usable; see NewClients.
type Clients struct {
	store   *connection.Store
	archive *archive.Archive
	now     func() time.Time
	logger  *slog.Logger
	buckets teamogy.Buckets
	quotas  quotas

	mu   sync.Mutex
	made map[string]*clientPair
}

type clientPair struct {
	fingerprint string
	address     string // of KSeF, and the NIP
	ksef        *ksef.Client
	credentials ksef.Credentials // that ksef logs in with
	newer       *newCredentials  // that the settings have since; nil: none
	prober      *ksef.Client     // of a probe that KSeF has not decided yet
	teamogy     *teamogy.Client
}

// NewClients gives the clients of the connections in a store. The archive
// holds each connection's frozen binding.
func NewClients(store *connection.Store, a *archive.Archive, now func() time.Time, logger *slog.Logger) *Clients {
	return &Clients{store: store, archive: a, now: now, logger: logger, made: map[string]*clientPair{}}
}

// CheckSettings is the check of a connection.Store that goes beyond the file:
// certificate and key fit together and can be used now, and the field map can
// be read. A new version that fails it leaves the last good one working.
func CheckSettings(now func() time.Time) func(*connection.Connection) error {
	return func(c *connection.Connection) error {
		if _, err := credentialsOf(c, now()); err != nil {
			return err
		}
		if _, err := fieldsOf(c); err != nil {
			return newProblem(flow.ErrConnectionInvalid, "%v", err)
		}
		return nil
	}
}

func fieldsOf(c *connection.Connection) (teamogy.FieldMap, error) {
	if c.Fields == nil {
		return teamogy.DefaultFieldMap(), nil
	}
	fields, err := teamogy.LoadFieldMap(bytes.NewReader(c.Fields))
	if err != nil {
		return fields, fmt.Errorf("TEAMOGY_FIELDS_FILE: %w", err)
	}
	return fields, nil
}

// Settings gives a connection's settings as its file has them now.
func (c *Clients) Settings(_ context.Context, name string) (*connection.Connection, error) {
	return c.store.Get(name)
}

// KSeF gives a connection's KSeF client. Credentials that cannot be used are
// an error here and hinder nothing towards Teamogy.
func (c *Clients) KSeF(ctx context.Context, name string) (KSeFClient, *connection.Connection, error) {
	pair, settings, err := c.pair(ctx, name)
	if err != nil {
		return nil, nil, err
	}
	c.tryNewer(ctx, pair, settings, false)
	c.mu.Lock()
	defer c.mu.Unlock()
	if pair.ksef == nil {
		if pair.credentials, err = credentialsOf(settings, c.now()); err != nil {
			return nil, nil, fmt.Errorf("connection %s: %w", name, err)
		}
		if pair.ksef, err = c.makeKSeF(settings, pair.credentials); err != nil {
			return nil, nil, fmt.Errorf("connection %s: %w", name, err)
		}
	}
	return pair.ksef, settings, nil
}

// Teamogy gives a connection's Teamogy client.
func (c *Clients) Teamogy(ctx context.Context, name string) (TeamogyClient, *connection.Connection, error) {
	pair, settings, err := c.pair(ctx, name)
	if err != nil {
		return nil, nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if pair.teamogy == nil {
		if pair.teamogy, err = c.makeTeamogy(settings); err != nil {
			return nil, nil, newProblem(flow.ErrConnectionInvalid, "connection %s: %v", name, err)
		}
	}
	return pair.teamogy, settings, nil
}

// pair gives the clients that fit the connection's present settings, after its
// binding was compared with the frozen one.
func (c *Clients) pair(ctx context.Context, name string) (*clientPair, *connection.Connection, error) {
	settings, err := c.store.Get(name)
	if err != nil {
		return nil, nil, err
	}
	c.mu.Lock()
	pair := c.made[name]
	c.mu.Unlock()
	if pair != nil && pair.fingerprint == settings.Fingerprint() {
		return pair, settings, nil
	}
	if err := c.archive.FreezeBinding(ctx, name, bindingOf(settings)); err != nil {
		return nil, nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	before := c.made[name]
	if before != nil && before.fingerprint == settings.Fingerprint() {
		return before, settings, nil
	}
	pair = &clientPair{fingerprint: settings.Fingerprint(), address: ksefAddress(settings) + " " + settings.NIP}
	if before != nil && before.ksef != nil && before.address == pair.address {
		// The same quota goes on being counted; only the certificate may be new.
		if credentials, err := credentialsOf(settings, c.now()); err == nil {
			pair.ksef, pair.credentials = before.ksef, before.credentials
			if !sameCredentials(credentials, before.credentials) {
				pair.newer = &newCredentials{credentials: credentials}
			}
		}
	}
	c.made[name] = pair
	return pair, settings, nil
}

func ksefAddress(c *connection.Connection) string {
	if c.KSeFURL != "" {
		return c.KSeFURL
	}
	return ksef.Environment(c.KSeFEnvironment).BaseURL()
}

func bindingOf(c *connection.Connection) archive.Binding {
	host := c.TeamogyURL
	if u, err := url.Parse(c.TeamogyURL); err == nil {
		host = strings.ToLower(u.Host)
	}
	return archive.Binding{Environment: c.KSeFEnvironment, NIP: c.NIP, TeamogyHost: host, Unit: c.TeamogyUnit}
}

func (c *Clients) makeKSeF(s *connection.Connection, credentials ksef.Credentials) (*ksef.Client, error) {
	own, public := c.quotas.of(c, s)
	return ksef.New(ksef.Options{
		BaseURL: ksefAddress(s), NIP: s.NIP, Credentials: credentials, Now: c.now, TimeScale: s.TimeScale,
		Quota: own, PublicQuota: public, BeforePost: mayAct, Logger: c.logger.With("connection", s.Name),
	})
}

func (c *Clients) makeTeamogy(s *connection.Connection) (*teamogy.Client, error) {
	fields, err := fieldsOf(s)
	if err != nil {
		return nil, err
	}
	return teamogy.New(teamogy.Options{
		BaseURL: s.TeamogyURL, Unit: s.TeamogyUnit, APIKey: s.TeamogyAPIKey.Reveal(), Fields: fields,
		Bucket:      c.buckets.For(s.TeamogyURL, s.TeamogyRequestsPerMinute, s.TimeScale, c.now),
		BeforeWrite: mayAct,
		Now:         c.now, TimeScale: s.TimeScale, Logger: c.logger.With("connection", s.Name),
	})
}
