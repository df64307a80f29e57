package teamogy

// LooksWaiting is how many looks for KSeF numbers wait for the next request they share.
func (c *Client) LooksWaiting() int {
	g := c.looks.together
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.waiting)
}
