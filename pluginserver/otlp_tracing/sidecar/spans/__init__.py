"""Builds the spans of a request from Kong's log record."""
