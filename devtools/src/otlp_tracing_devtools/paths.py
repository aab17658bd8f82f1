"""The files that the demo runs: in a checkout its own, in an installation the copies in the wheel."""

from __future__ import annotations

from pathlib import Path

_CHECKOUT = Path(__file__).resolve().parents[3]
_INSTALLED = Path(__file__).with_name("data")
_ROOT = _INSTALLED if _INSTALLED.is_dir() else _CHECKOUT

KONG_YML = _ROOT / "kong" / "kong.yml"
EXAMPLES = _ROOT / "examples"
"""The folder with the package `shop`, the example services."""
