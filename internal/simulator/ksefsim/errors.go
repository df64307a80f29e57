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

// descriptions are the API's own texts of its error codes.
var descriptions = map[int]string{
	9101:  "Nieprawidłowy dokument.",
	9102:  "Brak podpisu.",
	9103:  "Przekroczona liczba dozwolonych podpisów.",
	9105:  "Nieprawidłowy podpis.",
	21001: "Nieczytelna treść.",
	21111: "Nieprawidłowe wyzwanie autoryzacyjne.",
	21115: "Nieprawidłowy certyfikat.",
	21117: "Nieprawidłowy identyfikator podmiotu dla wskazanego typu kontekstu.",
	21155: "Przekroczono dozwoloną liczbę faktur w sesji.",
	21164: "Faktura o podanym identyfikatorze nie istnieje.",
	21165: "Faktura o podanym numerze KSeF nie jest jeszcze dostępna.",
	21166: "Korekta techniczna niedostępna.",
	21167: "Status faktury nie pozwala na korektę techniczną.",
	21173: "Brak sesji o wskazanym numerze referencyjnym.",
	21178: "Nie znaleziono UPO dla podanych kryteriów.",
	21180: "Status sesji nie pozwala na wykonanie operacji.",
	21183: "Zakres filtrowania wykracza poza dostępny zakres danych.",
	21217: "Nieprawidłowe kodowanie znaków.",
	21301: "Brak autoryzacji.",
	21304: "Brak uwierzytelnienia.",
	21401: "Dokument nie jest zgodny ze schemą (xsd).",
	21402: "Nieprawidłowy rozmiar pliku.",
	21403: "Nieprawidłowy skrót pliku.",
	21405: "Błąd walidacji danych wejściowych.",
	21406: "Konflikt podpisu i typu uwierzytelnienia.",
	21418: "Przekazany token kontynuacji ma nieprawidłowy format.",
	21470: "Przesłany identyfikator klucza jest nieznany lub wskazuje na wycofany klucz.",
}

// refuse is a 400 with one code of the API.
func refuse(code int, details ...string) *failure {
	return &failure{status: http.StatusBadRequest, codes: []problemCode{{code, descriptions[code], details}}}
}

// invalid is a 400 with code 21405: the input is not what the contract says.
func invalid(detail string) *failure { return refuse(21405, detail) }

func unauthorized() *failure {
	return &failure{status: http.StatusUnauthorized, detail: "Wymagane jest uwierzytelnienie."}
}

func noAccess() *failure {
	return &failure{
		status: http.StatusForbidden, reasonCode: "insufficient-resource-access",
		detail: "Brak dostępu do wskazanego zasobu.",
	}
}

// reply writes the failure in the format that the request asked for. 401 and
// 403 are always problem documents; 400 and 429 are only with the request
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
	case http.StatusBadRequest:
		if problems {
			doc["detail"] = "Żądanie jest nieprawidłowe."
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
