#!/bin/bash
# Keeps two programs: the plugin server, and Kong. Without a plugin server Kong 3.9 answers requests with 500, so it is
# started first, and again when it ends. Kong does not start it: from 3.9 on, `GET /` of the Admin API would answer 500.
# It ends after Kong, so that it takes Kong's last records.
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

# shellcheck source=kong/image/secrets.sh
. /otlp-tracing-secrets.sh

# nginx passes on only variables that it is told by name. Their values may be secret and are not written here.
# The second line has those from which the resource of the spans is detected: it must be the same in Kong's own start.
for name in $(env | sed -n \
    -e 's/^\(\(OTEL\|OTLP_TRACING\|GRPC\|SSL_CERT\)_[A-Za-z0-9_]*\|[A-Za-z]*_[Pp][Rr][Oo][Xx][Yy]\|OTLP_HEADER_FILE\)=.*/\1/p' \
    -e 's/^\(\(POD\|K8S\)_[A-Za-z0-9_]*\|NODE_NAME\|CONTAINER_NAME\|HOSTNAME\|KUBERNETES_SERVICE_HOST\|KONG_VERSION\|KONG_PREFIX\)=.*/\1/p'); do
    KONG_NGINX_MAIN_ENV="${KONG_NGINX_MAIN_ENV:+$KONG_NGINX_MAIN_ENV; env }$name"
done
export KONG_NGINX_MAIN_ENV

for entrypoint in /docker-entrypoint.sh /entrypoint.sh ""; do
    [ ! -x "$entrypoint" ] || break
done
if [ -z "$entrypoint" ]; then
    echo "otlp-tracing: there is neither /docker-entrypoint.sh nor /entrypoint.sh: KONG_IMAGE is no image of Kong" >&2
    exit 2
fi
if [ "${1:-} ${2:-}" != "kong docker-start" ] || [ "${KONG_ROLE:-traditional}" = control_plane ]; then
    exec "$entrypoint" "$@"
fi

command=/usr/local/otlp-tracing/bin/otlp-tracing
stay_alive="sleep infinity"
start_server() {
    started=$SECONDS
    serves=yes
    "$command" serve --on-fault continue &
    child=$!
}

# Tells whether Kong's configuration has a start command for the plugin server, which takes over from ours.
kong_starts_one() {
    local start="${KONG_PLUGINSERVER_OTLP_TRACING_START_CMD:-}"
    [ -n "$start" ] || start=$(sed -n 's/^pluginserver_otlp_tracing_start_cmd *= *//p' "$prefix/.kong_env" 2>/dev/null)
    [ -n "$start" ] && [ "$start" != "$stay_alive" ]
}

start_server
# Kong 3.4 calls no plugin server that it has not started.
if [ -z "${KONG_PLUGINSERVER_OTLP_TRACING_START_CMD:-}" ] && kong version 2>/dev/null | grep -q '\<3\.[0-4]\.'; then
    export KONG_PLUGINSERVER_OTLP_TRACING_START_CMD="$stay_alive"
fi
# Kong starts in either case: tracing must not cause an outage.
"$command" probe --wait "${OTLP_TRACING_START_TIMEOUT:-15}" || true

# A shell lets its background processes ignore these two.
env --default-signal=INT,QUIT "$entrypoint" "$@" &
kong=$!
for signal in TERM INT QUIT HUP USR1 USR2 WINCH; do
    # shellcheck disable=SC2064  # now
    trap "kill -s $signal $kong 2>/dev/null || true" "$signal"
done

pause=1 # Kong's own pace (process.lua)
while :; do
    code=0
    wait -n -p ended "$kong" "$child" || code=$?
    case ${ended:-} in
        "$child") ;;
        "$kong") break ;;
        *) # a signal has come
            [ "$code" -gt 128 ] || break
            continue
            ;;
    esac
    if [ -z "$serves" ]; then
        start_server
        continue
    fi
    serves=
    if [ "$code" = 0 ] && kong_starts_one; then
        sleep infinity &
    else
        [ $((SECONDS - started)) -lt 10 ] || pause=1
        echo "otlp-tracing: plugin server ended with $code, the next start is in $pause s" >&2
        sleep "$pause" &
        # Kong 3.9 answers 500 to the first request of an entry if nothing listens, so the pause stays short.
        pause=$((pause < 8 ? pause * 2 : pause))
    fi
    child=$!
done
# `serve` hands over what it has, within eight seconds.
kill "$child" 2>/dev/null || true
wait "$child" || true
exit "$code"
