package teamogysim

import (
	"log/slog"
	"time"
)

// Values of Config.FilterProperties: what externalFilter does with a term that
// names a property instead of a base column. Teamogy does not document it.
const (
	FilterHonoured = "honoured" // the term is applied
	FilterIgnored  = "ignored"  // the term is left out of the expression
	FilterRefused  = "refused"  // the request is answered with 400

	FilterMatchesNothing = "matches-nothing" // the term is never true
)

// Values of Config.EntityAnswer: the shape of what GET of an entity answers.
const (
	AnswerObject = "object" // the object itself (several matches: an array)
	AnswerArray  = "array"  // an array, empty when nothing matches
	AnswerData   = "data"   // {"data": object}

	AnswerDataArray = "data-array" // {"data": [object]}
)

// Config says how the simulated tenant behaves. Every field that stands for
// something unknown about the real Teamogy is a switch, and can also be changed
// while the simulator runs (POST /_sim/settings).
type Config struct {
	// Unit is the business unit in the path /rest/v1/{unit}/. Zero means 1.
	Unit int
	// APIKey is the bearer token that is accepted. Empty accepts any token.
	APIKey string
	// RequestsPerMinute is the tenant's quota over a sliding minute, divided by
	// TimeScale. Zero means no quota. The vendor's client assumes 60.
	RequestsPerMinute int
	// TimeScale divides the quota's minute and ViewDelay. Zero means 1.
	TimeScale float64
	// QuotaStatus answers requests over the quota. Zero means 429.
	QuotaStatus int
	// QuotaWithoutRetryAfter leaves the Retry-After header out of that answer.
	QuotaWithoutRetryAfter bool
	// PatchReplaces makes PATCH replace the whole properties object; otherwise
	// it merges key by key.
	PatchReplaces bool
	// FilterProperties is FilterHonoured (also when empty), FilterIgnored,
	// FilterRefused or FilterMatchesNothing.
	FilterProperties string
	// Statuses are the document statuses that the tenant knows; any other is
	// answered with 400. Nil means DefaultStatuses.
	Statuses []string
	// PageLimit is the default and the maximum of rows in a page of a view. Zero
	// means 1000.
	PageLimit int
	// Registration makes GET /companies?registration= look companies up. When
	// it is false the parameter is not known.
	Registration bool
	// ViewDelay makes views show documents as they were that long ago (divided
	// by TimeScale); entities are always fresh.
	ViewDelay time.Duration
	// EntityAnswer is AnswerObject (also when empty), AnswerArray, AnswerData
	// or AnswerDataArray.
	EntityAnswer string
	// FlatProperties puts the properties of a view's row beside its columns
	// instead of into an object "properties".
	FlatProperties bool
	// KeyRights are the rights of the API key's user: view-companies,
	// create-received, patch-issued, edit-companies. Nil means the first three.
	KeyRights []string
	// KeyIPs are the addresses and ranges (CIDR) from which the key may be used,
	// KeyMethods and KeyPaths ("/documents", "/views/*") what for. None means any.
	KeyIPs, KeyMethods, KeyPaths []string
	// KeyExpires is when the key ends. Zero means never.
	KeyExpires time.Time
	// The rest of what is unknown.
	GatewaySwitches
	DocumentSwitches
	CompanySwitches
	ViewSwitches
	// Now is the clock. Nil means time.Now. The control API can set it forward.
	Now func() time.Time
	// Logger is told of every request at debug level. Nil means no log.
	Logger *slog.Logger
	// Control serves the control API under /_sim/, to callers on the loopback
	// interface only unless ControlFromAnywhere is set.
	Control             bool
	ControlFromAnywhere bool
}

// DefaultConfig is the tenant that the demo and most tests use: the vendor's
// quota, PATCH that merges, filters that work, and the control API.
func DefaultConfig() Config {
	return Config{
		Unit:              1,
		RequestsPerMinute: 60,
		TimeScale:         1,
		Registration:      true,
		Control:           true,
	}
}

// DefaultStatuses are the document statuses of the simulated tenant.
func DefaultStatuses() []string {
	return []string{"OPEN", "IMPORTED", "READY.FOR.KSEF", "SENT.TO.KSEF", "REJECTED.BY.KSEF", "PROCESSING", "APPROVED"}
}
