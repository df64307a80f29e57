package teamogy

// LooksWaiting is how many looks for KSeF numbers wait for the next request they share.
func (c *Client) LooksWaiting() int { return c.looks.together.Waiting() }
