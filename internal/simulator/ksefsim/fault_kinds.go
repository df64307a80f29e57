package ksefsim

import "slices"

// When a fault strikes.
const (
	phaseBefore = "before" // instead of the operation
	phaseAfter  = "after"  // when the operation has done its work
	phaseInside = "inside" // the operation itself goes another way
	phaseChange = "change" // the operation's answer is changed on its way out
)

// Names of the faults.
const (
	faultRequestDropped  = "request-dropped"
	faultAnswerDropped   = "answer-dropped"
	faultReset           = "reset"
	faultResetAfter      = "reset-after"
	faultTimeout         = "timeout"
	faultTimeoutAfter    = "timeout-after"
	faultBadGateway      = "bad-gateway"
	faultBadGatewayAfter = "bad-gateway-after"
	faultHTML            = "html"
	faultWAF             = "waf-blocked"
	faultTooMany         = "too-many-requests"
	faultStorm           = "rate-limit-storm"
	faultStatus          = "status"
	faultAPIError        = "api-error"
	faultTruncated       = "download-truncated"
	faultUnknownFields   = "unknown-fields"
	faultUnknownEnums    = "unknown-enums"
	faultSystemWarning   = "system-warning"

	faultCloseWorked    = "close-failed-but-worked"
	faultNotYetKnown    = "session-not-yet-known"
	faultUnavailable    = "session-unavailable"
	faultListLags       = "list-lags"
	faultUPOLate        = "upo-not-ready"
	faultStuck          = "invoice-stuck"
	faultCancelled      = "invoice-cancelled"
	faultSelfDuplicate  = "duplicate-of-itself"
	faultForeign        = "original-in-foreign-session"
	faultWrongOriginal  = "original-session-wrong"
	faultSessionFails   = "session-fails"
	faultPartLost       = "part-lost"
	faultKeyRotated     = "key-rotated"
	faultKeyWithdrawn   = "key-withdrawn"
	faultForeignKeys    = "keys-of-another-environment"
	faultLoginStuck     = "login-stuck"
	faultLoginFails     = "login-fails"
	faultExportStuck    = "export-stuck"
	faultExportFails    = "export-fails"
	faultPartHash       = "part-hash-wrong"
	faultLinkExpired    = "link-expired"
	faultHWMBack        = "hwm-went-back"
	faultBehindHWM      = "record-behind-hwm"
	faultClockSkew      = "clock-skew"
	faultWarsawMidnight = "warsaw-midnight"
	faultDSTSpring      = "dst-spring"
	faultDSTAutumn      = "dst-autumn"
)

// faultKind is what a fault's name stands for.
type faultKind struct {
	name       string
	older      string // name in earlier versions
	phase      string
	operations []string // what it strikes when nothing else is said; none: it has to be said
	times      int      // 0 means once
	seconds    float64
	status     int
	anywhere   bool // of a fault inside: it has an effect in every operation
	does       string
}

// Operations that several faults strike.
const (
	opSend        = "POST /sessions/online/{ref}/invoices"
	opOpenOnline  = "POST /sessions/online"
	opCloseOnline = "POST /sessions/online/{ref}/close"
	opOpenBatch   = "POST /sessions/batch"
	opCloseBatch  = "POST /sessions/batch/{ref}/close"
	opUpload      = "PUT /storage/{file}"
	opStorage     = "GET /storage/{file}"
	opQuery       = "POST /invoices/query/metadata"
	opExport      = "POST /invoices/exports"
	opExportState = "GET /invoices/exports/{ref}"
	opDownload    = "GET /invoices/ksef/{ksefNumber}"
	opXAdES       = "POST /auth/xades-signature"
	opTokenLogin  = "POST /auth/ksef-token"
	opKeys        = "GET /security/public-key-certificates"
	opChallenge   = "POST /auth/challenge"
	opRefresh     = "POST /auth/token/refresh"
)

