package ksefsim

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// failure is an answer that is no success. A zero status means 400.
type failure struct {
	status     int
	codes      []problemCode // 400
	detail     string
	reasonCode string         // 403
	security   map[string]any // 403
	retryAfter int            // 429, seconds
}

// problemCode is one entry of a 400 answer.
type problemCode struct {
	code        int
	description string
	details     []string
}

// Error is the failure for logs.
func (f *failure) Error() string {
	if len(f.codes) > 0 {
		return strconv.Itoa(f.codes[0].code) + " " + f.codes[0].description + " " + strings.Join(f.codes[0].details, "; ")
	}
	return strconv.Itoa(f.status) + " " + f.detail
}

// descriptions say what the API's error codes mean, in the simulator's own
// words: clients go by the codes.
var descriptions = map[int]string{
	9101:  "Dokumentu nie da się przyjąć.",
	9102:  "W dokumencie nie ma podpisu.",
	9103:  "Dokument ma za dużo podpisów.",
	9105:  "Podpis jest zły.",
	21001: "Treści nie da się odczytać.",
	21111: "Wyzwanie nie pasuje.",
	21115: "Certyfikat nie nadaje się do użycia.",
	21117: "Identyfikator nie pasuje do rodzaju kontekstu.",
	21155: "Sesja jest pełna.",
	21157: "Część pakietu ma inny rozmiar.",
	21161: "Pakiet ma za dużo części.",
	21164: "Nie ma takiej faktury.",
	21165: "Na tę fakturę trzeba jeszcze poczekać.",
	21166: "Drugiej korekty technicznej nie będzie.",
	21167: "Tej faktury nie można skorygować technicznie.",
	21173: "Nie ma takiej sesji.",
	21175: "Nie ma takiego eksportu.",
	21178: "Nie ma takiego UPO.",
	21180: "W tym stanie sesji to niemożliwe.",
	21181: "Takiego eksportu nie da się zrobić.",
	21182: "Za dużo eksportów naraz.",
	21183: "Danych z tego okresu jeszcze nie ma.",
	21184: "Sesja jest chwilowo niedostępna.",
	21205: "Pakiet jest niepełny.",
	21208: "Minął czas na wysłanie pakietu.",
	21217: "Znaki są źle zakodowane.",
	21301: "Odmowa autoryzacji.",
	21308: "Osoba, której to logowanie, nie żyje.",
	21304: "Nie ma takiego uwierzytelnienia.",
	21401: "Dokument odbiega od schematu.",
	21402: "Rozmiar pliku jest inny.",
	21403: "Skrót pliku jest inny.",
	21405: "Dane żądania są błędne.",
	21406: "Podpis nie pasuje do sposobu logowania.",
	25008: "Nie ma takiego certyfikatu.",
	21418: "Token kontynuacji jest zniekształcony.",
	30001: "To już istnieje.",
	21470: "Takiego klucza nie ma (lub już go nie ma).",
}

// refuse is a 400 with one code of the API.
func refuse(code int, details ...string) *failure {
	return &failure{status: http.StatusBadRequest, codes: []problemCode{{code, descriptions[code], details}}}
}

// invalid is a 400 with code 21405: the input is not what the contract says.
func invalid(detail string) *failure { return refuse(21405, detail) }

func unauthorized() *failure {
	return &failure{status: http.StatusUnauthorized, detail: "Najpierw trzeba się zalogować."}
}

// gone is 410: what was asked for is past its retention.
func gone(detail string) *failure { return &failure{status: http.StatusGone, detail: detail} }

func noAccess() *failure {
	return &failure{
		status: http.StatusForbidden, reasonCode: "insufficient-resource-access",
		detail: "To należy do kogoś innego.",
	}
}

// reply writes the failure in the format that the request asked for. 401, 403
// and 410 are always problem documents; 400 and 429 are only with the request
// header X-Error-Format: problem-details.
func (f *failure) reply(r *http.Request, now time.Time) *reply {
	status := f.status
	if status == 0 {
		status = http.StatusBadRequest
	}
	problems := strings.EqualFold(strings.TrimSpace(r.Header.Get("X-Error-Format")), "problem-details")
	trace := strings.ToLower(randomHex(16))
	doc := map[string]any{
		"title": http.StatusText(status), "status": status, "instance": r.URL.Path,
		"detail": f.detail, "timestamp": stamp(now), "traceId": trace,
	}
	contentType := "application/problem+json"
	header := http.Header{}
	switch status {
	case http.StatusBadRequest, http.StatusInternalServerError:
		if problems {
			doc["detail"] = "Żądanie zawiera błędy."
			doc["errors"] = f.list("code", "description")
			break
		}
		contentType = "application/json"
		doc = map[string]any{"exception": map[string]any{
			"exceptionDetailList": f.list("exceptionCode", "exceptionDescription"),
			"referenceNumber":     newReference("EX", now),
			"serviceCode":         "00-" + trace + "-" + trace[:16] + "-00",
			"serviceCtx":          "ksefsim", "serviceName": "Undefined",
			"timestamp": stamp(now),
		}}
	case http.StatusForbidden:
		doc["reasonCode"] = f.reasonCode
		doc["security"] = f.security
	case http.StatusTooManyRequests:
		header.Set("Retry-After", strconv.Itoa(f.retryAfter))
		if !problems {
			contentType = "application/json"
			doc = map[string]any{"status": map[string]any{
				"code": status, "description": http.StatusText(status), "details": []string{f.detail},
			}}
		}
	}
	body, err := json.Marshal(doc)
	if err != nil {
		body = []byte(`{}`)
	}
	return &reply{status: status, contentType: contentType, body: body, header: header}
}

func (f *failure) list(code, description string) []map[string]any {
	list := make([]map[string]any, 0, len(f.codes))
	for _, c := range f.codes {
		item := map[string]any{code: c.code, description: c.description}
		if len(c.details) > 0 {
			item["details"] = c.details
		}
		list = append(list, item)
	}
	return list
}
