#!/bin/sh
# Creates Temporal's two databases and brings their schema to the version of this image.
# It may run again at any time: what is there already stays.
set -eu

SQL_PASSWORD=$(cat /run/secrets/postgres_password)
export SQL_PASSWORD

for pair in temporal:temporal temporal_visibility:visibility; do
	database=${pair%%:*} schema=${pair##*:}
	sql() { temporal-sql-tool --plugin "$DB" --ep "$POSTGRES_SEEDS" -p "$DB_PORT" -u "$POSTGRES_USER" --db "$database" "$@"; }
	sql create
	sql setup-schema -v 0.0
	sql update-schema -d "/etc/temporal/schema/postgresql/v12/$schema/versioned"
done
