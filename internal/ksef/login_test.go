package ksef

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestLogin_goesFromChallengeToTokens(t *testing.T) {
	f := newFakeKSeF(t)
	c := f.client()
	state, err := c.Login(t.Context())
	require.NoError(t, err)
	assert.True(t, state.Fresh)
	assert.Equal(t, testNow.Add(15*time.Minute), state.AccessValidUntil)
	assert.Equal(t, testNow.Add(7*24*time.Hour), state.RefreshValidUntil)

	sent := f.last("POST /auth/xades-signature")
	assert.Equal(t, "application/xml", sent.header.Get("Content-Type"))
	assert.Contains(t, sent.body, "<Challenge>"+testChallenge+"</Challenge>")
	assert.Empty(t, sent.header.Get("Authorization"))
	assert.Equal(t, "problem-details", sent.header.Get("X-Error-Format"))
	assert.Equal(t, "Bearer eyJlogin.token.1", f.last("GET /auth/20261122-AU-1").header.Get("Authorization"))
	assert.Equal(t, "Bearer eyJlogin.token.1", f.last("POST /auth/token/redeem").header.Get("Authorization"))

	again, err := c.Login(t.Context())
	require.NoError(t, err)
	assert.False(t, again.Fresh)
	assert.Equal(t, 1, f.called("POST /auth/challenge"), "the second login needs no call")
}

// TestLogin_isSharedByConcurrentCallers starts many calls at once: one login.
func TestLogin_isSharedByConcurrentCallers(t *testing.T) {
	f := newFakeKSeF(t)
	f.on("GET /sessions/S", answerJSON(200, `{"status":{"code":100}}`))
	c := f.client()
	c.pacer.learn(RateLimits{})
	var wait sync.WaitGroup
	for range 20 {
		wait.Go(func() {
			_, err := c.SessionStatus(t.Context(), "S")
			assert.NoError(t, err)
		})
	}
	wait.Wait()
	assert.Equal(t, 1, f.called("POST /auth/token/redeem"))
	assert.Equal(t, 20, f.called("GET /sessions/S"))
}

// TestLogin_refreshesByTheServersClock sets the client's clock an hour back:
// only KSeF's Date may count.
func TestLogin_refreshesByTheServersClock(t *testing.T) {
	f := newFakeKSeF(t)
	f.on("GET /sessions/S", answerJSON(200, `{"status":{"code":100}}`))
	c := f.client(func(o *Options) { o.Now = func() time.Time { return f.clock().Add(-time.Hour) } })
	_, err := c.Login(t.Context())
	require.NoError(t, err)
	assert.Equal(t, time.Hour, c.ClockOffset())
	assert.Equal(t, f.clock(), c.ServerTime())

	f.advance(13 * time.Minute)
	_, err = c.SessionStatus(t.Context(), "S")
	require.NoError(t, err)
	assert.Equal(t, 0, f.called("POST /auth/token/refresh"))

	f.advance(time.Minute + time.Second) // 59 seconds before the end
	_, err = c.SessionStatus(t.Context(), "S")
	require.NoError(t, err)
	assert.Equal(t, 1, f.called("POST /auth/token/refresh"))
	assert.Equal(t, "Bearer eyJrefresh.1", f.last("POST /auth/token/refresh").header.Get("Authorization"))
	assert.Equal(t, "Bearer eyJaccess.refreshed.1", f.last("GET /sessions/S").header.Get("Authorization"))
	assert.Equal(t, 1, f.called("POST /auth/challenge"))
}

func TestLogin_beginsAnewWhenRefreshingIsRefused(t *testing.T) {
	for name, refusal := range map[string]http.HandlerFunc{
		"401": problem(401, `{"title":"Unauthorized","status":401}`),
		"400": problem(400, `{"title":"Bad Request","status":400,"errors":[{"code":21301,"description":"no"}]}`),
	} {
		t.Run(name, func(t *testing.T) {
			f := newFakeKSeF(t)
			f.on("POST /auth/token/refresh", refusal)
			c := f.client()
			_, err := c.Login(t.Context())
			require.NoError(t, err)
			f.advance(20 * time.Minute)
			state, err := c.Login(t.Context())
			require.NoError(t, err)
			assert.True(t, state.Fresh)
			assert.Equal(t, 2, f.called("POST /auth/challenge"))
		})
	}
}

func TestLogin_keepsALivingTokenWhenRefreshingFails(t *testing.T) {
	f := newFakeKSeF(t)
	f.on("POST /auth/token/refresh", answerJSON(502, `{}`))
	c := f.client()
	_, err := c.Login(t.Context())
	require.NoError(t, err)
	f.advance(14*time.Minute + 30*time.Second)
	state, err := c.Login(t.Context())
	require.NoError(t, err)
	assert.False(t, state.Fresh)
	f.advance(time.Minute)
	_, err = c.Login(t.Context())
	e, ok := AsError(err)
	require.True(t, ok)
	assert.Equal(t, KindGateway, e.Kind)
}

