// Package ksef speaks the API of KSeF 2.0, Poland's national e-invoice system.
//
// It is the only package of this product that knows KSeF's wire format. One
// [Client] stands for one taxpayer (NIP) in one environment: it logs in with an
// XAdES signature, keeps the access token fresh, encrypts and sends invoices in
// online sessions, reads their status and UPO (the official confirmation), and
// queries and downloads received invoices.
//
// What every caller has to know:
//
//   - KSeF has no idempotency key. A POST is therefore never repeated by this
//     package, apart from two cases in which KSeF surely did nothing: an answer
//     401, and an unknown public key (21470). After any other failed POST the
//     caller looks first and repeats then.
//   - KSeF's request quotas are scarce. A call that would exceed them is not
//     made: it fails at once with [KindRateLimited] and the time to wait.
//   - Errors are of type [*Error] and never contain a token, a link that needs
//     no login, or an answer's body.
//   - Answers are read tolerantly (unknown fields and values do no harm), what
//     is sent is checked strictly.
package ksef
