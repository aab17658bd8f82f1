#!/bin/sh
# Tells whether this container can serve: Kong and the plugin server run. Without the plugin server Kong 3.9 answers 500.
# The sidecar is not checked, because a gateway serves without it.
set -eu
kong health
[ "${KONG_ROLE:-traditional}" != control_plane ] || exit 0
prefix=${KONG_PREFIX:-/usr/local/kong}
[ -z "${OTLP_TRACING_SOCKET_NAME:-}" ] || set -- "$prefix/$OTLP_TRACING_SOCKET_NAME"
# The entrypoint chooses between two folders.
[ $# -gt 0 ] || set -- "$prefix"/otlp-tracing.run*/plugin-server.sock
for socket; do
    ! /usr/local/otlp-tracing/bin/otlp-tracing probe --kong-prefix "$prefix" --socket-name "${socket#"$prefix"/}" || exit 0
done
exit 1
