#!/bin/sh
# Creates the namespace and the search attributes that the workflows use (their list
# is internal/flow's). It may run again at any time: what is there already stays.
# The address and the namespace come from TEMPORAL_ADDRESS and TEMPORAL_NAMESPACE.
set -eu

temporal operator cluster health
temporal operator namespace describe --namespace "$TEMPORAL_NAMESPACE" >/dev/null 2>&1 ||
	temporal operator namespace create --namespace "$TEMPORAL_NAMESPACE" --retention "${RETENTION:-720h}"

# Every part of the server learns of a new namespace within some seconds.
tries=30
until present=$(temporal operator search-attribute list 2>&1); do
	tries=$((tries - 1))
	[ "$tries" -gt 0 ] || { echo "$present" >&2; exit 1; }
	sleep 1
done
for attribute in KsefConnection KsefDirection KsefNumber KsefState; do
	case $present in
	*"$attribute"*) echo "search attribute $attribute exists" ;;
	*) temporal operator search-attribute create --name "$attribute" --type Keyword ;;
	esac
done
