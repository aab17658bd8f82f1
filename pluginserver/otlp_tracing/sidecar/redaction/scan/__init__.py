"""Scans a string for findings, through its encodings, and merges overlapping ones."""
