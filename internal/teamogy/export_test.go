package teamogy

// LooksWaiting is how many looks for KSeF numbers wait for the next request they share.
func (c *Client) LooksWaiting() int { return c.looks.together.Waiting() }

// StatesWaiting is how many states of issued invoices wait for the next look they share.
func (c *Client) StatesWaiting() int { return c.sales.states.Waiting() }
