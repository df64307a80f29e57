package activities

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"go.temporal.io/api/serviceerror"

	"teamogy-ksef/internal/archive"
	"teamogy-ksef/internal/connection"
	"teamogy-ksef/internal/flow"
	"teamogy-ksef/internal/invoice"
	"teamogy-ksef/internal/ksef"
	"teamogy-ksef/internal/teamogy"
)

// classify is the one place that maps the errors of the packages below to an
// error type of flow, and with it to a class.
func classify(err error) *problem {
	p := &problem{Text: err.Error(), cause: err, gate: metGate(err)}
	p.Type, p.After = typeOf(err)
	return p
}

func typeOf(err error) (string, time.Duration) {
	var (
		own            *problem
		check          *invoice.Problems
		credentials    *ksef.CredentialError
		unknown        *connection.UnknownError
		invalid        *connection.Errors
		bindingChanged *archive.BindingChangedError
		receiverTaken  *archive.ReceiverTakenError
		fromTeamogy    *teamogy.Error
	)
	fromKSeF, isKSeF := ksef.AsError(err)
	switch {
	case errors.As(err, &own):
		return own.Type, own.After
	case errors.As(err, &check):
		if len(check.List) == 1 && check.Has(invoice.RuleAttachmentNeedsBatch) {
			return flow.ErrAttachmentBatch, 0
		}
		if len(check.List) == 1 && check.Has(invoice.RuleIssueDateFuture) {
			return flow.ErrIssueDateFuture, 0
		}
		return flow.ErrInvoiceInvalid, 0
	case errors.As(err, &credentials):
		return flow.ErrKSeFCredentials, 0
	case errors.As(err, &unknown):
		return flow.ErrConnectionUnknown, 0
	case errors.As(err, &invalid):
		return flow.ErrConnectionInvalid, 0
	case errors.As(err, &bindingChanged):
		return flow.ErrBindingChanged, 0
	case errors.As(err, &receiverTaken):
		return flow.ErrReceiverTaken, 0
	case isKSeF:
		return typeOfKSeF(fromKSeF), fromKSeF.RetryAfter
	case errors.As(err, &fromTeamogy):
		return typeOfTeamogy(fromTeamogy), fromTeamogy.RetryAfter
	case damaged(err):
		return flow.ErrArchiveDamaged, 0
	case errors.Is(err, archive.ErrExists):
		return flow.ErrArchiveUnavailable, 0
	case isTemporal(err):
		return flow.ErrTemporalBusy, 0
	}
	return flow.ErrUnexpected, 0
}

func typeOfKSeF(e *ksef.Error) string {
	switch e.Kind {
	case ksef.KindLoginRefused, ksef.KindUnauthorized:
		return flow.ErrKSeFLoginRefused
	case ksef.KindForbidden:
		if e.ReasonCode == "security-service-blocked" {
			return flow.ErrKSeFUnavailable
		}
		return flow.ErrKSeFPermission
	case ksef.KindRateLimited:
		return flow.ErrKSeFQuota
	case ksef.KindNotYet:
		return flow.ErrKSeFNotYet
	case ksef.KindHashMismatch:
		return flow.ErrKSeFDamaged
	case ksef.KindRejected, ksef.KindGone:
		if e.Has(ksef.CodeInvoiceNotFound) {
			return flow.ErrInvoiceUnknown
		}
		if e.Has(ksef.CodeSessionNotFound) || e.Has(ksef.CodeSessionUnavailable) || e.Has(ksef.CodeSessionForbids) {
			return flow.ErrKSeFUnavailable
		}
		if e.Has(ksef.CodeExportUnknown) || e.Has(ksef.CodeTooManyExports) || e.Has(ksef.CodeBeyondHWM) {
			return flow.ErrKSeFNotYet // the activities of exports decide what it means
		}
		if e.Status == http.StatusRequestTimeout {
			return flow.ErrKSeFUnavailable
		}
		return flow.ErrKSeFRefused
	}
	return flow.ErrKSeFUnavailable
}

func typeOfTeamogy(e *teamogy.Error) string {
	switch e.Kind {
	case teamogy.Unauthorized:
		return flow.ErrTeamogyToken
	case teamogy.Forbidden:
		return flow.ErrTeamogyPermission
	case teamogy.RateLimited, teamogy.QuotaLocal:
		return flow.ErrTeamogyQuota
	case teamogy.UnknownStatus:
		return flow.ErrTeamogyStatus
	case teamogy.Invalid, teamogy.Conflict, teamogy.NotSearchable, teamogy.NotFound:
		// Not found: the activities that ask for one document decide themselves.
		return flow.ErrTeamogyRefused
	case teamogy.Locked:
		return flow.ErrTeamogyRefused
	case teamogy.OutcomeUnknown:
		return flow.ErrTeamogyOutcomeUnknown
	case teamogy.XMLMissing:
		return flow.ErrInvoiceMissing
	case teamogy.NotSaved:
		return flow.ErrTeamogyNotSaved
	}
	return flow.ErrTeamogyUnavailable
}

func isTemporal(err error) bool {
	var service serviceerror.ServiceError
	return errors.As(err, &service)
}

// notFound tells whether Teamogy knows nothing of what was asked for.
func notFound(err error) bool {
	var failure *teamogy.Error
	return errors.As(err, &failure) && failure.Kind == teamogy.NotFound
}

// damaged tells whether something in the archive is not what was once written,
// or not there any more: what a record points to is never absent otherwise.
func damaged(err error) bool {
	var corrupt *archive.CorruptError
	return errors.As(err, &corrupt) || errors.Is(err, archive.ErrNotFound)
}

// archiving wraps an error of the archive, so that it is told apart from the
// errors of what is kept there.
func archiving(what string, err error) error {
	if err == nil {
		return nil
	}
	p := &problem{Type: flow.ErrArchiveUnavailable, Text: fmt.Sprintf("%s: %v", what, err), cause: err}
	if damaged(err) {
		p.Type = flow.ErrArchiveDamaged
	}
	return p
}
