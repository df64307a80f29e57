package integration

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	command "go.temporal.io/api/command/v1"
	common "go.temporal.io/api/common/v1"
	failurepb "go.temporal.io/api/failure/v1"
	"go.temporal.io/api/history/v1"
	"go.temporal.io/api/protocol/v1"
	"go.temporal.io/api/sdk/v1"
	"go.temporal.io/api/update/v1"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// canaryPlaces puts bytes into each place that the search has to look at, and
// gives what the collecting code makes of it.
func canaryPlaces() map[string]func(t *testing.T, canary []byte) []found {
	event := func(e *history.HistoryEvent) func(*testing.T, func(*history.HistoryEvent)) []found {
		return func(t *testing.T, plant func(*history.HistoryEvent)) []found {
			e := proto.Clone(e).(*history.HistoryEvent)
			plant(e)
			// Over the wire, as from a server: unknown to the test's own objects.
			raw, err := proto.Marshal(e)
			require.NoError(t, err)
			back := &history.HistoryEvent{}
			require.NoError(t, proto.Unmarshal(raw, back))
			return textsOf(t, "history", back)
		}
	}
	payload := func(canary []byte) *common.Payload {
		return &common.Payload{Metadata: map[string][]byte{"encoding": []byte("json/plain")}, Data: slices.Concat([]byte(`{"a":"`), canary, []byte(`"}`))}
	}
	payloads := func(canary []byte) *common.Payloads {
		return &common.Payloads{Payloads: []*common.Payload{payload([]byte("x")), payload(canary)}}
	}
	in := func(plant func(e *history.HistoryEvent, canary []byte)) func(*testing.T, []byte) []found {
		return func(t *testing.T, canary []byte) []found {
			return event(&history.HistoryEvent{EventId: 7, EventTime: timestamppb.New(time.Now())})(t, func(e *history.HistoryEvent) { plant(e, canary) })
		}
	}
	started := func(change func(a *history.WorkflowExecutionStartedEventAttributes, canary []byte)) func(*testing.T, []byte) []found {
		return in(func(e *history.HistoryEvent, canary []byte) {
			a := &history.WorkflowExecutionStartedEventAttributes{}
			change(a, canary)
			e.Attributes = &history.HistoryEvent_WorkflowExecutionStartedEventAttributes{WorkflowExecutionStartedEventAttributes: a}
		})
	}
	failed := func(change func(f *failurepb.Failure, canary []byte)) func(*testing.T, []byte) []found {
		return in(func(e *history.HistoryEvent, canary []byte) {
			f := &failurepb.Failure{Message: "m"}
			change(f, canary)
			e.Attributes = &history.HistoryEvent_ActivityTaskStartedEventAttributes{ActivityTaskStartedEventAttributes: &history.ActivityTaskStartedEventAttributes{
				LastFailure: &failurepb.Failure{Message: "outer", Cause: f},
			}}
		})
	}
	file := func(name string) func(*testing.T, []byte) []found {
		return func(t *testing.T, canary []byte) []found {
			dir := t.TempDir()
			path := filepath.Join(dir, filepath.FromSlash(name))
			require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
			require.NoError(t, os.WriteFile(path, slices.Concat([]byte("{\n  \"a\": \""), canary, []byte("\"\n}\n")), 0o600))
			return filesOf(t, dir)
		}
	}
	return map[string]func(*testing.T, []byte) []found{
		"input": started(func(a *history.WorkflowExecutionStartedEventAttributes, c []byte) { a.Input = payloads(c) }),
		"header": started(func(a *history.WorkflowExecutionStartedEventAttributes, c []byte) {
			a.Header = &common.Header{Fields: map[string]*common.Payload{"h": payload(c)}}
		}),
		"memo": started(func(a *history.WorkflowExecutionStartedEventAttributes, c []byte) {
			a.Memo = &common.Memo{Fields: map[string]*common.Payload{"h": payload(c)}}
		}),
		"search attribute": started(func(a *history.WorkflowExecutionStartedEventAttributes, c []byte) {
			a.SearchAttributes = &common.SearchAttributes{IndexedFields: map[string]*common.Payload{"KsefState": payload(c)}}
		}),
		"payload metadata": started(func(a *history.WorkflowExecutionStartedEventAttributes, c []byte) {
			a.Input = &common.Payloads{Payloads: []*common.Payload{{Metadata: map[string][]byte{"m": c}}}}
		}),
		"result": in(func(e *history.HistoryEvent, c []byte) {
			e.Attributes = &history.HistoryEvent_ActivityTaskCompletedEventAttributes{
				ActivityTaskCompletedEventAttributes: &history.ActivityTaskCompletedEventAttributes{Result: payloads(c)},
			}
		}),
		"summary": in(func(e *history.HistoryEvent, c []byte) { e.UserMetadata = &sdk.UserMetadata{Summary: payload(c)} }),
		"details": in(func(e *history.HistoryEvent, c []byte) { e.UserMetadata = &sdk.UserMetadata{Details: payload(c)} }),
		"marker": in(func(e *history.HistoryEvent, c []byte) {
			e.Attributes = &history.HistoryEvent_MarkerRecordedEventAttributes{
				MarkerRecordedEventAttributes: &history.MarkerRecordedEventAttributes{Details: map[string]*common.Payloads{"d": payloads(c)}},
			}
		}),
		"signal": in(func(e *history.HistoryEvent, c []byte) {
			e.Attributes = &history.HistoryEvent_WorkflowExecutionSignaledEventAttributes{
				WorkflowExecutionSignaledEventAttributes: &history.WorkflowExecutionSignaledEventAttributes{Input: payloads(c)},
			}
		}),
		"update request": in(func(e *history.HistoryEvent, c []byte) {
			e.Attributes = &history.HistoryEvent_WorkflowExecutionUpdateAcceptedEventAttributes{
				WorkflowExecutionUpdateAcceptedEventAttributes: &history.WorkflowExecutionUpdateAcceptedEventAttributes{
					AcceptedRequest: &update.Request{Input: &update.Input{Name: "Pause", Args: payloads(c)}},
				},
			}
		}),
		"update result": in(func(e *history.HistoryEvent, c []byte) {
			e.Attributes = &history.HistoryEvent_WorkflowExecutionUpdateCompletedEventAttributes{
				WorkflowExecutionUpdateCompletedEventAttributes: &history.WorkflowExecutionUpdateCompletedEventAttributes{
					Outcome: &update.Outcome{Value: &update.Outcome_Success{Success: payloads(c)}},
				},
			}
		}),
		"failure message":     failed(func(f *failurepb.Failure, c []byte) { f.Message = strings.ToValidUTF8("m "+string(c), "?") }),
		"failure stack trace": failed(func(f *failurepb.Failure, c []byte) { f.StackTrace = strings.ToValidUTF8("m "+string(c), "?") }),
		"failure details": failed(func(f *failurepb.Failure, c []byte) {
			f.FailureInfo = &failurepb.Failure_ApplicationFailureInfo{ApplicationFailureInfo: &failurepb.ApplicationFailureInfo{Details: payloads(c)}}
		}),
		"failure encoded": failed(func(f *failurepb.Failure, c []byte) { f.EncodedAttributes = payload(c) }),
		"heartbeat": failed(func(f *failurepb.Failure, c []byte) {
			f.FailureInfo = &failurepb.Failure_TimeoutFailureInfo{TimeoutFailureInfo: &failurepb.TimeoutFailureInfo{LastHeartbeatDetails: payloads(c)}}
		}),
		"cause of a cause": failed(func(f *failurepb.Failure, c []byte) {
			f.Cause = &failurepb.Failure{Cause: &failurepb.Failure{Message: strings.ToValidUTF8(string(c), "?")}}
		}),
		"protocol message": func(t *testing.T, c []byte) []found {
			body, err := anypb.New(&update.Request{Input: &update.Input{Args: payloads(c)}})
			require.NoError(t, err)
			return textsOf(t, "message", &protocol.Message{Body: body})
		},
		"command": func(t *testing.T, c []byte) []found {
			return textsOf(t, "command", &command.Command{UserMetadata: &sdk.UserMetadata{Summary: payload(c)}})
		},
		"log": func(t *testing.T, c []byte) []found {
			return []found{{"log", slices.Concat([]byte("time=2026 level=DEBUG msg=\"x "), c, []byte("\"\n"))}}
		},
		"record":    file("records/acme/sent/17/accepted.json"),
		"list":      file("lists/ab/cdef"),
		"document":  file("documents/ab/cdef"),
		"UPO":       file("upo/1.xml"),
		"binding":   file("bindings/acme.json"),
		"file name": func(t *testing.T, c []byte) []found { return fileNamed(t, c) },
	}
}