// TestCall_logsInOnceMoreAfter401 proves both: one repeat after a refused
// token, and no second one.
func TestCall_logsInOnceMoreAfter401(t *testing.T) {
	f := newFakeKSeF(t)
	refuse := problem(401, `{"title":"Unauthorized","status":401,"detail":"token eyJhbGciOiJub25lIn0.abcdef.gh expired"}`)
	f.sequence("POST /sessions/online/S/close", refuse, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) })
	c := f.client()
	require.NoError(t, c.CloseOnlineSession(t.Context(), "S"))
	assert.Equal(t, 2, f.called("POST /auth/token/redeem"))
	assert.Equal(t, "Bearer eyJaccess.login.2", f.last("POST /sessions/online/S/close").header.Get("Authorization"))

	f.on("POST /sessions/online/S/close", refuse)
	err := c.CloseOnlineSession(t.Context(), "S")
	e, ok := AsError(err)
	require.True(t, ok)
	assert.Equal(t, KindUnauthorized, e.Kind)
	assert.NotContains(t, err.Error(), "eyJ")
	assert.Equal(t, 4, f.called("POST /sessions/online/S/close"))
}

func TestLogin_isRefusedForGoodByStatus(t *testing.T) {
	f := newFakeKSeF(t)
	f.on("GET /auth/20261122-AU-1", answerJSON(200, `{"status":{"code":415,"description":"Brak uprawnień","details":["x"]}}`))
	_, err := f.client().Login(t.Context())
	e, ok := AsError(err)
	require.True(t, ok)
	assert.Equal(t, KindLoginRefused, e.Kind)
	assert.Equal(t, 415, e.Codes[0].Code)
	assert.ErrorContains(t, err, "the taxpayer has to grant it")
	assert.Equal(t, 1, f.called("POST /auth/challenge"))
}

func TestLogin_isRefusedForGoodByTheRequest(t *testing.T) {
	f := newFakeKSeF(t)
	f.on("POST /auth/xades-signature", problem(400, `{"title":"Bad Request","status":400,"errors":[{"code":21115,"description":"Zły certyfikat"}]}`))
	_, err := f.client().Login(t.Context())
	e, ok := AsError(err)
	require.True(t, ok)
	assert.Equal(t, KindLoginRefused, e.Kind)
	assert.True(t, e.Has(21115))
	assert.ErrorContains(t, err, "replace the certificate")
}

func TestLogin_beginsOnceMoreWhenKSeFCancelled(t *testing.T) {
	for _, code := range []string{"550", "500", "425"} {
		f := newFakeKSeF(t)
		f.sequence("GET /auth/20261122-AU-1", answerJSON(200, `{"status":{"code":`+code+`}}`), answerJSON(200, `{"status":{"code":200}}`))
		_, err := f.client().Login(t.Context())
		require.NoError(t, err, code)
		assert.Equal(t, 2, f.called("POST /auth/challenge"))
	}
	f := newFakeKSeF(t)
	f.on("GET /auth/20261122-AU-1", answerJSON(200, `{"status":{"code":550}}`))
	_, err := f.client().Login(t.Context())
	e, _ := AsError(err)
	require.NotNil(t, e)
	assert.Equal(t, KindServer, e.Kind)
	assert.Equal(t, 2, f.called("POST /auth/challenge"))
}

func TestLogin_asksForAnotherChallengeOnce(t *testing.T) {
	f := newFakeKSeF(t)
	f.on("POST /auth/xades-signature", answerJSON(400, `{"exception":{"exceptionDetailList":[{"exceptionCode":21111,"exceptionDescription":"challenge"}]}}`))
	_, err := f.client().Login(t.Context())
	require.Error(t, err)
	assert.Equal(t, 2, f.called("POST /auth/challenge"))
}

// TestLogin_goesOnWithASlowCheck lets KSeF check a certificate for long: the
// same login is taken up again, not begun anew.
func TestLogin_goesOnWithASlowCheck(t *testing.T) {
	f := newFakeKSeF(t)
	f.on("GET /auth/20261122-AU-1", answerJSON(200, `{"status":{"code":100,"description":"w toku"}}`))
	c := f.client()
	_, err := c.Login(t.Context())
	e, ok := AsError(err)
	require.True(t, ok)
	assert.Equal(t, KindNotYet, e.Kind)
	assert.Greater(t, f.called("GET /auth/20261122-AU-1"), 10)

	f.on("GET /auth/20261122-AU-1", answerJSON(200, `{"status":{"code":200}}`))
	_, err = c.Login(t.Context())
	require.NoError(t, err)
	assert.Equal(t, 1, f.called("POST /auth/challenge"))
}

