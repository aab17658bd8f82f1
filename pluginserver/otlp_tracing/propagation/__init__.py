"""Trace context in request headers: one module for each format, and the rules of trust between them."""
