package ksefsim

import "net/http"

// simAddFault answers POST /_sim/faults: one fault is ordered.
func (s *Simulator) simAddFault(r *http.Request) (any, error) {
	var f Fault
	if err := read(r, &f); err != nil {
		return nil, err
	}
	return s.faults.add(f)
}

// simFaults answers GET /_sim/faults: what is ordered and how often each has
// struck, and how often every name has since the last reset.
func (s *Simulator) simFaults(*http.Request) (any, error) {
	list, fired := s.faults.all()
	return map[string]any{"faults": list, "fired": fired}, nil
}

// simClearFaults answers DELETE /_sim/faults. Clocks go right again; the
// totals stay.
func (s *Simulator) simClearFaults(*http.Request) (any, error) {
	s.faults.clear()
	s.setSkew(0)
	return done, nil
}

// simFaultNames answers GET /_sim/faults/names: every fault there is.
func (s *Simulator) simFaultNames(*http.Request) (any, error) {
	list := make([]map[string]any, 0, len(faultKinds))
	for _, k := range faultKinds {
		item := map[string]any{"name": k.name, "does": k.does, "operations": k.operations}
		if k.older != "" {
			item["action"] = k.older
		}
		if k.operations == nil {
			item["operations"] = []string{}
		}
		list = append(list, item)
	}
	return map[string]any{"names": list, "operations": operationNames()}, nil
}
