package teamogy

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestBeforeWrite_keepsAWriteFromLeavingAndNothingElse(t *testing.T) {
	var methods []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		methods = append(methods, r.Method)
		w.Header().Set("Content-Type", "application/json")
		_, err := w.Write([]byte(`{"id":7}`))
		assert.NoError(t, err)
	}))
	t.Cleanup(server.Close)
	refused := errors.New("not now")
	c, err := New(Options{BaseURL: server.URL, APIKey: "k", BeforeWrite: func(context.Context) error { return refused }})
	require.NoError(t, err)

	_, err = c.Document(t.Context(), 7)
	require.NoError(t, err)
	for _, method := range []string{http.MethodPost, http.MethodPatch} {
		_, err = c.write(t.Context(), "write", method, "documents", nil, map[string]string{}, "")
		require.ErrorIs(t, err, refused)
		e, is := AsError(err)
		require.True(t, is)
		require.True(t, e.unsent, "a write that never left leaves nothing in doubt")
	}
	require.Equal(t, []string{http.MethodGet}, methods)
}
