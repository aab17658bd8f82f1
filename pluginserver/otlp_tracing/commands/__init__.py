"""The commands of `otlp-tracing`, one module each."""
