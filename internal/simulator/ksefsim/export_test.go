package ksefsim

import (
	"encoding/base64"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestExport_givesEveryInvoiceByteForByteInZipAndTarGz(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.ExportPartBytes = 5000 })
	w.generate(25, nil)
	access := w.login(testNIP)
	c := newContract(t, w)
	found := w.query(access, "Subject2", "2026-11-01T00:00:00Z", nil, "?pageSize=100").json(t)["invoices"].([]any)
	require.Len(t, found, 25)
	for _, compression := range []string{"", "Zip", "TarGz"} {
		t.Run(compression, func(t *testing.T) {
			more := map[string]any{}
			if compression != "" {
				more["compressionType"] = compression
			}
			o := w.order(access, stored(map[string]any{restrict: true}), more)
			ordered := w.clock.Now()
			assert.Regexp(t, `^\d{8}-EH-[0-9A-F]{10}-[0-9A-F]{10}-[0-9A-F]{2}$`, o.ref)
			w.clock.Advance(time.Second)
			pack := o.ready()
			assert.EqualValues(t, 25, pack["invoiceCount"])
			assert.Equal(t, false, pack["isTruncated"])
			assert.Equal(t, stamp(ordered.Add(-time.Second)), pack["permanentStorageHwmDate"])
			assert.NotContains(t, pack, "lastPermanentStorageDate", "only of what was cut")
			assert.Greater(t, len(partsOf(pack)), 2)
			names, files := o.contents(pack)
			require.Len(t, names, 26)
			list := listed(w, files)
			require.Len(t, list, 25)
			for i, item := range list {
				assert.Equal(t, found[i], item, "the same items as in a query, in its order")
				number := item["ksefNumber"].(string)
				assert.Equal(t, number+".xml", names[i])
				assert.Equal(t, hashBase64(files[number+".xml"]), item["invoiceHash"])
				if i%10 == 0 {
					assert.Equal(t, w.do(http.MethodGet, "/invoices/ksef/"+number, access, nil).body, files[number+".xml"])
				}
			}
		})
	}
	assert.Empty(t, c.violations)
}

func TestExport_passesThroughItsStatesUntilNobodyKnowsIt(t *testing.T) {
	w := newWorld(t, nil)
	w.generate(3, nil)
	c := newContract(t, w)
	o := w.order(w.login(testNIP), stored(nil), nil)
	running := o.status()
	assert.Equal(t, 100, statusCode(running))
	assert.NotContains(t, running, "completedDate")
	assert.NotContains(t, running, "package")
	ready := w.clock.Now().Add(time.Second)
	w.clock.Advance(time.Second)
	done := o.status()
	assert.Equal(t, 200, statusCode(done))
	assert.Equal(t, stamp(ready), done["completedDate"])
	assert.Equal(t, stamp(ready.Add(7*24*time.Hour)), done["packageExpirationDate"])
	w.clock.Advance(7*24*time.Hour - 2*time.Second)
	o.access = w.login(testNIP) // takes a second
	last := o.ready()
	link := partsOf(last)[0]["url"].(string)
	assert.Equal(t, 200, w.do(http.MethodGet, link, "", nil).status)
	w.clock.Advance(time.Second)
	expired := o.status()
	assert.Equal(t, 210, statusCode(expired))
	assert.NotContains(t, expired, "package")
	assert.Equal(t, 403, w.do(http.MethodGet, link, "", nil).status, "the link ends with the package")
	assert.Empty(t, w.sim.store.exports.kept.list, "nothing of it is kept")
	w.clock.Advance(7 * 24 * time.Hour)
	o.access = w.login(testNIP)
	gone := w.do(http.MethodGet, "/invoices/exports/"+o.ref, o.access, nil)
	assert.Equal(t, 410, gone.status)
	assert.Equal(t, "application/problem+json", gone.header.Get("Content-Type"))
	assert.Empty(t, c.violations)
}

