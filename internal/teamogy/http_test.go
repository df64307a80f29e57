package teamogy

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestNew_refusesWhatWouldLeakTheKeyOrCannotWork(t *testing.T) {
	for _, test := range []struct {
		name string
		o    Options
		want string
	}{
		{"plain http elsewhere", Options{BaseURL: "http://acme.teamogy.com", APIKey: "k"}, "plain http"},
		{"plain http at an address", Options{BaseURL: "http://10.0.0.1", APIKey: "k"}, "plain http"},
		{"plain http at a look-alike", Options{BaseURL: "http://localhost.example.com", APIKey: "k"}, "plain http"},
		{"no scheme", Options{BaseURL: "acme.teamogy.com", APIKey: "k"}, "https://"},
		{"no host", Options{BaseURL: "https://", APIKey: "k"}, "host"},
		{"user in URL", Options{BaseURL: "https://me:pw@acme.teamogy.com", APIKey: "k"}, "user"},
		{"query", Options{BaseURL: "https://acme.teamogy.com?x=1", APIKey: "k"}, "query"},
		{"no key", Options{BaseURL: "https://acme.teamogy.com"}, "API key"},
		{"key with line break", Options{BaseURL: "https://acme.teamogy.com", APIKey: "secret\nkey"}, "API key"},
		{"negative unit", Options{BaseURL: "https://acme.teamogy.com", APIKey: "k", Unit: -1}, "unit"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := New(test.o)
			require.ErrorContains(t, err, test.want)
			assert.NotContains(t, err.Error(), "secret")
			assert.NotContains(t, err.Error(), "pw")
		})
	}
	for _, good := range []string{"https://acme.teamogy.com", "https://acme.teamogy.com/", "http://127.0.0.1:8082", "http://[::1]:80", "http://localhost:1"} {
		_, err := New(Options{BaseURL: good, APIKey: "k"})
		require.NoError(t, err, good)
	}
}

func TestSend_givesEachFailureItsKind(t *testing.T) {
	html := map[string]string{"Content-Type": "text/html; charset=utf-8"}
	for _, test := range []struct {
		name   string
		status int
		header map[string]string
		body   string
		want   Kind
	}{
		{"401", 401, nil, `{}`, Unauthorized},
		{"401 html", 401, html, `<p>`, Unauthorized},
		{"403", 403, nil, `{"error":"no right"}`, Forbidden},
		{"403 html of a firewall", 403, html, `<p>blocked`, Gateway},
		{"403 with Retry-After", 403, map[string]string{"Retry-After": "7"}, ``, RateLimited},
		{"403 that names a quota", 403, nil, `{"message":"Limit Exceeded"}`, RateLimited},
		{"400 with Retry-After", 400, map[string]string{"Retry-After": "7"}, ``, RateLimited},
		{"404", 404, nil, ``, NotFound},
		{"404 html", 404, html, `<p>`, Gateway},
		{"400", 400, nil, `bad`, Invalid},
		{"413", 413, nil, `big`, Invalid},
		{"422", 422, nil, `bad`, Invalid},
		{"429", 429, nil, ``, RateLimited},
		{"408", 408, nil, ``, Server},
		{"500", 500, nil, ``, Server},
		{"502 html", 502, html, `<p>`, Server},
		{"200 html", 200, html, `<p>log in`, Gateway},
		{"redirect without target", 302, nil, ``, Gateway},
		{"200 garbage", 200, nil, `{"id":`, BadAnswer},
		{"200 of another document", 200, nil, `{"id":6}`, BadAnswer},
		{"200 of none", 200, nil, `[]`, NotFound},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := fixed(t, test.status, test.header, test.body).Document(background(), 5)
			require.Error(t, err)
			assert.Equal(t, test.want, kindOfError(t, err))
			assert.Contains(t, err.Error(), "document 5")
		})
	}
}