// fileNamed plants into the name of an index entry, as far as a file's name
// can hold it.
func fileNamed(t *testing.T, canary []byte) []found {
	dir := t.TempDir()
	path := filepath.Join(dir, "index", "acme", "sent", "2026", "11")
	require.NoError(t, os.MkdirAll(path, 0o700))
	if bytes.ContainsAny(canary, "/\x00") || len(canary) > 200 {
		return []found{{"name", canary}}
	}
	require.NoError(t, os.WriteFile(filepath.Join(path, string(canary)), nil, 0o600))
	return filesOf(t, dir)
}

// A check that finds nothing is worth something only if it would find: a
// canary of each kind, in each place, in each form.
func TestSecrets_aPlantedCanaryOfEachKindIsFoundInEachPlace(t *testing.T) {
	canaries := canariesOfEachKind(t)
	s := newSearch(t, canaries...)
	for place, plant := range canaryPlaces() {
		t.Run(place, func(t *testing.T) {
			for _, c := range canaries {
				for _, f := range plantings(c.value) {
					// A string of protobuf cannot hold any bytes: there a raw key
					// could not stand either.
					if !utf8.Valid(f.text) && holdsTextOnly(place) {
						continue
					}
					var hits []hit
					for _, text := range plant(t, f.text) {
						hits = append(hits, s.in(text.place, text.text)...)
					}
					require.True(t, slices.ContainsFunc(hits, func(h hit) bool { return h.kind == c.kind && h.name == c.name }),
						"%s (%s) was planted as %s and not found", c.kind, c.name, f.name)
				}
			}
			for _, text := range plant(t, []byte("nothing of interest")) {
				require.Empty(t, s.in(text.place, text.text))
			}
		})
	}
}

