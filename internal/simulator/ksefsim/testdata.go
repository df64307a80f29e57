package ksefsim

// testdataOperations are the endpoints that only TEST has.
func (s *Simulator) testdataOperations() []*operation { return nil }
