package ksefsim

// batchOperations are the endpoints of batch sessions.
func (s *Simulator) batchOperations() []*operation { return nil }
