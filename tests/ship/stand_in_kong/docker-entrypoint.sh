#!/bin/sh
# A double of the entrypoint in Kong's image, as far as a plugin server notices it: it prepares the prefix, removes the
# sockets in it, and becomes the stand-in Kong.
set -eu
[ "$1 ${2:-}" = "kong docker-start" ] || exec "$@"

prefix=${KONG_PREFIX:-/usr/local/kong}
kong prepare -p "$prefix"
for file in "$prefix"/* "$prefix"/sockets/*; do
    [ ! -S "$file" ] || rm -f "$file"
done

set -- ${KONG_PLUGINSERVER_OTLP_TRACING_START_CMD:+--start-cmd "$KONG_PLUGINSERVER_OTLP_TRACING_START_CMD"}
export PYTHONPATH=/opt/stand-in-kong
exec /usr/local/otlp-tracing/bin/python -m otlp_tracing_devtools.fake_kong "$KONG_DECLARATIVE_CONFIG" \
    --listen "$KONG_PROXY_LISTEN" --status-listen "$KONG_STATUS_LISTEN" --prefix "$prefix" \
    --plugin-server-name "$KONG_PLUGINSERVER_NAMES" \
    --plugin-server-socket "$KONG_PLUGINSERVER_OTLP_TRACING_SOCKET" \
    --query-cmd "$KONG_PLUGINSERVER_OTLP_TRACING_QUERY_CMD" --main-env "$KONG_NGINX_MAIN_ENV" "$@"
