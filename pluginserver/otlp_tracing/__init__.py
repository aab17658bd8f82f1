"""OpenTelemetry tracing for Kong Gateway."""

__version__ = "0.1.0"
