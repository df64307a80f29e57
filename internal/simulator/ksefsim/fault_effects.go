package ksefsim

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	badGatewayPage = "<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>"
	blockedPage    = "<html><head><title>Request unsuccessful</title></head><body>Request unsuccessful. Incapsula incident ID: 0-0</body></html>"
)

// delivery is how an answer reaches the caller.
type delivery int

const (
	delivered delivery = iota
	dropped            // the connection is closed without an answer
	reset              // the connection is reset
	hanging            // nothing comes until the caller gives up
	truncated          // half of the body comes
)

// suits says whether an answer is one that the fault can do to what it says.
func (f *Fault) suits(out *reply) bool {
	switch f.Name {
	case faultCloseWorked:
		return out.status == http.StatusNoContent
	case faultTruncated:
		return out.status == http.StatusOK && len(out.body) > 1
	case faultUnknownFields, faultUnknownEnums:
		return strings.Contains(out.contentType, "json") && len(out.body) > 0
	}
	return true
}

// replace is what the caller gets instead of an answer. For a fault that
// strikes after the operation, out is the answer that there would have been.
func (f *Fault) replace(out *reply, r *http.Request, now time.Time) *reply {
	switch f.Name {
	case faultRequestDropped, faultAnswerDropped:
		return &reply{delivery: dropped}
	case faultReset, faultResetAfter:
		return &reply{delivery: reset}
	case faultTimeout, faultTimeoutAfter:
		return &reply{delivery: hanging, hang: f.duration()}
	case faultBadGateway, faultBadGatewayAfter, faultCloseWorked:
		return &reply{status: http.StatusBadGateway, contentType: "text/html", body: []byte(badGatewayPage)}
	case faultHTML:
		return &reply{status: http.StatusOK, contentType: "text/html", body: []byte(blockedPage)}
	case faultWAF:
		return (&failure{
			status: http.StatusForbidden, reasonCode: "security-service-blocked", detail: "Zapora zatrzymała żądanie.",
			security: map[string]any{"incidentId": "0-" + randomHex(8), "clientIp": clientIP(r)},
		}).reply(r, now)
	case faultTooMany, faultStorm:
		seconds := max(f.RetryAfter, 1)
		if f.Name == faultStorm {
			seconds *= f.Fired
		}
		return (&failure{
			status: http.StatusTooManyRequests, retryAfter: seconds, detail: fmt.Sprintf("Za dużo żądań (na życzenie testu), następne za %d s.", seconds),
		}).reply(r, now)
	case faultAPIError:
		return refuse(f.Code, "Na życzenie testu.").reply(r, now)
	case faultNotYetKnown:
		return refuse(21173, "Sesji jeszcze nie widać.").reply(r, now)
	case faultUnavailable:
		return refuse(21184, "Spróbuj później.").reply(r, now)
	case faultUPOLate:
		return refuse(21178, "UPO jeszcze powstaje.").reply(r, now)
	case faultStatus:
		return f.statusReply()
	case faultTruncated:
		out.delivery = truncated
	case faultUnknownFields:
		out.body = rewriteJSON(out, addUnknownField)
	case faultUnknownEnums:
		out.body = rewriteJSON(out, addUnknownEnum)
	case faultSystemWarning:
		text := f.Body
		if text == "" {
			text = "[sim-001]: ostrzezenie na zyczenie testu"
		}
		out.setHeader("X-System-Warning", text)
	}
	return out
}

func (f *Fault) statusReply() *reply {
	contentType := f.ContentType
	if contentType == "" {
		contentType = "application/json"
		if strings.HasPrefix(f.Body, "<") {
			contentType = "text/html"
		}
	}
	out := &reply{status: f.Status, contentType: contentType, body: []byte(f.Body)}
	if f.RetryAfter > 0 {
		out.setHeader("Retry-After", strconv.Itoa(f.RetryAfter))
	}
	return out
}

// rewriteJSON changes every object of a JSON answer.
func rewriteJSON(out *reply, change func(map[string]any)) []byte {
	d := json.NewDecoder(strings.NewReader(string(out.body)))
	d.UseNumber()
	var v any
	if d.Decode(&v) != nil {
		return out.body
	}
	var walk func(any)
	walk = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			for _, inner := range v {
				walk(inner)
			}
			change(v)
		case []any:
			for _, inner := range v {
				walk(inner)
			}
		}
	}
	walk(v)
	body, err := json.Marshal(v)
	if err != nil {
		return out.body
	}
	return body
}

func addUnknownField(object map[string]any) {
	object["simUnknown"] = map[string]any{"since": "9.9.0", "values": []any{1, nil, "x"}}
}

// openEnumerations are the properties whose values KSeF may extend without
// asking anybody.
var openEnumerations = map[string]bool{
	"authenticationMethod": true, "category": true, "invoicingMode": true, "invoiceType": true, "compressionType": true,
	"permissionScope": true, "reasonCode": true, "tokenType": true,
}

func addUnknownEnum(object map[string]any) {
	for name, value := range object {
		if _, isText := value.(string); isText && openEnumerations[name] {
			object[name] = "SimUnknown"
		}
		if list, isList := value.([]any); isList && (name == "usage" || name == "requiredAnyOfPermissions") {
			object[name] = append(list, "SimUnknown")
		}
	}
}

// strikeClock lets the faults of time happen that were ordered for an
// operation.
func (s *Simulator) strikeClock(operation string) {
	for _, night := range []struct {
		fault string
		next  func(time.Time) time.Time
	}{
		{faultWarsawMidnight, s.nextWarsawMidnight},
		{faultDSTSpring, func(now time.Time) time.Time { return s.nextTransition(now, true) }},
		{faultDSTAutumn, func(now time.Time) time.Time { return s.nextTransition(now, false) }},
	} {
		if f := s.faults.strike(night.fault, operation); f != nil {
			boundary := night.next(s.now().Add(max(f.duration(), 0))) // not one that is nearer than that
			_ = s.clock.jump(boundary.Add(-f.duration()))             // forward
		}
	}
	if f := s.faults.strike(faultClockSkew, operation); f != nil {
		s.setSkew(f.duration())
	}
}

// cutOff ends a connection in the way that a reply says.
func (out *reply) cutOff(w http.ResponseWriter, r *http.Request) {
	switch out.delivery {
	case hanging:
		_, _ = io.Copy(io.Discard, r.Body) // only then is a caller noticed that gives up
		wait, cancel := context.WithTimeout(r.Context(), out.hang)
		<-wait.Done()
		cancel()
	case reset:
		if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
			if tcp, ok := conn.(*net.TCPConn); ok {
				_ = tcp.SetLinger(0)
			}
			_ = conn.Close()
			return
		}
	}
	panic(http.ErrAbortHandler)
}
