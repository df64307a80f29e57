package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/contrib/envconfig"

	"teamogy-ksef/internal/cli/launch"
	"teamogy-ksef/internal/config"
	"teamogy-ksef/internal/connection"
	"teamogy-ksef/internal/flow"
)

// environment is what the commands on connections work with.
type environment struct {
	settings  config.Config
	temporal  client.Client
	namespace string
	address   string
	names     []string // of the connections that the command is about
}

// dialTimeout bounds the first contact with Temporal.
const dialTimeout = 10 * time.Second

// openEnvironment reads the process's settings, finds the connections that are
// meant and connects to Temporal. What is wrong with the command line is said
// first.
func openEnvironment(ctx context.Context, named []string, mayBeGone bool) (*environment, error) {
	settings, err := config.Load()
	if err != nil {
		return nil, &usageError{err}
	}
	names, err := connectionNames(settings.ConnectionsDir, named, mayBeGone)
	if err != nil {
		return nil, err
	}
	options, err := envconfig.LoadDefaultClientOptions()
	if err != nil {
		return nil, usage("read Temporal's settings (TEMPORAL_*): %w", err)
	}
	options.Logger = launch.Silent()
	e := &environment{settings: settings, names: names, namespace: options.Namespace, address: options.HostPort}
	if e.namespace == "" {
		e.namespace = client.DefaultNamespace
	}
	if e.address == "" {
		e.address = client.DefaultHostPort
	}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	if e.temporal, err = client.DialContext(ctx, options); err != nil {
		return nil, fmt.Errorf("connect to Temporal at %s, namespace %s: %w (TEMPORAL_ADDRESS and TEMPORAL_NAMESPACE say where it is; is it running?)", e.address, e.namespace, err)
	}
	return e, nil
}

func (e *environment) close() { e.temporal.Close() }

// connectionNames are the connections that a command is about: those named, or
// all that have a file. With mayBeGone a named one needs no file any more, so
// that it can be ended and looked at.
func connectionNames(dir string, named []string, mayBeGone bool) ([]string, error) {
	have, err := connection.List(dir)
	if err != nil {
		return nil, usage("list the connections: %w", err)
	}
	for _, name := range named {
		switch {
		case !flow.ValidConnection(name):
			return nil, usage("%q is not a connection's name: one is made of a-z, 0-9 and -, at most 40 characters, like its file %s", name, filepath.Join(dir, "acme.env"))
		case !mayBeGone && !slices.Contains(have, name):
			return nil, usage("there is no connection %q: %s", name, whatThereIs(dir, have))
		}
	}
	if len(named) > 0 {
		return slices.Compact(slices.Sorted(slices.Values(named))), nil
	}
	if len(have) == 0 {
		return nil, usage("there is no connection: %s", whatThereIs(dir, have))
	}
	return have, nil
}

func whatThereIs(dir string, have []string) string {
	if _, err := os.Stat(dir); errors.Is(err, os.ErrNotExist) {
		return fmt.Sprintf("the folder %s does not exist (CONNECTIONS_DIR names it)", dir)
	}
	if len(have) == 0 {
		return fmt.Sprintf("the folder %s has no *.env file (CONNECTIONS_DIR names it)", dir)
	}
	return fmt.Sprintf("%s has %s", dir, strings.Join(have, ", "))
}

// readConnection reads one connection's settings.
func readConnection(dir, name string) (*connection.Connection, error) {
	return connection.ParseFile(filepath.Join(dir, name+".env"))
}
