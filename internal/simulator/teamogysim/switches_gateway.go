package teamogysim

import "net/http"

// GatewaySwitches are unknowns about what stands in front of Teamogy's data:
// API keys, the quota, errors and sizes. The zero value is the default of each.
type GatewaySwitches struct {
	// UnknownKeyStatus answers a missing, wrong or expired API key: 401 or 403.
	UnknownKeyStatus int `json:"unknownKeyStatus"`
	// IPRefusalStatus answers a caller whose address is not allowed: 403 or 401.
	IPRefusalStatus int `json:"ipRefusalStatus"`
	// ScopeRefusalStatus answers a method or path that the API key is not made
	// for: 403, 401, 404 or 405.
	ScopeRefusalStatus int `json:"scopeRefusalStatus"`
	// RightsRefusalStatus answers what the API key's user has no right to: 403,
	// 401 or 404.
	RightsRefusalStatus int `json:"rightsRefusalStatus"`
	// AllowedIPs are the addresses and ranges (CIDR) from which the tenant may be
	// called at all. None means any.
	AllowedIPs []string `json:"allowedIps"`
	// UnknownUnitStatus answers a business unit that is not there: 404, 403 or 400.
	UnknownUnitStatus int `json:"unknownUnitStatus"`
	// RequiredHeader is a header without which a request is refused (400).
	RequiredHeader string `json:"requiredHeader"`
	// QuotaScope says who shares a quota: QuotaTenant, QuotaHost or QuotaKey.
	QuotaScope string `json:"quotaScope"`
	// QuotaWindow says which minute counts: WindowSliding or WindowFixed.
	QuotaWindow string `json:"quotaWindow"`
	// QuotaCountsRefused makes refused requests count like others, so that a
	// caller who does not wait is never let in.
	QuotaCountsRefused bool `json:"quotaCountsRefused"`
	// RetryAfterForm is how Retry-After says it: RetryAfterSeconds or
	// RetryAfterDate.
	RetryAfterForm string `json:"retryAfterForm"`
	// AnswerLimitBytes is the largest answer. 0 means 10 MB.
	AnswerLimitBytes int `json:"answerLimitBytes"`
	// TooLargeStatus answers a request whose answer would be larger: 413, 500 or
	// 502.
	TooLargeStatus int `json:"tooLargeStatus"`
	// PlusInQuery is what a plus sign in a query means: PlusIsPlus or PlusIsSpace.
	PlusInQuery string `json:"plusInQuery"`
	// ErrorBody is the form of an error's body: ErrorMessage, ErrorObject,
	// ErrorText, ErrorHTML or ErrorEmpty.
	ErrorBody string `json:"errorBody"`
}

// Positions of the switches of GatewaySwitches.
const (
	QuotaTenant = "tenant" // all callers
	QuotaHost   = "host"   // each name under which the tenant is called, on its own
	QuotaKey    = "key"    // each API key on its own

	WindowSliding = "sliding" // the last 60 seconds
	WindowFixed   = "fixed"   // the minute of the clock

	RetryAfterSeconds = "seconds"
	RetryAfterDate    = "date"

	PlusIsPlus  = "plus"
	PlusIsSpace = "space"

	ErrorMessage = "message" // {"message":"..."}
	ErrorObject  = "error"   // {"error":{"code":400,"message":"..."}}
	ErrorText    = "text"    // text/plain
	ErrorHTML    = "html"    // a page
	ErrorEmpty   = "empty"   // no body
)

func gatewayInfos() []switchInfo {
	return []switchInfo{
		free("requestsPerMinute", "the real quota; the vendor's client assumes 60", "0 (no quota) or more", 60, atLeast(0)),
		free("quotaStatus", "the status of a request over the quota", "400 to 599", http.StatusTooManyRequests, func(v any) bool {
			return v.(int) >= 400 && v.(int) <= 599
		}),
		choice("quotaRetryAfter", "whether that answer has Retry-After", true, false),
		choice("retryAfterForm", "how Retry-After says it", RetryAfterSeconds, RetryAfterDate),
		choice("quotaScope", "who shares a quota: the whole tenant, one host name or one API key", QuotaTenant, QuotaHost, QuotaKey),
		choice("quotaWindow", "which minute is counted: the last 60 seconds or the minute of the clock", WindowSliding, WindowFixed),
		choice("quotaCountsRefused", "whether requests that were refused for the quota count, too", false, true),
		choice("unknownKeyStatus", "the status of a missing, wrong or expired API key", http.StatusUnauthorized, http.StatusForbidden),
		free("allowedIps", "the tenant's own list of addresses that may call it", "a list of addresses or ranges, such as 10.0.0.0/8; [] allows all", []string{}, func(v any) bool {
			_, err := parseRanges(v.([]string))
			return err == nil
		}),
		choice("ipRefusalStatus", "the status of a call from an address that is not allowed", http.StatusForbidden, http.StatusUnauthorized),
		choice("scopeRefusalStatus", "the status of a method or path that the API key is not made for", http.StatusForbidden, http.StatusUnauthorized, http.StatusNotFound, http.StatusMethodNotAllowed),
		choice("rightsRefusalStatus", "the status of what the API key's user has no right to", http.StatusForbidden, http.StatusUnauthorized, http.StatusNotFound),
		choice("unknownUnitStatus", "the status of a business unit in the path that is not there", http.StatusNotFound, http.StatusForbidden, http.StatusBadRequest),
		free("requiredHeader", "whether the documented header with the tenant's domain is asked for", `the name of a header, or ""`, "", anything),
		choice("errorBody", "the body of an error", ErrorMessage, ErrorObject, ErrorText, ErrorHTML, ErrorEmpty),
		free("answerLimitBytes", "where exactly the gateway's 10 MB end", "1 or more", maxAnswer, atLeast(1)),
		choice("tooLargeStatus", "the status where the answer would be larger", http.StatusRequestEntityTooLarge, http.StatusInternalServerError, http.StatusBadGateway),
		choice("plusInQuery", "whether a plus sign in a query is a space", PlusIsPlus, PlusIsSpace),
	}
}
