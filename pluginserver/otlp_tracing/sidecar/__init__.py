"""The sidecar: log records in, OTLP out, off the path of every request.

decode → assemble spans → redact → batch → export. Knows nothing of Kong's plugin protocol.
"""
