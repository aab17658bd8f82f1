"""Access logs: a log record a request."""
