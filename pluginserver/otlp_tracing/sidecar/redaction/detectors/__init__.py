"""Detectors: one module for each kind of secret that is found by its content."""
