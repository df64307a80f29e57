package connection

import "strings"

// nearest returns the candidate that a misspelt name most likely means, or "".
func nearest(name string, candidates []string) string {
	tolerated := max(2, len(name)/4)
	if len(name) < 6 {
		tolerated = 1 // a short word is near too many others
	}
	best, bestDistance := "", tolerated+1
	for _, candidate := range candidates {
		if abbreviates(name, candidate) {
			return candidate
		}
		if d := distance(name, candidate); d < bestDistance {
			best, bestDistance = candidate, d
		}
	}
	return best
}

// abbreviates says whether every word of a name, such as KSEF_CERT_FILE, begins that of a candidate.
func abbreviates(name, candidate string) bool {
	short, long := strings.Split(name, "_"), strings.Split(candidate, "_")
	if len(short) != len(long) || len(name) < 3 {
		return false
	}
	for i, word := range short {
		if !strings.HasPrefix(long[i], word) {
			return false
		}
	}
	return true
}

// distance is how many letters have to be inserted, removed or changed (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(row[j+1]+1, row[j]+1, change)
		}
	}
	return row[len(b)]
}
