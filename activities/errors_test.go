package activities

import (
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"

	"teamogy-ksef/internal/archive"
	"teamogy-ksef/internal/connection"
	"teamogy-ksef/internal/flow"
	"teamogy-ksef/internal/invoice"
	"teamogy-ksef/internal/ksef"
	"teamogy-ksef/internal/teamogy"
)

func ofKSeF(kind ksef.Kind, codes ...int) *ksef.Error {
	e := &ksef.Error{Operation: "do something", Kind: kind}
	for _, c := range codes {
		e.Codes = append(e.Codes, ksef.Code{Code: c, Description: "a reason"})
	}
	return e
}

func ofTeamogy(kind teamogy.Kind) *teamogy.Error {
	return &teamogy.Error{Operation: "do something", Kind: kind}
}

func broken(rules ...string) *invoice.Problems {
	p := &invoice.Problems{}
	for _, r := range rules {
		p.List = append(p.List, invoice.Problem{Rule: r, Text: "it breaks " + r})
	}
	return p
}

var errorCases = []struct {
	name string
	err  error
	want string
}{
	{"KSeF refuses a fresh token", ofKSeF(ksef.KindUnauthorized), flow.ErrKSeFLoginRefused},
	{"KSeF refuses the login", ofKSeF(ksef.KindLoginRefused, 415), flow.ErrKSeFLoginRefused},
	{"KSeF: permission missing", &ksef.Error{Kind: ksef.KindForbidden, ReasonCode: "missing-permissions"}, flow.ErrKSeFPermission},
	{"KSeF: IP not allowed", &ksef.Error{Kind: ksef.KindForbidden, ReasonCode: "ip-not-allowed"}, flow.ErrKSeFPermission},
	{"KSeF: the firewall says 403", &ksef.Error{Kind: ksef.KindForbidden, ReasonCode: "security-service-blocked"}, flow.ErrKSeFUnavailable},
	{"KSeF: gateway", ofKSeF(ksef.KindGateway), flow.ErrKSeFUnavailable},
	{"KSeF: 5xx", ofKSeF(ksef.KindServer), flow.ErrKSeFUnavailable},
	{"KSeF: no answer", ofKSeF(ksef.KindNetwork), flow.ErrKSeFUnavailable},
	{"KSeF: a kind of a newer version", ofKSeF("newer"), flow.ErrKSeFUnavailable},
	{"KSeF: 429", ofKSeF(ksef.KindRateLimited), flow.ErrKSeFQuota},
	{"KSeF: not called to spare the quota", &ksef.Error{Kind: ksef.KindRateLimited, Local: true}, flow.ErrKSeFQuota},
	{"KSeF: not yet", ofKSeF(ksef.KindNotYet, ksef.CodeInvoiceNotYet), flow.ErrKSeFNotYet},
	{"KSeF: no UPO yet", ofKSeF(ksef.KindNotYet, ksef.CodeNoUPO), flow.ErrKSeFNotYet},
	{"KSeF: damaged", ofKSeF(ksef.KindHashMismatch), flow.ErrKSeFDamaged},
	{"KSeF: 410", ofKSeF(ksef.KindGone), flow.ErrKSeFRefused},
	{"KSeF: no such invoice", ofKSeF(ksef.KindRejected, ksef.CodeInvoiceNotFound), flow.ErrInvoiceUnknown},
	{"KSeF: no such session, right after opening", ofKSeF(ksef.KindRejected, ksef.CodeSessionNotFound), flow.ErrKSeFUnavailable},
	{"KSeF: session unavailable", ofKSeF(ksef.KindRejected, ksef.CodeSessionUnavailable), flow.ErrKSeFUnavailable},
	{"KSeF: session forbids", ofKSeF(ksef.KindRejected, ksef.CodeSessionForbids), flow.ErrKSeFUnavailable},
	{"KSeF: 408", &ksef.Error{Kind: ksef.KindRejected, Status: 408}, flow.ErrKSeFUnavailable},
	{"KSeF: malformed request", ofKSeF(ksef.KindRejected, ksef.CodeValidation), flow.ErrKSeFRefused},
	{"KSeF: public key unknown", ofKSeF(ksef.KindRejected, ksef.CodeUnknownPublicKey), flow.ErrKSeFRefused},
	{"KSeF: invoice limit of a session", ofKSeF(ksef.KindRejected, ksef.CodeSessionInvoiceLimit), flow.ErrKSeFRefused},
	{"KSeF: size of a part", ofKSeF(ksef.KindRejected, ksef.CodePartSize), flow.ErrKSeFRefused},
	{"KSeF: a part is missing", ofKSeF(ksef.KindRejected, ksef.CodePartMissing), flow.ErrKSeFRefused},
	{"KSeF: too late for a package", ofKSeF(ksef.KindRejected, ksef.CodeUploadTooLate), flow.ErrKSeFRefused},
	{"KSeF: query beyond the HWM", ofKSeF(ksef.KindRejected, ksef.CodeBeyondHWM), flow.ErrKSeFNotYet},
	{"KSeF: unknown export", ofKSeF(ksef.KindRejected, ksef.CodeExportUnknown), flow.ErrKSeFNotYet},
	{"KSeF: too many exports", ofKSeF(ksef.KindRejected, ksef.CodeTooManyExports), flow.ErrKSeFNotYet},
	{"KSeF error deep inside", fmt.Errorf("start: %w", fmt.Errorf("look: %w", ofKSeF(ksef.KindServer))), flow.ErrKSeFUnavailable},

	{"wrong password", &ksef.CredentialError{Problem: ksef.WrongPassword}, flow.ErrKSeFCredentials},
	{"certificate expired", &ksef.CredentialError{Problem: ksef.Expired}, flow.ErrKSeFCredentials},

	{"Teamogy: 401", ofTeamogy(teamogy.Unauthorized), flow.ErrTeamogyToken},
	{"Teamogy: 403", ofTeamogy(teamogy.Forbidden), flow.ErrTeamogyPermission},
	{"Teamogy: 429", ofTeamogy(teamogy.RateLimited), flow.ErrTeamogyQuota},
	{"Teamogy: own bucket", ofTeamogy(teamogy.QuotaLocal), flow.ErrTeamogyQuota},
	{"Teamogy: 400", ofTeamogy(teamogy.Invalid), flow.ErrTeamogyRefused},
	{"Teamogy: unknown status", ofTeamogy(teamogy.UnknownStatus), flow.ErrTeamogyStatus},
	{"Teamogy: another KSeF number stands there", ofTeamogy(teamogy.Conflict), flow.ErrTeamogyRefused},
	{"Teamogy: cannot be searched", ofTeamogy(teamogy.NotSearchable), flow.ErrTeamogyRefused},
	{"Teamogy: 404 where no document was named", ofTeamogy(teamogy.NotFound), flow.ErrTeamogyRefused},
	{"Teamogy: locked", ofTeamogy(teamogy.Locked), flow.ErrTeamogyRefused},
	{"Teamogy: nobody knows whether it was created", ofTeamogy(teamogy.OutcomeUnknown), flow.ErrTeamogyOutcomeUnknown},
	{"Teamogy: no XML", ofTeamogy(teamogy.XMLMissing), flow.ErrInvoiceMissing},
	{"Teamogy: not saved", ofTeamogy(teamogy.NotSaved), flow.ErrTeamogyNotSaved},
	{"Teamogy: 5xx", ofTeamogy(teamogy.Server), flow.ErrTeamogyUnavailable},
	{"Teamogy: no answer", ofTeamogy(teamogy.Network), flow.ErrTeamogyUnavailable},
	{"Teamogy: gateway", ofTeamogy(teamogy.Gateway), flow.ErrTeamogyUnavailable},
	{"Teamogy: nonsense", ofTeamogy(teamogy.BadAnswer), flow.ErrTeamogyUnavailable},
	{"Teamogy: a lost create is not settled", ofTeamogy(teamogy.Unsettled), flow.ErrTeamogyUnavailable},
	{"Teamogy: a kind of a newer version", ofTeamogy("newer"), flow.ErrTeamogyUnavailable},

	{"invoice breaks a rule", broken(invoice.RuleDoctype), flow.ErrInvoiceInvalid},
	{"invoice has a date of issue in the future", broken(invoice.RuleIssueDateFuture), flow.ErrIssueDateFuture},
	{"invoice has such a date and breaks a rule", broken(invoice.RuleIssueDateFuture, invoice.RuleNumberMissing), flow.ErrInvoiceInvalid},
	{"invoice has an attachment", broken(invoice.RuleAttachmentNeedsBatch), flow.ErrAttachmentBatch},
	{"invoice has an attachment and breaks a rule", broken(invoice.RuleAttachmentNeedsBatch, invoice.RuleTooLarge), flow.ErrInvoiceInvalid},

	{"no such connection", &connection.UnknownError{Name: "acme", Dir: "connections"}, flow.ErrConnectionUnknown},
	{"mistakes in the connection", &connection.Errors{}, flow.ErrConnectionInvalid},
	{"binding changed", &archive.BindingChangedError{Connection: "acme"}, flow.ErrBindingChanged},
	{"receiver taken", &archive.ReceiverTakenError{NIP: "5265877635"}, flow.ErrReceiverTaken},

	{"archive: damaged", &archive.CorruptError{Key: "documents/ab", Reason: "wrong hash"}, flow.ErrArchiveDamaged},
	{"archive: damaged, while something was done", archiving("read the record", fmt.Errorf("x: %w", &archive.CorruptError{Key: "records/a"})), flow.ErrArchiveDamaged},
	{"archive: not there", fmt.Errorf("read: %w", archive.ErrNotFound), flow.ErrArchiveDamaged},
	{"archive: there already", archive.ErrExists, flow.ErrArchiveUnavailable},
	{"archive: disk full", archiving("keep the XML", errors.New("no space left on device")), flow.ErrArchiveUnavailable},

	{"Temporal: unavailable", serviceerror.NewUnavailable("down"), flow.ErrTemporalBusy},
	{"Temporal: busy", fmt.Errorf("start: %w", serviceerror.NewResourceExhausted(0, "busy")), flow.ErrTemporalBusy},

	{"own problem", fmt.Errorf("look after it: %w", newProblem(flow.ErrWrongAnswer, "odd")), flow.ErrWrongAnswer},
	{"anything else", errors.New("never seen"), flow.ErrUnexpected},
	{"the attempt's time is over", context.DeadlineExceeded, flow.ErrUnexpected},
}

