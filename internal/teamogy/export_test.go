package teamogy

// StatesWaiting is how many states of issued invoices wait for the next look they share.
func (c *Client) StatesWaiting() int { return c.sales.states.Waiting() }
