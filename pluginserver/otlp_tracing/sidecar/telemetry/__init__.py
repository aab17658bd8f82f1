"""The sidecar's Prometheus metrics."""
