#!/bin/sh
# Whether this container can serve: Kong runs, and so does the plugin server, without which Kong 3.9 answers 500.
# The sidecar is not asked: a gateway without it serves as well.
set -eu
kong health
[ "${KONG_ROLE:-traditional}" = control_plane ] ||
    OTLP_TRACING_SOCKET_NAME="${OTLP_TRACING_SOCKET_NAME:-otlp-tracing/plugin-server.sock}" \
        exec /usr/local/otlp-tracing/bin/otlp-tracing probe --kong-prefix "${KONG_PREFIX:-/usr/local/kong}"