func TestLogin_doesNotGoOnWithALoginThatIsGone(t *testing.T) {
	f := newFakeKSeF(t)
	f.sequence("GET /auth/20261122-AU-1",
		answerJSON(503, `{}`),
		problem(410, `{"title":"Gone","status":410}`),
		answerJSON(200, `{"status":{"code":200}}`))
	c := f.client()
	_, err := c.Login(t.Context())
	require.Error(t, err)
	_, err = c.Login(t.Context())
	require.NoError(t, err)
	assert.Equal(t, 2, f.called("POST /auth/challenge"))
}

func TestSetCredentials_dropsTheTokens(t *testing.T) {
	f := newFakeKSeF(t)
	c := f.client()
	_, err := c.Login(t.Context())
	require.NoError(t, err)
	other := Credentials{Certificate: newCertificate(t, rsaKey(), plainName, nil), Key: rsaKey()}
	c.SetCredentials(other)
	state, err := c.Login(t.Context())
	require.NoError(t, err)
	assert.True(t, state.Fresh)
	assert.Contains(t, f.last("POST /auth/xades-signature").body, "rsa-sha256")
}

// TestSetCredentials_duringALogin proves that tokens of the old certificate are
// not used after the change, even when their login ends after it.
func TestSetCredentials_duringALogin(t *testing.T) {
	f := newFakeKSeF(t)
	c := f.client()
	polled, changed := make(chan struct{}), make(chan struct{})
	var once sync.Once
	f.on("GET /auth/20261122-AU-1", func(w http.ResponseWriter, _ *http.Request) {
		once.Do(func() { close(polled); <-changed })
		writeJSON(w, 200, `{"status":{"code":200}}`)
	})
	done := make(chan error)
	go func() {
		_, err := c.Login(context.Background())
		done <- err
	}()
	<-polled
	c.SetCredentials(Credentials{Certificate: newCertificate(t, rsaKey(), plainName, nil), Key: rsaKey()})
	close(changed)
	require.NoError(t, <-done)
	assert.Equal(t, 2, f.called("POST /auth/token/redeem"))
	assert.Contains(t, f.last("POST /auth/xades-signature").body, "rsa-sha256")
}

// TestLogin_survivesACallerThatGivesUp cancels the caller who began the login.
func TestLogin_survivesACallerThatGivesUp(t *testing.T) {
	f := newFakeKSeF(t)
	c := f.client()
	polled, goOn := make(chan struct{}), make(chan struct{})
	var once sync.Once
	f.on("GET /auth/20261122-AU-1", func(w http.ResponseWriter, _ *http.Request) {
		once.Do(func() { close(polled) })
		<-goOn
		writeJSON(w, 200, `{"status":{"code":200}}`)
	})
	ctx, cancel := context.WithCancel(t.Context())
	first := make(chan error)
	go func() {
		_, err := c.Login(ctx)
		first <- err
	}()
	<-polled
	cancel()
	require.ErrorIs(t, <-first, context.Canceled)
	close(goOn)
	_, err := c.Login(t.Context())
	require.NoError(t, err)
	assert.Equal(t, 1, f.called("POST /auth/challenge"))
}

func TestPermissions_countOnlyInThisContext(t *testing.T) {
	f := newFakeKSeF(t)
	f.sequence("POST /permissions/query/personal/grants",
		answerJSON(200, `{"hasMore":true,"permissions":[
			{"permissionScope":"InvoiceWrite","permissionState":"Active","contextIdentifier":null},
			{"permissionScope":"InvoiceRead","permissionState":"Active","contextIdentifier":{"type":"Nip","value":"5265877635"}},
			{"permissionScope":"Introspection","permissionState":"Active","contextIdentifier":{"type":"Nip","value":"1111111111"}}]}`),
		answerJSON(200, `{"hasMore":false,"permissions":[
			{"permissionScope":"InvoiceRead","permissionState":"Active"},
			{"permissionScope":"BrandNew","permissionState":"SomethingNew"},
			{"permissionScope":"SubunitManage","permissionState":"Inactive"}]}`))
	c := f.client()
	got, err := c.Permissions(t.Context())
	require.NoError(t, err)
	assert.Equal(t, []string{"BrandNew", PermissionInvoiceRead, PermissionInvoiceWrite}, got)
	assert.Equal(t, "pageOffset=1&pageSize=100", f.last("POST /permissions/query/personal/grants").query)
	assert.True(t, c.IsOwner())
	assert.True(t, strings.HasPrefix(f.last("POST /permissions/query/personal/grants").header.Get("Authorization"), "Bearer "))
}