var faultKinds = []faultKind{
	{name: faultRequestDropped, older: "drop-before", phase: phaseBefore, does: "The connection is cut; nothing was done."},
	{name: faultAnswerDropped, older: "drop-after", phase: phaseAfter, does: "Everything was done, then the connection is cut without an answer."},
	{name: faultReset, phase: phaseBefore, does: "The connection is reset (TCP RST); nothing was done."},
	{name: faultResetAfter, phase: phaseAfter, does: "Everything was done, then the connection is reset (TCP RST)."},
	{name: faultTimeout, phase: phaseBefore, seconds: 120, does: "Nothing is done and nothing is answered until the caller gives up or `seconds` (120) of real time are over; then the connection is cut."},
	{name: faultTimeoutAfter, phase: phaseAfter, seconds: 120, does: "Everything was done, but the answer does not come until the caller gives up or `seconds` (120) of real time are over; then the connection is cut."},
	{name: faultBadGateway, older: "502-before", phase: phaseBefore, does: "502 with an HTML page; nothing was done."},
	{name: faultBadGatewayAfter, older: "502-after", phase: phaseAfter, does: "502 with an HTML page, although everything was done."},
	{name: faultHTML, phase: phaseBefore, does: "The firewall's HTML page with status 200; nothing was done."},
	{name: faultWAF, phase: phaseBefore, does: "The firewall's 403 in JSON (security-service-blocked); nothing was done."},
	{name: faultTooMany, older: "429", phase: phaseBefore, does: "429 with `retryAfter` (1)."},
	{name: faultStorm, phase: phaseBefore, times: 20, does: "429, twenty times unless `times` says otherwise; each Retry-After is longer than the one before, beginning with `retryAfter` (1)."},
	{name: faultStatus, phase: phaseBefore, does: "The given `status`, `body` and `contentType`; nothing was done."},
	{name: faultAPIError, phase: phaseBefore, does: "400 with the API's `code`; nothing was done."},
	{name: faultTruncated, phase: phaseChange, operations: []string{opDownload, opStorage}, does: "The body ends after its first half, though the header promised all of it."},
	{name: faultUnknownFields, phase: phaseChange, operations: []string{anyOperation}, times: faultForEver, does: "Every object of a JSON answer has one property that no contract knows, from then on."},
	{name: faultUnknownEnums, phase: phaseChange, operations: []string{anyOperation}, times: faultForEver, does: "Enumerations of a JSON answer hold values that no contract knows, from then on."},
	{name: faultSystemWarning, phase: phaseChange, operations: []string{anyOperation}, does: "The header X-System-Warning with `body`."},

	{name: faultCloseWorked, phase: phaseAfter, operations: []string{opCloseOnline, opCloseBatch}, does: "Closing answers 502, but the session is closed."},
	{name: faultNotYetKnown, phase: phaseBefore, operations: []string{opSend, opCloseOnline, opCloseBatch, "GET /sessions/{ref}"}, does: "21173: a session just opened is not known yet."},
	{name: faultUnavailable, phase: phaseBefore, operations: []string{opSend}, does: "21184: the session is unavailable for a while; the invoice was not taken."},
	{name: faultListLags, phase: phaseInside, operations: []string{"GET /sessions/{ref}/invoices"}, seconds: 60, does: "The list of a session's invoices lacks those of the last `seconds` (60)."},
	{name: faultUPOLate, phase: phaseBefore, operations: []string{"GET /sessions/{ref}/invoices/{invoiceRef}/upo", "GET /sessions/{ref}/invoices/ksef/{ksefNumber}/upo", "GET /sessions/{ref}/upo/{upoRef}"}, does: "21178: the confirmation is not there yet."},
	{name: faultStuck, phase: phaseInside, operations: []string{opSend, opCloseBatch}, seconds: 6 * 3600, does: "The invoice stays at 150 for `seconds` (6 hours); -1 for ever."},
	{name: faultCancelled, phase: phaseInside, operations: []string{opSend, opCloseBatch}, status: 550, does: "The invoice ends with 550, or with the given `status`; it was not taken."},
	{name: faultSelfDuplicate, phase: phaseInside, operations: []string{opSend, opCloseBatch}, does: "The invoice is taken and gets its number, but its status is 440: a duplicate of itself."},
	{name: faultForeign, phase: phaseInside, operations: []string{opSend, opCloseBatch}, does: "The invoice is a duplicate (440) of one with the same bytes in a session of somebody else, which cannot be read (403)."},
	{name: faultWrongOriginal, phase: phaseInside, operations: []string{opSend, opCloseBatch}, does: "The answer about a duplicate names a session of the original that does not exist."},
	{name: faultSessionFails, phase: phaseInside, operations: []string{opCloseOnline, opCloseBatch}, status: 500, does: "The session ends with `status` (500), its undecided invoices with 405."},
	{name: faultPartLost, phase: phaseInside, operations: []string{opUpload}, does: "A part of a package is acknowledged with 201 and then lost."},
	{name: faultKeyRotated, phase: phaseInside, operations: []string{opOpenOnline, opOpenBatch, opExport, opTokenLogin, opKeys}, does: "New keys are published; the old ones are listed and work beside them."},
	{name: faultKeyWithdrawn, phase: phaseInside, operations: []string{opOpenOnline, opOpenBatch, opExport, opTokenLogin}, does: "New keys replace the old ones at once: 21470, or 415 where no key was named."},
	{name: faultForeignKeys, phase: phaseInside, operations: []string{opKeys}, does: "The published keys are those of another environment: what they encrypt ends in 415."},
	{name: faultLoginStuck, phase: phaseInside, operations: []string{opXAdES, opTokenLogin}, seconds: 3600, does: "The login stays at 100 for `seconds` (an hour), as when a certificate's issuer does not answer."},
	{name: faultLoginFails, phase: phaseInside, operations: []string{opXAdES, opTokenLogin}, status: 450, does: "The login ends with `status` (450)."},
	{name: faultExportStuck, phase: phaseInside, operations: []string{opExport}, does: "The export stays at 100 and keeps its slot."},
	{name: faultExportFails, phase: phaseInside, operations: []string{opExport}, status: 550, does: "The export ends with `status` (550)."},
	{name: faultPartHash, phase: phaseInside, operations: []string{opExport}, does: "One part of the package has a wrong hash in the export's status."},
	{name: faultLinkExpired, phase: phaseInside, operations: []string{opStorage, opUpload}, does: "A link has expired before its time."},
	{name: faultHWMBack, phase: phaseInside, operations: []string{opQuery, opExport}, seconds: 7200, does: "The high-water mark of the answer lies `seconds` (two hours) further back."},
	{name: faultBehindHWM, phase: phaseInside, operations: []string{opSend, opCloseBatch, opSeed}, seconds: 7200, does: "The invoice can be seen only `seconds` (two hours) after its time of storage, long behind the high-water mark."},
	{name: faultClockSkew, phase: phaseInside, anywhere: true, operations: []string{anyOperation}, seconds: 600, does: "From then on KSeF's clock is `seconds` (600) ahead, or behind when negative, until the faults are deleted."},
	{name: faultWarsawMidnight, phase: phaseInside, anywhere: true, operations: []string{opChallenge, opRefresh}, seconds: 2, does: "The time is `seconds` (2) before midnight in Warsaw when somebody logs in or refreshes a token; older access tokens have ended."},
	{name: faultDSTSpring, phase: phaseInside, anywhere: true, operations: []string{opChallenge}, seconds: 2, does: "The time is `seconds` (2) before Polish clocks go forward when somebody logs in; older tokens have ended."},
	{name: faultDSTAutumn, phase: phaseInside, anywhere: true, operations: []string{opChallenge}, seconds: 2, does: "The time is `seconds` (2) before Polish clocks go back when somebody logs in; older tokens have ended."},
}

func findFaultKind(name string) *faultKind {
	i := slices.IndexFunc(faultKinds, func(k faultKind) bool { return k.name == name || (k.older != "" && k.older == name) })
	if i < 0 {
		return nil
	}
	return &faultKinds[i]
}

// FaultNames are the names of every fault that can be ordered.
func FaultNames() []string {
	names := make([]string, 0, len(faultKinds))
	for _, k := range faultKinds {
		names = append(names, k.name)
	}
	return names
}

// FaultEffect says in one English sentence what a fault does; "" for a name
// that does not exist.
func FaultEffect(name string) string {
	if k := findFaultKind(name); k != nil {
		return k.does
	}
	return ""
}

// FaultOperations are the operations that a fault strikes when nothing else is
// said; none means that it has to be said.
func FaultOperations(name string) []string {
	if k := findFaultKind(name); k != nil {
		return slices.Clone(k.operations)
	}
	return nil
}
