"""`python -m otlp_tracing`: the same command as `otlp-tracing`."""

from otlp_tracing.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
