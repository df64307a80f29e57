package integration

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/stretchr/testify/require"
)

// freePositions are values of switches that take any, beside their defaults.
var freePositions = map[string][]any{
	"requestsPerMinute":  {0, 30},
	"quotaStatus":        {400, 403, 503},
	"allowedIps":         {[]string{"127.0.0.0/8", "::1"}},
	"requiredHeader":     {"X-Domain"},
	"answerLimitBytes":   {12_000}, // a document has half of that at most
	"absentTypes":        {[]string{"INVOICE.PURCHASE.CORRECTION"}},
	"knownProperties":    {map[string]string{"ksefNumber": "text", "totalGross": "text"}},
	"registrationKey":    {"NIP"},
	"pageLimit":          {3},
	"sortSeed":           {7},
	"columnNames":        {map[string]string{"number": "docNumber"}, map[string]string{"status": "state"}, map[string]string{"isDisabled": "inactive"}},
	"absentViews":        {[]string{"companies.supplier"}, []string{"companies"}, []string{"invoices.purchase"}, []string{"invoices.sales"}},
	"viewDelaySeconds":   {4, 30},
	"newDelaySeconds":    {4, 30},
	"changeDelaySeconds": {30},
	"searchDelaySeconds": {4, 30},
}

// companions are settings without which a switch makes no difference.
var companions = map[string]more{
	"quotaStatus":        {"requestsPerMinute": 30},
	"quotaRetryAfter":    {"requestsPerMinute": 30},
	"retryAfterForm":     {"requestsPerMinute": 30},
	"quotaScope":         {"requestsPerMinute": 30},
	"quotaWindow":        {"requestsPerMinute": 30},
	"quotaCountsRefused": {"requestsPerMinute": 30},
	"answerLimitBytes":   {"filterProperties": "ignored"}, // so that views are read in full
	"tooLargeStatus":     {"answerLimitBytes": 12_000, "filterProperties": "ignored"},
	"registrationAbsent": {"registration": false},
	"filterNames":        {"registration": false},
	"overLimit":          {"pageLimit": 3},
	"metadataLimit":      {"pageLimit": 3},
	"metadataCount":      {"pageLimit": 3},
	"nextOffsetEnd":      {"pageLimit": 3},
	"sortOrder":          {"pageLimit": 3},
	"sortSeed":           {"pageLimit": 3, "sortOrder": "shuffled"},
	"propertyKeys":       {"flatProperties": true},
	"missingProperties":  {"flatProperties": true},
	"ipRefusalStatus":    {},
}

// told is what the product has to be told of a tenant: a field map, keyed by
// the position. The question here is whether anything is lost or doubled, not
// whether it works without being told.
var told = map[string]string{
	`unknownProperties="refused"`:                               `{"patchMode":"merge"}`,
	`numberProperties="text"`:                                   `{"patchMode":"merge"}`,
	`numberProperties="numbers"`:                                `{"patchMode":"merge"}`,
	`tooLargeStatus=500`:                                        `{"pageSize":40}`,
	`tooLargeStatus=502`:                                        `{"pageSize":40}`,
	`requiredHeader="X-Domain"`:                                 `{"headers":{"X-Domain":"acme.example"}}`,
	`columnNames={"status":"state"}`:                            `{"columns":{"status":"state"}}`,
	`columnNames={"isDisabled":"inactive"}`:                     `{"columns":{"disabled":"inactive"}}`,
	`absentTypes=["INVOICE.PURCHASE.CORRECTION"]`:               `{"types":{"KOR":"INVOICE.PURCHASE","KOR_ZAL":"INVOICE.PURCHASE","KOR_ROZ":"INVOICE.PURCHASE"}}`,
	`knownProperties={"ksefNumber":"text","totalGross":"text"}`: `{"properties":{"totalGross":{"type":"decimal-string"}}}`,
	`absentViews=["companies"]`:                                 `{"views":{"companies":"companies.supplier"}}`,
	`absentViews=["invoices.purchase"]`:                         `{"views":{"purchaseInvoices":"documents"}}`,
	`absentViews=["invoices.sales"]`:                            `{"views":{"salesInvoices":"documents"}}`,
	`viewDelaySeconds=30`:                                       `{"viewLagSeconds":40}`,
	`newDelaySeconds=30`:                                        `{"viewLagSeconds":40}`,
	`searchDelaySeconds=30`:                                     `{"viewLagSeconds":40}`,
	`longTexts="cut"`:                                           `{"xmlInView":true,"patchMode":"merge"}`,
	`longTexts="stripped"`:                                      `{"xmlInView":true,"patchMode":"merge"}`,
	`longTexts="left-out"`:                                      `{"xmlInView":true,"patchMode":"merge"}`,
}