func TestExport_belongsToWhoOrderedIt(t *testing.T) {
	w := newWorld(t, nil)
	o := w.order(w.login(testNIP), stored(nil), nil)
	path := "/invoices/exports/" + o.ref
	assert.Equal(t, 21175, w.do(http.MethodGet, path, w.login(otherNIP), nil).code())
	assert.Equal(t, 21175, w.do(http.MethodGet, "/invoices/exports/"+newReference(kindExport, w.clock.Now()), o.access, nil).code())
	assert.Equal(t, 21405, w.do(http.MethodGet, "/invoices/exports/short", o.access, nil).code())
	w.control("permissions", map[string]any{"nip": testNIP, "permissions": []string{"InvoiceWrite"}})
	writer := w.login(testNIP)
	body, _, _ := w.exportBody(stored(nil), nil)
	assert.Equal(t, 403, w.do(http.MethodPost, "/invoices/exports", writer, body).status)
	assert.Equal(t, 403, w.do(http.MethodGet, path, writer, nil).status)
}

func TestExport_withAWrongKeyEndsIn415(t *testing.T) {
	w := newWorld(t, nil)
	w.generate(1, nil)
	access := w.login(testNIP)
	c := newContract(t, w)
	random := base64.StdEncoding.EncodeToString(make([]byte, 256))
	for name, change := range map[string]map[string]any{
		"a key wrapped by somebody else": {"encryptedSymmetricKey": random},
		"an IV that is too short":        {"initializationVector": base64.StdEncoding.EncodeToString(make([]byte, 15))},
	} {
		body, key, iv := w.exportBody(stored(nil), nil)
		encryption := body["encryption"].(map[string]any)
		for k, v := range change {
			encryption[k] = v
		}
		a := w.do(http.MethodPost, "/invoices/exports", access, body)
		require.Equal(t, 201, a.status, "%s: %s", name, a.body)
		o := &orderedExport{world: w, access: access, ref: a.json(t)["referenceNumber"].(string), key: key, iv: iv}
		assert.Equal(t, 100, statusCode(o.status()), name)
		w.clock.Advance(time.Second)
		assert.Equal(t, 415, statusCode(o.status()), name)
	}
	body, _, _ := w.exportBody(stored(nil), nil)
	body["encryption"].(map[string]any)["publicKeyId"] = hashBase64([]byte("unknown"))
	assert.Equal(t, 21470, w.do(http.MethodPost, "/invoices/exports", access, body).code())
	delete(body["encryption"].(map[string]any), "publicKeyId")
	assert.Equal(t, 201, w.do(http.MethodPost, "/invoices/exports", access, body).status, "naming the key is optional")
	assert.Empty(t, c.violations)
}

func TestExport_beyondTheHighWaterMarkEndsIn420(t *testing.T) {
	w := newWorld(t, nil)
	access := w.login(testNIP)
	now := stamp(w.clock.Now())
	o := w.order(access, queryBody("Subject2", now, map[string]any{restrict: true}), nil)
	w.clock.Advance(time.Second)
	doc := o.status()
	assert.Equal(t, 420, statusCode(doc))
	assert.NotEmpty(t, doc["status"].(map[string]any)["details"])
	open := w.order(access, queryBody("Subject2", now, nil), nil)
	w.clock.Advance(time.Second)
	assert.EqualValues(t, 0, open.ready()["invoiceCount"], "without the restriction it is empty")
	assert.Empty(t, partsOf(open.ready()))
}

func TestExport_tenRunAtATime(t *testing.T) {
	w := newWorld(t, nil)
	access, other := w.login(testNIP), w.login(otherNIP)
	for range 10 {
		w.order(access, stored(nil), nil)
	}
	body, _, _ := w.exportBody(stored(nil), nil)
	assert.Equal(t, 21182, w.do(http.MethodPost, "/invoices/exports", access, body).code())
	w.order(other, stored(nil), nil)
	w.clock.Advance(time.Second)
	w.order(access, stored(nil), nil)
}

