#!/bin/sh
# Starts the plugin server beside a stock Kong, after it has written the plugin's description to description.json in the
# shared folder, which Kong's query_cmd reads.
# With OTLP_TRACING_DESCRIPTION the file is somebody else's, such as a ConfigMap; serve refuses one of another version.
# Any other command is passed unchanged to otlp-tracing.
set -eu
# shellcheck source=kong/image/secrets.sh
. /otlp-tracing-secrets.sh
command=/usr/local/otlp-tracing/bin/otlp-tracing
[ "${1:-}" != serve ] || (umask 077 && mkdir -p "$OTLP_TRACING_KONG_PREFIX")
if [ "${1:-}" = serve ] && [ -z "${OTLP_TRACING_DESCRIPTION:-}" ]; then
    "$command" dump >"$OTLP_TRACING_KONG_PREFIX/description.partial" || {
        echo "otlp-tracing: the plugin's description cannot be written into $OTLP_TRACING_KONG_PREFIX" >&2
        exit 1
    }
    mv "$OTLP_TRACING_KONG_PREFIX/description.partial" "$OTLP_TRACING_KONG_PREFIX/description.json"
fi
exec "$command" "$@"
