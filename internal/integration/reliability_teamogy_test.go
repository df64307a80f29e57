package integration

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"

	"teamogy-ksef/internal/simulator/teamogysim"
)

const ofTeamogy = "Teamogy"

// teamogyOperations are the calls to Teamogy that the product makes.
var teamogyOperations = map[string]occasions{
	"GET /companies":               seldom,
	"GET /views/companies*":        seldom,
	"GET /views/invoices.purchase": eachInvoice,
	"POST /documents":              eachInvoice,
	"GET /views/invoices.sales":    seldom,
	"GET /documents":               eachInvoice,
	"PATCH /documents":             eachInvoice,
}

// atTeamogyFault orders a fault at Teamogy. Where it can strike once for each
// invoice, the seed says how many pass first.
func (t *trial) atTeamogyFault(name, operation string, times int, with more) {
	t.Helper()
	order := more{"name": name, "operation": operation, "times": times}
	if teamogyOperations[operation] == eachInvoice {
		order["skip"] = t.random.IntN(t.n / 2)
	}
	for k, v := range with {
		order[k] = v
	}
	t.fault(t.teamogyURL, order)
}

func everywhereAtTeamogy(name string, seldomTimes, oftenTimes int, with more) func(*trial) {
	return func(t *trial) {
		for _, operation := range sortedKeys(teamogyOperations) {
			times := seldomTimes
			if teamogyOperations[operation] == eachInvoice {
				times = oftenTimes
			}
			t.atTeamogyFault(name, operation, times, with)
		}
	}
}

// lostAnswers are what makes an unknown of Teamogy dangerous: documents are
// made and changed, and nobody is told.
func (t *trial) lostAnswers() {
	t.Helper()
	t.atTeamogyFault("answer-dropped", "POST /documents", 3, nil)
	t.atTeamogyFault("bad-gateway-after", "PATCH /documents", 3, nil)
}

// teamogyExperiments are all faults and switches of Teamogy that the product
// can meet. A test compares them with those that there are.
func teamogyExperiments() []experiment {
	all := []experiment{
		{name: "answer-dropped", arrange: everywhereAtTeamogy("answer-dropped", 1, 4, nil)},
		{name: "request-dropped", arrange: everywhereAtTeamogy("request-dropped", 1, 4, nil)},
		{name: "reset", arrange: everywhereAtTeamogy("reset", 1, 4, nil)},
		{name: "reset-after", arrange: everywhereAtTeamogy("reset-after", 1, 4, nil)},
		{name: "timeout", arrange: everywhereAtTeamogy("timeout", 1, 3, more{"seconds": 0.2})},
		{name: "timeout-after", arrange: everywhereAtTeamogy("timeout-after", 1, 3, more{"seconds": 0.2})},
		{name: "bad-gateway", arrange: everywhereAtTeamogy("bad-gateway", 1, 4, nil)},
		{name: "bad-gateway-after", arrange: everywhereAtTeamogy("bad-gateway-after", 1, 4, nil)},
		{name: "html", arrange: everywhereAtTeamogy("html", 1, 4, nil)},
		{name: "too-many-requests", arrange: everywhereAtTeamogy("too-many-requests", 1, 2, nil)},
		{name: "status", variant: "500", arrange: everywhereAtTeamogy("status", 1, 4, more{"status": 500, "body": "Internal Server Error"})},
		{name: "status", variant: "503", arrange: everywhereAtTeamogy("status", 1, 4, more{"status": 503})},
		{name: "status", variant: "401", arrange: everywhereAtTeamogy("status", 1, 2, more{"status": 401})},
		{name: "truncated", arrange: everywhereAtTeamogy("truncated", 1, 4, nil)},
	}
	what := map[string]string{}
	for _, k := range teamogyFaultKinds() {
		what[k.Name] = k.Does
	}
	for i := range all {
		all[i].group, all[i].direction, all[i].what, all[i].fired = ofTeamogy, both, what[all[i].name], allStruck
	}
	return append(all, switchExperiments()...)
}

type teamogyFaultKind struct{ Name, Does string }

func teamogyFaultKinds() []teamogyFaultKind {
	var out struct{ Names []teamogyFaultKind }
	askTeamogy("/_sim/faults/names", &out)
	return out.Names
}

// teamogySwitch is one unknown of Teamogy as its simulator tells of it.
type teamogySwitch struct {
	Name      string `json:"name"`
	Positions []any  `json:"positions"`
	Form      string `json:"form"`
	Default   any    `json:"default"`
	StandsFor string `json:"standsFor"`
}

func teamogySwitches() []teamogySwitch {
	var out struct{ Settings []teamogySwitch }
	askTeamogy("/_sim/settings/names", &out)
	return out.Settings
}

// askTeamogy asks a simulator that nobody else uses what there is.
func askTeamogy(path string, into any) {
	request := httptest.NewRequest(http.MethodGet, path, http.NoBody)
	request.RemoteAddr = "127.0.0.1:1"
	answer := httptest.NewRecorder()
	teamogysim.New(teamogysim.DefaultConfig()).Handler().ServeHTTP(answer, request)
	if err := json.Unmarshal(answer.Body.Bytes(), into); err != nil || answer.Code != http.StatusOK {
		panic("the simulator does not say what it can: " + answer.Body.String())
	}
}

func inJSON(v any) string {
	raw, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return strings.TrimSpace(string(raw))
}