// closed are switches about a door that is shut: it is shut for a while with
// this, and opened again.
var closed = map[string]struct{ shut, open func(*trial) }{
	"unknownKeyStatus":    {token("expiresAt", "2020-01-01T00:00:00Z"), token("expiresAt", nil)},
	"ipRefusalStatus":     {token("ips", []string{"192.0.2.0/24"}), token("ips", []string{})},
	"scopeRefusalStatus":  {token("methods", []string{"GET"}), token("methods", []string{})},
	"rightsRefusalStatus": {token("rights", "none"), token("rights", "all")},
	"refusalStatus": {
		func(t *trial) { t.statuses("READY.FOR.KSEF", "OPEN") },
		func(t *trial) { t.statuses("READY.FOR.KSEF", "OPEN", "SENT.TO.KSEF", "REJECTED.BY.KSEF", "IMPORTED") },
	},
}

func token(limit string, value any) func(*trial) {
	return func(t *trial) { t.control(http.MethodPost, t.teamogyURL+"/_sim/token", more{limit: value}, nil) }
}

// notSwitched are switches and positions without an experiment, with the
// reason.
var notSwitched = map[string]string{
	"unknownUnitStatus": "the unit is part of a connection's binding and frozen at first use: another one is another connection",
}

// position is a switch in a position that is not its default.
type position struct {
	teamogySwitch
	at any
}

func (p position) String() string { return p.Name + "=" + inJSON(p.at) }

func (p position) settings() more {
	all := maps.Clone(companions[p.Name])
	if all == nil {
		all = more{}
	}
	all[p.Name] = p.at
	return all
}

func switchPositions() (all []position) {
	for _, s := range teamogySwitches() {
		if notSwitched[s.Name] != "" {
			continue
		}
		positions := slices.Concat(s.Positions, freePositions[s.Name])
		for _, at := range positions {
			if inJSON(at) != inJSON(s.Default) || closed[s.Name].shut != nil {
				all = append(all, position{s, at})
			}
		}
	}
	return all
}

// dangerous are switches on which it depends whether a document is found again,
// or what becomes of what is written: each of their positions has an experiment
// of its own. The others share theirs.
var dangerous = []string{
	"filterProperties", "patchReplaces", "nullProperties", "patchDepth", "saveAnswer", "entityAnswer", "duplicateInvoices",
	"unknownProperties", "numberProperties", "viewDelaySeconds", "newDelaySeconds", "changeDelaySeconds", "searchDelaySeconds",
	"pageLimit", "sortOrder", "requestsPerMinute", "quotaStatus", "quotaRetryAfter", "quotaCountsRefused", "tooLargeStatus", "acceptedLocked",
	"documentVersion", "registration", "answerLimitBytes", "filterAlternatives", "longTexts",
}

// together is how many positions share an experiment.
const together = 4

func (p position) alone() bool {
	return told[p.String()] != "" || closed[p.Name].shut != nil || slices.Contains(dangerous, p.Name) || p.Name == "companyRequired"
}

// switchExperiments are all positions of all switches, while answers are lost.
func switchExperiments() (all []experiment) {
	var shared []position
	for _, p := range switchPositions() {
		if !p.alone() {
			shared = append(shared, p)
			continue
		}
		e := switchExperiment(p)
		e.group, e.name, e.variant, e.what = ofSwitches, p.Name, inJSON(p.at), whatOf(p.teamogySwitch)
		e.fields = told[p.String()]
		if p.Name == "companyRequired" {
			e.arrange = withFallbackCompany(e.arrange)
		}
		if door := closed[p.Name]; door.shut != nil {
			e.arrange, e.act = func(t *trial) { door.shut(t) }, reopened(door.open)
		}
		all = append(all, e)
	}
	// Neighbours in the list are positions of one switch: they go to different experiments.
	groups := (len(shared) + together - 1) / together
	for g := range groups {
		var members []position
		for i := g; i < len(shared); i += groups {
			members = append(members, shared[i])
		}
		e := switchExperiment(members...)
		e.group = ofSwitches
		var names []string
		for _, m := range members {
			e.rows = append(e.rows, row{group: ofSwitches, name: m.Name, what: whatOf(m.teamogySwitch)})
			names = append(names, m.String())
		}
		e.variant = strings.Join(names, " ")
		all = append(all, e)
	}
	return all
}

const ofSwitches = "Teamogy's unknowns"

