"""Receives frames from the plugin server and decodes Kong's log records."""
