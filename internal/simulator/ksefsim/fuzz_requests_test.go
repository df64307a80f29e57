package ksefsim

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// caller sends requests of any content to a simulator, without a network.
type caller struct {
	t       *testing.T
	sim     *Simulator
	handler http.Handler
	bearer  string
	token   string // x-continuation-token
}

// callerOf logs in without the ceremony.
func callerOf(t *testing.T, sim *Simulator) *caller {
	now := sim.now()
	sim.mu.Lock()
	defer sim.mu.Unlock()
	a := &authentication{
		ref: newReference(kindAuth, now), number: 1, started: now.Add(-time.Minute), readyAt: now.Add(-time.Minute),
		context: contextIdentifier{"Nip", testNIP, testNIP}, subject: subject{"Nip", testNIP, true},
	}
	sim.auths[a.ref] = a
	bearer := sim.issue(accessToken, a, accessLife, ownerPermissions, now)["token"].(string)
	return &caller{t: t, sim: sim, handler: sim.Handler(), bearer: bearer}
}

// call sends a request and checks what holds of every answer. The caller has
// hung up, so that nobody makes it wait. It gives 0 for a connection that was
// cut, as faults do.
func (c *caller) call(method, path, query string, body []byte) (status int, answered []byte) {
	ctx, hangUp := context.WithCancel(context.Background())
	hangUp()
	r := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(body)).WithContext(ctx)
	r.Method, r.URL.Path, r.URL.RawQuery, r.RemoteAddr = method, path, query, "127.0.0.1:1"
	r.Header.Set("Authorization", "Bearer "+c.bearer)
	r.Header.Set("X-Continuation-Token", c.token)
	disturbed := len(c.sim.faults.list) > 0
	w := httptest.NewRecorder()
	defer func() {
		if cut := recover(); cut != nil {
			if err, is := cut.(error); !is || !errors.Is(err, http.ErrAbortHandler) || !disturbed {
				panic(cut)
			}
			status, answered = 0, nil
		}
	}()
	c.handler.ServeHTTP(w, r)
	status, answered = w.Code, w.Body.Bytes()
	control := strings.HasPrefix(path, "/_sim/")
	if status >= 500 && (control || !disturbed) {
		c.t.Fatalf("%s %s?%s: %d %s", method, path, query, status, answered)
	}
	if strings.Contains(w.Header().Get("Content-Type"), "json") && (control || !disturbed) && !json.Valid(answered) {
		c.t.Fatalf("%s %s?%s: no JSON in %d %s", method, path, query, status, answered)
	}
	return status, answered
}

