# shellcheck shell=sh
# Sourced by the entrypoints. Secrets in files, in the way of Kong's entrypoint. OTLP_HEADER is for {vault://env/otlp-header}.
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
