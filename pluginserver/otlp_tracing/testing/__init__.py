"""Doubles of what otlp-tracing lives between: a gateway, a plugin server, an upstream, a collector.

They are shipped, public and called what they are, for demos and for tests; none is meant for real
traffic. Import `otlp_tracing.testing.gateway`, `.otlp_sink`, `.scripted_plugin_server`, `.scripted_upstream`.
"""
