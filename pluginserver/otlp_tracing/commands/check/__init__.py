"""`otlp-tracing check`: the findings about files with otlp-tracing entries."""