func TestSend_reportsNetworkFailureWithItsCause(t *testing.T) {
	c := served(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	_, err := c.Document(background(), 5)
	assert.Equal(t, Network, kindOfError(t, err))

	ctx, cancel := context.WithCancel(background())
	c = served(t, func(http.ResponseWriter, *http.Request) { cancel(); panic(http.ErrAbortHandler) })
	_, err = c.Document(ctx, 5)
	assert.Equal(t, Network, kindOfError(t, err))
	require.ErrorIs(t, err, context.Canceled)
}

func TestSend_setsTheHeadersAndPathOfTheUnit(t *testing.T) {
	c := served(t, func(w http.ResponseWriter, r *http.Request) {
		assert.Equal(t, "/rest/v1/7/documents", r.URL.Path)
		assert.Equal(t, "Bearer "+testKey, r.Header.Get("Authorization"))
		assert.Equal(t, "application/json", r.Header.Get("Accept"))
		assert.Equal(t, "x", r.Header.Get("X-Extra"))
		_, _ = w.Write([]byte(`{"id":5}`))
	}, func(o *Options) {
		o.Fields = DefaultFieldMap()
		o.Fields.Headers = map[string]string{"X-Extra": "x"}
	})
	_, err := c.Document(background(), 5)
	require.NoError(t, err)
}

func TestSend_neverFollowsARedirectToAnotherHost(t *testing.T) {
	reached := false
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true }))
	defer elsewhere.Close()
	c := served(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, elsewhere.URL+"/steal", http.StatusTemporaryRedirect)
	})
	_, err := c.Document(background(), 5)
	assert.Equal(t, Gateway, kindOfError(t, err))
	err = c.PatchSalesInvoice(background(), 5, SalesPatch{KSeFStatus: "x"})
	assert.Equal(t, Gateway, kindOfError(t, err))
	assert.False(t, reached)
}

func TestSend_followsARedirectOnTheTenantForReadingOnly(t *testing.T) {
	posts := 0
	c := served(t, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodPost:
			posts++
			http.Redirect(w, r, "/moved", http.StatusPermanentRedirect)
		case r.URL.Path == "/moved":
			_, _ = w.Write([]byte(`{"id":5,"number":"N"}`))
		default:
			http.Redirect(w, r, "/moved", http.StatusFound)
		}
	})
	d, err := c.Document(background(), 5)
	require.NoError(t, err)
	assert.Equal(t, "N", d.Number)
	_, err = c.CreatePurchaseInvoice(background(), NewPurchaseInvoice{KSeFNumber: "K"})
	assert.Equal(t, Gateway, kindOfError(t, err))
	assert.Equal(t, 1, posts)
}

func TestError_neverHoldsTheAPIKeyThoughTheServerEchoesIt(t *testing.T) {
	segment := strings.Split(testKey, ".")[2]
	echoes := map[string]string{
		"raw":        `{"error":"bad token ` + testKey + `"}`,
		"base64":     base64.StdEncoding.EncodeToString([]byte(testKey)),
		"hex":        hex.EncodeToString([]byte(testKey)),
		"a segment":  "signature " + segment,
		"cut by 2KB": strings.Repeat("x", maxErrorBody-20) + testKey,
		"cut by us":  strings.Repeat("y", maxReadError-20) + testKey + strings.Repeat("z", 100),
		"many":       strings.Repeat(testKey, 2000),
	}
	for name, echo := range echoes {
		for _, status := range []int{400, 401, 403, 500} {
			t.Run(fmt.Sprint(name, status), func(t *testing.T) {
				_, err := fixed(t, status, nil, echo).Document(background(), 5)
				e, ok := AsError(err)
				require.True(t, ok)
				assert.LessOrEqual(t, len(e.Body), maxErrorBody)
				assertNoKey(t, err.Error()+e.Body+fmt.Sprintf("%+v %#v", e, e))
			})
		}
	}
	t.Run("malformed answer", func(t *testing.T) {
		c := served(t, func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := w.(http.Hijacker).Hijack()
			if assert.NoError(t, err) {
				_, _ = conn.Write([]byte(testKey + "\r\n\r\n"))
				_ = conn.Close()
			}
		})
		_, err := c.Document(background(), 5)
		for e := err; e != nil; e = errors.Unwrap(e) {
			assertNoKey(t, e.Error())
		}
	})
}

