"""The tail decision, and the sampling rates that the sidecar moves."""
