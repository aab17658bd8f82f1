"""Kong's external plugin server: supervisor, workers and both RPC protocols. It knows no tracing."""
