package simulators

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"teamogy-ksef/internal/simulator/ksefsim"
)

// ParseFault reads a fault of the KSeF simulator as a command line gives it: its
// name, then what differs from its usual way, "answer-dropped,operation=POST
// /sessions/online/{ref}/invoices,times=3". The simulator itself judges what
// the values mean.
func ParseFault(text string) (ksefsim.Fault, error) {
	name, rest, _ := strings.Cut(text, ",")
	f := ksefsim.Fault{Name: strings.TrimSpace(name)}
	if !slices.Contains(ksefsim.FaultNames(), f.Name) {
		return f, fmt.Errorf("%q is no fault; there are %s", f.Name, strings.Join(ksefsim.FaultNames(), ", "))
	}
	for setting := range strings.SplitSeq(rest, ",") {
		if rest == "" {
			break
		}
		key, value, given := strings.Cut(setting, "=")
		if !given {
			return f, fmt.Errorf("%q of fault %s is not key=value", setting, f.Name)
		}
		var err error
		switch strings.TrimSpace(key) {
		case "operation":
			f.Operation = value
		case "times":
			f.Times, err = strconv.Atoi(value)
		case "skip":
			f.Skip, err = strconv.Atoi(value)
		case "status":
			f.Status, err = strconv.Atoi(value)
		case "code":
			f.Code, err = strconv.Atoi(value)
		case "retryAfter", "retry-after":
			f.RetryAfter, err = strconv.Atoi(value)
		case "seed":
			f.Seed, err = strconv.ParseUint(value, 10, 64)
		case "probability":
			f.Probability, err = strconv.ParseFloat(value, 64)
		case "seconds":
			f.Seconds, err = strconv.ParseFloat(value, 64)
		case "body":
			f.Body = value
		case "contentType", "content-type":
			f.ContentType = value
		default:
			return f, fmt.Errorf("fault %s has no %q; there are operation, times, skip, probability, seed, seconds, status, code, retryAfter, body and contentType", f.Name, key)
		}
		if err != nil {
			return f, fmt.Errorf("%s=%q of fault %s is not a number", key, value, f.Name)
		}
	}
	return f, nil
}
