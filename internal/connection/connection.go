// Package connection reads the settings and credentials of connections: one file of literal KEY=VALUE lines
// for each, CONNECTIONS_DIR/<name>.env, and the files that it points to. A connection is one taxpayer (NIP)
// in one KSeF environment joined to one Teamogy unit. All settings are described in docs/settings.md.
package connection

import (
	"encoding/json"
	"log/slog"
	"time"
)

// Values of Connection.Receive.
const (
	ReceiveOn      = "on"      // received invoices are created in Teamogy
	ReceiveOff     = "off"     // nothing is received
	ReceivePreview = "preview" // it is shown what would be received; nothing is created in Teamogy
)

// Connection is one connection's settings, complete and checked. It is shared: do not change it. It may be
// printed and logged, its secrets redact themselves.
type Connection struct {
	Name string // of its file, 1 to 40 of a-z, 0-9 and '-'
	NIP  string // ten digits, the check digit is right

	KSeFEnvironment string // production, demo or test
	KSeFURL         string // with /v2 and without a slash at the end; "" for the environment's own
	// The files of KSEF_CERTIFICATE_FILE and KSEF_PRIVATE_KEY_FILE ("" when the certificate is PKCS#12 and
	// has the key in it), and what is in them.
	CertificateFile, PrivateKeyFile string
	Certificate, PrivateKey         SecretBytes
	PrivateKeyPassword              Secret // "" for a key without one

	TeamogyURL               string // such as https://acme.teamogy.com, without a slash at the end
	TeamogyUnit              int
	TeamogyAPIKey            Secret
	TeamogyRequestsPerMinute int
	Fields                   []byte // JSON of TEAMOGY_FIELDS_FILE, nil for the defaults

	Receive             string // on, off or preview
	ReceiveInterval     time.Duration
	ReceiveFrom         time.Time // the beginning of that day in Poland; zero only with Receive off
	ReceiveSubjects     []string  // of buyer, seller, third, authorized
	ReceiveCompany      int64     // Teamogy company for invoices of unknown suppliers; 0 for none
	ReceiveStatus       string
	ReceiveProcess      json.RawMessage // nil for none
	ReceiveOwner        int64           // Teamogy user; 0 only with Receive off
	ReceiveParticipants []int64

	Send                                                bool
	SendInterval                                        time.Duration
	SendTypes                                           []string
	SendReadyStatus, SendSentStatus, SendRejectedStatus string

	TimeScale float64 // 1, or something else towards a simulator
	OneByOne  int     // so many invoices at most go without a package; 0: as KSeF's quotas make sense. Towards a simulator only

	fingerprint string
}

// Fingerprint changes when anything changes: a setting, or the content of a file that one points to. Clients
// that were made for another fingerprint are out of date. It can only be compared within one process.
func (c *Connection) Fingerprint() string {
	return c.fingerprint
}

// LogValue is what a log shows of a connection.
func (c *Connection) LogValue() slog.Value {
	return slog.GroupValue(slog.String("name", c.Name), slog.String("nip", c.NIP), slog.String("ksefEnvironment", c.KSeFEnvironment))
}
