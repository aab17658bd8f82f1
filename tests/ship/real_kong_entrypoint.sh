#!/bin/sh
# A double of the entrypoint in Kong's image around a real Kong that lies elsewhere: it prepares the prefix, removes the
# sockets that lie in it, and becomes nginx.
set -eu
[ "$1 ${2:-}" = "kong docker-start" ] || exec "$@"
prefix=${KONG_PREFIX:-/usr/local/kong}
export KONG_NGINX_DAEMON=off
kong prepare -p "$prefix"
for file in "$prefix"/* "$prefix"/sockets/*; do
    [ ! -S "$file" ] || rm -f "$file"
done
# A command `kong` of a build names the folder of its nginx first.
folder=$(sed -n 's/^PATH=\([^:]*\):.*/\1/p' "$(command -v kong)")
exec "${folder:-/usr/local/openresty/nginx/sbin}/nginx" -p "$prefix" -c nginx.conf