func TestExport_linksNeedNoLoginAreNewEachTimeAndEndAfterAnHour(t *testing.T) {
	w := newWorld(t, nil)
	w.generate(1, nil)
	o := w.order(w.login(testNIP), stored(nil), nil)
	w.clock.Advance(time.Second)
	first, second := partsOf(o.ready())[0], partsOf(o.ready())[0]
	link := first["url"].(string)
	assert.NotEqual(t, link, second["url"])
	assert.Contains(t, link, "/storage/01/"+strings.ToLower(o.ref)+"/")
	assert.Equal(t, stamp(w.clock.Now().Add(time.Hour)), first["expirationDate"])
	assert.Equal(t, 403, w.do(http.MethodGet, strings.Replace(link, "-001.zip", "-002.zip", 1), "", nil).status, "a link is for one part")
	w.clock.Advance(time.Hour - time.Second)
	assert.Equal(t, 200, w.do(http.MethodGet, link, "", nil).status)
	w.clock.Advance(time.Second)
	late := w.do(http.MethodGet, link, "", nil)
	assert.Equal(t, 403, late.status)
	assert.Contains(t, string(late.body), "AuthenticationFailed")
	o.access = w.login(testNIP)
	assert.Equal(t, 200, w.do(http.MethodGet, partsOf(o.ready())[0]["url"].(string), "", nil).status, "the status gives a new one")
}

func TestExport_ofMetadataOnlyHoldsNoInvoices(t *testing.T) {
	w := newWorld(t, nil)
	w.generate(5, nil)
	access := w.login(testNIP)
	for _, compression := range []string{"Zip", "TarGz"} {
		o := w.order(access, stored(nil), map[string]any{"onlyMetadata": true, "compressionType": compression})
		w.clock.Advance(time.Second)
		pack := o.ready()
		names, files := o.contents(pack)
		assert.Equal(t, []string{metadataFile}, names)
		assert.Len(t, listed(w, files), 5)
		assert.EqualValues(t, 5, pack["invoiceCount"])
	}
}

func TestExport_refusesWhatAQueryRefusesAndMore(t *testing.T) {
	w := newWorld(t, nil)
	access := w.login(testNIP)
	const from = "2026-11-01T00:00:00Z"
	for name, change := range map[string]map[string]any{
		"no encryption":       {"encryption": nil},
		"no filters":          {"filters": nil},
		"unknown compression": {"compressionType": "Rar"},
		"unknown subject":     {"filters": queryBody("Subject9", from, nil)},
		"101 days":            {"filters": queryBody("Subject2", "2026-08-01T00:00:00Z", map[string]any{"to": "2026-11-10T00:00:00Z"})},
		"unknown currency":    {"filters": stored(map[string]any{"currencyCodes": []string{"PLZ"}})},
		"no Base64":           {"encryption": map[string]any{"encryptedSymmetricKey": "?", "initializationVector": "?"}},
	} {
		body, _, _ := w.exportBody(stored(nil), change)
		assert.Equal(t, 21405, w.do(http.MethodPost, "/invoices/exports", access, body).code(), name)
	}
}

func TestExport_ofAPartOfATaxpayerIsForThirdPartiesOnly(t *testing.T) {
	assert.Equal(t, subjectTypes, exportable("Nip"))
	assert.Equal(t, []string{subjectThird}, exportable("InternalId"))
	assert.Empty(t, exportable("PeppolId"))
	w := newWorld(t, nil)
	access := w.login(testNIP)
	w.sim.mu.Lock()
	w.sim.tokens[access].auth.context.kind = "InternalId"
	w.sim.mu.Unlock()
	body, _, _ := w.exportBody(stored(nil), nil)
	assert.Equal(t, 21181, w.do(http.MethodPost, "/invoices/exports", access, body).code())
	body["filters"] = queryBody("Subject3", "2026-11-01T00:00:00Z", nil)
	assert.Equal(t, 201, w.do(http.MethodPost, "/invoices/exports", access, body).status)
}

