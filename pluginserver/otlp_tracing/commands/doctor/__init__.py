"""`otlp-tracing doctor`: one module for each thing that it asks about."""
