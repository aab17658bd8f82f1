"""Encodes spans as OTLP."""
