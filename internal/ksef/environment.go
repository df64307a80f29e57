package ksef

import "fmt"

// Environment is one of KSeF's three installations. They share nothing: each
// has its own data, permissions and encryption keys.
type Environment string

const (
	// Production is the installation with legal effect.
	Production Environment = "production"
	// Demo is the pre-production installation: real identities and
	// certificates, no legal effect.
	Demo Environment = "demo"
	// Test accepts self-made certificates. Its data is visible to every
	// integrator, so real data must never be sent there.
	Test Environment = "test"
)

// ParseEnvironment returns the environment called s.
func ParseEnvironment(s string) (Environment, error) {
	switch e := Environment(s); e {
	case Production, Demo, Test:
		return e, nil
	}
	return "", fmt.Errorf("unknown KSeF environment %q: use production, demo or test", s)
}

// BaseURL returns the address of the environment's API including /v2, without
// a slash at the end. It is empty for an unknown environment.
func (e Environment) BaseURL() string {
	switch e {
	case Production:
		return "https://api.ksef.mf.gov.pl/v2"
	case Demo:
		return "https://api-demo.ksef.mf.gov.pl/v2"
	case Test:
		return "https://api-test.ksef.mf.gov.pl/v2"
	}
	return ""
}

// QRBaseURL returns the address of the environment's verification pages, to
// which the links in QR codes point. It is empty for an unknown environment.
func (e Environment) QRBaseURL() string {
	switch e {
	case Production:
		return "https://qr.ksef.mf.gov.pl"
	case Demo:
		return "https://qr-demo.ksef.mf.gov.pl"
	case Test:
		return "https://qr-test.ksef.mf.gov.pl"
	}
	return ""
}
