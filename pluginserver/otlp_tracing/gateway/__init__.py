"""The plugin inside Kong's plugin server: decide in `access`, hand the log record over in `log`.

Runs on the path of every request. Imports no OpenTelemetry, no gRPC, and nothing of the sidecar.
"""
