"""`otlp-tracing check --from`: entries of Kong's bundled tracing plugins as otlp-tracing entries."""
