#!/bin/sh
# Starts the plugin server, then Kong: a request that met none would be answered with 500 on Kong 3.9, and on 3.4,
# which gives a plugin server up after 20 s, go untraced for ever. Kong's own start_cmd takes over from it.
# Everything but `kong docker-start` goes to Kong's entrypoint as it is.
set -eu

prefix=${KONG_PREFIX:-/usr/local/kong}

# Where both look for the socket. Kong's entrypoint removes every socket that lies in the prefix itself.
export OTLP_TRACING_KONG_PREFIX="$prefix"
export OTLP_TRACING_SOCKET_NAME="${OTLP_TRACING_SOCKET_NAME:-otlp-tracing/plugin-server.sock}"
export KONG_PLUGINSERVER_OTLP_TRACING_SOCKET="$prefix/$OTLP_TRACING_SOCKET_NAME"

# A worker for each of Kong's, where their number is given: in a container, cores are no measure.
case ${KONG_NGINX_WORKER_PROCESSES:-auto} in
    *[!0-9]*) ;;
    *) export OTLP_TRACING_WORKERS="${OTLP_TRACING_WORKERS:-$KONG_NGINX_WORKER_PROCESSES}" ;;
esac

# Secrets in files, as Kong's entrypoint takes its own; OTLP_HEADER is there for {vault://env/otlp-header}.
for name in OTLP_HEADER OTEL_EXPORTER_OTLP_HEADERS; do
    eval "file=\${${name}_FILE:-}"
    if [ -n "$file" ]; then
        value=$(cat "$file" 2>/dev/null) || {
            echo "otlp-tracing: ${name}_FILE: user $(id -u) cannot read $file" >&2
            exit 2
        }
        export "$name=$value"
    fi
    unset "${name}_FILE"
done

# nginx hands on only the variables that it is told to; without their values, which may be secret.
for name in $(env | sed -n 's/^\(\(OTEL\|OTLP_TRACING\|GRPC\|SSL_CERT\)_[A-Za-z0-9_]*\|[A-Za-z]*_[Pp][Rr][Oo][Xx][Yy]\)=.*/\1/p'); do
    KONG_NGINX_MAIN_ENV="${KONG_NGINX_MAIN_ENV:+$KONG_NGINX_MAIN_ENV; env }$name"
done
export KONG_NGINX_MAIN_ENV

if [ "${1:-} ${2:-}" = "kong docker-start" ] && [ "${KONG_ROLE:-traditional}" != control_plane ]; then
    (umask 077 && mkdir -p "$(dirname "$KONG_PLUGINSERVER_OTLP_TRACING_SOCKET")")
    # Its parent, this process, becomes nginx: it ends when Kong does.
    /usr/local/otlp-tracing/bin/otlp-tracing serve &
    # Tracing is never the outage: Kong starts either way.
    /usr/local/otlp-tracing/bin/otlp-tracing probe --wait "${OTLP_TRACING_START_TIMEOUT:-15}" || true
fi

for entrypoint in /docker-entrypoint.sh /entrypoint.sh; do
    [ ! -x "$entrypoint" ] || exec "$entrypoint" "$@"
done
echo "otlp-tracing: there is neither /docker-entrypoint.sh nor /entrypoint.sh: KONG_IMAGE is no image of Kong" >&2
exit 2
