#!/bin/sh
# Tells whether this container can serve: Kong and the plugin server run. Without the plugin server Kong 3.9 answers 500.
# The sidecar is not checked, because a gateway serves without it.
set -eu
kong health
[ "${KONG_ROLE:-traditional}" = control_plane ] ||
    OTLP_TRACING_SOCKET_NAME="${OTLP_TRACING_SOCKET_NAME:-otlp-tracing/plugin-server.sock}" \
        exec /usr/local/otlp-tracing/bin/otlp-tracing probe --kong-prefix "${KONG_PREFIX:-/usr/local/kong}"