func TestClassify_givesEveryErrorItsType(t *testing.T) {
	for _, c := range errorCases {
		t.Run(c.name, func(t *testing.T) {
			p := classify(c.err)
			require.Equal(t, c.want, p.Type)
			require.Equal(t, c.err.Error(), p.Text)
			require.ErrorIs(t, p, c.err)
			require.Equal(t, c.want, flow.LookupError(p.Type).Type, "the type is not in flow's table")
		})
	}
}

// A kind that is added to a client must be given its place here.
func TestClassify_isTestedWithEveryKindThereIs(t *testing.T) {
	tested := map[string]bool{}
	for _, c := range errorCases {
		var fromKSeF *ksef.Error
		var fromTeamogy *teamogy.Error
		if errors.As(c.err, &fromKSeF) {
			tested["ksef/"+string(fromKSeF.Kind)] = true
			for _, code := range fromKSeF.Codes {
				tested["ksef/code/"+strconv.Itoa(code.Code)] = true
			}
		}
		if errors.As(c.err, &fromTeamogy) {
			tested["teamogy/"+string(fromTeamogy.Kind)] = true
		}
	}
	for _, name := range []string{"ksef", "teamogy"} {
		file, err := parser.ParseFile(token.NewFileSet(), filepath.Join("..", "internal", name, "errors.go"), nil, 0)
		require.NoError(t, err)
		kinds := 0
		ast.Inspect(file, func(n ast.Node) bool {
			spec, is := n.(*ast.ValueSpec)
			if !is || len(spec.Values) != 1 {
				return true
			}
			literal, is := spec.Values[0].(*ast.BasicLit)
			if !is {
				return true
			}
			if kind, typed := spec.Type.(*ast.Ident); typed && kind.Name == "Kind" {
				value, err := strconv.Unquote(literal.Value)
				require.NoError(t, err)
				require.True(t, tested[name+"/"+value], "%s.%s is not in the table", name, spec.Names[0].Name)
				kinds++
			} else if literal.Kind == token.INT && spec.Names[0].IsExported() {
				require.True(t, tested[name+"/code/"+literal.Value], "%s.%s is not in the table", name, spec.Names[0].Name)
			}
			return true
		})
		require.Greater(t, kinds, 8)
	}
}

