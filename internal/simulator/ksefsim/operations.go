package ksefsim

import (
	"slices"
	"sync"
)

// Permissions of which an operation needs one.
var (
	mayWrite  = []string{"InvoiceWrite", "PefInvoiceWrite", "EnforcementOperations"}
	mayBatch  = []string{"InvoiceWrite", "EnforcementOperations"}
	mayFollow = []string{"InvoiceWrite", "Introspection", "PefInvoiceWrite", "EnforcementOperations"}
	mayRead   = []string{"InvoiceRead"}
	mayManage = []string{"CredentialsManage", "CredentialsRead"}
)

var (
	access  = []tokenKind{accessToken}
	pending = []tokenKind{authenticationToken}
)

// operations lists every endpoint of the simulated API.
func (s *Simulator) operations() []*operation {
	return slices.Concat(s.authOperations(), s.sendOperations(), s.batchOperations(), s.statusOperations(), s.receiveOperations(), s.limitOperations(), s.testdataOperations())
}

func (s *Simulator) authOperations() []*operation {
	return []*operation{
		{name: opKeys, open: true, group: groupPublic, handle: s.publicKeys},
		{name: opChallenge, open: true, group: groupPublic, handle: s.challenge},
		{name: opXAdES, open: true, group: groupPublic, maxBody: maxAuthBody, handle: s.authenticateXAdES},
		{name: opTokenLogin, open: true, group: groupPublic, handle: s.authenticateToken},
		{name: "GET /auth/{ref}", kinds: pending, group: groupPublic, handle: s.authStatus},
		{name: "POST /auth/token/redeem", kinds: pending, group: groupPublic, handle: s.redeem},
		{name: opRefresh, kinds: []tokenKind{refreshToken}, group: groupPublic, handle: s.refresh},
		{name: "GET /auth/sessions", kinds: access, group: groupOther, handle: s.listAuthSessions},
		{name: "DELETE /auth/sessions/{ref}", kinds: access, group: groupOther, handle: s.revokeSession},
		{name: "DELETE /auth/sessions/current", kinds: []tokenKind{accessToken, refreshToken}, group: groupOther, handle: s.revokeCurrent},
		{name: "POST /permissions/query/personal/grants", kinds: access, group: groupOther, handle: s.personalGrants},
		{name: "GET /permissions/attachments/status", kinds: access, anyOf: mayManage, group: groupOther, handle: s.attachmentStatus},
	}
}

func (s *Simulator) sendOperations() []*operation {
	return []*operation{
		{name: opOpenOnline, kinds: access, anyOf: mayWrite, group: groupOnlineSession, handle: s.openOnline},
		{name: opSend, kinds: access, anyOf: mayWrite, group: groupInvoiceSend, maxBody: maxSendBody, handle: s.sendInvoice},
		{name: opCloseOnline, kinds: access, anyOf: mayWrite, group: groupOnlineSessionClose, handle: s.closeOnline},
	}
}

func (s *Simulator) statusOperations() []*operation {
	return []*operation{
		{name: "GET /sessions", kinds: access, anyOf: mayFollow, group: groupSessionList, handle: s.listSessions},
		{name: "GET /sessions/{ref}", kinds: access, anyOf: mayFollow, group: groupSessionMisc, handle: s.sessionStatus},
		{name: "GET /sessions/{ref}/invoices", kinds: access, anyOf: mayFollow, group: groupSessionInvoiceList, handle: s.listInvoices},
		{name: "GET /sessions/{ref}/invoices/failed", kinds: access, anyOf: mayFollow, group: groupSessionInvoiceList, handle: s.listFailed},
		{name: "GET /sessions/{ref}/invoices/{invoiceRef}", kinds: access, anyOf: mayFollow, group: groupInvoiceStatus, handle: s.invoiceStatus},
		{name: "GET /sessions/{ref}/invoices/{invoiceRef}/upo", kinds: access, anyOf: mayFollow, group: groupSessionMisc, handle: s.upoByInvoice},
		{name: "GET /sessions/{ref}/invoices/ksef/{ksefNumber}/upo", kinds: access, anyOf: mayFollow, group: groupSessionMisc, handle: s.upoByNumber},
		{name: "GET /sessions/{ref}/upo/{upoRef}", kinds: access, anyOf: mayFollow, group: groupSessionMisc, handle: s.upoByReference},
	}
}

func (s *Simulator) receiveOperations() []*operation {
	return append([]*operation{
		{name: opQuery, kinds: access, anyOf: mayRead, group: groupInvoiceMetadata, handle: s.queryMetadata},
		{name: opDownload, kinds: access, anyOf: mayRead, group: groupInvoiceDownload, handle: s.download},
	}, s.exportOperations()...)
}

func (s *Simulator) limitOperations() []*operation {
	return []*operation{
		{name: "GET /rate-limits", kinds: access, group: groupOther, handle: s.rateLimits},
		{name: "GET /limits/context", kinds: access, group: groupOther, handle: s.contextLimits},
		{name: "GET /limits/subject", kinds: access, group: groupOther, handle: s.subjectLimits},
	}
}

// operationNames are the names that a fault can strike.
var operationNames = sync.OnceValue(func() []string {
	s := &Simulator{cfg: Config{Environment: EnvironmentTest}}
	names := []string{opStorage, opUpload, opSeed, "unknown"}
	for _, op := range s.operations() {
		names = append(names, op.name)
	}
	slices.Sort(names)
	return names
})
