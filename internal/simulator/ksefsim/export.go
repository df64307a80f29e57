package ksefsim

// exportOperations are the endpoints of export packages.
func (s *Simulator) exportOperations() []*operation { return nil }
