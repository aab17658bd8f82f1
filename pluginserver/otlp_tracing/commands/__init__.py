"""The commands of `otlp-tracing`, one module each: `add_options(parser)`, `run(options)`, `EXAMPLE`."""
