package archive

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// Binding is what a connection joins. It is frozen at first use: the records under the connection's name
// would otherwise belong to two taxpayers or two systems.
type Binding struct {
	Environment string `json:"environment"` // KSeF's: production, demo or test
	NIP         string `json:"nip"`
	TeamogyHost string `json:"teamogyHost"` // with the port, if it has one
	Unit        int    `json:"unit"`        // Teamogy's business unit
}

// BindingChangedError says that a connection's settings now join something else than when it was first
// used.
type BindingChangedError struct {
	Connection string
	Frozen     Binding // as it was first used
	Now        Binding // as its settings say now
}

func (e *BindingChangedError) Error() string {
	var changes []string
	note := func(variable string, was, is any) {
		if was != is {
			changes = append(changes, fmt.Sprintf("%s was %v and is now %v", variable, was, is))
		}
	}
	note("KSEF_ENVIRONMENT", e.Frozen.Environment, e.Now.Environment)
	note("NIP", e.Frozen.NIP, e.Now.NIP)
	note("the host of TEAMOGY_URL", e.Frozen.TeamogyHost, e.Now.TeamogyHost)
	note("TEAMOGY_UNIT", e.Frozen.Unit, e.Now.Unit)
	return fmt.Sprintf("the connection %s joins something else than at its first use (%s): undo that, or make a new connection, a settings file of another name",
		e.Connection, strings.Join(changes, ", "))
}

// FreezeBinding keeps a connection's binding at its first use. Later uses with the same binding are no
// error, with another one a *BindingChangedError.
func (a *Archive) FreezeBinding(ctx context.Context, connection string, binding Binding) error {
	if !connectionName.MatchString(connection) {
		return fmt.Errorf("freeze a binding: %q is no connection's name", connection)
	}
	binding.TeamogyHost = strings.ToLower(binding.TeamogyHost)
	var frozen Binding
	if err := a.claim(ctx, "bindings/"+connection+".json", binding, &frozen); err != nil {
		return err
	}
	if frozen == (Binding{}) {
		return &CorruptError{Key: "bindings/" + connection + ".json", Reason: "there is no binding in it"}
	}
	if frozen != binding {
		return &BindingChangedError{Connection: connection, Frozen: frozen, Now: binding}
	}
	return nil
}

// ReceiverTakenError says that another connection already receives the invoices of this taxpayer in this
// environment: with two, every invoice would be created twice.
type ReceiverTakenError struct {
	Environment string
	NIP         string
	Holder      string // the connection that receives already
	Connection  string // the one that wanted to
}

func (e *ReceiverTakenError) Error() string {
	return fmt.Sprintf("the connection %s already receives the invoices of NIP %s in KSeF's %s environment, so %s may not: set RECEIVE=off in one of the two",
		e.Holder, e.NIP, e.Environment, e.Connection)
}

// receiver is what lies at receivers/<environment>-<nip>.json.
type receiver struct {
	Connection string `json:"connection"`
}

// ClaimReceiver makes a connection the one that receives the invoices of a taxpayer in an environment. For
// the same connection again it is no error, for another one a *ReceiverTakenError. ReleaseReceiver ends it.
func (a *Archive) ClaimReceiver(ctx context.Context, environment, nip, connection string) error {
	if !connectionName.MatchString(connection) {
		return fmt.Errorf("claim to receive: %q is no connection's name", connection)
	}
	key := receiverKey(environment, nip)
	var holder receiver
	if err := a.claim(ctx, key, receiver{Connection: connection}, &holder); err != nil {
		return err
	}
	if holder.Connection == "" {
		return &CorruptError{Key: key, Reason: "there is no connection in it"}
	}
	if holder.Connection != connection {
		return &ReceiverTakenError{Environment: environment, NIP: nip, Holder: holder.Connection, Connection: connection}
	}
	return nil
}

// ReleaseReceiver ends a connection's claim, so that another one may receive for the same taxpayer: call it
// for a connection whose settings say RECEIVE=off. A claim that another connection holds stays. (After a loss
// of power in the midst of it the claim may be there again, and is released by the next call.)
func (a *Archive) ReleaseReceiver(ctx context.Context, environment, nip, connection string) error {
	key := receiverKey(environment, nip)
	data, err := a.store.Read(ctx, key)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	var holder receiver
	if err := json.Unmarshal(data, &holder); err != nil {
		return &CorruptError{Key: key, Reason: "it is not JSON"}
	}
	if holder.Connection == "" {
		return &CorruptError{Key: key, Reason: "there is no connection in it"}
	}
	if holder.Connection != connection {
		return nil
	}
	return a.store.Delete(ctx, key)
}

func receiverKey(environment, nip string) string {
	return "receivers/" + escape(environment) + "-" + escape(nip) + ".json"
}

// claim creates an object, and reads what is there: the first one's content, for whoever comes later.
func (a *Archive) claim(ctx context.Context, key string, mine, there any) error {
	data, err := json.MarshalIndent(mine, "", "  ")
	if err != nil {
		return fmt.Errorf("archive %s: encode it: %w", key, err)
	}
	if err := a.store.Create(ctx, key, append(data, '\n')); err != nil && !errors.Is(err, ErrExists) {
		return err
	}
	found, err := a.store.Read(ctx, key)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(found, there); err != nil {
		return &CorruptError{Key: key, Reason: "it is not JSON"}
	}
	return nil
}