func assertNoKey(t *testing.T, text string) {
	t.Helper()
	for _, part := range append(strings.Split(testKey, "."), testKey[len(testKey)-24:]) {
		assert.NotContains(t, text, part)
		assert.NotContains(t, text, hex.EncodeToString([]byte(part)))
		assert.NotContains(t, text, base64.RawStdEncoding.EncodeToString([]byte(part)))
	}
}

func TestLog_holdsNeitherKeyNorQuery(t *testing.T) {
	var log bytes.Buffer
	f := newTenant(t)
	c := f.client(func(o *Options) {
		o.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	_, _, err := c.FindDocumentByKSeFNumber(background(), "5265877635-20260222-0100001AF629-AF")
	require.NoError(t, err)
	assert.Contains(t, log.String(), "views/invoices.purchase")
	assertNoKey(t, log.String())
	assert.NotContains(t, log.String(), "0100001AF629")
	assert.NotContains(t, fmt.Sprintf("%v", c.Host()), testKey)
}

func TestError_saysTheWordsOfAPageThatRefuses(t *testing.T) {
	html := map[string]string{"Content-Type": "text/html"}
	_, err := fixed(t, 400, html, `<html><style>p {}</style><p class="x">no such <b>property</b> </p><script>alert(1)`).Document(background(), 5)
	assert.ErrorContains(t, err, "Teamogy said: no such property")
	assert.NotContains(t, err.Error(), "alert")
	_, err = fixed(t, 200, html, `<p>log in`).Document(background(), 5)
	assert.NotContains(t, err.Error(), "log in")
}

func TestError_leavesAnEchoedInvoiceOut(t *testing.T) {
	_, err := fixed(t, 400, nil, `cannot save <Faktura xmlns="x"><P_2>FV/1</P_2>`).Document(background(), 5)
	assert.NotContains(t, err.Error(), "FV/1")
	assert.Contains(t, err.Error(), "cannot save")
}

func TestRetryAfter_closesTheBucketForEverybody(t *testing.T) {
	for _, test := range []struct {
		name, header string
		want         time.Duration
	}{
		{"seconds", "42", 42 * time.Second},
		{"date", "Sun, 22 Nov 2026 12:01:40 GMT", 100 * time.Second},
		{"absent", "", time.Minute},
		{"nonsense", "soon", time.Minute},
		{"absurd", "99999999999999999999", time.Hour},
		{"negative", "-5", time.Minute},
	} {
		t.Run(test.name, func(t *testing.T) {
			clock := newSteps()
			requests := 0
			c := served(t, func(w http.ResponseWriter, _ *http.Request) {
				requests++
				if test.header != "" {
					w.Header().Set("Retry-After", test.header)
				}
				w.WriteHeader(http.StatusTooManyRequests)
			}, func(o *Options) { o.Now = clock.Now; o.Bucket = NewBucket(60, clock.Now) })
			_, err := c.Document(background(), 5)
			e, _ := AsError(err)
			require.Equal(t, RateLimited, e.Kind)
			assert.Equal(t, test.want, e.RetryAfter)
			_, err = c.Document(WithPriority(background(), High), 6)
			e, _ = AsError(err)
			require.Equal(t, QuotaLocal, e.Kind)
			assert.GreaterOrEqual(t, e.RetryAfter, test.want)
			assert.Contains(t, err.Error(), "document 6")
			assert.Equal(t, 1, requests)
		})
	}
}

func TestPing_readsOneRow(t *testing.T) {
	f := newTenant(t)
	require.NoError(t, f.client().Ping(background()))
	assert.Equal(t, 1, f.seen("GET views/invoices.sales"))
	err := f.client(func(o *Options) { o.APIKey = "another-key" }).Ping(background())
	assert.Equal(t, Unauthorized, kindOfError(t, err))
}
