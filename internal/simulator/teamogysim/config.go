package teamogysim

import (
	"fmt"
	"log/slog"
	"net/http"
	"time"
)

// Values of Config.FilterProperties: what externalFilter does with a term that
// names a property instead of a base column. Teamogy does not document it.
const (
	FilterHonoured = "honoured" // the term is applied
	FilterIgnored  = "ignored"  // the term is left out of the expression
	FilterRefused  = "refused"  // the request is answered with 400
)

// Values of Config.EntityAnswer: the shape of what GET of an entity answers.
const (
	AnswerObject = "object" // the object itself (several matches: an array)
	AnswerArray  = "array"  // an array, empty when nothing matches
	AnswerData   = "data"   // {"data": object}
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
	// FilterProperties is FilterHonoured (also when empty), FilterIgnored or
	// FilterRefused.
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
	// EntityAnswer is AnswerObject (also when empty), AnswerArray or AnswerData.
	EntityAnswer string
	// FlatProperties puts the properties of a view's row beside its columns
	// instead of into an object "properties".
	FlatProperties bool
	// Now is the clock. Nil means time.Now.
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

// settings are the switches of Config that can change while the simulator runs,
// in the form of the control API.
type settings struct {
	RequestsPerMinute int     `json:"requestsPerMinute"`
	QuotaStatus       int     `json:"quotaStatus"`
	QuotaRetryAfter   bool    `json:"quotaRetryAfter"`
	PatchReplaces     bool    `json:"patchReplaces"`
	FilterProperties  string  `json:"filterProperties"`
	PageLimit         int     `json:"pageLimit"`
	Registration      bool    `json:"registration"`
	ViewDelaySeconds  float64 `json:"viewDelaySeconds"`
	EntityAnswer      string  `json:"entityAnswer"`
	FlatProperties    bool    `json:"flatProperties"`
}

func newSettings(c Config) settings {
	s := settings{
		RequestsPerMinute: c.RequestsPerMinute,
		QuotaStatus:       c.QuotaStatus,
		QuotaRetryAfter:   !c.QuotaWithoutRetryAfter,
		PatchReplaces:     c.PatchReplaces,
		FilterProperties:  c.FilterProperties,
		PageLimit:         c.PageLimit,
		Registration:      c.Registration,
		ViewDelaySeconds:  c.ViewDelay.Seconds(),
		EntityAnswer:      c.EntityAnswer,
		FlatProperties:    c.FlatProperties,
	}
	if s.QuotaStatus == 0 {
		s.QuotaStatus = http.StatusTooManyRequests
	}
	if s.FilterProperties == "" {
		s.FilterProperties = FilterHonoured
	}
	if s.PageLimit == 0 {
		s.PageLimit = 1000
	}
	if s.EntityAnswer == "" {
		s.EntityAnswer = AnswerObject
	}
	return s
}

func (s settings) check() error {
	switch s.FilterProperties {
	case FilterHonoured, FilterIgnored, FilterRefused:
	default:
		return fmt.Errorf("filterProperties %q: want honoured, ignored or refused", s.FilterProperties)
	}
	switch s.EntityAnswer {
	case AnswerObject, AnswerArray, AnswerData:
	default:
		return fmt.Errorf("entityAnswer %q: want object, array or data", s.EntityAnswer)
	}
	if s.QuotaStatus < 400 || s.QuotaStatus > 599 {
		return fmt.Errorf("quotaStatus %d: want 400 to 599", s.QuotaStatus)
	}
	if s.RequestsPerMinute < 0 || s.PageLimit < 1 || s.ViewDelaySeconds < 0 {
		return fmt.Errorf("requestsPerMinute and viewDelaySeconds must not be negative, pageLimit must be at least 1")
	}
	return nil
}
