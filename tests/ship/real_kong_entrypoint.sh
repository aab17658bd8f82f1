#!/bin/sh
# A double of the entrypoint in Kong's image around a real Kong that lies elsewhere: it prepares the prefix, removes the
# sockets that lie in it, and becomes Kong.
set -eu
[ "$1 ${2:-}" = "kong docker-start" ] || exec "$@"
prefix=${KONG_PREFIX:-/usr/local/kong}
kong prepare -p "$prefix"
for file in "$prefix"/* "$prefix"/sockets/*; do
    [ ! -S "$file" ] || rm -f "$file"
done
KONG_NGINX_DAEMON=off exec kong start -p "$prefix"