// whatOf says what a switch is about and where it stood.
func whatOf(s teamogySwitch) string {
	var at []string
	for _, p := range slices.Concat(s.Positions, freePositions[s.Name]) {
		if inJSON(p) != inJSON(s.Default) || closed[s.Name].shut != nil {
			at = append(at, "`"+strings.Trim(inJSON(p), `"`)+"`")
		}
	}
	return fmt.Sprintf("%s: %s", s.StandsFor, strings.Join(at, ", "))
}

func switchExperiment(positions ...position) experiment {
	settings := more{}
	for _, p := range positions {
		maps.Copy(settings, p.settings())
	}
	e := experiment{
		direction: both,
		prepare: func(t *trial) {
			t.control(http.MethodPost, t.teamogyURL+"/_sim/settings", settings, nil)
			if settings["answerLimitBytes"] != nil {
				t.oldInvoices(200)
			}
		},
		arrange: (*trial).lostAnswers,
		fired: func(t *trial) bool {
			var now more
			t.control(http.MethodGet, t.teamogyURL+"/_sim/settings", nil, &now)
			for name, at := range settings {
				if inJSON(now[name]) != inJSON(at) {
					t.Logf("%s is %v, not %v", name, now[name], at)
					return false
				}
			}
			return allStruck(t)
		},
	}
	if settings["answerLimitBytes"] != nil {
		stands := e.fired
		e.fired = func(t *trial) bool {
			return stands(t) && (settings["tooLargeStatus"] != nil || t.answered("GET /views/invoices.purchase", "413") > 0)
		}
	}
	if quota, is := settings["requestsPerMinute"]; is && quota != 0 {
		// Retry-After is in whole seconds of real time, so time may not pass much faster.
		e.options, e.act = withScale(30), sharedQuota
	}
	return e
}

// oldInvoices are purchase invoices that have been there for long.
func (t *trial) oldInvoices(n int) {
	t.Helper()
	documents := make([]more, n)
	for i := range documents {
		documents[i] = more{"type": "INVOICE.PURCHASE", "status": "IMPORTED", "properties": more{"ksefNumber": fmt.Sprintf("5265877635-20260222-%012d-00", i)}}
	}
	t.control(http.MethodPost, t.teamogyURL+"/_sim/seed", more{"documents": documents}, nil)
}

// answered counts the answers to an operation with a status.
func (t *trial) answered(operation, status string) int {
	t.Helper()
	var out struct{ Requests map[string]map[string]int }
	t.control(http.MethodGet, t.teamogyURL+"/_sim/counters", nil, &out)
	return out.Requests[operation][status]
}

// sharedQuota has somebody else use the tenant's quota until the product, too,
// was refused for it.
func sharedQuota(t *trial) {
	foreign := 0
	t.until("the product was refused for the quota", func() bool {
		for range 4 {
			request, err := http.NewRequestWithContext(t.within(), http.MethodGet, t.teamogyURL+"/rest/v1/1/views/companies?limit=1", http.NoBody)
			require.NoError(t, err)
			request.Header.Set("Authorization", "Bearer "+t.apiKey)
			answer, err := http.DefaultClient.Do(request)
			require.NoError(t, err)
			require.NoError(t, answer.Body.Close())
			if answer.StatusCode >= http.StatusBadRequest {
				foreign++
			}
		}
		return t.tooMany(t.teamogyURL) > foreign
	})
}

// reopened waits until the shut door was met, and opens it; what was lost
// before is lost again after that.
func reopened(open func(*trial)) func(*trial) {
	return func(t *trial) {
		t.until("somebody was refused", func() bool { return t.refused() >= 3 })
		t.lostAnswers()
		open(t)
	}
}

// refused counts what Teamogy has answered with a status of 400 and more,
// companies that it does not know left out.
func (t *trial) refused() (n int) {
	t.Helper()
	var out struct{ Requests map[string]map[string]int }
	t.control(http.MethodGet, t.teamogyURL+"/_sim/counters", nil, &out)
	for operation, answers := range out.Requests {
		for status, count := range answers {
			if status >= "400" && status < "600" && (operation != "GET /companies" || status != "404") {
				n += count
			}
		}
	}
	return n
}

// withFallbackCompany names a company for invoices of unknown suppliers.
func withFallbackCompany(arrange func(*trial)) func(*trial) {
	return func(t *trial) {
		id := t.seedCompanies(more{"name": "Unknown suppliers", "nip": "9999999999", "supplier": true})
		require.Len(t, id, 1)
		t.writeSettings(map[string]string{"RECEIVE_COMPANY": itoa(id[0]), "TIME_SCALE": fmt.Sprint(reliabilityScale)})
		arrange(t)
	}
}
