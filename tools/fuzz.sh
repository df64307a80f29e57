#!/bin/sh
# Runs every fuzz target of the module, one after the other, and stops at the first finding.
#
#   tools/fuzz.sh TIME
#
# TIME is what each gets, such as 10s. A finding is left in testdata/fuzz of its package, from
# where every later `go test` takes it: commit it with what mends it.
set -eu

time=$1
log=$(mktemp)
trap 'rm -f "$log"' EXIT
trap 'exit 130' INT TERM HUP

if ! go test -list '^Fuzz' ./... >"$log" 2>&1; then
	cat "$log" >&2
	exit 1
fi
# The targets of a package come before the line that names it.
targets=$(awk '/^Fuzz/ { names = names " " $1 } $1 == "ok" { split(names, n, " "); for (i = 1; i in n; i++) print $2, n[i]; names = "" }' "$log")
module=$(go list -m)

echo "$targets" | while read -r package target; do
	note=
	# An input that is only of interest is not made smaller for a minute, which is the default.
	if ! go test -run '^$' -fuzz "^$target\$" -fuzztime "$time" -fuzzminimizetime 100x "$package" >"$log" 2>&1 </dev/null; then
		# Go before 1.27 now and then takes the end of the time for a failure (go.dev/issue/75804); a finding is written down.
		if grep -q '^    context deadline exceeded$' "$log" && ! grep -q 'Failing input written to' "$log" && grep -q 'execs: [1-9]' "$log"; then
			note=' (the end of the time was taken for a failure: go.dev/issue/75804)'
		else
			cat "$log" >&2
			printf '%s %s: FAILED\n' "${package#"$module"/}" "$target"
			exit 1
		fi
	fi
	printf '%s %s: %s inputs%s\n' "${package#"$module"/}" "$target" "$(sed -n 's/.*execs: \([0-9]*\).*/\1/p' "$log" | tail -n 1)" "$note"
done