// FuzzOperations proves that no path, query, continuation token or body makes
// an operation of the API fail in itself (5xx), and that a query of metadata
// gives no more than a page.
func FuzzOperations(f *testing.F) {
	sim, err := New(Config{Limits: LimitsOff, Clock: newClock().Now, StorageDelay: -1, HWMDelay: -1, Control: true})
	if err != nil {
		f.Fatal(err)
	}
	operations := sim.operations()
	number := newKSeFNumber(testNIP, sim.now())
	query, seen := 0, map[string]bool{}
	for i, op := range operations {
		if op.name == opQuery {
			query = i
		}
		body := "{}"
		if seen[op.group] {
			body = `{"contextIdentifier":{"type":"Nip","value":"5265877635"},"nip":"5265877635"}`
		}
		seen[op.group] = true
		f.Add(i, number, "pageSize=10&sessionType=Online", continuationToken(i+1), []byte(body))
	}
	for _, more := range []string{
		`"amount":{"type":"Brutto","from":1,"to":1.5e1}`, `"amount":{"type":"Vat","from":1e9}`, `"buyerIdentifier":{"type":"None"}`,
		`"currencyCodes":["PLN"],"invoiceTypes":["Vat"],"isSelfInvoicing":false,"hasAttachment":false`, `"invoiceNumber":"FV/1","sellerNip":"5265877635"`,
	} {
		f.Add(query, number, "pageSize=250&pageOffset=39&sortOrder=Desc", "junk", []byte(`{"subjectType":"Subject1","dateRange":`+
			`{"dateType":"Issue","from":"2026-11-23T00:00","to":"2026-11-23T23:59:59.9999999+01:00"},`+more+`}`))
	}
	f.Add(query, "", "", "cG9zaXRpb246OTk5OTk5OTk5OTk5OTk5OTk5OTk=", []byte(`{"subjectType":"Subject2","dateRange":`+
		`{"dateType":"PermanentStorage","from":"2026-03-29T02:30:00","restrictToPermanentStorageHwmDate":true}}`))
	f.Fuzz(func(t *testing.T, which int, parameter, query, token string, body []byte) {
		defer endless()()
		op := operations[uint(which)%uint(len(operations))]
		sim.reset()
		c := callerOf(t, sim)
		c.token = token
		seeded := []*record{}
		for _, text := range []string{"1230.00", "1e4", ""} {
			seed := seedInvoice{XML: fa3{number: "FV/" + text}.xml(), Gross: text}
			seeded = append(seeded, sim.seeded("", seed, sim.now()))
		}
		sim.lock(sim.now())
		sim.acceptAll(seeded, false)
		sim.mu.Unlock()

		method, path, _ := strings.Cut(op.name, " ")
		status, answered := c.call(method, "/v2"+pathParameter.ReplaceAllLiteralString(path, parameter), query, body)
		if op.name != opQuery || status != http.StatusOK {
			return
		}
		var page struct {
			HasMore  bool             `json:"hasMore"`
			Invoices []map[string]any `json:"invoices"`
		}
		if err := json.Unmarshal(answered, &page); err != nil || len(page.Invoices) > len(seeded) || page.HasMore {
			t.Fatalf("%v: %s", err, answered)
		}
	})
}

// tooMuch says whether a control request orders what takes long, as it may.
func tooMuch(body []byte) bool {
	var order struct {
		Generate, Size, Attachments int
	}
	_ = json.NewDecoder(bytes.NewReader(body)).Decode(&order)
	return order.Generate > 20 || order.Size > 100_000
}

