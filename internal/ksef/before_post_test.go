package ksef

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestBeforePost_keepsAPostFromLeavingAndNothingElse(t *testing.T) {
	f := newFakeKSeF(t)
	refused := errors.New("not now")
	allowed := true
	c := f.client(func(o *Options) {
		o.BeforePost = func(context.Context) error {
			if allowed {
				return nil
			}
			return refused
		}
	})
	_, err := c.Login(t.Context())
	require.NoError(t, err)
	allowed = false
	const route = "POST /sessions/online/S/invoices"
	f.on(route, answerJSON(202, `{"referenceNumber":"x"}`))
	_, err = c.SendInvoice(t.Context(), "S", sampleKey(t), InvoiceToSend{XML: []byte("<x/>")})
	require.ErrorIs(t, err, refused)
	require.Zero(t, f.called(route))
	f.on("GET /sessions/S", answerJSON(200, `{"status":{"code":100,"description":"x"}}`))
	_, err = c.SessionStatus(t.Context(), "S")
	require.NoError(t, err)
}
