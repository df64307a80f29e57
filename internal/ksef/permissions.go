package ksef

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strconv"
)

// Permissions that this product needs.
const (
	// PermissionInvoiceRead allows to query and download invoices.
	PermissionInvoiceRead = "InvoiceRead"
	// PermissionInvoiceWrite allows to send invoices.
	PermissionInvoiceWrite = "InvoiceWrite"
)

// Permissions returns the active permissions of the present login in its own
// context, sorted (POST /permissions/query/personal/grants, all pages).
//
// The list names what was granted. A login by the taxpayer's own certificate
// ([Client.IsOwner]) has every permission by right, and its list may be empty.
// Permissions that other taxpayers granted to this one are left out: they do
// not count in this context. New grants take effect with the next access token.
func (c *Client) Permissions(ctx context.Context) ([]string, error) {
	const pageSize, mostPages = 100, 100
	var found []string
	for page := range mostPages {
		var out struct {
			Permissions []struct {
				Scope   string `json:"permissionScope"`
				State   string `json:"permissionState"`
				Context *struct {
					Value string `json:"value"`
				} `json:"contextIdentifier"`
			} `json:"permissions"`
			HasMore bool `json:"hasMore"`
		}
		r := request{
			operation: "read the permissions of the login", method: http.MethodPost, path: "/permissions/query/personal/grants",
			query: url.Values{"pageOffset": {strconv.Itoa(page)}, "pageSize": {strconv.Itoa(pageSize)}},
			group: GroupOther, endpoint: "POST /permissions/query/personal/grants", auth: authAccess,
		}
		in := struct {
			State string `json:"permissionState"`
		}{"Active"}
		if err := c.callJSON(ctx, r, in, &out); err != nil {
			return nil, err
		}
		for _, p := range out.Permissions {
			elsewhere := p.Context != nil && p.Context.Value != "" && p.Context.Value != c.nip
			if p.Scope != "" && p.State != "Inactive" && !elsewhere {
				found = append(found, p.Scope)
			}
		}
		if !out.HasMore {
			break
		}
	}
	slices.Sort(found)
	return slices.Compact(found), nil
}