// FuzzControl proves that no sequence of control requests, one in each line,
// makes the simulator fail or leaves it unable to answer.
func FuzzControl(f *testing.F) {
	query := "\nPOST /v2/invoices/query/metadata {\"subjectType\":\"Subject1\",\"dateRange\":{\"dateType\":\"Invoicing\",\"from\":\"2026-11-01\"}}"
	for _, lines := range []string{
		`POST /_sim/seed {"buyerNip":"5265877635","invoices":[{"xml":"PGEvPg==","ksefNumber":"5265877635-20261123-0100001AF629-AF","gross":"1","issueDate":"x"}]}` + query,
		`POST /_sim/seed {"generate":3,"sellerNip":"5265877635","attachments":1,"spread":"72h"}` + query + "\nGET /_sim/invoices?limit=1&offset=1&context=5265877635",
		`POST /_sim/seed {"generate":2,"size":4000,"sameInstant":true}` + "\nPOST /_sim/reset",
		`POST /_sim/clock {"advance":"24h","rate":60}` + "\n" + `POST /_sim/clock {"set":"2030-01-01T00:00:00Z"}` + query,
		`POST /_sim/clock {"advance":"2562047h","rate":1000000}` + query,
		strings.Repeat("POST /_sim/clock {\"advance\":\"2562047h\"}\n", 35) + `POST /_sim/seed {"generate":2}` + query,
		strings.Repeat("POST /_sim/clock {\"set\":\"9999-12-31T23:59:59-23:00\"}\n", 35) + `POST /_sim/certificates {"nip":"5265877635"}` + query,
		`POST /_sim/faults {"name":"record-behind-hwm","seconds":1e9}` + "\nPOST /_sim/seed {\"generate\":1}" + query,
		`POST /_sim/faults {"name":"status","operation":"*","status":503,"body":"<x>","retryAfter":7,"times":-1,"probability":0.5,"seed":3}` + query,
		`POST /_sim/faults {"action":"429","operation":"POST /invoices/query/metadata","skip":1}` + query + query + "\nGET /_sim/counters",
		`POST /_sim/faults {"name":"unknown-fields"}` + "\n" + `POST /_sim/faults {"name":"truncated","operation":"*"}` + query,
		`POST /_sim/faults {"name":"clock-skew","seconds":-1e9}` + query + "\nPOST /v2/auth/challenge",
		`POST /_sim/faults {"name":"warsaw-midnight","seconds":1e9}` + "\nPOST /v2/auth/challenge" + query,
		`POST /_sim/limits {"limits":"tenfold","groups":{"invoiceSend":{"perSecond":1,"perMinute":2,"perHour":3}},"context":"5265877635"}` + query,
		`POST /_sim/limits {"groups":{"invoiceMetadata":{"perSecond":-5,"perMinute":0,"perHour":3}}}` + query + query,
		`POST /_sim/permissions {"nip":"5265877635","permissions":["InvoiceRead"],"dropTokens":true}` + query,
		`POST /_sim/verdict {"invoiceNumber":"a","code":440,"times":-1,"details":["x"]}` + "\nGET /_sim/verdict\nPOST /_sim/hold {\"invoiceNumber\":\"a\"}\nPOST /_sim/release {\"invoiceNumber\":\"a\"}",
		`POST /_sim/tokens {"nip":"5265877635","permissions":["InvoiceWrite"],"token":"x","author":{"type":"Pesel","value":"1"},"state":"Active"}` + "\nGET /_sim/tokens",
		`POST /_sim/certificates {"pesel":"85010112345","name":"Ż","kind":"person","use":"offline","validFrom":"0001-01-01T00:00:00Z","validTo":"9999-12-31T23:59:59-12:00"}`,
		`POST /_sim/certificates/revoke {"serial":"1","state":"suspended"}` + "\n" + `POST /_sim/keys {"rotate":"both"}` + "\nGET /_sim/nothing",
	} {
		f.Add([]byte(lines))
	}
	f.Fuzz(func(t *testing.T, script []byte) {
		defer endless()()
		sim, err := New(Config{Limits: LimitsOff, Clock: newClock().Now, Control: true})
		if err != nil {
			t.Fatal(err)
		}
		c := callerOf(t, sim)
		for i, line := range bytes.Split(script, []byte("\n")) {
			head, body, _ := bytes.Cut(line, []byte(" {"))
			if len(body) > 0 {
				body = append([]byte("{"), body...)
			}
			method, address, _ := strings.Cut(string(head), " ")
			path, query, _ := strings.Cut(address, "?")
			if i == 40 || tooMuch(body) || !strings.HasPrefix(path, "/") {
				return
			}
			c.call(method, path, query, body)
		}
		c.call(http.MethodDelete, "/_sim/faults", "", nil)
		for _, path := range []string{"health", "invoices", "submissions", "counters", "faults", "clock", "limits", "verdict", "tokens"} {
			if status, answered := c.call(http.MethodGet, "/_sim/"+path, "", nil); status != http.StatusOK {
				t.Fatalf("%s: %d %s", path, status, answered)
			}
		}
		if status, answered := c.call(http.MethodPost, "/v2/auth/challenge", "", nil); status >= 500 {
			t.Fatalf("%d %s", status, answered)
		}
		c = callerOf(t, sim)
		var seeded struct {
			Number string `json:"firstKsefNumber"`
		}
		status, answered := c.call(http.MethodPost, "/_sim/seed", "", []byte(`{"generate":1,"buyerNip":"`+testNIP+`"}`))
		if err := json.Unmarshal(answered, &seeded); err != nil || status != http.StatusOK || !ksefNumberPattern.MatchString(seeded.Number) {
			t.Fatalf("%d %s", status, answered)
		}
		from := sim.now().AddDate(0, 0, -50).Format(time.RFC3339)
		c.call(http.MethodPost, "/v2/invoices/query/metadata", "pageSize=250", []byte(`{"subjectType":"Subject2","dateRange":{"dateType":"Issue","from":"`+from+`"}}`))
	})
}
