package teamogy

import (
	"bytes"
	"encoding/json"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"
)

// endless ends the process when what a target does goes on and on. It is to be
// deferred.
func endless() func() bool {
	return time.AfterFunc(time.Minute, func() { panic("it does not come to an end") }).Stop
}

// FuzzAnswers proves that an answer of any shape is read the same way twice, and
// as a document, a page, a company and a property's value never as what it
// cannot be.
func FuzzAnswers(f *testing.F) {
	for _, answer := range []string{
		`{"id":7,"number":"FV/7","type":"INVOICE.SALES","status":"OPEN","companyId":9,"attach":["/files/7/a.xml",{"name":"b.xml","url":"x"}],"properties":{"ksefNumber":" 1 ","totalGross":12.50}}`,
		`{"data":[{"id":"7.0","registrations":{"vatId":"PL 526-58-77-635","x":[{"number":"NIP 1111111111"}]},"isDisabled":"true"}],"metadata":{"nextOffset":"500"}}`,
		`[{"id":1,"registrations.vatId":"5265877635","supplier":1},{"id":2,"properties.ksefNumber":"1"},null,"3"]`,
		`{"result":{"data":{"data":"12"}}}`, `7`, `"7.000"`, `null`, ` `, `{"metadata":{"nextOffset":-1},"data":null}`, `{"metadata":{"nextOffset":1e3},"data":[]}`,
		`"1230.5"`, `1.2305e3`, `1e10000`, `"2026-11-22T12:00:00.5+01:00"`, `"2026-11-22 12:00:00"`, `"data:text/xml;base64,PGEvPg=="`, `"\ufeff<a/>"`, `"PGEv\nPg"`,
		strings.Repeat(`{"data":`, 200) + `1` + strings.Repeat(`}`, 200), strings.Repeat(`[`, 5000) + strings.Repeat(`]`, 5000),
		`{"id":-5}`, `{"documentId":"-5"}`, `{"id":99999999999999999999}`, `{"companyId":-9,"id":1}`,
	} {
		f.Add([]byte(answer))
	}
	c, err := New(Options{BaseURL: "https://acme.teamogy.example", Unit: 7, APIKey: testKey})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, answer []byte) {
		defer endless()()
		before := bytes.Clone(answer)
		found, ok := objects(answer, "id")
		if ok && !json.Valid(bytes.TrimSpace(answer)) || !bytes.Equal(before, answer) {
			t.Fatal("what is no JSON was read, or changed")
		}
		for _, o := range found {
			d := c.document(o)
			if id, has := o.id("id"); has && (id <= 0 || d.ID != id) || d.KSeFNumber != strings.TrimSpace(d.KSeFNumber) {
				t.Fatalf("%+v", d)
			}
			if !reflect.DeepEqual(d, c.document(o)) {
				t.Fatal("it is read another way the second time")
			}
			for _, raw := range d.attachments {
				attachment(raw)
			}
		}
		if d, named := c.saved(answer); named && d.ID <= 0 {
			t.Fatalf("saved as %d", d.ID)
		}
		if written, err := json.Marshal(found); ok && err == nil {
			again, ok := objects(written, "id")
			if !ok || len(again) < len(found) {
				t.Fatalf("%d objects, written %d", len(found), len(again))
			}
		}

		for _, nip := range []string{"5265877635", "1111111111"} {
			match := choose(c.companiesWith(nip, found, false))
			if match.Found && (match.Ambiguous || match.ID <= 0) || match.Ambiguous && len(match.Candidates) < 2 ||
				match.exists() && !bytes.ContainsAny(answer, nip) {
				t.Fatalf("%+v", match)
			}
		}

		page, err := c.page("read", answer)
		if err == nil && (page.following(3) <= 3 || page.next >= 0 && page.next < math.MaxInt && page.following(page.next) <= page.next) {
			t.Fatalf("a page that would never end: %+v", page)
		}

		raw := json.RawMessage(answer)
		for kind, want := range map[ValueType]string{
			Text: `"abc"`, Number: `1230.50`, DecimalString: `"1230.50"`, Date: `"2026-11-22"`, DateTime: `"2026-11-22T12:00:00+01:00"`, JSON: `{"a":1}`,
		} {
			p := propertyValue{Property: Property{Key: "k", Type: kind}, want: json.RawMessage(want), shortened: kind == Text}
			if !p.matches(json.RawMessage(want)) {
				t.Fatalf("%s is not itself", want)
			}
			isObject := bytes.HasPrefix(bytes.TrimSpace(raw), []byte("{"))
			if json.Valid(answer) && p.matches(raw) && isObject != (kind == JSON) {
				t.Fatalf("%s is taken for %s", answer, want)
			}
		}

		text := string(answer)
		if xml := xmlBytes(text); !beginsLikeXML(xml) && string(xml) != text || beginsLikeXML(answer) && string(xml) != text {
			t.Fatalf("%q holds %q", text, xml)
		}
		if nip, ok := polishNIP(text); ok {
			if again, ok := polishNIP("PL" + nip); !ok || again != nip || len(nip) != 10 {
				t.Fatalf("%q and %q", nip, again)
			}
		}
	})
}

// FuzzLoadFieldMap proves that a file that is accepted gives a field map that
// can be used, and the same one when it is written and read again.
func FuzzLoadFieldMap(f *testing.F) {
	for _, file := range []string{
		`{}`, `{"properties":{"ksefUpo":null,"totalNet":{"key":"net","type":"decimal-string"},"ksefXml":"xml"},"xmlSource":"attachment","attachmentPattern":"(?i)fa3.*\\.xml$"}`,
		`{"types":{"*":"INVOICE.X","VAT":"A"},"views":{"suppliers":""},"columns":{"supplier":"isSupplier"},"headers":{"X-Domain":"acme"},"pageSize":1,"scanLimit":1,"viewLagSeconds":0,"patchMode":"merge"}`,
		`{"companies":{"lookup":["filter"],"filter":"registrations.vatId='{nip}'","registrationPaths":["a.b"],"cacheMinutes":1},"propertyFilter":""}`,
		`{"companies":{"lookup":[]},"headers":{"authorization":"x","a b":"c"},"properties":{"ksefNumber":""}} {}`, "\xff", `null`, `[]`,
	} {
		f.Add([]byte(file))
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		defer endless()()
		m, err := LoadFieldMap(bytes.NewReader(file))
		if err != nil {
			if !strings.Contains(err.Error(), "the Teamogy field map: ") || !reflect.DeepEqual(m, FieldMap{}) {
				t.Fatalf("%v beside %+v", err, m)
			}
			return
		}
		if m.Properties.KSeFNumber.Key == "" || m.DocumentType("VAT") == "" || m.DocumentType("?") == "" || m.PageSize < 1 || m.attachmentName() == nil {
			t.Fatalf("accepted: %+v", m)
		}
		if _, err := New(Options{BaseURL: "https://acme.teamogy.example", Unit: 7, APIKey: testKey, Fields: m}); err != nil {
			t.Fatalf("accepted, but the client says: %v", err)
		}
		written, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		again, err := LoadFieldMap(bytes.NewReader(written))
		if err != nil {
			t.Fatalf("%v: %s", err, written)
		}
		if twice, err := json.Marshal(again); err != nil || !bytes.Equal(written, twice) {
			t.Fatalf("%s\n%s", written, twice)
		}
	})
}
