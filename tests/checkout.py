"""Where things lie in the checkout."""

from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
DOCS = CHECKOUT / "docs"
TESTDATA = CHECKOUT / "tests" / "testdata"
TRANSCRIPTS = TESTDATA / "transcripts"
"""What real Kongs said to a plugin server, recorded."""