func TestExport_cutByItsSizeGoesOnFromTheLastDate(t *testing.T) {
	w := newWorld(t, nil)
	w.generate(30, map[string]any{"spread": "480h"})
	w.sim.store.exports.packageBytes = 12_000
	access := w.login(testNIP)
	c := newContract(t, w)
	for dateType, field := range map[string]string{
		"PermanentStorage": "lastPermanentStorageDate", "Invoicing": "lastInvoicingDate", "Issue": "lastIssueDate",
	} {
		for _, compression := range []string{"Zip", "TarGz"} {
			seen := map[string]bool{}
			from, packages := "2026-11-02T00:00:00Z", 0
			for cut := true; cut; packages++ {
				require.Less(t, packages, 10)
				o := w.order(access, queryBody("Subject2", from, map[string]any{"dateType": dateType}), map[string]any{"compressionType": compression})
				w.clock.Advance(time.Second)
				pack := o.ready()
				_, files := o.contents(pack)
				list := listed(w, files)
				assert.Len(t, list, int(pack["invoiceCount"].(float64)))
				for _, item := range list {
					seen[item["ksefNumber"].(string)] = true
				}
				if cut = pack["isTruncated"].(bool); !cut {
					assert.NotContains(t, pack, field)
					continue
				}
				from = pack[field].(string)
				item := map[string]string{"PermanentStorage": "permanentStorageDate", "Invoicing": "invoicingDate", "Issue": "issueDate"}[dateType]
				assert.Equal(t, list[len(list)-1][item], from)
				if dateType == "Issue" {
					from += "T00:00:00Z"
				}
				assert.Equal(t, dateType == "PermanentStorage", pack["permanentStorageHwmDate"] != nil)
			}
			assert.Greater(t, packages, 2, "%s %s", dateType, compression)
			assert.Len(t, seen, 30, "%s %s", dateType, compression)
		}
	}
	assert.Empty(t, c.violations)
}

func TestExport_cutAtTenThousandCannotGoOnWithinOneInstant(t *testing.T) {
	w := newWorld(t, nil)
	w.generate(10_001, map[string]any{"sameInstant": true})
	o := w.order(w.login(testNIP), stored(nil), map[string]any{"onlyMetadata": true})
	w.clock.Advance(time.Second)
	pack := o.ready()
	assert.EqualValues(t, 10_000, pack["invoiceCount"])
	assert.Equal(t, true, pack["isTruncated"])
	last := pack["lastPermanentStorageDate"].(string)
	again := w.order(o.access, queryBody("Subject2", last, map[string]any{"to": last}), map[string]any{"onlyMetadata": true})
	w.clock.Advance(time.Second)
	assert.Equal(t, true, again.ready()["isTruncated"], "the same ten thousand again")
}

func TestExport_madeAgainHasTheSameBytes(t *testing.T) {
	w := newWorld(t, nil)
	w.generate(10, nil)
	access := w.login(testNIP)
	for _, compression := range []string{"Zip", "TarGz"} {
		o := w.order(access, stored(nil), map[string]any{"compressionType": compression})
		w.clock.Advance(time.Second)
		pack := o.ready()
		w.sim.store.exports.kept.drop(w.sim.store.exports.byRef[o.ref].content) // as when others need the room
		o.contents(pack)
	}
}

func TestExport_canBeAskedForByManyAtTheSameTime(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.ExportPartBytes = 5000 })
	w.generate(50, nil)
	o := w.order(w.login(testNIP), stored(nil), nil)
	w.clock.Advance(time.Second)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			_, files := o.contents(o.ready())
			assert.Len(t, files, 51)
			w.generate(5, nil)
		})
	}
	wg.Wait()
	assert.Len(t, w.sim.store.exports.kept.list, 1)
}
