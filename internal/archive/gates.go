package archive

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"
)

// Gate is a closed gate: something of a connection's set-up is refused, so that all workers wait instead of
// asking again for each invoice. It lies at gates/<connection>/<scope>.json for as long as the gate is closed.
type Gate struct {
	Connection string    `json:"connection"`
	Scope      string    `json:"scope"` // what waits: small letters and '-'
	Since      time.Time `json:"since"`
	ErrorType  string    `json:"errorType"` // of internal/flow
	Text       string    `json:"text"`      // what was refused, and by whom
	Remedy     string    `json:"remedy"`    // what a person has to do
	// Call is the call that was refused. Its success opens the gate.
	Call string `json:"call,omitempty"`
	// Mark tells who closed it: an answer of S3 may get lost, and the repetition finds its own object there.
	Mark string `json:"mark"`
}

var gateScope = regexp.MustCompile(`^[a-z]+(-[a-z]+)*$`)

func gateKey(connection, scope string) (string, error) {
	switch {
	case !connectionName.MatchString(connection):
		return "", fmt.Errorf("gate: %q is no connection's name", connection)
	case !gateScope.MatchString(scope):
		return "", fmt.Errorf("gate of %s: %q is no scope: small letters and single - between them", connection, scope)
	}
	return "gates/" + connection + "/" + scope + ".json", nil
}

// CloseGate closes a gate. Of several workers that find the same refusal at once exactly one is told that it was
// the one who closed it, and raises the alert; the others get the gate as it was closed.
func (a *Archive) CloseGate(ctx context.Context, gate Gate) (closed bool, there Gate, err error) {
	key, err := gateKey(gate.Connection, gate.Scope)
	if err != nil {
		return false, Gate{}, err
	}
	var random [8]byte
	rand.Read(random[:])
	gate.Mark, gate.Since = hex.EncodeToString(random[:]), gate.Since.UTC()
	data, err := json.MarshalIndent(gate, "", "  ")
	if err != nil {
		return false, Gate{}, fmt.Errorf("archive %s: encode it: %w", key, err)
	}
	for {
		err = a.store.Create(ctx, key, append(data, '\n'))
		if err == nil {
			return true, gate, nil
		}
		if !errors.Is(err, ErrExists) {
			return false, Gate{}, err
		}
		there, err = a.readGate(ctx, key)
		if errors.Is(err, ErrNotFound) {
			continue // it was opened in between
		}
		return err == nil && there.Mark == gate.Mark, there, err
	}
}

// OpenGate opens a gate, and tells whether it was this call that opened it. A gate that was closed anew since the
// caller learnt of it (its Mark is another one) stays closed.
func (a *Archive) OpenGate(ctx context.Context, gate Gate) (opened bool, err error) {
	key, err := gateKey(gate.Connection, gate.Scope)
	if err != nil {
		return false, err
	}
	there, err := a.readGate(ctx, key)
	if errors.Is(err, ErrNotFound) || err == nil && there.Mark != gate.Mark {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, a.store.Delete(ctx, key)
}

// Gates lists the gates of a connection that are closed now, by scope. One that cannot be read is a *CorruptError
// beside the others: remove its file by hand, it is made again if need be.
func (a *Archive) Gates(ctx context.Context, connection string) ([]Gate, error) {
	if !connectionName.MatchString(connection) {
		return nil, fmt.Errorf("gates: %q is no connection's name", connection)
	}
	keys, err := a.store.List(ctx, "gates/"+connection+"/")
	if err != nil {
		return nil, err
	}
	var gates []Gate
	var damaged error
	for _, key := range keys {
		gate, err := a.readGate(ctx, key)
		switch {
		case errors.Is(err, ErrNotFound): // opened meanwhile
		case err != nil:
			damaged = errors.Join(damaged, err)
		default:
			gates = append(gates, gate)
		}
	}
	return gates, damaged
}

func (a *Archive) readGate(ctx context.Context, key string) (Gate, error) {
	data, err := a.store.Read(ctx, key)
	if err != nil {
		return Gate{}, err
	}
	var gate Gate
	if err := json.Unmarshal(data, &gate); err != nil {
		return Gate{}, &CorruptError{Key: key, Reason: "it is not JSON"}
	}
	if gate.Since.IsZero() || !strings.HasSuffix(key, "/"+gate.Connection+"/"+gate.Scope+".json") {
		return Gate{}, &CorruptError{Key: key, Reason: "the gate in it belongs elsewhere"}
	}
	return gate, nil
}
