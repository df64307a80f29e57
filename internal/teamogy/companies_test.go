package teamogy

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const nip = "5265877635"

func company(id int64, name, registration string, more ...string) map[string]any {
	c := map[string]any{
		"id": id, "name": name, "isDisabled": false, "isSupplier": true,
		"registrations": map[string]any{"vatId": registration, "registrationId": "0000123456"},
	}
	for _, m := range more {
		switch m {
		case "disabled":
			c["isDisabled"] = true
		case "client":
			c["isSupplier"] = false
		}
	}
	return c
}

func TestFindCompanyByNIP_chooses(t *testing.T) {
	alfa := company(11, "Alfa", nip)
	for _, test := range []struct {
		name      string
		companies []map[string]any
		want      CompanyMatch
	}{
		{"none", nil, CompanyMatch{}},
		{"the only one", []map[string]any{alfa, company(12, "Beta", "1111111111")}, CompanyMatch{ID: 11, Name: "Alfa", Found: true}},
		{"one with PL", []map[string]any{company(11, "Alfa", "PL"+nip)}, CompanyMatch{ID: 11, Name: "Alfa", Found: true}},
		{"one that is only a client", []map[string]any{company(11, "Alfa", nip, "client")}, CompanyMatch{ID: 11, Name: "Alfa", Found: true}},
		{"not a disabled one", []map[string]any{company(11, "Alfa", nip, "disabled")}, CompanyMatch{}},
		{"the enabled one", []map[string]any{company(11, "Alfa", nip, "disabled"), company(12, "Alfa 2", nip)}, CompanyMatch{ID: 12, Name: "Alfa 2", Found: true}},
		{"the supplier", []map[string]any{company(11, "Alfa", nip, "client"), company(12, "Alfa 2", nip)}, CompanyMatch{ID: 12, Name: "Alfa 2", Found: true}},
		{"no one of two suppliers", []map[string]any{company(12, "B", nip), company(11, "A", nip)}, CompanyMatch{Ambiguous: true, Candidates: []int64{11, 12}}},
		{"no one of two clients", []map[string]any{company(12, "B", nip, "client"), company(11, "A", nip, "client")}, CompanyMatch{Ambiguous: true, Candidates: []int64{11, 12}}},
		{"not a German with ten digits", []map[string]any{company(11, "Alfa", "DE"+nip)}, CompanyMatch{}},
	} {
		for _, registration := range []string{"works", "array", "refused", "ignored", "forbidden"} {
			t.Run(test.name+", registration "+registration, func(t *testing.T) {
				f := newTenant(t)
				f.companies, f.registration = test.companies, registration
				f.pageLimit = 1
				got, err := f.client().FindCompanyByNIP(background(), nip)
				require.NoError(t, err)
				assert.Equal(t, test.want, got)
			})
		}
	}
}

func TestFindCompanyByNIP_readsNumbersAsPeopleWriteThem(t *testing.T) {
	for _, text := range []string{nip, "526-587-76-35", "526 587 76 35", "PL 526-587-76-35", "pl5265877635", "NIP: 526-587-76-35"} {
		got, ok := polishNIP(text)
		assert.True(t, ok, text)
		assert.Equal(t, nip, got, text)
	}
	for _, text := range []string{"", "526587763", "52658776350", "DE5265877635", "5265877635A", "CZ 526 587 7635"} {
		_, ok := polishNIP(text)
		assert.False(t, ok, text)
	}
	f := newTenant(t)
	got, err := f.client().FindCompanyByNIP(background(), "DE123456789")
	require.NoError(t, err)
	assert.False(t, got.Found)
	assert.Empty(t, f.requests)
}

func TestFindCompanyByNIP_readsAllCompaniesAtMostOnceInTheCachesLife(t *testing.T) {
	clock := newSteps()
	f := newTenant(t)
	f.registration = "refused"
	f.companies = []map[string]any{company(11, "Alfa", nip), company(12, "Beta", "526-100-00-01"), company(13, "Gamma", "5261000002")}
	c := f.client(func(o *Options) { o.Now = clock.Now })
	find := func(number string) CompanyMatch {
		m, err := c.FindCompanyByNIP(background(), number)
		require.NoError(t, err)
		return m
	}
	assert.False(t, find("9999999999").Found)
	assert.Equal(t, int64(11), find(nip).ID)
	assert.Equal(t, int64(12), find("5261000001").ID)
	assert.False(t, find("8888888888").Found)
	assert.Equal(t, 1, f.seen("GET views/companies.supplier"))
	assert.Equal(t, 2, f.seen("GET views/companies"), "the suppliers' view and that of all companies")

	f.companies = append(f.companies, company(14, "Delta", "9999999999"))
	assert.False(t, find("9999999999").Found)
	clock.pass(11 * time.Minute)
	assert.Equal(t, int64(14), find("9999999999").ID)
}

func TestFindCompanyByNIP_goesOnWithoutTheSuppliersView(t *testing.T) {
	f := newTenant(t)
	f.registration, f.suppliersRight = "refused", false
	f.companies = []map[string]any{company(11, "Alfa", nip)}
	got, err := f.client().FindCompanyByNIP(background(), nip)
	require.NoError(t, err)
	assert.Equal(t, int64(11), got.ID)
}

