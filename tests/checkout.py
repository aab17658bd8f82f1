"""Where things lie in the checkout."""

from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
DOCS = CHECKOUT / "docs"
TESTDATA = CHECKOUT / "tests" / "testdata"
TRANSCRIPTS = TESTDATA / "transcripts"
"""Recorded messages of real Kongs to a plugin server."""
