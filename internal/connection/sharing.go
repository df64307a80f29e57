package connection

// Senders counts the connections that send invoices (SEND=on) for the taxpayer
// of c in the same KSeF, c among them: KSeF gives them one request quota, which
// they divide. Connections whose settings were never right send nothing. Of
// those that receive there is only one for a taxpayer
// (archive.ClaimReceiver), so that nothing has to be divided there.
func (s *Store) Senders(c *Connection) int {
	names, err := s.Names()
	if err != nil {
		return 1
	}
	senders := 1
	for _, name := range names {
		if name == c.Name {
			continue
		}
		other, err := s.Get(name)
		if err == nil && other.Send && other.NIP == c.NIP && other.KSeFEnvironment == c.KSeFEnvironment && other.KSeFURL == c.KSeFURL {
			senders++
		}
	}
	return senders
}