func holdsTextOnly(place string) bool {
	return strings.HasPrefix(place, "failure message") || strings.HasPrefix(place, "failure stack") || place == "cause of a cause" || place == "file name"
}

// plantings are forms as somebody would write them, independent of formsOf:
// padded or not, amid other bytes, in lines.
func plantings(value []byte) []form {
	out := []form{
		{"raw", value},
		{"hex", fmt.Appendf(nil, "%x", value)},
		{"upper hex", fmt.Appendf(nil, "%X", value)},
		{"quoted", fmt.Appendf(nil, "%q", value)},
		{"bytes", fmt.Append(nil, value)},
	}
	for before := range 4 {
		mixed := slices.Concat(bytes.Repeat([]byte("<"), before), value, []byte("tail"))
		for name, e := range map[string]*base64.Encoding{"std": base64.StdEncoding, "raw std": base64.RawStdEncoding, "URL": base64.URLEncoding, "raw URL": base64.RawURLEncoding} {
			out = append(out, form{fmt.Sprintf("Base64 %s after %d bytes", name, before), []byte(e.EncodeToString(mixed))})
		}
	}
	var lines []string
	for text := base64.StdEncoding.EncodeToString(value); text != ""; {
		n := min(64, len(text))
		lines, text = append(lines, text[:n]), text[n:]
	}
	return append(out, form{"Base64 in lines", []byte(strings.Join(lines, "\n"))}, form{"Base64 in escaped lines", []byte(strings.Join(lines, `\n`))})
}
