"""The sidecar's HTTP side: /healthz, /readyz and /metrics, on loopback unless told otherwise."""