func TestAsFailure_saysWhatToDoAndWhetherToTryAgain(t *testing.T) {
	for _, c := range errorCases {
		t.Run(c.name, func(t *testing.T) {
			var failure *temporal.ApplicationError
			require.ErrorAs(t, asFailure(t.Context(), c.err, 1, 1), &failure)
			row := flow.LookupError(c.want)
			require.Equal(t, row.Type, failure.Type())
			require.Equal(t, row.Class == flow.Content, failure.NonRetryable())
			require.Contains(t, failure.Message(), c.err.Error())
			require.Contains(t, failure.Message(), "What to do: "+row.Remedy)
			var details flow.ErrorDetails
			require.NoError(t, failure.Details(&details))
			require.Equal(t, flow.ErrorDetails{Class: row.Class, Remedy: row.Remedy}, details)
			if row.Class == flow.Content {
				require.Zero(t, failure.NextRetryDelay())
			} else {
				require.Equal(t, time.Second, failure.NextRetryDelay())
			}
		})
	}
}

func TestAsFailure_growsToFiveMinutesInScaledTime(t *testing.T) {
	delay := func(attempt int, scale float64) time.Duration {
		var failure *temporal.ApplicationError
		require.ErrorAs(t, asFailure(t.Context(), ofKSeF(ksef.KindServer), attempt, scale), &failure)
		return failure.NextRetryDelay()
	}
	for _, scale := range []float64{1, 60, 3600} {
		for attempt := 1; attempt < 100; attempt++ {
			want := 5 * time.Minute
			if attempt <= 9 {
				want = min(want, time.Second<<(attempt-1))
			}
			want = max(flow.Scaled(want, scale), 10*time.Millisecond)
			require.Equal(t, want, delay(attempt, scale), "attempt %d, scale %v", attempt, scale)
		}
	}
	require.Equal(t, time.Second, delay(0, 0))
}

