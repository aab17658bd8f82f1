#!/bin/sh
# Enables the plugin through Kong's Admin API, for a Kong with a database. It creates the entities of kong.yml except the
# two routes that reject requests (order-reports with its key and consumer, order-search with its limit).
# It may be repeated: every entity has a fixed id or name and is sent with PUT. Needs curl.
#   KONG_ADMIN_URL       the Admin API, http://localhost:8001 unless set
#   KONG_ADMIN_TOKEN     sent as Kong-Admin-Token, if set
#   OTLP_ENDPOINT        the collector, http://otel-collector:4317 unless set
#   OTLP_HEADER          a header line for it, or a reference such as {vault://env/otlp-header}
#   USER_SERVICE_URL, ORDER_SERVICE_URL
set -eu

admin=${KONG_ADMIN_URL:-http://localhost:8001}
endpoint=${OTLP_ENDPOINT:-http://otel-collector:4317}

# Secrets are passed in files and on stdin. Arguments can be read by every process.
credentials=$(mktemp)
trap 'rm -f "$credentials"' EXIT
[ -z "${KONG_ADMIN_TOKEN:-}" ] || printf 'header = "Kong-Admin-Token: %s"\n' "$KONG_ADMIN_TOKEN" >"$credentials"

put() {
    curl --silent --show-error --fail-with-body --retry 5 --retry-connrefused --config "$credentials" \
        --request PUT --header 'Content-Type: application/json' --data-binary @- --output /dev/null "$admin$1" ||
        { echo "$admin$1 was refused" >&2; exit 1; }
    echo "$1"
}

headers='[]'
[ -z "${OTLP_HEADER:-}" ] || headers="[\"$(printf '%s' "$OTLP_HEADER" | sed 's/[\"\\]/\\&/g')\"]"

# The plugin's entry for a service: service, the entry's id, sampling rules.
trace() {
    put "/services/$1/plugins/$2" <<JSON
{
  "name": "otlp-tracing",
  "config": {
    "endpoint": "$endpoint",
    "headers": $headers,
    "resource_attributes": [
      {"key": "service.name", "value": "kong-gateway"},
      {"key": "service.version", "value": "1.0.0"}
    ],
    "batch_export": {"timeout": 5000, "send_batch_size": 512},
    "sampling": {"rate": 1.0, "rules": $3}
  }
}
JSON
}

put /services/user-service <<JSON
{"url": "${USER_SERVICE_URL:-http://user-service:8080}"}
JSON
put /services/user-service/routes/user-routes <<'JSON'
{"paths": ["/api/users"], "strip_path": false, "methods": ["GET", "POST", "PUT", "DELETE"]}
JSON
put /services/user-service/routes/user-health <<'JSON'
{"paths": ["/healthz", "/readyz"], "strip_path": false, "methods": ["GET"]}
JSON
put /services/order-service <<JSON
{"url": "${ORDER_SERVICE_URL:-http://order-service:8080}"}
JSON
put /services/order-service/routes/order-routes <<'JSON'
{"paths": ["/api/orders"], "strip_path": false, "methods": ["GET", "POST", "PUT", "DELETE"]}
JSON

trace user-service 3f2b2c0e-6a0d-4d63-9a39-5d3f1f0a7c01 \
    '[{"name": "health-checks", "paths": ["/healthz", "/readyz"], "rate": 0}]'
trace order-service 3f2b2c0e-6a0d-4d63-9a39-5d3f1f0a7c02 '[]'

put /plugins/3f2b2c0e-6a0d-4d63-9a39-5d3f1f0a7c03 <<'JSON'
{
  "name": "prometheus",
  "config": {
    "per_consumer": false,
    "status_code_metrics": true,
    "latency_metrics": true,
    "bandwidth_metrics": true,
    "upstream_health_metrics": true
  }
}
JSON
