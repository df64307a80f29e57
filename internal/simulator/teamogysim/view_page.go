package teamogysim

import (
	"fmt"
	"strconv"
)

// pageAsked is the part of a view that a request asks for.
type pageAsked struct {
	limit, asked, offset int
}

func pageOf(query map[string]string, set *settings) (pageAsked, error) {
	p := pageAsked{limit: set.PageLimit}
	for parameter, into := range map[string]*int{"limit": &p.limit, "offset": &p.offset} {
		text, given := query[parameter]
		if !given {
			continue
		}
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 || (parameter == "limit" && n == 0) {
			return p, fmt.Errorf("%s %q is not a valid number", parameter, text)
		}
		*into = n
	}
	p.asked = p.limit
	if p.limit > set.PageLimit {
		if set.OverLimit == OverRefused {
			return p, fmt.Errorf("limit %d is above the maximum of %d", p.limit, set.PageLimit)
		}
		p.limit = set.PageLimit
	}
	return p, nil
}

// cut is the page of the rows that match, and what is told about it.
func (p pageAsked) cut(rows []row, set *settings) ([]row, map[string]any) {
	start := min(p.offset, len(rows))
	end := start + min(p.limit, len(rows)-start)
	page := rows[start:end]

	metadata := map[string]any{"limit": p.limit}
	if set.MetadataLimit == LimitAsked {
		metadata["limit"] = p.asked
	}
	switch set.MetadataCount {
	case CountMatches:
		metadata["count"] = len(rows)
	case CountPage:
		metadata["count"] = len(page)
	}
	switch {
	case end < len(rows) || set.NextOffsetEnd == EndEmptyPage && len(page) > 0:
		metadata["nextOffset"] = end
	case set.NextOffsetEnd != EndAbsent:
		metadata["nextOffset"] = nil
	}
	return page, metadata
}
