#!/bin/sh
# Starts the plugin server, then Kong. Without a plugin server Kong 3.9 answers requests with 500. Kong 3.4 gives a
# plugin server up after 20 s and never traces again. Kong's own start_cmd takes over from this one.
# Any command but `kong docker-start` is passed unchanged to Kong's entrypoint.
set -eu

prefix=${KONG_PREFIX:-/usr/local/kong}

# Both look for the socket here. Kong's entrypoint removes every socket directly in the prefix. The folder of the spool,
# $prefix/otlp-tracing, can be a volume that is read-only or another user's. `serve` makes this folder.
run=otlp-tracing.run
[ ! -e "$prefix/$run" ] || [ "$(stat -c %u "$prefix/$run")" = "$(id -u)" ] || run=$run.$(id -u)
export OTLP_TRACING_KONG_PREFIX="$prefix"
export OTLP_TRACING_SOCKET_NAME="${OTLP_TRACING_SOCKET_NAME:-$run/plugin-server.sock}"
export KONG_PLUGINSERVER_OTLP_TRACING_SOCKET="$prefix/$OTLP_TRACING_SOCKET_NAME"

# One worker for each Kong worker, if their number is set. In a container the number of cores is misleading.
case ${KONG_NGINX_WORKER_PROCESSES:-auto} in
    *[!0-9]*) ;;
    *) export OTLP_TRACING_WORKERS="${OTLP_TRACING_WORKERS:-$KONG_NGINX_WORKER_PROCESSES}" ;;
esac

# Secrets in files, in the way of Kong's entrypoint. OTLP_HEADER is for {vault://env/otlp-header}.
for name in OTLP_HEADER OTEL_EXPORTER_OTLP_HEADERS; do
    eval "file=\${${name}_FILE:-}"
    [ -n "$file" ] || continue
    if value=$(cat "$file" 2>/dev/null); then
        export "$name=$value"
        unset "${name}_FILE"
    else
        # Requests are served without tracing's secret. `serve` finds this variable, and counts it.
        echo "otlp-tracing: ${name}_FILE: user $(id -u) cannot read $file" >&2
    fi
done

# nginx passes on only variables that it is told by name. Their values may be secret and are not written here.
# The second line has those from which the resource of the spans is detected: it must be the same in Kong's own start.
for name in $(env | sed -n \
    -e 's/^\(\(OTEL\|OTLP_TRACING\|GRPC\|SSL_CERT\)_[A-Za-z0-9_]*\|[A-Za-z]*_[Pp][Rr][Oo][Xx][Yy]\|OTLP_HEADER_FILE\)=.*/\1/p' \
    -e 's/^\(\(POD\|K8S\)_[A-Za-z0-9_]*\|NODE_NAME\|CONTAINER_NAME\|HOSTNAME\|KUBERNETES_SERVICE_HOST\|KONG_VERSION\|KONG_PREFIX\)=.*/\1/p'); do
    KONG_NGINX_MAIN_ENV="${KONG_NGINX_MAIN_ENV:+$KONG_NGINX_MAIN_ENV; env }$name"
done
export KONG_NGINX_MAIN_ENV

if [ "${1:-} ${2:-}" = "kong docker-start" ] && [ "${KONG_ROLE:-traditional}" != control_plane ]; then
    # Its parent is this process, which becomes nginx. So the plugin server ends when Kong ends.
    /usr/local/otlp-tracing/bin/otlp-tracing serve --on-fault continue &
    # Kong starts in either case: tracing must not cause an outage.
    /usr/local/otlp-tracing/bin/otlp-tracing probe --wait "${OTLP_TRACING_START_TIMEOUT:-15}" || true
fi

for entrypoint in /docker-entrypoint.sh /entrypoint.sh; do
    [ ! -x "$entrypoint" ] || exec "$entrypoint" "$@"
done
echo "otlp-tracing: there is neither /docker-entrypoint.sh nor /entrypoint.sh: KONG_IMAGE is no image of Kong" >&2
exit 2