func TestFindCompanyByNIP_usesAConfiguredFilterAndPath(t *testing.T) {
	f := newTenant(t)
	f.companies = []map[string]any{{"id": 11, "name": "Alfa", "isDisabled": false, "tax": map[string]any{"numbers": []any{"x", 5265877635}}}}
	for _, m := range f.companies {
		m["isSupplier"] = true
	}
	c := f.client(func(o *Options) {
		o.Fields = DefaultFieldMap()
		o.Fields.Companies.Lookup = []string{"filter"}
		o.Fields.Companies.Filter = "tax.numbers='{nip}'"
		o.Fields.Companies.RegistrationPaths = []string{"tax.numbers"}
	})
	got, err := c.FindCompanyByNIP(background(), nip)
	require.NoError(t, err)
	assert.Equal(t, int64(11), got.ID)
	assert.Equal(t, []string{"GET views/companies.supplier"}, f.requests)
}

func TestFindCompanyByNIP_goesOnWhenTheLookUpIsRefusedWithAPage(t *testing.T) {
	for _, status := range []int{400, 404} {
		f := newTenant(t)
		f.companies = []map[string]any{company(11, "Alfa", "526-587-76-35")}
		c := served(t, func(w http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, "/companies") && r.URL.Query().Has("registration") {
				w.Header().Set("Content-Type", "text/html")
				w.WriteHeader(status)
				return
			}
			f.ServeHTTP(w, r)
		})
		got, err := c.FindCompanyByNIP(background(), nip)
		require.NoError(t, err)
		assert.Equal(t, int64(11), got.ID)
	}
	_, err := fixed(t, 404, map[string]string{"Content-Type": "text/html"}, "").FindCompanyByNIP(background(), nip)
	assert.Equal(t, Gateway, kindOfError(t, err), "a wrong address is not taken for a company that is not there")
}

func TestFindCompanyByNIP_isAnErrorWhenItCannotBeTold(t *testing.T) {
	for status, want := range map[int]Kind{401: Unauthorized, 403: Forbidden, 429: RateLimited, 503: Server} {
		_, err := fixed(t, status, nil, "").FindCompanyByNIP(background(), nip)
		assert.Equal(t, want, kindOfError(t, err))
	}
}

// Hundreds of invoices of a few suppliers ask for each of them once.
func TestFindCompanyByNIP_asksOnceForManyWhoAskAtTheSameTime(t *testing.T) {
	f := newTenant(t)
	f.companies = []map[string]any{company(11, "Alfa", nip)}
	c := f.client()
	var wg sync.WaitGroup
	for range 200 {
		wg.Go(func() {
			m, err := c.FindCompanyByNIP(background(), nip)
			assert.NoError(t, err)
			assert.Equal(t, int64(11), m.ID)
		})
	}
	wg.Wait()
	assert.Equal(t, 1, f.seen(""))
}

// Thousands of suppliers, known and unknown, cost a few requests in the life of the cache.
func TestFindCompanyByNIP_readsAllOnceThatIsCheaperThanLookingUp(t *testing.T) {
	for _, registration := range []string{"works", "refused", "ignored", "array"} {
		t.Run(registration, func(t *testing.T) {
			clock := newSteps()
			f := newTenant(t)
			f.registration = registration
			numbered := func(n int) string { return fmt.Sprintf("%010d", 5_000_000_000+n) }
			for n := range 1000 {
				kind := "supplier"
				if n%3 == 0 {
					kind = "client"
				}
				f.companies = append(f.companies, company(int64(1000+n), "C", numbered(n), kind))
			}
			c := f.client(func(o *Options) { o.Now = clock.Now })
			for life := range 3 {
				before := f.seen("")
				var wg sync.WaitGroup
				for n := range 1500 {
					wg.Go(func() {
						m, err := c.FindCompanyByNIP(background(), numbered(n))
						assert.NoError(t, err)
						assert.Equal(t, n < 1000, m.Found)
						if m.Found {
							assert.Equal(t, int64(1000+n), m.ID)
						}
					})
				}
				wg.Wait()
				assert.Less(t, f.seen("")-before, 30, "life %d of the cache", life)
				clock.pass(11 * time.Minute)
			}
		})
	}
}

// Views that do not show every company are no proof that one is not there.
func TestFindCompanyByNIP_doesNotTakeAHiddenCompanyForNone(t *testing.T) {
	f := newTenant(t)
	for n := range 20 {
		f.companies = append(f.companies, company(int64(1000+n), "C", fmt.Sprintf("%010d", 5_000_000_000+n)))
	}
	shown := f.companies[10:]
	c := served(t, func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		all := f.companies
		if strings.Contains(r.URL.Path, "/views/") {
			f.companies = shown
		}
		f.mu.Unlock()
		f.ServeHTTP(w, r)
		f.mu.Lock()
		f.companies = all
		f.mu.Unlock()
	})
	for n := range 20 {
		m, err := c.FindCompanyByNIP(background(), fmt.Sprintf("%010d", 5_000_000_000+n))
		require.NoError(t, err)
		assert.Equal(t, int64(1000+n), m.ID)
	}
}

// What fails for one who looks up fails for those who wait with it, and is tried again by the next.
func TestFindCompanyByNIP_sharesAFailureOnce(t *testing.T) {
	down := true
	var mu sync.Mutex
	f := newTenant(t)
	f.companies = []map[string]any{company(11, "Alfa", nip)}
	c := served(t, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if down {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		f.ServeHTTP(w, r)
	})
	_, err := c.FindCompanyByNIP(background(), nip)
	assert.Equal(t, Server, kindOfError(t, err))
	mu.Lock()
	down = false
	mu.Unlock()
	m, err := c.FindCompanyByNIP(background(), nip)
	require.NoError(t, err)
	assert.Equal(t, int64(11), m.ID)
}
