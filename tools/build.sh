#!/bin/sh
# Builds one static Go program and shows that something is going on.
#
#   tools/build.sh OUTPUT MODULE_DIRECTORY PACKAGE [NOTE]
#
# OUTPUT appears only when it is complete. A line every few seconds tells how many
# packages have been compiled; a build that is quick because of Go's build cache says
# nothing. With TOOL_CACHE set to a directory, programs of tools/ are kept there
# by the hash of their go.mod and go.sum and copied instead of built.
set -u

output=$1 module=$2 package=$3 note=${4:-}
name=$(basename "$output")
every=10

say() { printf '%s: %s\n' "$name" "$*" >&2; }

mkdir -p "$(dirname "$output")" || exit 1
output=$(cd "$(dirname "$output")" && pwd)/$name

cached=
if [ -n "${TOOL_CACHE:-}" ] && [ "$module" != . ]; then
	key=$(cat "$module/go.mod" "$module/go.sum" | git hash-object --stdin | cut -c1-16)
	cached=$TOOL_CACHE/$name-$key-$(go env GOOS)-$(go env GOARCH)-$(go env GOVERSION)
	if [ -x "$cached" ] && cp "$cached" "$output.new" && mv "$output.new" "$output"; then
		say "taken from $cached"
		exit 0
	fi
fi

# Go stamps the commit into the program; where git cannot be asked (another owner, no
# repository), it would refuse to build instead of leaving the stamp out.
vcs=auto
git -C "$module" status --porcelain >/dev/null 2>&1 || vcs=false

log=$(mktemp) || exit 1
started=$(date +%s)
CGO_ENABLED=0 go build -C "$module" -v -trimpath -buildvcs=$vcs -ldflags '-s -w' -o "$output.new" "$package" >"$log" 2>&1 &
build=$!
trap 'kill "$build" 2>/dev/null; wait "$build" 2>/dev/null; rm -f "$log" "$output.new"; exit 130' INT TERM HUP

elapsed=0 shown=0
while kill -0 "$build" 2>/dev/null; do
	sleep 1
	elapsed=$(($(date +%s) - started))
	[ $((elapsed - shown)) -ge $every ] || continue
	[ "$shown" -gt 0 ] || [ -z "$note" ] || say "$note"
	shown=$elapsed
	say "$(awk -v s="$elapsed" '
		/^go: downloading/ { downloaded++; next }
		/^[^ #\t]+$/       { compiled++; last = $0 }
		END { printf "%d:%02d, %d modules fetched, %d packages compiled, now %s", s / 60, s % 60, downloaded, compiled, last }
	' "$log")"
done
wait "$build"
status=$?
if [ "$status" -ne 0 ]; then
	grep -v -e '^go: downloading' -e '^[^ #:]*$' "$log" >&2
	say "could not be built (go build -C $module $package)"
	rm -f "$log" "$output.new"
	exit "$status"
fi
rm -f "$log"
mv "$output.new" "$output" || exit 1
[ "$shown" -eq 0 ] || say "built in ${elapsed} s"
if [ -n "$cached" ] && mkdir -p "$TOOL_CACHE" 2>/dev/null; then
	cp "$output" "$cached.$$" 2>/dev/null && mv "$cached.$$" "$cached" 2>/dev/null || rm -f "$cached.$$" 2>/dev/null
fi
exit 0
