package ksefsim

// strikeKeys stands in for the one of keys_rotation.go until both are in one
// branch.
func (s *Simulator) strikeKeys(*call) {}
