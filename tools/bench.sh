#!/bin/sh
# Runs the benchmarks whose names match $1 and prints one "name: value unit" line for each figure.
# What runs in a moment is run three times, and its median is printed. The whole output is kept in bin/bench.txt.
set -eu
cd "$(dirname "$0")/.."
chosen=${1:-.}
mkdir -p bin
output=bin/bench.txt
: >"$output"

run() {
	"$@" >>"$output" 2>&1 || {
		cat "$output" >&2
		exit 1
	}
}

# has tells whether a package has a benchmark whose name matches; a name ends where its parts begin.
has() {
	grep -h -o '^func Benchmark[A-Za-z0-9_]*' "$1"/*_test.go 2>/dev/null | sed 's/^func Benchmark//' | grep -q -E "${chosen%%/*}"
}

# The benchmarks of ./internal/integration have the machine to themselves.
small=
for directory in $(find . -name '*_test.go' -not -path './internal/integration/*' -exec dirname {} + | sort -u); do
	if has "$directory"; then small="$small $directory"; fi
done
# shellcheck disable=SC2086 # one argument for each package
[ -z "$small" ] || run go test -timeout 60m -p 1 -run '^$' -bench "$chosen" -count 3 $small
! has ./internal/integration || run go test -timeout 24h -run '^$' -bench "$chosen" ./internal/integration

awk '
BEGIN { of["MB/s"] = ".throughput"; of["B/op"] = ".memory"; of["allocs/op"] = ".allocations" }
/^Benchmark/ && NF >= 4 {
	name = $1
	sub(/^Benchmark/, "", name)
	sub(/-[0-9]+$/, "", name)
	for (i = 3; i < NF; i += 2) {
		unit = $(i + 1)
		what = name of[unit]
		if (unit == "ns/op" && $i == 0) continue
		if (split(unit, part, ":") == 2) {
			what = part[1] ~ /^=/ ? substr(part[1], 2) : name "." part[1]
			unit = part[2]
		}
		if (!(what in seen)) { order[++names] = what; units[what] = unit }
		value[what, ++seen[what]] = $i
	}
}
END {
	for (n = 1; n <= names; n++) {
		what = order[n]
		count = seen[what]
		for (i = 1; i <= count; i++) sorted[i] = value[what, i]
		for (i = 2; i <= count; i++) # a few
			for (j = i; j > 1 && sorted[j - 1] + 0 > sorted[j] + 0; j--) { t = sorted[j]; sorted[j] = sorted[j - 1]; sorted[j - 1] = t }
		printf "%s: %s %s\n", what, sorted[int((count + 1) / 2)], units[what]
	}
}' "$output"