// What a server asks for is real time, and more than the own delay.
func TestAsFailure_honoursRetryAfterInRealTime(t *testing.T) {
	for name, err := range map[string]error{
		"KSeF":    &ksef.Error{Kind: ksef.KindRateLimited, RetryAfter: 7 * time.Minute},
		"Teamogy": &teamogy.Error{Kind: teamogy.RateLimited, RetryAfter: 7 * time.Minute},
		"own":     &problem{Type: flow.ErrKSeFNotYet, Text: "not yet", After: 7 * time.Minute},
	} {
		var failure *temporal.ApplicationError
		require.ErrorAs(t, asFailure(t.Context(), fmt.Errorf("do: %w", err), 1, 60), &failure, name)
		require.Equal(t, 7*time.Minute, failure.NextRetryDelay(), name)
	}
	// A short one does not make it faster than the usual delay.
	var failure *temporal.ApplicationError
	require.ErrorAs(t, asFailure(t.Context(), &ksef.Error{Kind: ksef.KindRateLimited, RetryAfter: time.Second}, 20, 1), &failure)
	require.Equal(t, 5*time.Minute, failure.NextRetryDelay())
}

// What is part of normal work is no alarm.
func TestAsFailure_marksWaitingAsBenign(t *testing.T) {
	for _, errorType := range flow.ErrorTypes {
		var failure *temporal.ApplicationError
		require.ErrorAs(t, asFailure(t.Context(), newProblem(errorType.Type, "x"), 1, 1), &failure)
		benign := errorType.Type == flow.ErrKSeFQuota || errorType.Type == flow.ErrKSeFNotYet || errorType.Type == flow.ErrTeamogyQuota ||
			errorType.Type == flow.ErrWorkerBusy
		require.Equal(t, benign, failure.Category() == temporal.ApplicationErrorCategoryBenign, errorType.Type)
	}
}

func TestAsFailure_leavesAloneWhatIsTypedAlready(t *testing.T) {
	typed := temporal.NewNonRetryableApplicationError("x", flow.ErrNumberTaken, nil)
	require.Equal(t, typed, asFailure(t.Context(), typed, 1, 1))
	canceled := temporal.NewCanceledError()
	require.Equal(t, canceled, asFailure(t.Context(), canceled, 1, 1))

	stopped, stop := context.WithCancel(t.Context())
	stop()
	require.Equal(t, context.Canceled, asFailure(stopped, context.Canceled, 1, 1))
	// Cancelled within, while the activity itself goes on: that is a failure.
	var failure *temporal.ApplicationError
	require.ErrorAs(t, asFailure(t.Context(), context.Canceled, 1, 1), &failure)
}

func TestFailed_letsAPendingResultThrough(t *testing.T) {
	err := activity.ErrResultPending
	(&base{}).failed(t.Context(), "acme", &err)
	require.Equal(t, activity.ErrResultPending, err)
}
