// Package simulators runs the KSeF and the Teamogy simulator over HTTP on
// loopback addresses, for `starter simulate` and for the demo.
package simulators

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"syscall"
	"time"

	"teamogy-ksef/internal/simulator/ksefsim"
	"teamogy-ksef/internal/simulator/teamogysim"
)

// Addresses of `make simulators`, and the variables that change them.
const (
	KSeFAddress     = "127.0.0.1:8081"
	TeamogyAddress  = "127.0.0.1:8082"
	KSeFVariable    = "KSEF_SIMULATOR_ADDR"
	TeamogyVariable = "TEAMOGY_SIMULATOR_ADDR"
)

// Unit is the business unit that the Teamogy simulator serves, RequestsPerMinute
// its quota, which is the vendor's own default.
const (
	Unit              = 1
	RequestsPerMinute = 60
)

// Options say how the simulators run.
type Options struct {
	KSeFAddress    string  // host:port on loopback; port 0 takes a free one
	TeamogyAddress string  // the same
	TimeScale      float64 // divides delays and quota windows; 0 means 1
	// Limits are KSeF's on requests, as of ksefsim.Config.Limits; "off" switches
	// Teamogy's quota off, too.
	Limits      string
	Environment string          // of KSeF: test (also ""), demo or production
	FA3Schema   string          // path of the official schema; "" checks structural rules only
	Faults      []ksefsim.Fault // ordered at KSeF from the beginning
	ExportPart  int             // size of an export's parts in bytes; 0 means KSeF's, 50 MB
	NoControl   bool            // without the control API /_sim/
	AnyAddress  bool            // listen on other than loopback addresses, too
	APIKey      string          // that Teamogy takes; "" takes any
	// WrapKSeF and WrapTeamogy stand between the network and the simulators, so
	// that a test sees and disturbs requests. Nil means nothing.
	WrapKSeF, WrapTeamogy func(http.Handler) http.Handler
	Logger                *slog.Logger
}

// Simulators are both simulators, serving.
type Simulators struct {
	// KSeFURL and TeamogyURL are the bases without a path, like
	// http://127.0.0.1:8081; KSeF's API is under /v2, Teamogy's under
	// /rest/v1/1, the control API of both under /_sim/.
	KSeFURL, TeamogyURL string

	servers []*http.Server
	failed  chan error
	stop    sync.Once
}

// BusyError says that another program listens on an address that a simulator
// was to use. That program is left alone.
type BusyError struct{ Simulator, Address string }

func (e *BusyError) Error() string {
	return fmt.Sprintf("port %s for the %s simulator is in use by another program: stop that program first (is a demo or `make simulators` still running?)", e.Address, e.Simulator)
}

// Start opens both addresses, so that a busy one is known before anything runs,
// and serves.
func Start(o Options) (*Simulators, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	quota := RequestsPerMinute
	if o.Limits == ksefsim.LimitsOff {
		quota = 0
	}
	ksef, err := ksefsim.New(ksefsim.Config{
		Environment: o.Environment, TimeScale: o.TimeScale, Limits: o.Limits, FA3Schema: o.FA3Schema,
		ExportPartBytes: o.ExportPart, Control: !o.NoControl, Logger: o.Logger.With("simulator", "KSeF"),
	})
	if err != nil {
		return nil, fmt.Errorf("start the KSeF simulator: %w", err)
	}
	for _, f := range o.Faults {
		if err := ksef.Order(f); err != nil {
			return nil, fmt.Errorf("order the fault %s: %w", f.Name, err)
		}
	}
	config := teamogysim.DefaultConfig()
	config.Unit, config.APIKey, config.RequestsPerMinute, config.Control = Unit, o.APIKey, quota, !o.NoControl
	config.Logger = o.Logger.With("simulator", "Teamogy")
	if o.TimeScale > 0 {
		config.TimeScale = o.TimeScale
	}
	teamogy := teamogysim.New(config)

	ksefListener, err := listen("KSeF", o.KSeFAddress, o.AnyAddress)
	if err != nil {
		return nil, err
	}
	teamogyListener, err := listen("Teamogy", o.TeamogyAddress, o.AnyAddress)
	if err != nil {
		return nil, errors.Join(err, ksefListener.Close())
	}
	s := &Simulators{
		KSeFURL:    "http://" + ksefListener.Addr().String(),
		TeamogyURL: "http://" + teamogyListener.Addr().String(),
		failed:     make(chan error, 2),
	}
	s.serve("KSeF", ksefListener, wrapped(ksef.Handler(), o.WrapKSeF))
	s.serve("Teamogy", teamogyListener, wrapped(teamogy.Handler(), o.WrapTeamogy))
	return s, nil
}

func wrapped(h http.Handler, wrap func(http.Handler) http.Handler) http.Handler {
	if wrap == nil {
		return h
	}
	return wrap(h)
}

func (s *Simulators) serve(name string, l net.Listener, h http.Handler) {
	server := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)}
	s.servers = append(s.servers, server)
	go func() {
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			s.failed <- fmt.Errorf("the %s simulator stopped serving: %w", name, err)
		}
	}()
}

// Failed delivers the error of a simulator that stops by itself.
func (s *Simulators) Failed() <-chan error { return s.failed }

// Stop ends both at once; what they held is forgotten. It may be called again.
func (s *Simulators) Stop() {
	s.stop.Do(func() {
		for _, server := range s.servers {
			_ = server.Close()
		}
	})
}

// listen opens an address of the loopback interface. The simulators hold
// whatever they are given without any protection, so they are kept from the
// network unless somebody insists.
func listen(simulator, address string, anywhere bool) (net.Listener, error) {
	if err := CheckLoopback(address); err != nil && !anywhere {
		return nil, fmt.Errorf("address of the %s simulator: %w", simulator, err)
	}
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", address)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, &BusyError{Simulator: simulator, Address: address}
	}
	if err != nil {
		return nil, fmt.Errorf("open %s for the %s simulator: %w", address, simulator, err)
	}
	return l, nil
}

// CheckLoopback tells what is wrong with an address that is to be host:port on
// the loopback interface.
func CheckLoopback(address string) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("%q is not host:port, like 127.0.0.1:8081", address)
	}
	if strings.EqualFold(host, "localhost") {
		return nil
	}
	if ip, err := netip.ParseAddr(host); err == nil && ip.IsLoopback() {
		return nil
	}
	return fmt.Errorf("%q is not on this machine's loopback interface, and the simulators serve nobody else: take 127.0.0.1", address)
}
